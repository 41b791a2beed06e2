# SPDX-License-Identifier: Apache-2.0
"""Instants and lengths of windows, as read and written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.instants import format_instant, format_instants, parse_every, parse_instant


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2026-11-22T05:00:00Z", 1795323600000),
        ("2026-11-22T13:00:00+08:00", 1795323600000),
        ("2026-11-22t05:00:00.250z", 1795323600250),
        ("1969-12-31T23:59:59.999Z", -1),
        ("0001-01-01T00:00:00+14:00", -62135647200000),
    ],
)
def test_parse_instant_with_an_offset_gives_utc_milliseconds(text: str, ms: int) -> None:
    assert parse_instant(text) == ms


@pytest.mark.parametrize(
    "text",
    ["2026-11-22T05:00:00", "2026-11-22", "1763770800000", 1763770800000, "2026-02-30T00:00:00Z", "2026-W01-1", "", None,
     "2026-11-22T05:00:00Z\n", "٢٠٢٦-11-22T05:00:00Z"],
)  # fmt: skip
def test_parse_instant_without_offset_or_of_no_real_day_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_instant(text)


def test_parse_instant_with_a_plus_lost_in_an_address_says_how_to_write_it() -> None:
    with pytest.raises(ValueError, match="%2B"):
        parse_instant("2026-11-22T13:00:00 08:00")


@given(st.integers(-62135596800000, 253402300799999))
def test_format_instant_of_any_moment_is_read_back_the_same(ms: int) -> None:
    text = format_instant(ms)

    assert text.endswith("Z")
    assert parse_instant(text) == ms


@given(st.lists(st.integers(-(2**60), 2**60) | st.integers(1795323600000, 1795323602000)))
def test_format_instants_of_many_writes_each_as_if_alone(moments: list[int]) -> None:
    assert format_instants(moments) == {ms: format_instant(ms) for ms in moments}


def test_format_instant_beyond_the_calendar_shows_its_end() -> None:
    assert format_instant(2**60) == "9999-12-31T23:59:59.999Z"


@pytest.mark.parametrize(("text", "ms"), [("30s", 30_000), ("5m", 300_000), ("1h", 3_600_000), ("1d", 86_400_000)])
def test_parse_every_of_a_number_and_a_unit_gives_milliseconds(text: str, ms: int) -> None:
    assert parse_every(text) == ms


@pytest.mark.parametrize("text", ["0m", "5", "m", "1w", "1.5h", "-1h", "1000000d", "367d", "", None, "1h "])
def test_parse_every_of_anything_else_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_every(text)
