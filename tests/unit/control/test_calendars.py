# SPDX-License-Identifier: Apache-2.0
"""Hours and planned moments across time zones and changes of offset."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control.calendars import day_start, in_hours, offset_min, planned_moments

MAKASSAR, BERLIN, HAVANA = ZoneInfo("Asia/Makassar"), ZoneInfo("Europe/Berlin"), ZoneInfo("America/Havana")
DAY = 86_400_000


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


@pytest.mark.parametrize(
    ("now", "inside"),
    [
        ("2026-11-22T04:59:59+08:00", False),
        ("2026-11-22T05:00:00+08:00", True),
        ("2026-11-22T07:59:59+08:00", True),
        ("2026-11-22T08:00:00+08:00", False),
        ("2026-11-22T23:30:00+08:00", True),
        ("2026-11-23T01:59:00+08:00", True),
        ("2026-11-23T02:00:00+08:00", False),
    ],
)
def test_in_hours_is_half_open_and_goes_over_midnight(now: str, inside: bool) -> None:
    assert in_hours([["05:00", "08:00"], ["23:00", "02:00"]], MAKASSAR, at(now)) is inside


def test_in_hours_of_the_whole_day_is_always_true() -> None:
    assert all(in_hours([("00:00", "24:00")], MAKASSAR, at("2026-11-22T00:00:00Z") + k * 3_600_000) for k in range(24))


def test_planned_moments_are_after_the_first_and_up_to_the_second() -> None:
    seven = at("2026-11-22T07:00:00+08:00")
    assert planned_moments(["07:00"], MAKASSAR, seven - 60_000, seven) == [(seven, "07:00")]
    assert planned_moments(["07:00"], MAKASSAR, seven, seven + 60_000) == []
    assert planned_moments(["07:00"], MAKASSAR, seven, seven - DAY) == []


def test_planned_moments_differ_by_the_zone() -> None:
    after, upto = at("2026-11-22T00:00:00Z"), at("2026-11-23T00:00:00Z")
    assert planned_moments(["09:00"], MAKASSAR, after, upto) == [(at("2026-11-22T01:00:00Z"), "09:00")]
    assert planned_moments(["09:00"], ZoneInfo("Asia/Jakarta"), after, upto) == [(at("2026-11-22T02:00:00Z"), "09:00")]


def test_planned_moments_come_once_on_the_day_that_clocks_are_put_forward() -> None:
    after, upto = at("2026-03-29T00:00:00+01:00"), at("2026-03-30T00:00:00+02:00")
    assert planned_moments(["02:30"], BERLIN, after, upto) == [(at("2026-03-29T03:30:00+02:00"), "02:30")]


def test_planned_moments_come_once_on_the_day_that_clocks_are_put_back() -> None:
    after, upto = at("2026-10-25T00:00:00+02:00"), at("2026-10-26T00:00:00+01:00")
    assert planned_moments(["02:30"], BERLIN, after, upto) == [(at("2026-10-25T02:30:00+02:00"), "02:30")]


def test_planned_moments_of_a_very_long_range_are_bounded() -> None:
    assert len(planned_moments(["07:00"], MAKASSAR, 0, at("2026-11-22T00:00:00Z"))) <= 9


@given(st.integers(at("2026-01-01T00:00:00Z"), at("2027-01-01T00:00:00Z")), st.lists(st.integers(1, 3 * DAY), max_size=4))
def test_planned_moments_of_a_cut_range_are_those_of_the_whole(start: int, steps: list[int]) -> None:
    cuts = [start]
    for step in steps:
        cuts.append(min(cuts[-1] + step, start + 5 * DAY))
    parts = [m for a, b in pairwise(cuts) for m in planned_moments(["02:30", "23:59"], BERLIN, a, b)]
    assert parts == planned_moments(["02:30", "23:59"], BERLIN, start, cuts[-1])


def test_day_start_is_local_midnight_or_the_first_instant_after_a_gap() -> None:
    assert day_start(MAKASSAR, at("2026-11-22T00:30:00+08:00")) == at("2026-11-22T00:00:00+08:00")
    # Havana puts its clocks forward at midnight: 2026-03-08 begins at 01:00.
    assert day_start(HAVANA, at("2026-03-08T12:00:00-04:00")) == at("2026-03-08T01:00:00-04:00")


def test_offset_min_follows_the_season() -> None:
    assert offset_min(MAKASSAR, at("2026-07-01T00:00:00Z")) == 480
    assert [offset_min(BERLIN, at(f"2026-{month}-01T00:00:00Z")) for month in ("01", "07")] == [60, 120]
