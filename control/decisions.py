# SPDX-License-Identifier: Apache-2.0
"""Decisions of the rules, kept with the numbers they saw.

Invariant: a decision is kept when it acts, when it falls on a planned moment, or when it differs from the zone's last one:
so what holds at any instant is the last one before it, and an idle zone costs no rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import bindparam, delete, insert, select, update
from sqlalchemy.orm import Session, aliased

from control.access import Principal
from control.checks import storable
from control.database import in_parts
from control.models import DecisionFormRow, DecisionRow, ZoneRow, ZoneStateRow
from control.paging import Order, cut
from control.records import Decision, Seen
from control.sight import seen_devices
from rules.reasons import names

__all__ = ["Finding", "decision_record", "list_decisions", "prune_decisions", "store_decisions"]

SIGNIFICANT: Final = 6  # digits kept of a number that a rule saw
STATE: Final = (ZoneStateRow.latched, ZoneStateRow.kind, ZoneStateRow.acted, ZoneStateRow.reasons, ZoneStateRow.carried_l)
ORDER: Final = Order(DecisionRow.id, {"id": DecisionRow.id, "at": DecisionRow.at_ms}, "-id", number=True)

_STATE_NAMES: Final = ("zone_key", *(column.key for column in STATE))
_State = tuple[Any, ...]  # the values of STATE


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule said of a zone, to be kept if it is news.

    Attributes
    ----------
    reasons : int
        Bits of `rules.Reason`.
    latched : bool
        What the zone carries to the next tick, kept in any case.
    inputs : callable
        Returns the numbers the rule saw; called only for what is kept.
    carried_l : float
        Litres of missed runs that the zone carries on, kept in any case. [L]
    planned : bool
        It falls on a planned moment: kept whether or not it differs from the last one.
    """

    zone_key: str
    at_ms: int
    kind: str
    acted: bool
    reasons: int
    latched: bool
    inputs: Callable[[], Mapping[str, Seen]]
    act_id: str | None = None
    planned: bool = False
    carried_l: float = 0.0


def store_decisions(session: Session, findings: Sequence[Finding]) -> list[Decision]:
    """Keep those findings that are news as decisions, in their order, and return these."""
    states = _states(session, {finding.zone_key for finding in findings})
    known = set(states)
    changed: set[str] = set()
    news = []
    for one in findings:
        before, now = states.get(one.zone_key), _state(one)
        if before != now:
            states[one.zone_key] = now
            changed.add(one.zone_key)
        if one.acted or one.planned or before is None or before[1:4] != now[1:4]:
            news.append(one)
    _keep_states(session, {key: states[key] for key in changed}, known)
    return _keep(session, news)


def list_decisions(
    session: Session,
    *,
    zone_key: str | None = None,
    seen_by: Principal | None = None,
    sort: str | None = None,
    limit: int = 100,
    after: str | None = None,
) -> tuple[list[Decision], str | None]:
    """Return decisions, the latest first unless told otherwise, and the cursor of the next page if there is one."""
    query = select(DecisionRow)
    if (devices := seen_devices(seen_by)) is not None:
        query = query.where(DecisionRow.zone_key.in_(select(ZoneRow.key).where(ZoneRow.device_key.in_(devices))))
    if zone_key is not None:
        query = query.where(DecisionRow.zone_key == (zone_key if storable(zone_key) else ""))
    return cut(session, query, ORDER, decision_record, sort=sort, limit=limit, after=after)


def prune_decisions(session: Session, before_ms: int) -> None:
    """Forget decisions that held no longer at an instant; the acts that came of them stay.

    The last one of a zone before it stays: it may hold still, as where a schedule plans something once a year.
    """
    later = aliased(DecisionRow)
    following = select(later.at_ms).where(later.zone_key == DecisionRow.zone_key, later.id > DecisionRow.id)
    ended_ms = following.order_by(later.id).limit(1).scalar_subquery()
    forgotten = delete(DecisionRow).where(DecisionRow.at_ms < before_ms, ended_ms < before_ms)
    session.execute(forgotten.execution_options(synchronize_session=False))


def _state(one: Finding) -> _State:
    return one.latched, one.kind, one.acted, one.reasons, one.carried_l


def _states(session: Session, zone_keys: Collection[str]) -> dict[str, _State]:
    found: dict[str, _State] = {}
    session.flush()
    for part in in_parts(zone_keys):
        query = select(ZoneStateRow.zone_key, *STATE).where(ZoneStateRow.zone_key.in_(part))
        found.update((row[0], tuple(row[1:])) for row in session.connection().execute(query))
    return found


def _keep_states(session: Session, states: Mapping[str, _State], known: Collection[str]) -> None:
    # Past the mapper: at some minutes thousands of zones have news.
    new = [dict(zip(_STATE_NAMES, (key, *state), strict=True)) for key, state in states.items() if key not in known]
    moved = [dict(zip(_STATE_NAMES, (key, *state), strict=True)) for key, state in states.items() if key in known]
    connection, table = session.connection(), ZoneStateRow.__table__
    if new:
        connection.execute(insert(ZoneStateRow), new)
    if moved:
        whose = table.c.zone_key == bindparam("whose")
        connection.execute(update(ZoneStateRow).where(whose), [{"whose": row.pop("zone_key"), **row} for row in moved])


def _keep(session: Session, news: Sequence[Finding]) -> list[Decision]:
    """Write decisions, each as the values of a form: the names of what a rule saw are the same a million times."""
    if not news:
        return []
    forms = {names: form for form, names in session.execute(select(DecisionFormRow.id, DecisionFormRow.names))}
    inputs_of, rows = [], []
    for one in news:
        inputs = {name: _plain(value) for name, value in one.inputs().items()}
        names_of = " ".join(inputs)
        if names_of not in forms:
            row = DecisionFormRow(names=names_of)
            session.add(row)
            session.flush()
            forms[names_of] = row.id
        inputs_of.append(inputs)
        rows.append(
            {
                "zone_key": one.zone_key,
                "at_ms": one.at_ms,
                "kind": one.kind,
                "acted": one.acted,
                "reasons": one.reasons,
                "form_id": forms[names_of],
                "seen": list(inputs.values()),
                "act_id": one.act_id,
            }
        )
    ids = session.scalars(insert(DecisionRow).returning(DecisionRow.id, sort_by_parameter_order=True), rows).all()
    return [
        Decision(number, one.zone_key, one.at_ms, one.kind, one.acted, names(one.reasons), inputs, one.act_id)
        for number, one, inputs in zip(ids, news, inputs_of, strict=True)
    ]


def _plain(value: Seen) -> Seen:
    if value is None or isinstance(value, (bool, str)):
        return value
    number = float(value)
    return float(f"{number:.{SIGNIFICANT}g}") if math.isfinite(number) else None


def decision_record(row: DecisionRow) -> Decision:
    """Return the record of a row."""
    inputs = dict(zip(row.form.names.split(), row.seen, strict=True))
    return Decision(row.id, row.zone_key, row.at_ms, row.kind, row.acted, names(row.reasons), inputs, row.act_id)
