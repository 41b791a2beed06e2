# SPDX-License-Identifier: Apache-2.0
"""Bursts as blobs: everything comes back, and nothing but what was written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.bursts import StoredBurst, pack_burst, unpack_burst
from ingest.errors import Unavailable

topics = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
messages = st.lists(st.tuples(topics, st.binary(max_size=60)), max_size=8)
bursts = st.builds(
    lambda at, pairs: StoredBurst(at, [topic for topic, _ in pairs], [payload for _, payload in pairs]),
    st.integers(-(2**63), 2**63 - 1),
    messages,
)


@given(bursts)
def test_unpack_burst_gives_back_what_pack_burst_took(burst: StoredBurst) -> None:
    assert unpack_burst(pack_burst(burst)) == burst


@given(bursts, st.data())
def test_unpack_burst_with_any_bit_turned_is_unavailable(burst: StoredBurst, data: st.DataObject) -> None:
    blob = bytearray(pack_burst(burst))
    bit = data.draw(st.integers(0, 8 * len(blob) - 1))
    blob[bit // 8] ^= 1 << bit % 8
    with pytest.raises(Unavailable):
        unpack_burst(bytes(blob))


@given(bursts, st.data())
def test_unpack_burst_cut_off_or_with_more_behind_is_unavailable(burst: StoredBurst, data: st.DataObject) -> None:
    blob = pack_burst(burst)
    with pytest.raises(Unavailable):
        unpack_burst(blob[: data.draw(st.integers(0, len(blob) - 1))])
    with pytest.raises(Unavailable):
        unpack_burst(blob + data.draw(st.binary(min_size=1, max_size=5)))


@given(st.binary(max_size=200))
def test_unpack_burst_of_any_bytes_is_unavailable(blob: bytes) -> None:
    with pytest.raises(Unavailable):
        unpack_burst(blob)


def test_unpack_burst_of_a_later_format_says_which() -> None:
    blob = bytearray(pack_burst(StoredBurst(1, ["a"], [b"x"])))
    blob[2] = 9
    with pytest.raises(Unavailable, match="version 9"):
        unpack_burst(bytes(blob))
