# SPDX-License-Identifier: Apache-2.0
"""Messages besides telemetry: written and read back, refused with a code, whatever the bytes."""

from __future__ import annotations

import cbor2
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import InvalidMessage
from gateway.messages import (
    ACK_STATES,
    FINAL_ACK_STATES,
    Ack,
    Amount,
    Command,
    Config,
    ErrorNote,
    LedgerEntry,
    Position,
    Reported,
    Status,
    Stored,
    ZoneLimits,
    decode_message,
    encode_message,
)

FORMS = (Ack, Command, Config, ErrorNote, Reported, Status, Stored)
EXAMPLES: tuple[msgspec.Struct, ...] = (
    Ack("a-1", "done", n=4, result=Amount(seconds=598, litres=84.2), ts=1_763_771_402_000),
    Command("a-1", "irrigate", 1_763_770_800_000, 1_763_771_100_000, n=4, zone=1, amount=Amount(litres=85), max_seconds=660),
    Config(12, 60, 480, {"1": ZoneLimits(900, 400)}, {"1": {"soil_moisture": 0.01}}, {"hours": 6}),
    ErrorNote("out-of-range", "flow is -2", 7),
    Reported(12, refused={"telemetry_s": "beyond a day"}),
    Status(True, "water-meter", "2.0", 7, 4, 412, (LedgerEntry("a-1", "done"),), Position(6, 3), Position(6, 9), -67),
    Stored(7, 1841),
)
keys = st.sampled_from(sorted({name for form in FORMS for name in form.__struct_fields__})) | st.text(max_size=6)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("cbor", [False, True], ids=["json", "cbor"])
@pytest.mark.parametrize("message", EXAMPLES, ids=lambda message: type(message).__name__)
def test_decode_message_reads_back_what_encode_message_wrote(message: msgspec.Struct, cbor: bool) -> None:
    assert decode_message(encode_message(message, cbor=cbor), type(message)) == message


@pytest.mark.parametrize("form", FORMS)
@given(payload=st.binary(max_size=100))
def test_decode_message_of_any_bytes_gives_the_message_or_a_code(form: type[msgspec.Struct], payload: bytes) -> None:
    check(payload, form)


@pytest.mark.parametrize("form", FORMS)
@given(value=st.dictionaries(keys, values, max_size=8) | values, tag=st.sampled_from([None, 1, 28, 1000]))
def test_decode_message_of_random_cbor_gives_the_message_or_a_code(
    form: type[msgspec.Struct], value: object, tag: int | None
) -> None:
    check(
        cbor2.dumps(value if tag is None else {"version": 1, "x": cbor2.CBORTag(tag, value), "calibration": {"a": value}}), form
    )


def check(payload: bytes, form: type[msgspec.Struct]) -> None:
    try:
        message = decode_message(payload, form)
    except InvalidMessage as exc:
        assert exc.code in ("malformed", "too-deep", "too-large")  # noqa: PT017 - either answer is right for some bytes
    else:
        assert isinstance(message, form)


@pytest.mark.parametrize("name", ["", "a b", 'a"b', "a/b", "é", "a\n", "x" * 65])
def test_decode_message_of_an_id_with_other_signs_is_malformed(name: str) -> None:
    with pytest.raises(InvalidMessage) as caught:
        decode_message(msgspec.json.encode({"id": name, "state": "done"}), Ack)
    assert caught.value.code == "malformed"


def test_final_ack_states_are_those_after_which_nothing_follows() -> None:
    assert set(ACK_STATES) - FINAL_ACK_STATES == {"accepted", "running"}
