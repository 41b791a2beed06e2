# SPDX-License-Identifier: Apache-2.0
"""Hours and planned moments across time zones and changes of offset."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control.calendars import day_start, in_hours, offset_min, open_spans

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


def test_day_start_is_local_midnight_or_the_first_instant_after_a_gap() -> None:
    assert day_start(MAKASSAR, at("2026-11-22T00:30:00+08:00")) == at("2026-11-22T00:00:00+08:00")
    # Havana puts its clocks forward at midnight: 2026-03-08 begins at 01:00.
    assert day_start(HAVANA, at("2026-03-08T12:00:00-04:00")) == at("2026-03-08T01:00:00-04:00")


def test_offset_min_follows_the_season() -> None:
    assert offset_min(MAKASSAR, at("2026-07-01T00:00:00Z")) == 480
    assert [offset_min(BERLIN, at(f"2026-{month}-01T00:00:00Z")) for month in ("01", "07")] == [60, 120]


@pytest.mark.parametrize(
    ("hours", "closed", "expected"),
    [
        ([("05:00", "08:00")], [], ["05:00-08:00"]),
        ([("05:00", "08:00"), ("07:00", "09:00")], [], ["05:00-09:00"]),
        ([("05:00", "08:00")], [("06:00", "06:30")], ["05:00-06:00", "06:30-08:00"]),
        ([("00:00", "24:00")], [("22:00", "04:00")], ["04:00-22:00"]),
        ([("22:00", "02:00")], [], ["00:00-02:00", "22:00-00:00"]),
        ([("05:00", "08:00")], [("04:00", "09:00")], []),
    ],
)
def test_open_spans_are_the_hours_less_what_is_closed(
    hours: list[tuple[str, str]], closed: list[tuple[str, str]], expected: list[str]
) -> None:
    begin = at("2026-11-22T00:00:00+08:00")
    spans = open_spans(hours, closed, MAKASSAR, begin, begin + DAY)
    assert [
        "-".join(datetime.fromtimestamp(edge / 1000, MAKASSAR).strftime("%H:%M") for edge in span) for span in spans
    ] == expected


@given(
    edges=st.lists(
        st.tuples(st.integers(0, 1439), st.integers(0, 1439)).filter(lambda e: e[0] != e[1]), min_size=1, max_size=4
    ),
    minute=st.integers(0, 3 * 1440),
)
def test_open_spans_agree_with_in_hours_at_every_minute(edges: list[list[int]], minute: int) -> None:
    hours = [tuple(f"{edge // 60:02}:{edge % 60:02}" for edge in span) for span in edges]
    begin = at("2026-11-21T00:00:00+08:00")
    now = begin + minute * 60_000
    spans = open_spans(hours, [], MAKASSAR, begin, begin + 3 * DAY)
    assert any(start <= now < end for start, end in spans) is in_hours(hours, MAKASSAR, now) or minute == 3 * 1440
