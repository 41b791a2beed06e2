# SPDX-License-Identifier: Apache-2.0
"""Asking the rules: plots, latest values and loads as arrays, and the plan back as outcomes.

Pure but for reading the latest values. Invariant: what is not known is NaN, which no rule acts on; the hard limit is the
lower of the zone's and its schedule's.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from control import hours
from control.agenda import Due, patience_s
from control.calendars import local_date
from control.commands import whole_seconds
from control.definitions import FeedingDefinition, IrrigationDefinition, TimerDefinition
from control.holds import Holds
from control.loads import Load
from control.plots import Plot
from control.queueing import MAX_CYCLES, cycles_of
from control.records import Seen, ZoneParameters
from rules import feeding, irrigation, timer
from rules.interlocks import STOP_MARGIN
from rules.plan import Plan

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["LatestValues", "Outcome", "feed", "season_factor", "water", "water_by_clock"]

Numbers = NDArray[np.float64]


class LatestValues(Protocol):
    """The newest measured values; `ingest.latest` has them."""

    def gather(self, keys: Sequence[tuple[str, str, int]], quantity: str) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return one quantity of many zones: values, NaN where never measured, and times in ms, then -1."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a rule says of one plot; amounts in [s], [L], [g], `reasons` as bits of `rules.Reason`.

    Attributes
    ----------
    parts : int
        In how many cycles its run goes, of which this is one.
    """

    plot: Plot
    act: bool
    seconds: float
    litres: float
    grams: float
    max_seconds: int
    reasons: int
    latched: bool
    withheld: bool
    due: Due | None
    inputs: Callable[[], dict[str, Seen]]
    opened: bool = False  # a window of its hours has begun since the tick before
    parts: int = 1


def water(
    plots: Sequence[Plot],
    loads: Mapping[str, Load],
    holds: Holds,
    latest: LatestValues,
    now_ms: int,
    stale_s: float,
    last_ms: int | None = None,
) -> list[Outcome]:
    """Ask the rule of irrigation about plots whose definition is one of irrigation; return what is news.

    Parameters
    ----------
    last_ms : int or None
        When they were last asked: that a window has begun since is news, for it is a planned moment.
    """
    if not plots:
        return []
    moisture, age_s = _newest(plots, latest, "soil_moisture", now_ms)
    load = [loads[plot.zone.key] for plot in plots]
    definitions = [plot.definition for plot in plots if isinstance(plot.definition, IrrigationDefinition)]
    given = [plot.zone.parameters for plot in plots]
    litres_today, busy, unsettled, since_last_s = _loads(((one.litres, one) for one in load), now_ms)
    state = irrigation.IrrigationState(
        soil_moisture=moisture,
        age_s=age_s,
        litres_today=litres_today,
        busy=busy,
        unsettled=unsettled,
        online=_flags(plot.online for plot in plots),
        since_last_s=since_last_s,
        latched=_flags(plot.latched for plot in plots),
        held=_held(plots, holds) | hours.out_of_force(plots, definitions, now_ms),
    )
    params = _irrigation_params(plots, definitions, given, stale_s, now_ms)
    calendar = irrigation.IrrigationCalendar(allowed=hours.allowed(plots, definitions, now_ms))
    plan = irrigation.evaluate(state, params, calendar, now_ms / 1000)
    opened = hours.opened(plots, definitions, now_ms if last_ms is None else last_ms, now_ms)
    return _outcomes(plots, plan, (state, params, calendar), [None] * len(plots), holds, opened)


