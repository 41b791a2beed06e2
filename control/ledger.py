# SPDX-License-Identifier: Apache-2.0
"""The ledger of acts: planned once, stepped through their states, settled by the device's word.

Invariant: an act is in the ledger, committed, before anything is sent; every step is stored with its time, cause and
actor; the same plan made again finds the act that is there. Times are ms since the Unix epoch, UTC.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any, Final

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from control import paging
from control.access import Principal
from control.checks import storable
from control.database import in_parts
from control.errors import Conflict, Invalid, NotFound
from control.ids import is_id
from control.models import OPEN_ACTS, ActRow, TransitionRow
from control.proof import VERDICTS
from control.records import Act, Transition
from control.sight import seen_devices
from control.states import ENDED, STATES, may_correct, may_step

__all__ = [
    "DEVICE",
    "Order",
    "PlannedAct",
    "act_record",
    "act_row",
    "cancel",
    "expire",
    "get_act",
    "list_acts",
    "list_transitions",
    "plan_act",
    "plan_acts",
    "step",
    "supersede",
]

ORDER: Final = paging.Order(ActRow.id, {"planned": ActRow.id}, "-planned", is_id)
NO_WORD_MS: Final = 5_000  # past `expires`, an act that was handed over and not answered is unknown [ms]
DEVICE: Final = "device"  # the actor of what a device says itself
NO_END_MS: Final = 60_000  # past `max_seconds`, an act that began and did not end is unknown [ms]


@dataclass(frozen=True, slots=True)
class Order:
    """An act to be planned; the fields mean what they do in `control.records.Act`."""

    device_key: str
    zone_key: str | None
    action: str
    origin: str
    version: int
    actor: str
    planned_ms: int
    issued_ms: int
    expires_ms: int
    seconds: float | None = None
    litres: float | None = None
    grams: float | None = None
    max_seconds: int | None = None
    idempotency_key: str | None = None
    part: int = 1
    parts: int = 1
    continues: bool = False  # the next part is still to be planned
    override: str | None = None
    beyond: str | None = None


ORDERED: Final = tuple(item.name for item in fields(Order))
RECORDED: Final = tuple(item.name for item in fields(Act))
NOTHING: Final[dict[str, Any]] = {item.name: None if item.default is MISSING else item.default for item in fields(Act)}


@dataclass(frozen=True, slots=True)
class PlannedAct:
    """An act to be put into the ledger.

    Attributes
    ----------
    id : str
        From `control.ids.act_id`: planning the same act again gives the same id.
    state : str
        "planned", or "skipped" for one that is left out; `cause` then begins with the reason, before a colon.
    """

    id: str
    order: Order
    state: str = "planned"
    cause: str = "planned"


def plan_act(session: Session, act_id: str, order: Order, *, cause: str = "planned") -> tuple[Act, bool]:
    """Put one act into the ledger unless it is there, and tell whether it is new; see `plan_acts`."""
    return plan_acts(session, [PlannedAct(act_id, order, cause=cause)])[0]


def plan_acts(session: Session, plans: Sequence[PlannedAct]) -> list[tuple[Act, bool]]:
    """Put acts into the ledger unless they are there, and tell of each whether it is new."""
    known: dict[str, Act] = {}
    for part in in_parts({plan.id for plan in plans}):
        known.update((row.id, act_record(row)) for row in session.scalars(select(ActRow).where(ActRow.id.in_(part))))
    found: list[tuple[Act, bool]] = []
    rows, steps = [], []
    for plan in plans:
        new = plan.id not in known
        if new:
            row = _planned_row(plan)
            known[plan.id] = Act(**NOTHING | {name: value for name, value in row.items() if name in NOTHING})
            rows.append(row)
            steps.append(_first_step(plan.id, plan.state, plan.cause, plan.order.actor, plan.order.issued_ms))
        found.append((known[plan.id], new))
    if rows:
        # Past the mapper, for at some minutes a thousand acts begin; a step names its act, which has to be there.
        session.flush()
        connection = session.connection()
        connection.execute(insert(ActRow), rows)
        connection.execute(insert(TransitionRow), steps)
    return found


def _planned_row(plan: PlannedAct) -> dict[str, Any]:
    row = {name: getattr(plan.order, name) for name in ORDERED}
    skipped = plan.state == "skipped"
    return row | {
        "id": plan.id,
        "reference": plan.id,
        "state": plan.state,
        "reason": plan.cause.partition(":")[0] if skipped else None,
        "ended_ms": plan.order.issued_ms if skipped else None,
    }


def _first_step(act_id: str, state: str, cause: str, actor: str, now_ms: int) -> dict[str, Any]:
    if not may_step(None, state):
        raise Conflict(f"an act does not begin as {state}")
    return {"act_id": act_id, "at_ms": now_ms, "before": None, "state": state, "cause": cause[:200], "actor": actor}


def enter(session: Session, row: ActRow, state: str, cause: str, actor: str, now_ms: int) -> None:
    """Add a new act in its first state."""
    row.state = state
    first = _first_step(row.id, state, cause, actor, now_ms)
    session.add(row)
    session.flush()
    session.add(TransitionRow(**first))


def step(session: Session, row: ActRow, state: str, cause: str, actor: str, now_ms: int) -> bool:
    """Step an act to `state` and store it; False, and nothing, where there is no such step.

    What a device says may correct an end that was concluded without it, by a person or from silence.
    """
    corrects = actor == DEVICE and may_correct(row.state, state) and _last_actor(session, row.id) != DEVICE
    if not (corrects or may_step(row.state, state)):
        return False
    session.add(TransitionRow(act_id=row.id, at_ms=now_ms, before=row.state, state=state, cause=cause[:200], actor=actor))
    row.state = state
    if state in ENDED and row.ended_ms is None:
        row.ended_ms = now_ms
    return True


def expire(session: Session, now_ms: int) -> list[Act]:
    """Conclude what time alone tells, and return the acts that were stepped.

    Never handed over before `expires`: expired. Handed over and no word by `expires` + 5 s, or begun and no end by
    `max_seconds` + 60 s: unknown, until the device's word.
    """
    changed = []
    for row in session.scalars(select(ActRow).where(OPEN_ACTS)):
        if row.state in ("planned", "held") and now_ms > row.expires_ms:
            cause = "not handed over before it expired" + (f": {row.reason}" if row.reason else "")
            row.reason = row.reason or "never-handed-over"
            step(session, row, "expired", cause, "controller", now_ms)
        elif row.state == "sent" and now_ms >= row.expires_ms + NO_WORD_MS:
            step(session, row, "unknown", "handed over, and no word by its end", "controller", now_ms)
        elif row.state in ("accepted", "running") and now_ms >= _latest_end(row):
            step(session, row, "unknown", "begun, and no end reported", "controller", now_ms)
        else:
            continue
        changed.append(act_record(row))
    return changed


def cancel(session: Session, act_id: str, actor: str, *, now_ms: int) -> Act:
    """Withdraw an act that was not handed over, or let go of one whose end nobody knows.

    Raises
    ------
    Conflict
        It is under way (stop its zone instead) or has ended.
    """
    row = act_row(session, act_id)
    released = row.state == "unknown"
    cause = "released by hand, its end unknown" if released else "withdrawn before it was handed over"
    if not step(session, row, "cancelled", cause, actor, now_ms):
        todo = "it is over" if row.state in ENDED else "stop its zone instead"
        raise Conflict(f"act {act_id} is {row.state}; {todo}")
    return act_record(row)


def supersede(session: Session, origin: str, cause: str, actor: str, *, now_ms: int) -> list[Act]:
    """End the acts that `origin` planned and that wait: something else takes their place. Return them."""
    waiting = session.scalars(select(ActRow).where(OPEN_ACTS, ActRow.origin == origin)).all()
    changed = []
    for row in waiting:
        if row.state in ("planned", "held") and step(session, row, "superseded", cause, actor, now_ms):
            row.reason = None
            changed.append(act_record(row))
    return changed


def get_act(session: Session, act_id: str) -> Act:
    """Return the act."""
    return act_record(act_row(session, act_id))


def list_acts(
    session: Session,
    *,
    zone_key: str | None = None,
    device_key: str | None = None,
    state: str | None = None,
    verdict: str | None = None,
    seen_by: Principal | None = None,
    sort: str | None = None,
    limit: int = 100,
    after: str | None = None,
) -> tuple[list[Act], str | None]:
    """Return acts, the latest planned first unless told otherwise, and the cursor of the next page if there is one."""
    query = select(ActRow)
    if (devices := seen_devices(seen_by)) is not None:
        query = query.where(ActRow.device_key.in_(devices))
    if state is not None:
        if state not in STATES:
            raise Invalid("state", f"one of {', '.join(STATES)}")
        query = query.where(ActRow.state == state)
    if verdict is not None:
        if verdict not in VERDICTS:
            raise Invalid("verdict", f"one of {', '.join(VERDICTS)}")
        query = query.where(ActRow.verdict == verdict)
    if zone_key is not None:
        query = query.where(ActRow.zone_key == (zone_key if storable(zone_key) else ""))
    if device_key is not None:
        query = query.where(ActRow.device_key == (device_key if storable(device_key) else ""))
    return paging.cut(session, query, ORDER, act_record, sort=sort, limit=limit, after=after)


def list_transitions(session: Session, act_id: str) -> list[Transition]:
    """Return every step of an act, in order."""
    act_row(session, act_id)
    query = select(TransitionRow).where(TransitionRow.act_id == act_id).order_by(TransitionRow.id)
    return [Transition(row.at_ms, row.before, row.state, row.cause, row.actor) for row in session.scalars(query)]


def act_record(row: ActRow) -> Act:
    """Return the record of a row."""
    return Act(*[getattr(row, name) for name in RECORDED])


def act_row(session: Session, act_id: str) -> ActRow:
    """Return the row of an act; NotFound where there is none."""
    row = session.get(ActRow, act_id) if is_id(act_id) else None
    if row is None:
        raise NotFound("act", act_id)
    return row


def _last_actor(session: Session, act_id: str) -> str | None:
    query = select(TransitionRow.actor).where(TransitionRow.act_id == act_id).order_by(TransitionRow.id.desc()).limit(1)
    return session.scalar(query)


def _latest_end(row: ActRow) -> int:
    begun = row.begun_ms if row.begun_ms is not None else row.issued_ms
    # What is only accepted may begin until it expires.
    latest_begin = max(begun, row.expires_ms) if row.state == "accepted" else begun
    return latest_begin + (row.max_seconds or 0) * 1000 + NO_END_MS
