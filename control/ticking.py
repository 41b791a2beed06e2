# SPDX-License-Identifier: Apache-2.0
"""One tick: conclude what is over, ask the rules, keep decisions, plan acts; one transaction.

Invariant: a tick run twice for the same minute plans no second act, and after a pause every planned meal is accounted for:
given within its grace, or kept as skipped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from control.calendars import day_start, planned_moments
from control.commands import EXPIRES_MS
from control.decisions import store_decision
from control.evaluation import DueMeal, LatestValues, Outcome, feed, water
from control.ids import act_id
from control.ledger import Order, expire, plan_act
from control.loads import zone_loads
from control.models import ActRow, ControllerRow
from control.plots import Plot, PlotCache, load_plots
from control.records import Act, Decision
from control.schedules import FeedingDefinition, IrrigationDefinition
from rules.reasons import Reason, names

__all__ = ["MINUTE_MS", "TickResult", "run_tick"]

MINUTE_MS: Final = 60_000
MAX_MISSED: Final = 500  # missed meals of one zone that are kept at a time; a longer list is cut at its old end
_NOT_HOLDING: Final = Reason.MEAL_DUE | Reason.NO_MEAL_DUE | Reason.MEAL_MISSED


@dataclass(slots=True)
class TickResult:
    """What a tick did."""

    zones: int = 0
    decisions: list[Decision] = field(default_factory=list)
    acts: list[Act] = field(default_factory=list)


def run_tick(session: Session, latest: LatestValues, cache: PlotCache, *, now_ms: int, stale_s: float) -> TickResult:
    """Run the tick of now.

    Parameters
    ----------
    stale_s : float
        Age beyond which a reading is not acted on. [s]
    """
    result = TickResult()
    state = session.get(ControllerRow, 1)
    # The clock may have been put back; what was handled stays handled.
    last_ms = now_ms if state is None else min(state.last_tick_ms, now_ms)
    result.acts += expire(session, now_ms)
    plots = load_plots(session, cache)
    result.zones = len(plots)
    days = {zone: day_start(zone, now_ms) for zone in {plot.timezone for plot in plots}}
    loads = zone_loads(session, {plot.zone.key: days[plot.timezone] for plot in plots})
    beds = [plot for plot in plots if isinstance(plot.definition, IrrigationDefinition)]
    ponds = [plot for plot in plots if isinstance(plot.definition, FeedingDefinition)]
    for outcome in water(beds, loads, latest, now_ms, stale_s):
        _conclude(session, result, outcome, now_ms // MINUTE_MS * MINUTE_MS, last_ms, now_ms)
    meals = _due_meals(session, result, ponds, last_ms, now_ms)
    for outcome in feed(ponds, meals, loads, latest, now_ms, stale_s):
        _conclude(session, result, outcome, outcome.meal.planned_ms if outcome.meal else now_ms, last_ms, now_ms)
    if state is None:
        session.add(ControllerRow(id=1, last_tick_ms=now_ms))
    else:
        state.last_tick_ms = max(state.last_tick_ms, now_ms)
    return result


def _conclude(session: Session, result: TickResult, outcome: Outcome, planned_ms: int, last_ms: int, now_ms: int) -> None:
    """Plan the act of an outcome, if it asks for one, and keep the decision."""
    plot, key = outcome.plot, None
    missed = bool(outcome.reasons & Reason.MEAL_MISSED)
    new = False
    if outcome.act:
        order = _order(outcome, planned_ms, now_ms)
        act, new = plan_act(session, _act_key(plot, planned_ms), order)
        key = act.id
    elif missed and outcome.meal is not None:
        act, new = _skip(session, plot, outcome.meal, now_ms)
        key = act.id
    if new:
        result.acts.append(act)
    first_seen = outcome.meal is not None and planned_ms > last_ms
    decision = store_decision(
        session,
        plot.zone.key,
        at_ms=now_ms,
        kind=plot.definition.type,
        # The same minute planned again, after a restart, found its act: that is no new one.
        acted=outcome.act and new,
        reasons=outcome.reasons,
        latched=outcome.latched,
        inputs=outcome.inputs,
        act_id=key,
        planned=first_seen or missed,
    )
    if decision is not None:
        result.decisions.append(decision)


def _due_meals(session: Session, result: TickResult, ponds: Sequence[Plot], last_ms: int, now_ms: int) -> list[DueMeal | None]:
    """Return each pond's meal that is due; of those that piled up over a pause, the missed are kept as skipped."""
    chosen: list[DueMeal | None] = []
    for plot in ponds:
        definition = plot.definition
        assert isinstance(definition, FeedingDefinition)
        pending = _pending(session, plot, definition, last_ms, now_ms)
        in_time = [meal for meal in pending if now_ms - meal.planned_ms <= definition.late_s * 1000]
        # Of several within their grace the oldest is next; with none, the last missed goes through the rule, for the record.
        meal = in_time[0] if in_time else (pending[-1] if pending else None)
        for late in pending:
            if late is not meal and late not in in_time:
                act, new = _skip(session, plot, late, now_ms)
                result.acts += [act] if new else []
        chosen.append(meal)
    return chosen


def _pending(session: Session, plot: Plot, definition: FeedingDefinition, last_ms: int, now_ms: int) -> list[DueMeal]:
    grams = {meal.time: meal.grams for meal in definition.meals}
    # What was within its grace at the last tick is looked at once more, so that its end is concluded.
    after_ms = max(plot.since_ms, last_ms - definition.late_s * 1000 - MINUTE_MS)
    moments = planned_moments(grams, plot.timezone, after_ms, now_ms)[-MAX_MISSED:]
    if not moments:
        return []
    keys = {_act_key(plot, moment): DueMeal(moment, grams[text]) for moment, text in moments}
    known = set(session.scalars(select(ActRow.id).where(ActRow.id.in_(list(keys)))))
    return [meal for key, meal in keys.items() if key not in known]


def _skip(session: Session, plot: Plot, meal: DueMeal, now_ms: int) -> tuple[Act, bool]:
    order = Order(
        device_key=plot.zone.device_key,
        zone_key=plot.zone.key,
        action="feed",
        origin=f"schedule:{plot.schedule_id}",
        version=plot.version,
        actor="controller",
        planned_ms=meal.planned_ms,
        issued_ms=now_ms,
        expires_ms=now_ms,
        grams=meal.grams,
    )
    held_by = names(plot.reasons & ~_NOT_HOLDING) if plot.reasons & Reason.MEAL_DUE else ()
    cause = f"missed: {', '.join(held_by)}" if held_by else "missed"
    return plan_act(session, _act_key(plot, meal.planned_ms), order, state="skipped", cause=cause)


def _order(outcome: Outcome, planned_ms: int, now_ms: int) -> Order:
    plot, waters = outcome.plot, outcome.plot.definition.type == "irrigation"
    return Order(
        device_key=plot.zone.device_key,
        zone_key=plot.zone.key,
        action="irrigate" if waters else "feed",
        origin=f"schedule:{plot.schedule_id}",
        version=plot.version,
        actor="controller",
        planned_ms=planned_ms,
        issued_ms=now_ms,
        expires_ms=now_ms + EXPIRES_MS,
        seconds=outcome.seconds,
        litres=outcome.litres if waters else None,
        grams=None if waters else outcome.grams,
        max_seconds=outcome.max_seconds,
    )


def _act_key(plot: Plot, planned_ms: int) -> str:
    return act_id(f"schedule:{plot.schedule_id}", plot.version, plot.zone.key, planned_ms)
