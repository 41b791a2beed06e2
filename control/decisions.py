# SPDX-License-Identifier: Apache-2.0
"""Decisions of the rules, kept with the numbers they saw.

Invariant: a decision is kept when it acts, when it falls on a planned moment, or when it differs from the zone's last one:
so what holds at any instant is the last one before it, and an idle zone costs no rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from control.access import Principal
from control.checks import storable
from control.database import in_parts
from control.models import DecisionRow, ZoneRow, ZoneStateRow
from control.paging import Order, cut
from control.records import Decision, Seen
from control.sight import seen_devices
from rules.reasons import names

__all__ = ["Finding", "list_decisions", "prune_decisions", "store_decisions"]

SIGNIFICANT: Final = 6  # digits kept of a number that a rule saw
ORDER: Final = Order(DecisionRow.id, {"id": DecisionRow.id, "at": DecisionRow.at_ms}, "-id", number=True)


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
    rows = []
    for one in findings:
        state = states.get(one.zone_key)
        if state is None:
            state = ZoneStateRow(zone_key=one.zone_key, latched=one.latched, kind="", acted=False, reasons=0, carried_l=0.0)
            states[one.zone_key] = state
            session.add(state)
        news = (state.kind, state.acted, state.reasons) != (one.kind, one.acted, one.reasons)
        state.latched, state.kind, state.acted, state.reasons = one.latched, one.kind, one.acted, one.reasons
        state.carried_l = one.carried_l
        if news or one.acted or one.planned:
            rows.append(_row(one))
    session.add_all(rows)
    session.flush()
    return [_decision(row) for row in rows]


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
    return cut(session, query, ORDER, _decision, sort=sort, limit=limit, after=after)


def prune_decisions(session: Session, before_ms: int) -> None:
    """Forget decisions from before an instant; the acts that came of them stay."""
    session.execute(delete(DecisionRow).where(DecisionRow.at_ms < before_ms))


def _states(session: Session, zone_keys: Collection[str]) -> dict[str, ZoneStateRow]:
    found: dict[str, ZoneStateRow] = {}
    for part in in_parts(zone_keys):
        query = select(ZoneStateRow).where(ZoneStateRow.zone_key.in_(part))
        found.update((row.zone_key, row) for row in session.scalars(query))
    return found


def _row(one: Finding) -> DecisionRow:
    return DecisionRow(
        zone_key=one.zone_key,
        at_ms=one.at_ms,
        kind=one.kind,
        acted=one.acted,
        reasons=one.reasons,
        inputs={name: _plain(value) for name, value in one.inputs().items()},
        act_id=one.act_id,
    )


def _plain(value: Seen) -> Seen:
    if value is None or isinstance(value, (bool, str)):
        return value
    number = float(value)
    return float(f"{number:.{SIGNIFICANT}g}") if math.isfinite(number) else None


def _decision(row: DecisionRow) -> Decision:
    return Decision(row.id, row.zone_key, row.at_ms, row.kind, row.acted, names(row.reasons), row.inputs, row.act_id)