def feed(
    plots: Sequence[Plot],
    meals: Sequence[Due | None],
    loads: Mapping[str, Load],
    holds: Holds,
    latest: LatestValues,
    now_ms: int,
    stale_s: float,
) -> list[Outcome]:
    """Ask the rule of feeding about plots of feeding, each with the meal that is due, if any; return what is news."""
    if not plots:
        return []
    oxygen, age_s = _newest(plots, latest, "dissolved_oxygen", now_ms)
    load = [loads[plot.zone.key] for plot in plots]
    definitions = [plot.definition for plot in plots if isinstance(plot.definition, FeedingDefinition)]
    given = [plot.zone.parameters for plot in plots]
    grams_today, busy, unsettled, since_last_s = _loads(((one.grams, one) for one in load), now_ms)
    state = feeding.FeedingState(
        dissolved_oxygen=oxygen,
        age_s=age_s,
        grams_today=grams_today,
        busy=busy,
        unsettled=unsettled,
        online=_flags(plot.online for plot in plots),
        since_last_s=since_last_s,
        held=_held(plots, holds),
    )
    params = _feeding_params(definitions, given, stale_s)
    calendar = feeding.FeedingCalendar(
        due=_flags(meal is not None for meal in meals),
        allowed=hours.allowed(plots, definitions, now_ms),
        grams=_numbers(None if meal is None else meal.grams for meal in meals),
        late_s=_numbers(None if meal is None else (now_ms - meal.planned_ms) / 1000 for meal in meals),
        grace_s=_numbers(one.late_s for one in definitions),
    )
    plan = feeding.evaluate(state, params, calendar, now_ms / 1000)
    return _outcomes(plots, plan, (state, params, calendar), meals, holds)


def water_by_clock(
    plots: Sequence[Plot],
    dues: Sequence[Due | None],
    carried: Sequence[float],
    loads: Mapping[str, Load],
    holds: Holds,
    now_ms: int,
) -> list[Outcome]:
    """Ask the rule of timers about plots of timers, each with the run that is due, if any; return what is news.

    Parameters
    ----------
    carried : sequence of float
        For each plot, the litres of missed runs to make up. [L]

    Returns
    -------
    list of Outcome
        A run that goes in cycles has its first one's amounts.
    """
    if not plots:
        return []
    load = [loads[plot.zone.key] for plot in plots]
    definitions = [plot.definition for plot in plots if isinstance(plot.definition, TimerDefinition)]
    litres_today, busy, unsettled, _ = _loads(((one.litres, one) for one in load), now_ms)
    state = timer.TimerState(
        litres_today=litres_today,
        carried=np.array(carried, dtype=np.float64),
        busy=busy,
        unsettled=unsettled,
        online=_flags(plot.online for plot in plots),
        held=_held(plots, holds),
    )
    months = hours.dates_of(plots, now_ms)
    flow, season, max_seconds, min_seconds, litres_day = _columns(
        (
            plot.zone.parameters.flow_l_min,
            1.0 if due is not None and due.part > 1 else one.season[months[plot.timezone].month - 1],
            _longest(plot, one, due),
            0.0 if due is not None and due.part > 1 else one.min_seconds,
            min(one.litres_day, plot.zone.parameters.litres_day),
        )
        for plot, one, due in zip(plots, definitions, dues, strict=True)
    )
    params = timer.TimerParams(
        enabled=np.ones(len(plots), dtype=np.bool_),
        flow=flow,
        season=season,
        litres_day=litres_day,
        max_seconds=max_seconds,
        min_seconds=min_seconds,
    )
    calendar = timer.TimerCalendar(
        due=_flags(due is not None and due.since_ms <= now_ms for due in dues),
        allowed=hours.allowed(plots, definitions, now_ms),
        soaking=_flags(due is not None and due.since_ms > now_ms for due in dues),
        litres=_numbers(None if due is None else due.litres for due in dues),
        seconds=_numbers(None if due is None else due.seconds for due in dues),
        late_s=_numbers(None if due is None else (now_ms - due.since_ms) / 1000 for due in dues),
        grace_s=_numbers(patience_s(plot) for plot in plots),
    )
    plan = timer.evaluate(state, params, calendar, now_ms / 1000)
    return [_in_cycles(outcome) for outcome in _outcomes(plots, plan, (state, params, calendar), dues, holds)]


