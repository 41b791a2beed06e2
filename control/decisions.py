# SPDX-License-Identifier: Apache-2.0
"""Decisions of the rules, kept with the numbers they saw.

Invariant: a decision is kept when it acts, when it falls on a planned moment, or when it differs from the zone's last one:
so what holds at any instant is the last one before it, and an idle zone costs no rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from control.access import Principal
from control.checks import check_limit, storable
from control.errors import Invalid
from control.models import DecisionRow, ZoneRow, ZoneStateRow
from control.records import Decision
from control.sight import seen_devices
from rules.reasons import names

__all__ = ["list_decisions", "prune_decisions", "store_decision"]

SIGNIFICANT: Final = 6  # digits kept of a number that a rule saw


def store_decision(
    session: Session,
    zone_key: str,
    *,
    at_ms: int,
    kind: str,
    acted: bool,
    reasons: int,
    latched: bool,
    inputs: Callable[[], Mapping[str, float | bool | None]],
    act_id: str | None = None,
    planned: bool = False,
) -> Decision | None:
    """Keep a decision if it is news, and what the zone carries to the next tick; None if it was not kept.

    Parameters
    ----------
    reasons : int
        Bits of `rules.Reason`.
    inputs : callable
        Returns the numbers the rule saw; called only for what is kept.
    planned : bool
        It falls on a planned moment: kept whether or not it differs from the last one.
    """
    state = session.get(ZoneStateRow, zone_key)
    if state is None:
        state = ZoneStateRow(zone_key=zone_key, latched=latched, kind="", acted=False, reasons=0)
        session.add(state)
    news = acted or planned or (state.kind, state.acted, state.reasons) != (kind, acted, reasons)
    state.latched, state.kind, state.acted, state.reasons = latched, kind, acted, reasons
    if not news:
        return None
    row = DecisionRow(
        zone_key=zone_key,
        at_ms=at_ms,
        kind=kind,
        acted=acted,
        reasons=reasons,
        inputs={name: _plain(value) for name, value in inputs().items()},
        act_id=act_id,
    )
    session.add(row)
    session.flush()
    return _decision(row)


def list_decisions(
    session: Session,
    *,
    zone_key: str | None = None,
    seen_by: Principal | None = None,
    limit: int = 100,
    after: str | None = None,
) -> tuple[list[Decision], str | None]:
    """Return decisions, the latest first, and the cursor of the next page if there is one."""
    query = select(DecisionRow).order_by(DecisionRow.id.desc()).limit(check_limit(limit) + 1)
    if (devices := seen_devices(seen_by)) is not None:
        query = query.where(DecisionRow.zone_key.in_(select(ZoneRow.key).where(ZoneRow.device_key.in_(devices))))
    if zone_key is not None:
        query = query.where(DecisionRow.zone_key == (zone_key if storable(zone_key) else ""))
    if after is not None:
        if not (after.isascii() and after.isdecimal() and len(after) <= 18):
            raise Invalid("after", "the value of `next` in the answer before")
        query = query.where(DecisionRow.id < int(after))
    rows = session.scalars(query).all()
    found = [_decision(row) for row in rows[:limit]]
    return found, str(found[-1].id) if len(rows) > limit else None


def prune_decisions(session: Session, before_ms: int) -> None:
    """Forget decisions from before an instant; the acts that came of them stay."""
    session.execute(delete(DecisionRow).where(DecisionRow.at_ms < before_ms))


def _plain(value: float | bool | None) -> float | bool | None:
    if value is None or isinstance(value, bool):
        return value
    number = float(value)
    return float(f"{number:.{SIGNIFICANT}g}") if math.isfinite(number) else None


def _decision(row: DecisionRow) -> Decision:
    return Decision(row.id, row.zone_key, row.at_ms, row.kind, row.acted, names(row.reasons), row.inputs, row.act_id)
