# SPDX-License-Identifier: Apache-2.0
"""Calendars: local times and hours in a site's time zone, as instants in UTC.

Pure. Invariant: a local time of day names exactly one instant a date: where clocks are put forward over it, the same time
after the gap's length; where they are put back over it, its first occurrence. So nothing planned daily is lost or doubled.
Hours are half-open: [start, end).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

__all__ = [
    "clock_minutes",
    "day_start",
    "in_hours",
    "in_windows",
    "instant",
    "local_date",
    "minutes_of",
    "offset_min",
    "open_spans",
]

MINUTES_A_DAY: Final = 1440
MINUTE_MS: Final = 60_000


def in_hours(hours: Iterable[Sequence[str]], zone: ZoneInfo, now_ms: int) -> bool:
    """Tell whether local time lies in one of `hours`.

    Parameters
    ----------
    hours : iterable of (start, end)
        Local times "HH:MM", the end up to "24:00"; an end before its start is on the next day.
    now_ms : int
        The instant. [ms since the Unix epoch, UTC]
    """
    local = _local(zone, now_ms)
    return in_windows(hours, local.hour * 60 + local.minute)


def in_windows(hours: Iterable[Sequence[str]], minute: int) -> bool:
    """Tell whether a minute past local midnight lies in one of `hours`; see `in_hours`."""
    for start_text, end_text in hours:
        start, end = minutes_of(start_text), minutes_of(end_text)
        if start <= minute < end or (end < start and (minute >= start or minute < end)):
            return True
    return False


def day_start(zone: ZoneInfo, now_ms: int) -> int:
    """Return the start of the local day that `now_ms` lies in. [ms since the Unix epoch, UTC]"""
    return instant(_local(zone, now_ms).date(), 0, zone)


def offset_min(zone: ZoneInfo, now_ms: int) -> int:
    """Return the zone's offset from UTC at that instant. [min]"""
    offset = _local(zone, now_ms).utcoffset() or timedelta(0)
    return round(offset.total_seconds() / 60)


def open_spans(
    hours: Sequence[Sequence[str]], closed: Sequence[Sequence[str]], zone: ZoneInfo, from_ms: int, upto_ms: int
) -> list[tuple[int, int]]:
    """Return the spans [start, end) within [from, upto) that lie in `hours` and not in `closed`, in order and apart.

    Parameters
    ----------
    hours, closed : sequence of (start, end)
        Local times as for `in_hours`.
    """
    spans = _joined(_spans(hours, zone, from_ms, upto_ms))
    for shut, reopened in _joined(_spans(closed, zone, from_ms, upto_ms)):
        spans = [
            part for start, end in spans for part in ((start, min(end, shut)), (max(start, reopened), end)) if part[0] < part[1]
        ]
    return [(max(start, from_ms), min(end, upto_ms)) for start, end in spans if end > from_ms and start < upto_ms]


def _spans(hours: Sequence[Sequence[str]], zone: ZoneInfo, from_ms: int, upto_ms: int) -> list[tuple[int, int]]:
    first = local_date(zone, from_ms) - timedelta(days=1)  # hours may go over midnight
    days = [first + timedelta(days=number) for number in range((local_date(zone, upto_ms) - first).days + 1)]
    found = []
    for day in days:
        for start_text, end_text in hours:
            start, end = minutes_of(start_text), minutes_of(end_text)
            found.append((instant(day, start, zone), instant(day + timedelta(days=end < start), end, zone)))
    return found


def _joined(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], end)
        elif start < end:
            found.append((start, end))
    return found


def clock_minutes(zone: ZoneInfo, after_ms: int, upto_ms: int) -> frozenset[str]:
    """Return the minutes, as HH:MM, that the clock of a zone has shown the beginning of in (after, upto]; of the last day."""
    first_ms = max(after_ms // MINUTE_MS + 1, upto_ms // MINUTE_MS + 1 - MINUTES_A_DAY) * MINUTE_MS
    return frozenset(f"{_local(zone, at_ms):%H:%M}" for at_ms in range(first_ms, upto_ms + 1, MINUTE_MS))


def local_date(zone: ZoneInfo, now_ms: int) -> date:
    """Return the local date that `now_ms` lies in."""
    return _local(zone, now_ms).date()


def instant(day: date, minutes: int, zone: ZoneInfo) -> int:
    """Return the instant of a local time of day, `minutes` past midnight up to 1440. [ms since the Unix epoch, UTC]"""
    # fold=0 reads a time inside a gap with the offset from before it, which lands after the gap by as much.
    local = datetime.combine(day + timedelta(days=minutes // MINUTES_A_DAY), time(minutes // 60 % 24, minutes % 60), zone)
    return int(local.timestamp()) * 1000


def minutes_of(text: str) -> int:
    """Return the minutes past midnight of "HH:MM", up to "24:00"."""
    return int(text[:2]) * 60 + int(text[3:5])


def _local(zone: ZoneInfo, ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC).astimezone(zone)
