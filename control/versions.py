# SPDX-License-Identifier: Apache-2.0
"""Versions of schedules: what each said, from when until when.

Invariant: at any instant at most one version of a schedule is in force, and what it said can be read for as long as the
schedule is: so a day is told by what was planned then, not by what is planned now.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from control.database import in_parts
from control.definitions import AnyDefinition, parse_definition
from control.models import ScheduleRow, ScheduleVersionRow

__all__ = ["Version", "end_version", "keep_version", "versions_between"]


@dataclass(frozen=True, slots=True)
class Version:
    """What a schedule said of its zone in (since, until]; `until_ms` is None for one in force."""

    schedule_id: str
    version: int
    zone_key: str
    definition: AnyDefinition
    since_ms: int
    until_ms: int | None

    @property
    def origin(self) -> str:
        """How acts name the schedule."""
        return f"schedule:{self.schedule_id}"


def keep_version(session: Session, row: ScheduleRow) -> None:
    """Keep what a schedule says now; what it said before ended when this began."""
    end_version(session, row.id, row.updated_ms)
    session.add(
        ScheduleVersionRow(
            schedule_id=row.id,
            version=row.version,
            zone_key=row.zone_key,
            enabled=row.enabled,
            definition=row.definition,
            since_ms=row.updated_ms,
            until_ms=None,
        )
    )
    session.flush()


def end_version(session: Session, schedule_id: str, now_ms: int) -> None:
    """Note that what a schedule says holds no longer."""
    query = select(ScheduleVersionRow).where(
        ScheduleVersionRow.schedule_id == schedule_id, ScheduleVersionRow.until_ms.is_(None)
    )
    for row in session.scalars(query):
        row.until_ms = now_ms


def versions_between(session: Session, zone_keys: Collection[str], after_ms: int, upto_ms: int) -> list[Version]:
    """Return the enabled versions of zones' schedules that were in force in (after, upto], oldest first."""
    found = []
    for part in in_parts(zone_keys):
        query = select(ScheduleVersionRow).where(
            ScheduleVersionRow.zone_key.in_(part),
            ScheduleVersionRow.enabled,
            ScheduleVersionRow.since_ms < upto_ms,
            or_(ScheduleVersionRow.until_ms.is_(None), ScheduleVersionRow.until_ms > after_ms),
        )
        for row in session.scalars(query.order_by(ScheduleVersionRow.since_ms, ScheduleVersionRow.schedule_id)):
            definition = parse_definition(row.definition)
            found.append(Version(row.schedule_id, row.version, row.zone_key, definition, row.since_ms, row.until_ms))
    return found