def _longest(plot: Plot, definition: TimerDefinition, due: Due | None) -> int:
    """Return the longest run, all its cycles together. [s]"""
    act_s = min(definition.max_seconds, plot.zone.parameters.max_seconds)
    if not definition.cycle_s or (due is not None and due.part > 1):
        return act_s
    return min(definition.cycle_s, act_s) * MAX_CYCLES


def _in_cycles(outcome: Outcome) -> Outcome:
    """Return the first cycle of a run that is too long for one; each has the same share."""
    definition, due = outcome.plot.definition, outcome.due
    if due is None or not isinstance(definition, TimerDefinition) or not (outcome.act and definition.cycle_s):
        return outcome
    if due.part > 1:
        return dataclasses.replace(outcome, parts=due.parts)
    act_s = min(definition.max_seconds, outcome.plot.zone.parameters.max_seconds)
    parts = cycles_of(outcome.seconds, min(definition.cycle_s, act_s))
    if parts == 1:
        return outcome
    seconds = outcome.seconds / parts
    longest = min(whole_seconds(seconds * STOP_MARGIN), act_s, outcome.max_seconds)
    return dataclasses.replace(outcome, seconds=seconds, litres=outcome.litres / parts, max_seconds=longest, parts=parts)


def season_factor(plot: Plot, definition: TimerDefinition, at_ms: int) -> float:
    """Return by what the planned amount is multiplied in that month of the site. [1]"""
    return definition.season[local_date(plot.timezone, at_ms).month - 1]


def _irrigation_params(
    plots: Sequence[Plot],
    definitions: Sequence[IrrigationDefinition],
    given: Sequence[ZoneParameters],
    stale_s: float,
    now_ms: int,
) -> irrigation.IrrigationParams:
    days = hours.dates_of(plots, now_ms)
    low, high, root_depth, area, flow, max_seconds, min_seconds, litres_day, soak_s = _columns(
        (
            one.low,
            one.high,
            own.root_depth_m,
            own.area_m2,
            own.flow_l_min,
            min(one.max_seconds, own.max_seconds),
            one.min_seconds,
            min(one.litres_day * one.season[days[plot.timezone].month - 1], own.litres_day),
            one.soak_s,
        )
        for plot, one, own in zip(plots, definitions, given, strict=True)
    )
    return irrigation.IrrigationParams(
        enabled=np.ones(len(given), dtype=np.bool_),
        low=low,
        high=high,
        root_depth=root_depth,
        area=area,
        flow=flow,
        max_seconds=max_seconds,
        min_seconds=min_seconds,
        litres_day=litres_day,
        soak_s=soak_s,
        stale_s=np.full(len(given), stale_s),
    )


def _feeding_params(
    definitions: Sequence[FeedingDefinition], given: Sequence[ZoneParameters], stale_s: float
) -> feeding.FeedingParams:
    oxygen_stop, oxygen_reduce, grams_day, min_gap_s, cautious_fraction, grams_per_second, max_seconds = _columns(
        (
            one.oxygen_stop,
            one.oxygen_reduce,
            min(one.grams_day, own.grams_day),
            one.min_gap_s,
            one.cautious_fraction,
            own.grams_per_s,
            own.max_seconds,
        )
        for one, own in zip(definitions, given, strict=True)
    )
    return feeding.FeedingParams(
        enabled=np.ones(len(given), dtype=np.bool_),
        oxygen_stop=oxygen_stop,
        oxygen_reduce=oxygen_reduce,
        grams_day=grams_day,
        max_meal=grams_day,
        min_gap_s=min_gap_s,
        stale_s=np.full(len(given), stale_s),
        cautious_fraction=cautious_fraction,
        grams_per_second=grams_per_second,
        max_seconds=max_seconds,
    )


