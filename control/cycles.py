# SPDX-License-Identifier: Apache-2.0
"""Runs in cycles: which part comes next, and what becomes of the rest where a run does not go on.

A run that goes in several cycles is several acts, each in the ledger by itself. Invariant: a part whose next one is still to
be planned says so in the ledger, so that a new start goes on as before; every part gets its row: given, left out with its
reason, or withdrawn by who stopped the run.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from sqlalchemy import Select, select, update
from sqlalchemy.orm import Session

from control.agenda import Due
from control.database import in_parts
from control.definitions import TimerDefinition
from control.ids import act_id
from control.ledger import Order, PlannedAct, act_record, plan_acts, step
from control.models import CONTINUED_ACTS, ActRow
from control.plots import Plot
from control.records import Act
from control.states import OPEN

__all__ = ["followed", "next_parts", "part_id", "rest_of", "withdraw_rest"]

# After these nobody knows that going on does good: a person stopped it, or the device could not.
_ENDS_RUN: Final = ("failed", "rejected", "cancelled", "superseded")


def next_parts(session: Session, plots: Iterable[Plot], now_ms: int) -> tuple[dict[str, Due], list[Act]]:
    """Return the part that is next in each zone with a run that goes on, and the acts of runs that do not, left out.

    Parameters
    ----------
    plots : iterable of Plot
        A run whose schedule is not among theirs any longer, or was changed, does not go on.
    """
    dues: dict[str, Due] = {}
    ended: list[Act] = []
    rows = _continued(session)
    followed_now = {plot.zone.key: plot for plot in plots} if rows else {}
    for row in rows:
        plot = followed_now.get(row.zone_key or "")
        if row.state in OPEN:
            continue
        if plot is None or (f"schedule:{plot.schedule_id}", plot.version) != (row.origin, row.version):
            ended += _end_rest(session, row, "schedule-changed", now_ms)
        elif row.state in _ENDS_RUN or row.reason == "stopped":
            ended += _end_rest(session, row, f"not-continued: part {row.part} was {row.reason or row.state}", now_ms)
        elif isinstance(plot.definition, TimerDefinition):
            dues[plot.zone.key] = Due(
                row.planned_ms,
                litres=row.litres,
                part=row.part + 1,
                parts=row.parts,
                ready_ms=(row.ended_ms or now_ms) + plot.definition.cycle_soak_s * 1000,
            )
    return dues, ended


def followed(session: Session, ids: Iterable[str]) -> None:
    """Know that the next part of these acts is in the ledger."""
    for part in in_parts(ids):
        session.execute(update(ActRow).where(ActRow.id.in_(part)).values(continues=False))


def rest_of(first: PlannedAct) -> list[PlannedAct]:
    """Return a part that is left out and all that would come after it, each left out for the same cause."""
    order = first.order
    later = range(order.part + 1, order.parts + 1)
    return [first, *(replace(first, id=part_id(order, part), order=replace(order, part=part)) for part in later)]


def part_id(order: Order, part: int) -> str:
    """Return the id of another part of an act's run."""
    return act_id(order.origin, order.version, order.zone_key or "", order.planned_ms, part)


def _end_rest(session: Session, row: ActRow, cause: str, now_ms: int) -> list[Act]:
    """Leave out what comes after a part, and return that; the cause begins with the reason."""
    row.continues = False
    first = replace(_after(row, "controller", now_ms), state="skipped", cause=cause)
    return [act for act, _ in plan_acts(session, rest_of(first))]


def withdraw_rest(session: Session, acts: Select[ActRow], actor: str, now_ms: int) -> list[Act]:
    """Withdraw what would follow on `acts` in their runs, and return that: a person stopped them."""
    withdrawn: list[Act] = []
    for row in session.scalars(acts.where(CONTINUED_ACTS)).all():
        row.continues = False
        planned = plan_acts(session, rest_of(replace(_after(row, actor, now_ms), cause=f"would follow part {row.part}")))
        for act, _ in planned:
            part = session.get_one(ActRow, act.id)
            step(session, part, "cancelled", "its run was stopped", actor, now_ms)
            withdrawn.append(act_record(part))
    return withdrawn


def _continued(session: Session) -> Sequence[ActRow]:
    return session.scalars(select(ActRow).where(CONTINUED_ACTS).order_by(ActRow.id)).all()


def _after(row: ActRow, actor: str, now_ms: int) -> PlannedAct:
    order = Order(
        device_key=row.device_key,
        zone_key=row.zone_key,
        action=row.action,
        origin=row.origin,
        version=row.version,
        actor=actor,
        planned_ms=row.planned_ms,
        issued_ms=now_ms,
        expires_ms=now_ms,
        seconds=row.seconds,
        litres=row.litres,
        part=row.part + 1,
        parts=row.parts,
    )
    return PlannedAct(part_id(order, order.part), order)
