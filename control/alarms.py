# SPDX-License-Identifier: Apache-2.0
"""The book of alarms: what is or was wrong, since when, until when, and who has seen it.

Invariants: an alarm is raised and cleared by its cause alone, never by a person; of each code and subject at most one is open.
What a person does with it, having seen it, is the only thing that people change. What is cleared is kept for 90 days, the
newest 20,000 of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from control.access import Permission, Place, Principal
from control.alarms_models import AlarmRow
from control.audit import Trail, record
from control.checks import storable
from control.database import in_parts
from control.errors import NotAllowed, NotFound, Stale
from control.ids import is_id
from control.paging import Order, cut
from control.sight import alarms_seen, place_of_agency, place_of_site

__all__ = ["KEPT_CLEARED", "KEPT_MS", "Alarm", "Cause", "get_alarm", "keep", "list_alarms", "mark_seen", "open_alarms", "prune"]

KEPT_MS: Final = 90 * 86_400_000  # cleared alarms are kept this long [ms]
KEPT_CLEARED: Final = 20_000  # and so many at most

Details = Mapping[str, float | str]

ORDER: Final = Order(
    AlarmRow.id,
    {"since": AlarmRow.since_ms, "code": AlarmRow.code, "subject": AlarmRow.subject},
    "-since",
)


@dataclass(frozen=True, slots=True)
class Cause:
    """Something that is wrong now.

    Attributes
    ----------
    subject : str
        What it is wrong with: "{sort}:{key}", as "device:taman-kota:bedeng-1", or a part's name, as "journal".
    site, agency : str or None
        Where that is, for who may see it; neither is the installation.
    details : mapping
        What was seen, for the words; numbers are named with their units.
    certain : bool
        False where it cannot be told now: an alarm that is open stays, and none is raised.
    """

    code: str
    subject: str
    site: str | None = None
    agency: str | None = None
    details: Details = field(default_factory=dict)
    certain: bool = True


@dataclass(frozen=True, slots=True)
class Alarm:
    """One time in which something was wrong; `cleared_ms` is None as long as it is."""

    id: str
    code: str
    severity: str
    subject: str
    site: str | None
    agency: str | None
    details: Details
    since_ms: int
    cleared_ms: int | None = None
    seen_ms: int | None = None
    seen_by: str | None = None

    @property
    def version(self) -> int:
        """Version of what people change: 2 once it was seen."""
        return 1 if self.seen_ms is None else 2


def open_alarms(session: Session) -> list[Alarm]:
    """Return every alarm that is open."""
    return [_alarm(row) for row in session.scalars(select(AlarmRow).where(AlarmRow.cleared_ms.is_(None)))]


def keep(session: Session, alarms: Sequence[Alarm]) -> None:
    """Keep alarms as they stand now: new ones are added, of known ones the details and the end are taken over."""
    rows: dict[str, AlarmRow] = {}
    for part in in_parts(alarm.id for alarm in alarms):
        rows.update((row.id, row) for row in session.scalars(select(AlarmRow).where(AlarmRow.id.in_(part))))
    for alarm in alarms:
        if (row := rows.get(alarm.id)) is not None:
            row.details, row.cleared_ms = dict(alarm.details), alarm.cleared_ms
    session.flush()  # what ended makes room for what began after it
    session.add_all(_row(alarm) for alarm in alarms if alarm.id not in rows)


def list_alarms(
    session: Session,
    *,
    code: str | None = None,
    subject: str | None = None,
    severity: str | None = None,
    is_open: bool | None = None,
    seen: bool | None = None,
    seen_by: Principal | None = None,
    sort: str | None = None,
    limit: int = 100,
    after: str | None = None,
) -> tuple[list[Alarm], str | None]:
    """Return alarms, and the cursor of the next page if there is one.

    Parameters
    ----------
    is_open, seen : bool or None
        Only those that are open (True) or cleared; that somebody has seen, or nobody.
    seen_by : Principal or None
        Only what this one may see; None is Tirta itself and sees all.
    """
    query = select(AlarmRow)
    for column, value in ((AlarmRow.code, code), (AlarmRow.subject, subject), (AlarmRow.severity, severity)):
        if value is not None:
            query = query.where(column == (value if storable(value) else ""))
    if is_open is not None:
        query = query.where(AlarmRow.cleared_ms.is_(None) if is_open else AlarmRow.cleared_ms.is_not(None))
    if seen is not None:
        query = query.where(AlarmRow.seen_ms.is_not(None) if seen else AlarmRow.seen_ms.is_(None))
    if seen_by is not None:
        query = query.where(alarms_seen(seen_by))
    return cut(session, query, ORDER, _alarm, sort=sort, limit=limit, after=after)


def get_alarm(session: Session, alarm_id: str, *, seen_by: Principal | None = None) -> Alarm:
    """Return one alarm.

    Raises
    ------
    NotFound
        There is no such alarm, or it may not be seen.
    """
    return _alarm(_find(session, alarm_id, seen_by))


def mark_seen(
    session: Session,
    alarm_id: str,
    *,
    now_ms: int,
    trail: Trail,
    version: int | None = None,
    seen_by: Principal | None = None,
) -> tuple[Alarm, bool]:
    """Note that somebody has seen an alarm and takes care of it; return it, and whether that is new.

    The first who did is named; whoever says it again changes nothing.

    Raises
    ------
    NotFound, NotAllowed
        It is not there or may not be seen; it may be seen, and no more.
    Stale
        Somebody has seen it since the version that the change is made from.
    """
    row = _find(session, alarm_id, seen_by, lock=True)
    place = _place(session, row)
    if seen_by is not None and not seen_by.allows(Permission.ATTEND, place):
        raise NotAllowed(Permission.ATTEND)
    found = _alarm(row)
    if version is not None and version != found.version:
        raise Stale("alarm", found.version, version, row.seen_by, row.seen_ms)
    if row.seen_ms is not None:
        return found, False
    row.seen_ms, row.seen_by = now_ms, trail.actor
    told = {"code": row.code, "subject": row.subject, "seen_by": row.seen_by}
    record(session, trail, "alarm.see", f"alarm:{row.id}", place=place, after=told)
    return _alarm(row), True


def prune(session: Session, now_ms: int) -> None:
    """Forget cleared alarms that are too old, or too many."""
    session.execute(delete(AlarmRow).where(AlarmRow.cleared_ms < now_ms - KEPT_MS))
    cleared = select(AlarmRow.id).where(AlarmRow.cleared_ms.is_not(None))
    newest = cleared.order_by(AlarmRow.cleared_ms.desc(), AlarmRow.id.desc())
    while surplus := session.scalars(newest.offset(KEPT_CLEARED).limit(500)).all():
        session.execute(delete(AlarmRow).where(AlarmRow.id.in_(surplus)))


def _find(session: Session, alarm_id: str, seen_by: Principal | None, *, lock: bool = False) -> AlarmRow:
    row = session.get(AlarmRow, alarm_id, with_for_update=lock) if is_id(alarm_id) else None
    if row is None or (seen_by is not None and not seen_by.allows(Permission.SEE, _place(session, row))):
        raise NotFound("alarm", alarm_id)
    return row


def _place(session: Session, row: AlarmRow) -> Place:
    if row.site is not None:
        return place_of_site(session, row.site) or Place()
    return Place() if row.agency is None else place_of_agency(row.agency)


def _row(alarm: Alarm) -> AlarmRow:
    values: dict[str, Any] = {name: getattr(alarm, name) for name in Alarm.__dataclass_fields__}
    return AlarmRow(**values | {"details": dict(alarm.details)})


def _alarm(row: AlarmRow) -> Alarm:
    return Alarm(**{name: getattr(row, name) for name in Alarm.__dataclass_fields__})
