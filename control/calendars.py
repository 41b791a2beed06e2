# SPDX-License-Identifier: Apache-2.0
"""Calendars: allowed hours and planned moments in a site's time zone, as instants in UTC.

Pure. Invariant: a local time of day names exactly one instant a date: where clocks are put forward over it, the same time
after the gap's length; where they are put back over it, its first occurrence. So nothing planned daily is lost or doubled.
Ranges are half-open: hours [start, end), planned moments (after, upto].
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

__all__ = ["day_start", "in_hours", "offset_min", "planned_moments"]

MAX_DAYS: Final = 8  # a range longer than this is looked at from its end only [d]
MINUTES_A_DAY: Final = 1440


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
    minute = local.hour * 60 + local.minute
    for start_text, end_text in hours:
        start, end = _minutes(start_text), _minutes(end_text)
        if start <= minute < end or (end < start and (minute >= start or minute < end)):
            return True
    return False


def planned_moments(times: Iterable[str], zone: ZoneInfo, after_ms: int, upto_ms: int) -> list[tuple[int, str]]:
    """Return the instants in (after, upto] at which a local time of day comes, oldest first, each with its time.

    Parameters
    ----------
    times : iterable of str
        Local times of day, "HH:MM".
    after_ms, upto_ms : int
        The range; of one longer than eight days only the end is looked at. [ms since the Unix epoch, UTC]
    """
    if upto_ms <= after_ms:
        return []
    # A day more on both sides: the gap may push a moment over midnight.
    last = _local(zone, upto_ms).date() + timedelta(days=1)
    first = max(_local(zone, after_ms).date() - timedelta(days=1), last - timedelta(days=MAX_DAYS))
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    listed = sorted(times)
    found = [(_instant(day, _minutes(text), zone), text) for day in days for text in listed]
    return sorted((moment, text) for moment, text in found if after_ms < moment <= upto_ms)


def day_start(zone: ZoneInfo, now_ms: int) -> int:
    """Return the start of the local day that `now_ms` lies in. [ms since the Unix epoch, UTC]"""
    return _instant(_local(zone, now_ms).date(), 0, zone)


def offset_min(zone: ZoneInfo, now_ms: int) -> int:
    """Return the zone's offset from UTC at that instant. [min]"""
    offset = _local(zone, now_ms).utcoffset() or timedelta(0)
    return round(offset.total_seconds() / 60)


def _local(zone: ZoneInfo, ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC).astimezone(zone)


def _instant(day: date, minutes: int, zone: ZoneInfo) -> int:
    # fold=0 reads a time inside a gap with the offset from before it, which lands after the gap by as much.
    local = datetime.combine(day, time(minutes // 60, minutes % 60), zone)
    return int(local.timestamp()) * 1000


def _minutes(text: str) -> int:
    return MINUTES_A_DAY if text == "24:00" else int(text[:2]) * 60 + int(text[3:5])
