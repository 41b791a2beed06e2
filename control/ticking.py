# SPDX-License-Identifier: Apache-2.0
"""One tick: conclude what is over, ask the rules, keep decisions, plan acts; one transaction.

Invariant: a tick run twice for the same minute plans no second act, and after a pause every planned meal is accounted for:
given within its grace, or kept as skipped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from sqlalchemy.orm import Session

from control.agenda import Due, patience_s, put_off_grace_s
from control.budgets import Standing, WaterBook
from control.calendars import day_start
from control.commands import EXPIRES_MS
from control.cycles import followed, next_parts, part_id, rest_of
from control.decisions import Finding, store_decisions
from control.definitions import FeedingDefinition, IrrigationDefinition, TimerDefinition
from control.evaluation import LatestValues, Outcome, feed, season_factor, water, water_by_clock
from control.holds import Holds, load_holds
from control.ledger import Order, PlannedAct, expire, plan_acts
from control.limits import MonthRest
from control.loads import zone_loads
from control.models import ControllerRow
from control.pending import Pending, act_key, makes_up_once
from control.plots import Plot, PlotCache, load_plots
from control.rain import RAINED, rain_holds
from control.records import Act, Decision, Hold, Suspension
from control.suspended import PUT_OFF, Skips, conclude_suspensions, load_skips
from control.turns import by_priority, take_turns
from rules.reasons import Reason, names

__all__ = ["MINUTE_MS", "TickResult", "leave_out", "run_tick"]

MINUTE_MS: Final = 60_000
_ACTIONS: Final = {"irrigation": "irrigate", "timer": "irrigate", "feeding": "feed"}
_CALLED: Final = Reason.MEAL_DUE | Reason.RUN_DUE
_MISSED: Final = Reason.MEAL_MISSED | Reason.RUN_MISSED
_UNUSABLE: Final = Reason.INVALID_PARAMETER | Reason.INVALID_STATE  # before a rule can tell whether something is due
_LEFT_OUT: Final = _MISSED | Reason.NO_ROOM_IN_WINDOW | Reason.FLOW_ABOVE_RESOURCE | Reason.WINDOW_TOO_SHORT
_NOT_HOLDING: Final = _CALLED | _MISSED | Reason.NO_MEAL_DUE | Reason.NO_RUN_DUE | Reason.CARRIED


@dataclass(slots=True)
class TickResult:
    """What a tick did."""

    zones: int = 0
    decisions: list[Decision] = field(default_factory=list)
    acts: list[Act] = field(default_factory=list)
    water: dict[str, Standing] = field(default_factory=dict)  # agencies with a budget, before this tick's acts
    suspensions: list[Suspension] = field(default_factory=list)  # that are over


def run_tick(
    session: Session,
    latest: LatestValues,
    cache: PlotCache,
    pending: Pending,
    book: WaterBook,
    *,
    now_ms: int,
    stale_s: float,
) -> TickResult:
    """Run the tick of now.

    Parameters
    ----------
    stale_s : float
        Age beyond which a reading is not acted on. [s]
    """
    result = TickResult()
    state = session.get(ControllerRow, 1)
    result.acts += expire(session, now_ms)
    plots = load_plots(session, cache)
    last_ms = _looked_ms(state, plots, now_ms)
    result.zones = len(plots)
    holds = load_holds(session, now_ms)
    for hold in rain_holds(session, plots, cache.forecasts, now_ms):
        holds.add(hold)
    # What was due and is not any more has its word to change; of the others the word is what it was.
    stirred = cache.stirred | pending.found
    skips = load_skips(session, now_ms)
    parts, ended = next_parts(session, cache.timed, now_ms)
    result.acts += ended
    dues, carried = _due(session, result, pending, cache.timed, parts, holds, skips, last_ms, now_ms)
    stirred |= dues.keys()
    beds = cache.beds
    timers = cache.group(TimerDefinition).those(stirred)
    ponds = cache.group(FeedingDefinition).those(stirred)
    asked = (*beds, *timers, *ponds)
    days = {zone: day_start(zone, now_ms) for zone in {plot.timezone for plot in asked}}
    loads = zone_loads(session, {plot.zone.key: days[plot.timezone] for plot in asked})
    result.water = book.standings(session, now_ms)
    rest = MonthRest(session, result.water)
    rest.hold(holds, (*beds, *timers))
    runs = [dues.get(plot.zone.key) for plot in timers]
    # What is made up for is in every cycle's share of a run, from the first on.
    extra = [0.0 if plot.zone.key in parts else carried.get(plot.zone.key, plot.carried_l) for plot in timers]
    watering = water(beds, loads, holds, latest, now_ms, stale_s, last_ms)
    watering += water_by_clock(timers, runs, extra, loads, holds, now_ms)
    # All share pumps and one budget of the month: what waits for its turn takes nothing of the budget yet, and what the
    # budget does not hold takes no turn from others.
    watering = rest.fit(take_turns(session, rest.sift(watering), last_ms, now_ms), by_priority)
    _conclude(session, result, watering, carried, last_ms, now_ms)
    meals = [dues.get(plot.zone.key) for plot in ponds]
    _conclude(session, result, feed(ponds, meals, loads, holds, latest, now_ms, stale_s), {}, last_ms, now_ms)
    result.suspensions += conclude_suspensions(session, now_ms)
    if state is None:
        session.add(ControllerRow(id=1, last_tick_ms=now_ms))
    else:
        state.last_tick_ms = max(state.last_tick_ms, now_ms)
    return result


def leave_out(session: Session, zone_key: str, now_ms: int) -> list[Act]:
    """Keep as skipped what has come in a zone and did not begin, and return that: what planned it is about to end."""
    plots = load_plots(session, cache := PlotCache(), zone_key)
    last_ms = _looked_ms(session.get(ControllerRow, 1), plots, now_ms)
    pending = Pending().find(session, cache.timed, last_ms, now_ms)
    plans = [replace(_skipped(plot, due, last_ms, now_ms), cause="schedule-changed") for plot, dues in pending for due in dues]
    return [act for act, new in plan_acts(session, plans) if new]


def _looked_ms(state: ControllerRow | None, plots: Sequence[Plot], now_ms: int) -> int:
    """Return when it was last looked; where never, as in a backup from before the first tick, when the first schedule began."""
    looked_ms = min((plot.since_ms for plot in plots), default=now_ms) if state is None else state.last_tick_ms
    # The clock may have been put back; what was handled stays handled.
    return min(looked_ms, now_ms)


def _conclude(
    session: Session,
    result: TickResult,
    outcomes: Sequence[Outcome],
    carried: Mapping[str, float],
    last_ms: int,
    now_ms: int,
) -> None:
    """Plan the acts that outcomes ask for, and keep the decisions."""
    plans = [_plan(outcome, last_ms, now_ms) for outcome in outcomes]
    planned = plan_acts(session, [part for parts in plans for part in parts])
    later = [parts[0].order for parts in plans if parts and parts[0].order.part > 1]
    followed(session, [part_id(order, order.part - 1) for order in later])
    result.acts += [act for act, new in planned if new]
    # The same minute planned again, after a restart, found its act: that is no new one.
    new_ids = {act.id for act, new in planned if new}
    findings = [
        _finding(outcome, parts[0].id if parts else None, new_ids, carried, last_ms, now_ms)
        for outcome, parts in zip(outcomes, plans, strict=True)
    ]
    result.decisions += store_decisions(session, findings)


def _plan(outcome: Outcome, last_ms: int, now_ms: int) -> Sequence[PlannedAct]:
    """Return the act that an outcome asks for, or what is left out: of a run in cycles, all of it that is still to come."""
    due = outcome.due
    if outcome.act:
        planned_ms = now_ms // MINUTE_MS * MINUTE_MS if due is None else due.planned_ms
        order = _order(outcome, planned_ms, now_ms)
        return [PlannedAct(act_key(outcome.plot, planned_ms, order.part), order)]
    if due is not None and (due.left_out or _is_over(outcome, now_ms)):
        skipped = _skipped(outcome.plot, due, last_ms, now_ms)
        why = names(outcome.reasons & _LEFT_OUT & ~_MISSED)
        return rest_of(replace(skipped, cause=why[0]) if why and not due.left_out else skipped)
    return []


def _is_over(outcome: Outcome, now_ms: int) -> bool:
    """Tell whether what was due can begin no more; of a zone that lacks a parameter the rule does not say so."""
    due = outcome.due
    if due is None:
        return False
    return bool(outcome.reasons & _LEFT_OUT) or now_ms - due.since_ms > patience_s(outcome.plot) * 1000


def _finding(
    outcome: Outcome, act_key: str | None, new_ids: set[str], carried: Mapping[str, float], last_ms: int, now_ms: int
) -> Finding:
    due = outcome.due
    came = due is not None and (due.planned_ms > last_ms or due.left_out is not None)
    return Finding(
        outcome.plot.zone.key,
        at_ms=now_ms,
        kind=outcome.plot.definition.type,
        acted=outcome.act and act_key in new_ids,
        reasons=outcome.reasons,
        latched=outcome.latched,
        inputs=outcome.inputs,
        act_id=act_key,
        planned=came or outcome.opened or bool(outcome.reasons & _LEFT_OUT),
        carried_l=_carried_on(outcome, carried.get(outcome.plot.zone.key, outcome.plot.carried_l)),
    )


def _carried_on(outcome: Outcome, carried_l: float) -> float:
    """Return the litres that the zone carries on: less what this run makes up, more what was missed."""
    definition, due = outcome.plot.definition, outcome.due
    if not isinstance(definition, TimerDefinition) or due is None:
        return carried_l if isinstance(definition, TimerDefinition) else 0.0
    if outcome.act and due.part == 1:
        return max(carried_l - max(outcome.litres * outcome.parts - _litres(outcome.plot, definition, due), 0.0), 0.0)
    # What rain gave instead, or a person put off, is not owed any more.
    waived = outcome.plot.reasons & (RAINED | PUT_OFF) or due.left_out is not None
    missed = outcome.reasons & (_MISSED | Reason.NO_ROOM_IN_WINDOW) and definition.missed == "carry" and not waived
    return min(carried_l + _litres(outcome.plot, definition, due), definition.litres_day) if missed else carried_l


def _litres(plot: Plot, definition: TimerDefinition, due: Due) -> float:
    """Return what is still to be given of a run. [L]"""
    if due.part > 1:  # each of its cycles has the season in it already
        return (due.litres or 0.0) * (due.parts - due.part + 1)
    planned = due.litres if due.litres is not None else (due.seconds or 0.0) * (plot.zone.parameters.flow_l_min or 0.0) / 60.0
    return planned * season_factor(plot, definition, due.planned_ms)


def _due(
    session: Session,
    result: TickResult,
    pending: Pending,
    plots: Sequence[Plot],
    parts: Mapping[str, Due],
    holds: Holds,
    skips: Skips,
    last_ms: int,
    now_ms: int,
) -> tuple[dict[str, Due], dict[str, float]]:
    """Return what is due in which zone, and what zones carry; of what piled up over a pause, the missed is kept as skipped.

    Parameters
    ----------
    parts : mapping
        Zone key to the next part of a run that goes on there: it comes before what is planned meanwhile.
    """
    chosen = dict(parts)
    carried: dict[str, float] = {}
    missed: list[PlannedAct] = []
    for plot, come in pending.find(session, plots, last_ms, now_ms):
        definition = plot.definition
        assert not isinstance(definition, IrrigationDefinition)
        late_ms = patience_s(plot) * 1000
        put_off = bool(holds.bits(plot.zone.key) & PUT_OFF)
        come = [_left_out(plot, due, skips, put_off, now_ms) for due in come]
        in_time = [due for due in come if due.left_out is None and now_ms - due.planned_ms <= late_ms]
        # After an outage one is given, whatever was missed.
        in_time = in_time[-1 if makes_up_once(plot) else 0 :]
        # Of several within their grace the oldest is next; with none, the last missed goes through the rule, for the record.
        due = chosen.setdefault(plot.zone.key, in_time[0] if in_time else come[-1])
        if due.left_out is not None and (skip := skips.get((plot.zone.key, due.planned_ms))) is not None:
            holds.add(Hold(plot.zone.key, Reason.SKIPPED_ONCE, {"skipped_once_by": skip.actor}))
        late = [one for one in come if one is not due and one not in in_time]
        missed += [_skipped(plot, one, last_ms, now_ms) for one in late]
        if late and isinstance(definition, TimerDefinition) and definition.missed == "carry" and not put_off:
            more = sum(_litres(plot, definition, one) for one in late if one.left_out is None)
            carried[plot.zone.key] = min(plot.carried_l + more, definition.litres_day)
    result.acts += [act for act, new in plan_acts(session, missed) if new]
    return chosen, carried


def _left_out(plot: Plot, due: Due, skips: Skips, put_off: bool, now_ms: int) -> Due:
    """Return the moment, marked if a person had it skipped, or if it was put off for so long that it is not made up for."""
    if (skip := skips.get((plot.zone.key, due.planned_ms))) is not None:
        return replace(due, left_out=f"skipped-once: by {skip.actor}", left_out_by=skip.actor)
    definition = plot.definition
    assert not isinstance(definition, IrrigationDefinition)
    if put_off and makes_up_once(plot) and now_ms - due.planned_ms > put_off_grace_s(definition) * 1000:
        return replace(due, left_out="missed: paused" if plot.reasons & Reason.PAUSED else "missed: rain-delay")
    return due


def _skipped(plot: Plot, due: Due, last_ms: int, now_ms: int) -> PlannedAct:
    order = Order(
        device_key=plot.zone.device_key,
        zone_key=plot.zone.key,
        action=_ACTIONS[plot.definition.type],
        origin=f"schedule:{plot.schedule_id}",
        version=plot.version,
        actor=due.left_out_by,
        planned_ms=due.planned_ms,
        issued_ms=now_ms,
        expires_ms=now_ms,
        seconds=due.seconds,
        litres=due.litres,
        grams=due.grams,
        part=due.part,
        parts=due.parts,
    )
    held_by = names(plot.reasons & ~_NOT_HOLDING) if plot.reasons & (_CALLED | _UNUSABLE | Reason.SOAKING) else ()
    if due.planned_ms > last_ms:  # it came and was over between two ticks
        held_by = ("not-running",)
    cause = due.left_out or (f"missed: {', '.join(held_by)}" if held_by else "missed")
    return PlannedAct(act_key(plot, due.planned_ms, due.part), order, "skipped", cause)


def _order(outcome: Outcome, planned_ms: int, now_ms: int) -> Order:
    plot, action = outcome.plot, _ACTIONS[outcome.plot.definition.type]
    part = 1 if outcome.due is None else outcome.due.part
    return Order(
        device_key=plot.zone.device_key,
        zone_key=plot.zone.key,
        action=action,
        origin=f"schedule:{plot.schedule_id}",
        version=plot.version,
        actor="controller",
        planned_ms=planned_ms,
        issued_ms=now_ms,
        expires_ms=now_ms + EXPIRES_MS,
        seconds=outcome.seconds,
        litres=outcome.litres if action == "irrigate" else None,
        grams=outcome.grams if action == "feed" else None,
        max_seconds=outcome.max_seconds,
        part=part,
        parts=outcome.parts,
        continues=part < outcome.parts,
    )
