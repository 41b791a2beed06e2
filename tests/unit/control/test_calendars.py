# SPDX-License-Identifier: Apache-2.0
"""Hours and planned moments across time zones and changes of offset."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from control.calendars import day_start, in_hours, offset_min

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
