# SPDX-License-Identifier: Apache-2.0
"""When a zone's next decision can be another one: the moments at which a preview has to look.

Pure. Invariant: a moment too many costs a tick and changes nothing; one too few would make a preview say something else than
the controller does. So what is held for a cause that is not known here is looked at each minute.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Final

from control.agenda import Agenda, grace_s, put_off_grace_s
from control.calendars import instant, local_date, minutes_of
from control.definitions import FeedingDefinition, IrrigationDefinition, TimerDefinition
from control.plots import Plot
from control.preview_weather import Soil
from rules.reasons import Reason

__all__ = ["waking"]

MINUTE_MS: Final = 60_000
QUEUED: Final = Reason.QUEUED
QUARTER_MS: Final = 15 * MINUTE_MS
CALLED: Final = Reason.RUN_DUE | Reason.MEAL_DUE | Reason.DRY | Reason.LATCHED | Reason.SOAKING
# What these say of a zone stays so as long as nothing is given there and no day begins.
LASTING: Final = (
    Reason.BELOW_USEFUL_RUN
    | Reason.DISABLED
    | Reason.NO_READING
    | Reason.STALE_READING
    | Reason.INVALID_PARAMETER
    | Reason.INVALID_STATE
    | Reason.LOW_OXYGEN
    | Reason.OXYGEN_REDUCED
    | Reason.OXYGEN_UNKNOWN
    | Reason.SEASON_OUT
    | Reason.OUTSIDE_DATES
    | Reason.CARRIED
    | Reason.MAX_RUN_CLIPPED
    | Reason.BUDGET_CLIPPED
    | Reason.RATION_CLIPPED
    | Reason.MONTH_CLIPPED
    | Reason.SKIPPED_ONCE
)
# The end of these is an instant that is known.
TIMED: Final = (
    Reason.OUTSIDE_HOURS
    | Reason.BUSY
    | Reason.SOAKING
    | Reason.MEAL_GAP
    | Reason.BUDGET_SPENT
    | Reason.GRAMS_DAY_SPENT
    | Reason.MONTH_SPENT
    | Reason.PAUSED
    | Reason.RAIN_DELAY
)
RAIN: Final = Reason.RAIN_EXPECTED | Reason.RAIN_FALLEN  # of soil that waits for it, looked at each quarter of an hour


def waking(
    plot: Plot,
    reasons: int,
    acted: bool,
    agenda: Agenda,
    soil: Soil | None,
    ended_ms: int | None,
    now_ms: int,
    end_ms: int,
    *,
    alone: bool,
) -> Iterator[float]:
    """Give moments after now, up to the end, at which what is said of a plot can change without an act that is under way.

    Parameters
    ----------
    reasons, acted : int, bool
        Of its last decision.
    soil : Soil or None
        Of a bed, as of now.
    ended_ms : int or None
        When its last act ended.
    alone : bool
        Nothing is under way anywhere: what waits for its turn waits for a rest to be over.
    """
    definition = plot.definition
    midnight = instant(local_date(plot.timezone, now_ms) + timedelta(days=1), 0, plot.timezone)
    if isinstance(definition, IrrigationDefinition) and reasons & Reason.WET_ENOUGH and soil is not None:
        below_ms = soil.falls_below(definition.low, end_ms)
        if below_ms is not None:
            yield below_ms
    if acted or not reasons & CALLED:
        return
    if not isinstance(definition, IrrigationDefinition):
        yield from _graces(plot, definition, agenda, reasons, ended_ms, now_ms)
    unknown = reasons & ~int(CALLED | LASTING | TIMED) & ~(0 if alone else QUEUED)
    if unknown:
        patient = unknown & ~int(RAIN) == 0 and isinstance(definition, IrrigationDefinition)
        yield now_ms + (QUARTER_MS if patient else MINUTE_MS)
    yield midnight
    if reasons & Reason.OUTSIDE_HOURS:
        yield _next_edge(plot, (*definition.hours, *definition.closed), now_ms)
    if ended_ms is not None and (over_ms := ended_ms + _pause_s(definition) * 1000) > now_ms:
        yield over_ms


def _graces(
    plot: Plot,
    definition: TimerDefinition | FeedingDefinition,
    agenda: Agenda,
    reasons: int,
    ended_ms: int | None,
    now_ms: int,
) -> Iterator[int]:
    """Give when what has come and may be given still is missed."""
    grace_ms = grace_s(definition) * 1000
    if isinstance(definition, TimerDefinition) and definition.missed == "once":
        grace_ms = put_off_grace_s(definition) * 1000  # longer it waits only for what nobody put off
    if isinstance(definition, TimerDefinition):
        if reasons & QUEUED:
            grace_ms = max(grace_ms, definition.wait_s * 1000)
        # The next cycle of a run is late from the end of its soak on.
        if ended_ms is not None and (missed_ms := ended_ms + definition.cycle_soak_s * 1000 + grace_ms + MINUTE_MS) > now_ms:
            yield missed_ms
    for due in agenda.due(plot, max(now_ms - grace_ms - MINUTE_MS, plot.since_ms), now_ms):
        if (missed_ms := due.planned_ms + grace_ms + MINUTE_MS) > now_ms:
            yield missed_ms


def _pause_s(definition: IrrigationDefinition | TimerDefinition | FeedingDefinition) -> int:
    if isinstance(definition, IrrigationDefinition):
        return definition.soak_s
    return definition.min_gap_s if isinstance(definition, FeedingDefinition) else definition.cycle_soak_s


def _next_edge(plot: Plot, hours: Sequence[tuple[str, str]], now_ms: int) -> int:
    today = local_date(plot.timezone, now_ms)
    edges = (
        instant(today + timedelta(days=later), minutes_of(text), plot.timezone)
        for later in (0, 1, 2)
        for both in hours
        for text in both
    )
    return min((edge for edge in edges if edge > now_ms), default=now_ms + MINUTE_MS)