def _outcomes(
    plots: Sequence[Plot],
    plan: Plan,
    tables: Sequence[DataclassInstance],
    dues: Sequence[Due | None],
    holds: Holds,
    opened: Sequence[bool] | None = None,
) -> list[Outcome]:
    """Return what is news: an act, a meal that is due, or another word than the last; the rest stays as it is kept."""

    def reader(row: int) -> Callable[[], dict[str, Seen]]:
        return lambda: {**holds.inputs(plots[row].zone.key), **_inputs(tables, plan, row)}

    return [
        Outcome(
            plot=plot,
            act=bool(plan.act[row]),
            seconds=float(plan.seconds[row]),
            litres=float(plan.litres[row]),
            grams=float(plan.grams[row]),
            max_seconds=whole_seconds(float(plan.max_seconds[row])),
            reasons=int(plan.reasons[row]),
            latched=bool(plan.latched[row]),
            withheld=bool(plan.withheld[row]),
            due=dues[row],
            inputs=reader(row),
            opened=opened is not None and opened[row],
        )
        for row, plot in _news(plots, plan, dues, opened or [False] * len(plots))
    ]


def _news(plots: Sequence[Plot], plan: Plan, dues: Sequence[Due | None], opened: Sequence[bool]) -> Iterator[tuple[int, Plot]]:
    said = zip(plots, plan.act.tolist(), plan.latched.tolist(), plan.reasons.tolist(), dues, opened, strict=True)
    for row, (plot, act, latched, reasons, due, begins) in enumerate(said):
        before = None if plot.carried is None else plot.carried[:4]
        if act or begins or due is not None or before != (latched, plot.definition.type, False, reasons):
            yield row, plot


def _inputs(tables: Sequence[DataclassInstance], plan: Plan, row: int) -> dict[str, Seen]:
    """Return what the rule saw of one row, and what it asks for."""
    seen: dict[str, Seen] = {}
    for table in tables:
        for column in dataclasses.fields(table):
            if column.name != "held":  # bits of reasons, and told as such
                seen[column.name] = getattr(table, column.name)[row].item()
    seen.update(seconds=float(plan.seconds[row]), litres=float(plan.litres[row]), grams=float(plan.grams[row]))
    return seen


def _newest(plots: Sequence[Plot], latest: LatestValues, quantity: str, now_ms: int) -> tuple[Numbers, Numbers]:
    values, ts_ms = latest.gather([plot.latest_key for plot in plots], quantity)
    age_s = np.where(ts_ms < 0, np.nan, (now_ms - ts_ms) / 1000.0)
    return values, age_s


def _held(plots: Sequence[Plot], holds: Holds) -> NDArray[np.int64]:
    return holds.column([plot.zone.key for plot in plots])


def _loads(loads: Iterable[tuple[float, Load]], now_ms: int) -> tuple[Numbers, NDArray[np.bool_], NDArray[np.bool_], Numbers]:
    """Return what was given today, whether an act is under way, whether one is unsettled, and the time since the last. [s]"""
    given, busy, unsettled, since_s = _columns(
        (
            amount,
            load.busy,
            load.unsettled,
            math.inf if load.last_end_ms is None else max(now_ms - load.last_end_ms, 0) / 1000,
        )
        for amount, load in loads
    )
    return given, busy.astype(np.bool_), unsettled.astype(np.bool_), since_s


def _columns(rows: Iterable[tuple[float | None, ...]]) -> Iterator[Numbers]:
    """Return the columns of a table given by its rows, None as NaN: one pass over the rows, not one for each column."""
    yield from np.ascontiguousarray(np.array(list(rows), dtype=np.float64).T)


def _numbers(values: Iterable[float | None]) -> Numbers:
    return np.array([math.nan if value is None else value for value in values], dtype=np.float64)


def _flags(values: Iterable[bool]) -> NDArray[np.bool_]:
    return np.array(list(values), dtype=np.bool_)
