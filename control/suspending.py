# SPDX-License-Identifier: Apache-2.0
"""Putting off what schedules ask for, resuming it, and leaving out the next planned moment.

Invariants: what is under way goes on, what a schedule planned and nobody handed over yet is cancelled; each change is in the
audit trail.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final, Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from control.access import Principal
from control.agenda import Agenda, Due
from control.audit import Trail, record
from control.checks import check_text
from control.definitions import IrrigationDefinition
from control.errors import Conflict, Invalid
from control.ids import new_id
from control.ledger import act_record, step
from control.models import OPEN_ACTS, ActRow
from control.pending import Pending
from control.plots import PlotCache, load_plots
from control.records import Act, Suspension
from control.suspensions import Kind, On, place_of, suspension_on, suspension_record, suspension_row, zones_of
from control.suspensions_models import OPEN_SUSPENSIONS, SuspensionRow

__all__ = ["MAX_NOTE", "end_suspension", "skip_next", "suspend"]

MAX_NOTE: Final = 300  # characters
LONGEST_MS: Final = 400 * 86_400_000  # of a pause with an end [ms]
LONGEST_RAIN_MS: Final = 14 * 86_400_000  # of a rain delay [ms]
AHEAD_MS: Final = 400 * 86_400_000  # how far the next planned moment is looked for [ms]


def suspend(
    session: Session,
    kind: Literal["pause", "rain-delay"],
    on: On,
    *,
    until_ms: int | None = None,
    note: str = "",
    now_ms: int,
    trail: Trail,
    seen_by: Principal | None = None,
) -> tuple[Suspension, list[Act]]:
    """Put off what schedules ask for at a place, from now on. One of the kind that is open there is replaced.

    What schedules have planned there and what was not handed over yet is cancelled.

    Parameters
    ----------
    until_ms : int or None
        When it is over; None is until somebody resumes. A rain delay has an end, at most 14 days ahead.
        [ms since the Unix epoch, UTC]

    Returns
    -------
    tuple of Suspension and list of Act
        With the acts that were cancelled.
    """
    place = place_of(session, on, seen_by)
    _check_until(kind, until_ms, now_ms)
    for row in _open_at(session, kind, on):
        _end(row, now_ms, trail.actor, "replaced")
    row = _new_row(kind, on, until_ms, note, now_ms, trail)
    session.add(row)
    session.flush()
    cancelled = _cancel_waiting(session, row, now_ms)
    made = suspension_record(row)
    record(session, trail, f"suspension.{kind}", str(on), place=place, after=_told(made) | {"cancelled": len(cancelled)})
    return made, cancelled


def skip_next(
    session: Session, on: On, *, note: str = "", now_ms: int, trail: Trail, seen_by: Principal | None = None
) -> tuple[Suspension, bool]:
    """Leave out the next planned moment of a zone, and tell whether that is new: asked for again, it is the same one.

    A moment that has come and still waits to begin is the next one.

    Raises
    ------
    Conflict
        The zone's schedule plans no moments, or none is to come.
    """
    if on.scope != "zone":
        raise Invalid("on", "a single zone: zone:SITE:DEVICE:NUMBER")
    place = place_of(session, on, seen_by)
    due = _next_due(session, on.key, now_ms)
    known = next((row for row in _open_at(session, "skip", on) if row.until_ms == due.planned_ms), None)
    if known is not None:
        return suspension_record(known), False
    row = _new_row("skip", on, due.planned_ms, note, now_ms, trail)
    session.add(row)
    session.flush()
    made = suspension_record(row)
    record(session, trail, "suspension.skip", str(on), place=place, after=_told(made))
    return made, True


def end_suspension(
    session: Session, suspension_id: str, *, now_ms: int, trail: Trail, seen_by: Principal | None = None
) -> Suspension:
    """Resume what was put off, or undo a skip.

    Raises
    ------
    Conflict
        It is over already.
    """
    row = suspension_row(session, suspension_id, seen_by)
    place = place_of(session, suspension_on(row), seen_by)
    if row.ended_ms is not None:
        raise Conflict(f"it is over already: {row.ending}")
    before = _told(suspension_record(row))
    _end(row, now_ms, trail.actor, "resumed")
    record(session, trail, "suspension.resume", str(suspension_on(row)), place=place, before=before)
    return suspension_record(row)


def _new_row(kind: Kind, on: On, until_ms: int | None, note: str, now_ms: int, trail: Trail) -> SuspensionRow:
    return SuspensionRow(
        id=new_id(now_ms),
        kind=kind,
        scope=on.scope,
        key=on.key,
        site=on.key.partition(":")[0] if on.scope in ("zone", "site") else None,
        begun_ms=now_ms,
        until_ms=until_ms,
        note=check_text("note", note, MAX_NOTE) if note else "",
        actor=trail.actor,
    )


def _check_until(kind: str, until_ms: int | None, now_ms: int) -> None:
    if until_ms is None:
        if kind == "rain-delay":
            raise Invalid("until", "a rain delay has an end: say until or hours")
        return
    if until_ms <= now_ms:
        raise Invalid("until", "an instant that is to come")
    if kind == "rain-delay" and until_ms > now_ms + LONGEST_RAIN_MS:
        raise Invalid("until", "at most 14 days ahead")
    if until_ms > now_ms + LONGEST_MS:
        raise Invalid("until", "at most 400 days ahead; without an end it lasts until somebody resumes")


def _cancel_waiting(session: Session, suspension: SuspensionRow, now_ms: int) -> list[Act]:
    """Cancel what schedules planned at the place and was not handed over; what is under way goes on."""
    waiting = session.scalars(
        select(ActRow).where(OPEN_ACTS, ActRow.state.in_(("planned", "held")), ActRow.origin.startswith("schedule:"))
    ).all()
    held = {key for key, *_ in zones_of(session, suspension)} if waiting else set()
    cancelled = []
    for row in waiting:
        if row.zone_key not in held:
            continue
        reason = "paused" if suspension.kind == "pause" else "rain-delay"
        if step(session, row, "cancelled", f"{reason}: by {suspension.actor}", suspension.actor, now_ms):
            row.reason = reason
            cancelled.append(act_record(row))
    return cancelled


def _next_due(session: Session, zone_key: str, now_ms: int) -> Due:
    """Return the zone's planned moment that is next: one that waits to begin, or the first to come."""
    plots = load_plots(session, PlotCache(), zone_key)
    if not plots or isinstance(plots[0].definition, IrrigationDefinition):
        raise Conflict("no schedule of the zone plans moments; pause it instead")
    (plot,) = plots
    for _, come in Pending().find(session, plots, now_ms, now_ms):
        return come[0]
    agenda = Agenda()
    for upto_ms in (now_ms + 2 * 86_400_000, now_ms + 40 * 86_400_000, now_ms + AHEAD_MS):
        if moments := agenda.due(plot, now_ms, upto_ms):
            return moments[0]
    raise Conflict("no planned moment of the zone is to come within 400 days")


def _open_at(session: Session, kind: str, on: On) -> Sequence[SuspensionRow]:
    query = select(SuspensionRow).where(OPEN_SUSPENSIONS, SuspensionRow.kind == kind)
    return session.scalars(query.where(SuspensionRow.scope == on.scope, SuspensionRow.key == on.key)).all()


def _end(row: SuspensionRow, now_ms: int, actor: str, ending: str) -> None:
    row.ended_ms, row.ended_by, row.ending = now_ms, actor, ending


def _told(suspension: Suspension) -> dict[str, Any]:
    told = {name: value for name, value in asdict(suspension).items() if value not in (None, "")}
    return {name: told[name] for name in ("id", "kind", "on", "begun_ms", "until_ms", "note") if name in told}
