# SPDX-License-Identifier: Apache-2.0
"""One tick: conclude what is over, ask the rules, keep decisions, plan acts; one transaction.

Invariant: a tick run twice for the same minute plans no second act, and after a pause every planned meal is accounted for:
given within its grace, or kept as skipped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from control.calendars import day_start, planned_moments
from control.commands import EXPIRES_MS
from control.database import in_parts
from control.decisions import Finding, store_decisions
from control.evaluation import DueMeal, LatestValues, Outcome, feed, water
from control.ids import act_id
from control.ledger import Order, PlannedAct, expire, plan_acts
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
    _conclude(session, result, water(beds, loads, latest, now_ms, stale_s), last_ms, now_ms)
    meals = _due_meals(session, result, ponds, last_ms, now_ms)
    _conclude(session, result, feed(ponds, meals, loads, latest, now_ms, stale_s), last_ms, now_ms)
    if state is None:
        session.add(ControllerRow(id=1, last_tick_ms=now_ms))
    else:
        state.last_tick_ms = max(state.last_tick_ms, now_ms)
    return result


def _conclude(session: Session, result: TickResult, outcomes: Sequence[Outcome], last_ms: int, now_ms: int) -> None:
    """Plan the acts that outcomes ask for, and keep the decisions."""
    plans = [_plan(outcome, now_ms) for outcome in outcomes]
    planned = plan_acts(session, [plan for plan in plans if plan is not None])
    result.acts += [act for act, new in planned if new]
    # The same minute planned again, after a restart, found its act: that is no new one.
    new_ids = {act.id for act, new in planned if new}
    findings = [
        _finding(outcome, None if plan is None else plan.id, new_ids, last_ms, now_ms)
        for outcome, plan in zip(outcomes, plans, strict=True)
    ]
    result.decisions += store_decisions(session, findings)


def _plan(outcome: Outcome, now_ms: int) -> PlannedAct | None:
    if outcome.act:
        planned_ms = _planned_ms(outcome, now_ms)
        return PlannedAct(_act_key(outcome.plot, planned_ms), _order(outcome, planned_ms, now_ms))
    if outcome.reasons & Reason.MEAL_MISSED and outcome.meal is not None:
        return _skipped(outcome.plot, outcome.meal, now_ms)
    return None


def _planned_ms(outcome: Outcome, now_ms: int) -> int:
    if outcome.plot.definition.type == "irrigation":
        return now_ms // MINUTE_MS * MINUTE_MS
    return outcome.meal.planned_ms if outcome.meal else now_ms


def _finding(outcome: Outcome, act_key: str | None, new_ids: set[str], last_ms: int, now_ms: int) -> Finding:
    meal = outcome.meal
    return Finding(
        outcome.plot.zone.key,
        at_ms=now_ms,
        kind=outcome.plot.definition.type,
        acted=outcome.act and act_key in new_ids,
        reasons=outcome.reasons,
        latched=outcome.latched,
        inputs=outcome.inputs,
        act_id=act_key,
        planned=(meal is not None and meal.planned_ms > last_ms) or bool(outcome.reasons & Reason.MEAL_MISSED),
    )


def _due_meals(session: Session, result: TickResult, ponds: Sequence[Plot], last_ms: int, now_ms: int) -> list[DueMeal | None]:
    """Return each pond's meal that is due; of those that piled up over a pause, the missed are kept as skipped."""
    chosen: list[DueMeal | None] = []
    missed: list[PlannedAct] = []
    for plot, pending in zip(ponds, _pending(session, ponds, last_ms, now_ms), strict=True):
        assert isinstance(plot.definition, FeedingDefinition)
        late_ms = plot.definition.late_s * 1000
        in_time = [meal for meal in pending if now_ms - meal.planned_ms <= late_ms]
        # Of several within their grace the oldest is next; with none, the last missed goes through the rule, for the record.
        meal = in_time[0] if in_time else (pending[-1] if pending else None)
        missed += [_skipped(plot, late, now_ms) for late in pending if late is not meal and late not in in_time]
        chosen.append(meal)
    result.acts += [act for act, new in plan_acts(session, missed) if new]
    return chosen


def _pending(session: Session, ponds: Sequence[Plot], last_ms: int, now_ms: int) -> list[list[DueMeal]]:
    """Return each pond's meals whose moment has come, and of which the ledger knows nothing, oldest first."""
    moments = _moments(ponds, last_ms, now_ms)
    keyed = [
        {_act_key(plot, meal.planned_ms): meal for meal in meals} if meals else {}
        for plot, meals in zip(ponds, moments, strict=True)
    ]
    known: set[str] = set()
    for part in in_parts(key for meals in keyed for key in meals):
        known.update(session.scalars(select(ActRow.id).where(ActRow.id.in_(part))))
    return [[meal for key, meal in meals.items() if key not in known] for meals in keyed]


def _moments(ponds: Sequence[Plot], last_ms: int, now_ms: int) -> Iterator[list[DueMeal]]:
    found: dict[tuple[object, ...], list[DueMeal]] = {}  # many ponds have the same program
    for plot in ponds:
        definition = plot.definition
        assert isinstance(definition, FeedingDefinition)
        # What was within its grace at the last tick is looked at once more, so that its end is concluded.
        after_ms = max(plot.since_ms, last_ms - definition.late_s * 1000 - MINUTE_MS)
        grams = {meal.time: meal.grams for meal in definition.meals}
        key = (plot.timezone, after_ms, *grams.items())
        if (meals := found.get(key)) is None:
            moments = planned_moments(grams, plot.timezone, after_ms, now_ms)[-MAX_MISSED:]
            meals = found[key] = [DueMeal(moment, grams[text]) for moment, text in moments]
        yield meals


def _skipped(plot: Plot, meal: DueMeal, now_ms: int) -> PlannedAct:
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
    return PlannedAct(_act_key(plot, meal.planned_ms), order, "skipped", cause)


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
