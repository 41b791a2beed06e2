# SPDX-License-Identifier: Apache-2.0
"""The fast decoder against the careful one: the same rows and reasons, whatever stands in the burst."""

from __future__ import annotations

import json
from typing import Any

import cbor2
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gateway.payloads import MAX_BACK_MS, judge_payload
from gateway.topics import Address
from ingest.bursts import StoredBurst
from ingest.decode import BurstDecoder, DecodedBurst
from ingest.devices import DeviceTable
from ingest.store.batch import CLOCK_SERVER, NOT_GIVEN
from tests.unit.ingest.fleet import CATALOGUE, KINDS, NOW_MS, burst_of, make_devices, telemetry, topic

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
odd = st.none() | st.booleans() | text | st.lists(st.integers(), max_size=2) | st.sampled_from([10**400, 2**64, -1, 1.5, 1e308])
head = st.fixed_dictionaries(
    {},
    optional={
        "ts": st.integers(NOW_MS - MAX_BACK_MS - 1, NOW_MS + 86_400_001) | odd,
        "boot": st.integers(0, 2**32) | odd,
        "seq": st.integers(0, 2**32) | odd,
        "zone": st.integers(0, 65) | odd,
    },
)
quantities = st.dictionaries(
    st.sampled_from(["flow", "litres_total", "soil_moisture", "valve_open", "rain", "ph", "flwo"]),
    st.floats(0, 1) | st.integers(0, 2) | st.booleans() | st.sampled_from([float("nan"), float("inf")]) | odd,
    max_size=4,
)
good = st.fixed_dictionaries(
    {"seq": st.integers(0, 9), "flow": st.floats(0, 100)}, optional={"ts": st.just(NOW_MS), "boot": st.just(1)}
)
record = st.one_of(good, st.builds(lambda a, b: {**a, **b}, head, quantities))
value = st.one_of(record, st.lists(record, max_size=4), odd)
payload = st.one_of(
    value.map(lambda item: json.dumps(item).encode()),
    value.map(lambda item: b" " + json.dumps(item, indent=1).encode()),
    value.map(cbor2.dumps),
    st.binary(max_size=12),
    st.sampled_from(
        [b"", b"[" * 10_000, b'{"flow":' + b"9" * 5_000 + b"}", b" " * 65_537, b"[" + b",".join([b"{}"] * 501) + b"]"]
    ),
)
message = st.tuples(st.integers(0, 3), payload)


def found(decoded: DecodedBurst) -> list[tuple[Any, ...]]:
    """Rows as plain values in the order of their places."""
    rows = []
    for part in decoded.rows:
        for i in range(len(part)):
            values = {name: float(column[i]) for name, column in part.values.items() if column[i] == column[i]}
            numbers = [
                int(column[i]) for column in (part.place, part.device, part.zone, part.ts_ms, part.boot, part.seq, part.flags)
            ]
            rows.append((*numbers, part.kind, values))
    return sorted(rows, key=lambda row: row[0])


def expected(burst: StoredBurst) -> tuple[list[tuple[Any, ...]], set[tuple[Any, ...]]]:
    """What the careful way says of each payload."""
    rows: list[tuple[Any, ...]] = []
    rejects: set[tuple[Any, ...]] = set()
    for i, (name, body) in enumerate(zip(burst.topics, burst.payloads, strict=True)):
        device = [topic(d) for d in range(4)].index(name)
        if device == 3:
            rejects.add((i, None, None, "unknown-device", NOT_GIVEN, NOT_GIVEN))
            continue
        records, refused = judge_payload(body, CATALOGUE.kinds[KINDS[device]], CATALOGUE, burst.received_ms)
        for r in records:
            ts, boot, seq = (NOT_GIVEN if n is None else n for n in (r.ts_ms, r.boot, r.seq))
            flags = CLOCK_SERVER if r.ts_ms is None else 0
            at = burst.received_ms if r.ts_ms is None else ts
            rows.append((device, r.zone, at, boot, seq, flags, KINDS[device], dict(r.values)))
        for bad in refused:
            boot, seq = (NOT_GIVEN if n is None else n for n in (bad.boot, bad.seq))
            rejects.add((i, bad.index, device, bad.code, boot, seq))
    return rows, rejects


