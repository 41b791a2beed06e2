# SPDX-License-Identifier: Apache-2.0
"""Hostile and plain bytes to `gateway.payloads`: the answer is records and reasons, never another exception."""

from __future__ import annotations

import json
import math
import time

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import InvalidMessage
from gateway.payloads import MAX_DEPTH, MAX_PAYLOAD, MAX_RECORDS, decode_object, encode_object, judge_payload
from gateway.quantities import load_catalogue

CATALOGUE = load_catalogue()
KIND = CATALOGUE.kinds["irrigation-controller"]
NOW_MS = 1_763_770_800_000

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from([2**53, 2**64, 10**400, -(10**400)]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
names = text | st.sampled_from(["ts", "boot", "seq", "zone", *(q.name for q in KIND.quantities)])
records = st.dictionaries(names, values, max_size=6)


def only_code(payload: bytes) -> str:
    taken, rejected = judge_payload(payload, KIND, CATALOGUE, NOW_MS)
    assert taken == []
    assert len(rejected) == 1
    return rejected[0].code


def shared_lists(count: int) -> bytes:
    """Lay out CBOR lists each of which holds the one before twice, as tag 29 allows: 2^count leaves in 6 bytes a list."""
    first = bytes.fromhex("d81c8101")
    return (
        bytes([0x98, count + 1])
        + first
        + b"".join(bytes.fromhex("d81c82") + bytes([0xD8, 29, 0x18, i]) * 2 for i in range(count))
    )


@given(st.binary(max_size=300))
def test_judge_payload_of_any_bytes_gives_records_and_reasons(payload: bytes) -> None:
    taken, rejected = judge_payload(payload, KIND, CATALOGUE, NOW_MS)
    assert all(reason.code and reason.detail for reason in rejected)
    assert all(math.isfinite(value) for record in taken for value in record.values.values())


@given(st.lists(records, max_size=4) | records, st.booleans())
def test_judge_payload_of_random_records_accounts_for_each(value: object, cbor: bool) -> None:
    payload = cbor2.dumps(value) if cbor else json.dumps(value).encode("utf-8", "surrogatepass")
    taken, rejected = judge_payload(payload, KIND, CATALOGUE, NOW_MS)
    if rejected and rejected[0].index is None:
        assert taken == []
    else:
        assert len(taken) + len(rejected) == (len(value) if isinstance(value, list) else 1)
    for record in taken:
        for name, number in record.values.items():
            quantity = CATALOGUE.quantities[name]
            assert quantity.low <= number <= quantity.high


@pytest.mark.parametrize("digits", [309, 400, 5_000, 60_000])
def test_judge_payload_with_an_integer_beyond_every_double_is_out_of_range(digits: int) -> None:
    assert only_code(b'{"flow":' + b"1" * digits + b"}") == "out-of-range"
    assert only_code(b'{"flow":-' + b"1" * digits + b"}") == "out-of-range"
    assert only_code(b'{"seq":' + b"1" * digits + b"}") == "bad-seq"


def test_judge_payload_with_a_cbor_integer_of_a_thousand_bytes_is_out_of_range() -> None:
    assert only_code(b"\xa1\x64flow\xc2\x59\x03\xe8" + b"\xff" * 1000) == "out-of-range"


@pytest.mark.parametrize(
    "payload",
    [
        b"\xa1" + shared_lists(60) + b"\x01",
        b"\xa1\x64flow" + shared_lists(60),
        b"\xa1\x64flow\xd9\x03\xe8" + shared_lists(60),
        b"\xa1\x64flow\xd9\x01\x02" + shared_lists(60),
        b"\xa1\xd9\x03\xe8" + shared_lists(60) + b"\x01",
    ],
    ids=["as a key", "as a value", "in a tag", "as a set", "in a tag as a key"],
)
def test_judge_payload_with_lists_shared_over_and_over_answers_at_once(payload: bytes) -> None:
    began = time.perf_counter()
    assert only_code(payload) in ("unknown-quantity", "wrong-type", "too-deep", "malformed")
    assert time.perf_counter() - began < 1.0


def test_judge_payload_with_depth_hidden_in_a_tag_is_too_deep() -> None:
    assert only_code(bytes.fromhex("a164666c6f77d903e88181818101")) == "too-deep"


@pytest.mark.parametrize("text", ['{"flow":null}', '{"ts":null,"boot":null,"seq":null,"zone":null}', '{"flwo":null}'])
def test_judge_payload_with_null_means_the_same_as_left_out(text: str) -> None:
    (record,), rejected = judge_payload(text.encode(), KIND, CATALOGUE, NOW_MS)
    assert rejected == []
    assert (record.ts_ms, record.boot, record.seq, record.zone, dict(record.values)) == (None, None, None, 1, {})


def test_judge_payload_with_half_a_surrogate_pair_beside_nan_is_malformed() -> None:
    assert only_code(b'{"flow":NaN,"\\ud800":1}') == "malformed"


def test_judge_payload_numbers_that_cannot_be_are_not_told_as_the_record_s() -> None:
    _, (reject,) = judge_payload(b'{"boot":-1,"seq":7,"flow":1}', KIND, CATALOGUE, NOW_MS)
    assert (reject.code, reject.boot, reject.seq) == ("bad-boot", None, 7)


def test_judge_payload_of_a_misspelt_name_suggests_the_nearest() -> None:
    _, (reject,) = judge_payload(b'{"soil_moistur":0.3}', KIND, CATALOGUE, NOW_MS)
    assert "soil_moisture" in reject.detail


def test_judge_payload_of_long_hostile_text_keeps_the_detail_short() -> None:
    _, (reject,) = judge_payload(b'{"flow":"' + b"x" * 60_000 + b'"}', KIND, CATALOGUE, NOW_MS)
    assert len(reject.detail) < 200


@pytest.mark.parametrize(("count", "code"), [(MAX_RECORDS + 1, "too-many-records"), (MAX_PAYLOAD, "too-large")])
def test_judge_payload_past_a_bound_is_refused_whole(count: int, code: str) -> None:
    assert only_code(b"[" + b",".join([b"{}"] * count) + b"]") == code


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b"\x81", b"\xd8\x64"])
def test_decode_object_ten_thousand_deep_is_refused(opening: bytes) -> None:
    with pytest.raises(InvalidMessage) as caught:
        decode_object(opening * 10_000)
    assert caught.value.code in ("too-deep", "malformed")


def test_decode_object_of_the_deepest_allowed_is_taken() -> None:
    assert decode_object(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH) == [[[[]]]]


@given(
    st.dictionaries(
        names, st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False), max_size=6
    )
)
def test_decode_object_reads_back_what_encode_object_writes(value: dict[str, float | None]) -> None:
    value = {name: number for name, number in value.items() if number not in (math.inf, -math.inf)}
    for cbor in (False, True):
        assert decode_object(encode_object(value, cbor=cbor)) == value
