# SPDX-License-Identifier: Apache-2.0
"""The wire contract's vectors, asked of the gateway and of ingest's fast decoder.

The same files bind the firmware's codecs; what each key means is written in `tests/contract/vectors/README.md`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.errors import InvalidMessage, InvalidTopic
from gateway.messages import Ack, Command, Config, ErrorNote, Reported, Status, Stored, decode_message, encode_message
from gateway.payloads import decode_object, encode_object, judge_payload
from gateway.quantities import load_catalogue
from gateway.topics import Address, Channel, build_topic, parse_topic
from ingest.bursts import StoredBurst
from ingest.decode import BurstDecoder
from ingest.devices import DeviceTable
from ingest.store.batch import CLOCK_SERVER, NOT_GIVEN

VECTORS = Path(__file__).parent / "vectors"
CATALOGUE = load_catalogue()
HEAD = ("ts", "boot", "seq", "zone")

Vector = dict[str, Any]


def load(name: str) -> Any:
    return json.loads((VECTORS / f"{name}.json").read_text("utf-8"))


TELEMETRY = load("telemetry")
NOW_MS: int = TELEMETRY["now"]


def vectors(file: str, section: str) -> pytest.MarkDecorator:
    found = load(file)[section]
    return pytest.mark.parametrize("vector", found, ids=[vector["name"] for vector in found])


def payload_of(vector: Vector) -> bytes:
    if "payload" in vector:
        text: str = vector["payload"]
        return text.encode()
    if "payload_hex" in vector:
        return bytes.fromhex(vector["payload_hex"])
    in_hex = "payload_hex_repeat" in vector
    parts = vector["payload_hex_repeat" if in_hex else "payload_repeat"]
    whole = parts["head"] + parts["separator"].join([parts["unit"]] * parts["times"]) + parts["tail"]
    return bytes.fromhex(whole) if in_hex else whole.encode()


def expected_records(vector: Vector) -> list[Vector]:
    if repeat := vector.get("records_repeat"):
        return [{**repeat["record"], "index": i} for i in range(repeat["times"])]
    records: list[Vector] = vector["records"]
    return records


def plain(records: list[Vector]) -> list[tuple[Any, ...]]:
    """Records without their places, booleans as numbers: what every way of decoding must agree on."""
    return [(*(r[name] for name in HEAD), {name: float(value) for name, value in r["values"].items()}) for r in records]


def agree(told: list[tuple[int | None, str, int | None]], details: list[str], errors: list[Vector]) -> None:
    assert [(index, code) for index, code, _ in told] == [(error["index"], error["code"]) for error in errors]
    for (_, _, seq), detail, error in zip(told, details, errors, strict=True):
        if error["seq"] is not None:
            assert seq == error["seq"]
        if error["field"]:
            assert error["field"] in detail


def by_gateway(payload: bytes, kind: str) -> tuple[list[tuple[Any, ...]], list[tuple[int | None, str, int | None]], list[str]]:
    records, rejected = judge_payload(payload, CATALOGUE.kinds[kind], CATALOGUE, NOW_MS)
    found = [(r.ts_ms, r.boot, r.seq, r.zone, dict(r.values)) for r in records]
    return found, [(r.index, r.code, r.seq) for r in rejected], [r.detail for r in rejected]


def by_ingest(payload: bytes, kind: str) -> tuple[list[tuple[Any, ...]], list[tuple[int | None, str, int | None]], list[str]]:
    devices = DeviceTable()
    devices.put(Address("balikpapan", "bed-01"), CATALOGUE.kinds[kind])
    burst = StoredBurst(NOW_MS, ["tirta/v1/balikpapan/bed-01/telemetry"], [payload])
    decoded = BurstDecoder(devices, CATALOGUE).decode(1, burst)
    found: list[tuple[Any, ...]] = []
    for rows in decoded.rows:
        for i in range(len(rows)):
            ts, boot, seq = (int(column[i]) for column in (rows.ts_ms, rows.boot, rows.seq))
            values = {name: float(column[i]) for name, column in rows.values.items() if column[i] == column[i]}
            head = (None if rows.flags[i] & CLOCK_SERVER else ts, *(None if n == NOT_GIVEN else n for n in (boot, seq)))
            found.append((*head, int(rows.zone[i]), values))
    rejects = sorted(decoded.rejects, key=lambda reject: -1 if reject.index is None else reject.index)
    told = [(r.index, r.code, None if r.seq == NOT_GIVEN else r.seq) for r in rejects]
    return found, told, [r.detail for r in rejects]


def without_nulls(value: Any) -> Any:
    """Leave out what is null or empty: a vector's null and a codec's absent key mean the same."""
    if isinstance(value, Mapping):
        return {key: kept for key, item in value.items() if (kept := without_nulls(item)) not in (None, {}, [])}
    if isinstance(value, (list, tuple)):
        return [without_nulls(item) for item in value]
    return value


def as_value(message: msgspec.Struct) -> Any:
    return without_nulls(msgspec.to_builtins(message))


def check_message(vector: Vector, key: str, form: type[msgspec.Struct]) -> None:
    if error := vector.get("error"):
        with pytest.raises(InvalidMessage) as caught:
            decode_message(payload_of(vector), form)
        assert caught.value.code == error
    else:
        assert as_value(decode_message(payload_of(vector), form)) == without_nulls(vector[key])


def check_encoding(vector: Vector, key: str, form: type[msgspec.Struct]) -> None:
    message = decode_message(payload_of(vector), form)
    assert as_value(message) == without_nulls(vector[key])
    built = msgspec.convert(vector[key], form)
    for cbor in (False, True):
        assert without_nulls(decode_object(encode_message(built, cbor=cbor))) == without_nulls(json.loads(vector["payload"]))


@vectors("topics", "valid")
def test_parse_topic_of_a_vector_gives_its_parts_and_builds_back(vector: Vector) -> None:
    address, channel = parse_topic(vector["topic"])
    assert (address.site, address.device, channel.value) == (vector["site"], vector["device"], vector["channel"])
    assert address.username == vector["username"]
    assert build_topic(address, channel) == vector["topic"]


@vectors("topics", "invalid")
def test_parse_topic_of_an_invalid_vector_is_refused(vector: Vector) -> None:
    with pytest.raises(InvalidTopic):
        parse_topic(vector["topic"])


@vectors("topics", "unbuildable")
def test_build_topic_of_parts_that_may_not_be_is_refused(vector: Vector) -> None:
    with pytest.raises((InvalidTopic, ValueError)):
        build_topic(Address(vector["site"], vector["device"]), Channel(vector["channel"]))


@vectors("telemetry", "decode")
def test_judge_payload_of_a_vector_gives_its_records_and_codes(vector: Vector) -> None:
    records, told, details = by_gateway(payload_of(vector), vector["kind"])
    assert records == plain(expected_records(vector))
    agree(told, details, vector["errors"])


@vectors("telemetry", "decode")
def test_burst_decoder_of_a_vector_answers_as_judge_payload_does(vector: Vector) -> None:
    records, told, details = by_ingest(payload_of(vector), vector["kind"])
    assert records == plain(expected_records(vector))
    agree(told, details, vector["errors"])
    assert (records, told) == by_gateway(payload_of(vector), vector["kind"])[:2]


@vectors("telemetry", "encode")
def test_both_decoders_read_back_what_a_device_writes(vector: Vector) -> None:
    for payload in (vector["payload"].encode(), bytes.fromhex(vector["payload_hex"])):
        for decode in (by_gateway, by_ingest):
            records, told, _ = decode(payload, vector["kind"])
            assert records == plain(vector["records"])
            assert told == []


@vectors("telemetry", "encode")
def test_encode_object_of_a_record_means_the_same_as_the_vector(vector: Vector) -> None:
    items = [{**{name: r[name] for name in HEAD if r[name] is not None}, **r["values"]} for r in vector["records"]]
    value = items if vector["array"] else items[0]
    assert json.loads(encode_object(value)) == json.loads(vector["payload"])
    assert decode_object(encode_object(value, cbor=True)) == decode_object(bytes.fromhex(vector["payload_hex"]))


@vectors("commands", "decode")
def test_decode_message_of_a_command_vector_gives_the_command_or_refuses(vector: Vector) -> None:
    if "reject" in vector:  # what a device answers is its own matter; here it decodes as something or is malformed
        try:
            answer = decode_message(payload_of(vector), Command).id
        except InvalidMessage as exc:
            answer = exc.code
        assert answer in (vector["id"], "malformed")
    else:
        if "command" in vector and vector["command"]["action"] in ("stop", "ping"):
            vector = {**vector, "command": {**vector["command"], "n": decode_message(payload_of(vector), Command).n}}
        check_message(vector, "command", Command)


@vectors("commands", "encode")
def test_encode_message_of_a_command_means_the_same_as_the_vector(vector: Vector) -> None:
    check_encoding(vector, "command", Command)


@vectors("acks", "decode")
def test_decode_message_of_an_ack_vector_gives_the_ack_or_its_error(vector: Vector) -> None:
    check_message(vector, "ack", Ack)


@vectors("acks", "encode")
def test_encode_message_of_an_ack_means_the_same_as_the_vector(vector: Vector) -> None:
    vector = {**vector, "payload": json.dumps(without_nulls(json.loads(vector["payload"])))}
    check_encoding(vector, "ack", Ack)


@vectors("status", "decode")
def test_decode_message_of_a_status_vector_gives_the_status_or_its_error(vector: Vector) -> None:
    check_message(vector, "status", Status)


@vectors("status", "encode")
def test_encode_message_of_a_status_means_the_same_as_the_vector(vector: Vector) -> None:
    check_encoding(vector, "status", Status)


@vectors("stored", "decode")
def test_decode_message_of_a_stored_vector_gives_the_position_or_its_error(vector: Vector) -> None:
    check_message(vector, "stored", Stored)


@vectors("stored", "encode")
def test_encode_message_of_a_stored_position_means_the_same_as_the_vector(vector: Vector) -> None:
    check_encoding(vector, "stored", Stored)


@vectors("error", "decode")
def test_decode_message_of_an_error_vector_gives_the_note_or_its_error(vector: Vector) -> None:
    check_message(vector, "error_message", ErrorNote)


@vectors("error", "encode")
def test_encode_message_of_an_error_note_means_the_same_as_the_vector(vector: Vector) -> None:
    check_encoding(vector, "error_message", ErrorNote)


def test_every_error_code_of_the_vectors_stands_in_the_contract() -> None:
    page = (Path(__file__).parents[2] / "docs" / "mqtt-contract.md").read_text("utf-8")
    codes = [entry["name"] for entry in load("error")["codes"]]
    assert [code for code in codes if f"`{code}`" not in page] == []
    assert {error["code"] for vector in TELEMETRY["decode"] for error in vector["errors"]} <= set(codes)


@vectors("config", "decode")
def test_decode_message_of_a_config_vector_gives_its_basics_or_refuses(vector: Vector) -> None:
    if error := vector.get("error"):
        with pytest.raises(InvalidMessage) as caught:
            decode_message(payload_of(vector), Config)
        assert caught.value.code == error
    elif vector["refused"]:  # binds devices; the platform never sends such a value and does not read it
        with pytest.raises(InvalidMessage):
            decode_message(payload_of(vector), Config)
    else:
        config = decode_message(payload_of(vector), Config)
        assert config.version == vector["config"]["version"]
        if vector["config"]["telemetry_s"] is not None:
            assert config.telemetry_s == vector["config"]["telemetry_s"]
        assert decode_message(encode_message(config), Reported).version == config.version