@given(st.lists(message, min_size=1, max_size=8))
def test_decode_of_any_burst_agrees_with_judge_payload(messages: list[tuple[int, bytes]]) -> None:
    burst = burst_of(*messages)
    decoded = BurstDecoder(make_devices(), CATALOGUE).decode(7, burst)
    rows, rejects = expected(burst)
    assert [row[1:] for row in found(decoded)] == rows
    assert {(r.payload, r.index, r.device, r.code, r.boot, r.seq) for r in decoded.rejects} == rejects
    assert len({row[0] for row in found(decoded)}) == len(rows)


@given(st.lists(message, min_size=1, max_size=8))
def test_decode_of_the_same_burst_again_gives_the_same_rows(messages: list[tuple[int, bytes]]) -> None:
    burst = burst_of(*messages)
    decoder = BurstDecoder(make_devices(), CATALOGUE)
    first, again, anew = (
        decoder.decode(7, burst),
        decoder.decode(7, burst),
        BurstDecoder(make_devices(), CATALOGUE).decode(7, burst),
    )
    assert found(first) == found(again) == found(anew)
    assert first.rejects == again.rejects == anew.rejects


def test_decode_of_plain_records_of_one_kind_gives_one_table_with_its_columns() -> None:
    burst = burst_of(*[(i % 2, telemetry(boot=1, seq=i, flow=i / 10, valve_open=i % 2 == 0)) for i in range(100)])
    (rows,) = BurstDecoder(make_devices(), CATALOGUE).decode(1, burst).rows
    assert rows.seq.tolist() == rows.place.tolist() == list(range(100))
    assert set(rows.values) == {"flow", "valve_open"}
    assert np.allclose(rows.values["flow"], np.arange(100) / 10)
    assert rows.values["valve_open"][:2].tolist() == [1.0, 0.0]


def test_decode_of_a_device_taken_away_rejects_it_by_name_and_keeps_the_others() -> None:
    devices = make_devices()
    decoder = BurstDecoder(devices, CATALOGUE)
    burst = burst_of((0, telemetry(flow=1)), (1, telemetry(flow=2)))
    devices.remove(Address("kebun", "bed-0"))
    decoded = decoder.decode(1, burst)
    assert [(row[1], row[-1]) for row in found(decoded)] == [(1, {"flow": 2.0})]
    assert [(r.payload, r.device, r.code) for r in decoded.rejects] == [(0, 0, "unknown-device")]


def test_decode_of_a_device_given_another_kind_uses_it_from_then_on() -> None:
    devices = make_devices()
    decoder = BurstDecoder(devices, CATALOGUE)
    burst = burst_of((0, telemetry(pressure=300)))
    assert [r.code for r in decoder.decode(1, burst).rejects] == ["not-in-kind"]
    devices.put(Address("kebun", "bed-0"), CATALOGUE.kinds["water-meter"])
    assert [row[-1] for row in found(decoder.decode(2, burst))] == [{"pressure": 300.0}]


@given(st.lists(message, min_size=1, max_size=8))
def test_decode_after_a_device_was_added_or_removed_leaves_the_others_in_their_places(
    messages: list[tuple[int, bytes]],
) -> None:
    burst = burst_of(*messages)
    devices = make_devices()
    decoder = BurstDecoder(devices, CATALOGUE)
    before = found(decoder.decode(7, burst))
    devices.put(Address("kebun", "bed-3"), CATALOGUE.kinds["water-meter"])
    assert [row for row in found(decoder.decode(7, burst)) if row[1] != 3] == before
    devices.remove(Address("kebun", "bed-0"))
    assert [row for row in found(decoder.decode(7, burst)) if row[1] != 3] == [row for row in before if row[1] != 0]


def test_decode_of_a_burst_without_messages_gives_nothing() -> None:
    decoded = BurstDecoder(make_devices(), CATALOGUE).decode(1, burst_of())
    assert (decoded.rows, decoded.rejects) == ((), ())


def test_decode_of_a_zone_that_the_device_was_not_registered_with_rejects_that_record_alone() -> None:
    devices = DeviceTable()
    devices.put(Address("s", "a"), CATALOGUE.kinds["irrigation-controller"], zones=[1, 3])
    burst = StoredBurst(NOW_MS, ["tirta/v1/s/a/telemetry"], [b'[{"zone":3,"flow":1},{"zone":2,"flow":2}]'])

    decoded = BurstDecoder(devices, CATALOGUE).decode(1, burst)

    assert [part.zone.tolist() for part in decoded.rows] == [[3]]
    assert [(reject.code, reject.detail) for reject in decoded.rejects] == [
        ("bad-zone", "zone 2: this device is registered with 1, 3")
    ]
