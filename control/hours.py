# SPDX-License-Identifier: Apache-2.0
"""What the hours, dates and months of schedules say of this moment, for many zones at once.

Pure. Invariant: all of it is local to each zone's site; hours are half-open, [start, end).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from control.calendars import clock_minutes, in_hours, local_date
from control.definitions import FeedingDefinition, IrrigationDefinition, TimerDefinition
from control.plots import Plot
from rules.reasons import Reason

__all__ = ["allowed", "dates_of", "opened", "out_of_force"]


def allowed(
    plots: Sequence[Plot],
    definitions: Sequence[IrrigationDefinition | TimerDefinition | FeedingDefinition],
    now_ms: int,
) -> NDArray[np.bool_]:
    """Tell of each plot whether local time lies in its hours, and not in its closed ones."""
    known: dict[tuple[object, ...], bool] = {}  # many plots have the same hours

    def inside(plot: Plot, hours: Sequence[tuple[str, str]]) -> bool:
        key = (plot.timezone, *hours)
        if (found := known.get(key)) is None:
            found = known[key] = in_hours(hours, plot.timezone, now_ms)
        return found

    return np.array(
        [
            inside(plot, one.hours) and not (one.closed and inside(plot, one.closed))
            for plot, one in zip(plots, definitions, strict=True)
        ],
        dtype=np.bool_,
    )


def opened(plots: Sequence[Plot], definitions: Sequence[IrrigationDefinition], last_ms: int, now_ms: int) -> Sequence[bool]:
    """Tell of each plot whether one of its windows has begun in (last, now], on a date on which its schedule is in force.

    A schedule that was changed since begins anew: what was kept before has the numbers of another one.
    """
    if last_ms >= now_ms:
        return [False] * len(plots)
    begun: dict[ZoneInfo, frozenset[str]] = {}  # by time zone, the minutes of the clock that have come since
    for zone in {plot.timezone for plot in plots}:
        begun[zone] = clock_minutes(zone, last_ms, now_ms)
    days = dates_of(plots, now_ms)
    return [
        plot.since_ms >= last_ms
        or (any(start in begun[plot.timezone] for start, _ in one.hours) and one.in_force(days[plot.timezone]))
        for plot, one in zip(plots, definitions, strict=True)
    ]


def out_of_force(plots: Sequence[Plot], definitions: Sequence[IrrigationDefinition], now_ms: int) -> NDArray[np.int64]:
    """Return what holds beds by the dates and the season of their own schedules: they have no planned moments to leave out."""
    days = dates_of(plots, now_ms)
    held = np.zeros(len(plots), dtype=np.int64)
    for row, (plot, one) in enumerate(zip(plots, definitions, strict=True)):
        day = days[plot.timezone]
        if not one.in_force(day):
            held[row] |= Reason.OUTSIDE_DATES
        if one.season[day.month - 1] == 0.0:
            held[row] |= Reason.SEASON_OUT
    return held


def dates_of(plots: Sequence[Plot], now_ms: int) -> dict[ZoneInfo, date]:
    """Return the local date in each time zone of plots."""
    return {zone: local_date(zone, now_ms) for zone in {plot.timezone for plot in plots}}
