# SPDX-License-Identifier: Apache-2.0
"""Grounds: the decisions that acts rest on, and that held at an instant, for many zones at once."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from control.database import in_parts
from control.decisions import decision_record
from control.models import DecisionRow
from control.records import Decision

__all__ = ["decisions_at", "decisions_of_acts"]


def decisions_of_acts(session: Session, zone_keys: Collection[str], start_ms: int, end_ms: int) -> dict[str, Decision]:
    """Return the decisions of [start, end) that named an act, by the act's id; of several the last. [ms, UTC]"""
    found: dict[str, Decision] = {}
    for part in in_parts(zone_keys):
        query = select(DecisionRow).where(
            DecisionRow.zone_key.in_(part),
            DecisionRow.at_ms >= start_ms,
            DecisionRow.at_ms < end_ms,
            DecisionRow.act_id.is_not(None),
        )
        for row in session.scalars(query.order_by(DecisionRow.id)):
            found[row.act_id or ""] = decision_record(row)
    return found


def decisions_at(session: Session, zone_keys: Collection[str], at_ms: int) -> dict[str, Decision]:
    """Return what was decided last before an instant, by zone: it held then. [ms, UTC]"""
    found: dict[str, Decision] = {}
    for part in in_parts(zone_keys):
        newest = (
            select(func.max(DecisionRow.id))
            .where(DecisionRow.zone_key.in_(part), DecisionRow.at_ms < at_ms)
            .group_by(DecisionRow.zone_key)
        )
        for row in session.scalars(select(DecisionRow).where(DecisionRow.id.in_(newest))):
            found[row.zone_key] = decision_record(row)
    return found
