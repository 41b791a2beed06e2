# SPDX-License-Identifier: Apache-2.0
"""The book of alarms: what is or was wrong, since when, until when, and who has seen it.

Invariants: an alarm is raised and cleared by its cause alone, never by a person; of each code and subject at most one is open.
What a person does with it, having seen it, is the only thing that people change. What is cleared is kept for 90 days, the
newest 20,000 of it. What the database could not take yet is `held` by the keeper of alarms: whoever lists or shows alarms hands
it in, and it counts before what the database has.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from control.access import Permission, Place, Principal
from control.alarms_models import AlarmRow
from control.audit import Trail, record
from control.checks import storable
from control.database import in_parts
from control.errors import NotAllowed, NotFound, NotWritten, Stale
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
    bytewise=True,
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
    held: Sequence[Alarm] = (),
) -> tuple[list[Alarm], str | None]:
    """Return alarms, and the cursor of the next page if there is one.

    Parameters
    ----------
    is_open, seen : bool or None
        Only those that are open (True) or cleared; that somebody has seen, or nobody.
    seen_by : Principal or None
        Only what this one may see; None is Tirta itself and sees all.
    held : sequence of Alarm
        What waits for the database, taken before the session began; belongs to the list as it stands there.
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
    beside: list[AlarmRow] = []
    if held:
        known, now = _joined(session, held)
        query = query.where(AlarmRow.id.not_in(known))
        wanted = {"code": code, "subject": subject, "severity": severity}
        chosen = [alarm for alarm in now if _matches(alarm, wanted, is_open, seen)]
        beside = [_row(alarm) for alarm in _visible(session, chosen, seen_by)]
    return cut(session, query, ORDER, _alarm, sort=sort, limit=limit, after=after, beside=beside)


def get_alarm(session: Session, alarm_id: str, *, seen_by: Principal | None = None, held: Sequence[Alarm] = ()) -> Alarm:
    """Return one alarm; `held` as for `list_alarms`.

    Raises
    ------
    NotFound
        There is no such alarm, or it may not be seen.
    """
    _, waiting = _joined(session, [alarm for alarm in held if alarm.id == alarm_id])
    if waiting and _visible(session, waiting, seen_by):
        return waiting[0]
    return _alarm(_find(session, alarm_id, seen_by))


def mark_seen(
    session: Session,
    alarm_id: str,
    *,
    now_ms: int,
    trail: Trail,
    version: int | None = None,
    seen_by: Principal | None = None,
    held: Sequence[Alarm] = (),
) -> tuple[Alarm, bool]:
    """Note that somebody has seen an alarm and takes care of it; return it, and whether that is new.

    The first who did is named; whoever says it again changes nothing.

    Raises
    ------
    NotFound, NotAllowed
        It is not there or may not be seen; it may be seen, and no more.
    Stale
        Somebody has seen it since the version that the change is made from.
    NotWritten
        It is `held`, and the database does not have it yet.
    """
    try:
        row = _find(session, alarm_id, seen_by, lock=True)
    except NotFound as exc:
        waiting = _visible(session, [alarm for alarm in held if alarm.id == alarm_id], seen_by)
        if not waiting:
            raise
        if not _visible(session, waiting, seen_by, Permission.ATTEND):
            raise NotAllowed(Permission.ATTEND) from exc
        raise NotWritten from exc
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


def _joined(session: Session, held: Sequence[Alarm]) -> tuple[list[str], list[Alarm]]:
    """Return which of the held alarms the database knows, and all of them with who has seen them."""
    seen: dict[str, tuple[int | None, str | None]] = {}
    columns = select(AlarmRow.id, AlarmRow.seen_ms, AlarmRow.seen_by)
    for part in in_parts(alarm.id for alarm in held):
        for key, seen_ms, by in session.execute(columns.where(AlarmRow.id.in_(part))):
            seen[key] = (seen_ms, by)
    now = [alarm if (of := seen.get(alarm.id)) is None else replace(alarm, seen_ms=of[0], seen_by=of[1]) for alarm in held]
    return list(seen), now


def _matches(alarm: Alarm, wanted: Mapping[str, str | None], is_open: bool | None, seen: bool | None) -> bool:
    return (
        all(value is None or getattr(alarm, name) == value for name, value in wanted.items())
        and is_open in (None, alarm.cleared_ms is None)
        and seen in (None, alarm.seen_ms is not None)
    )


def _visible(
    session: Session, alarms: Iterable[Alarm], principal: Principal | None, permission: Permission = Permission.SEE
) -> list[Alarm]:
    """Return those of some alarms for whose place the principal has a permission."""
    if principal is None or principal.everywhere(permission):
        return list(alarms)
    allowed: dict[tuple[str | None, str | None], bool] = {}
    found = []
    for alarm in alarms:
        where = (alarm.site, alarm.agency)
        if where not in allowed:
            allowed[where] = principal.allows(permission, _place(session, alarm))
        if allowed[where]:
            found.append(alarm)
    return found


def _place(session: Session, row: AlarmRow | Alarm) -> Place:
    if row.site is not None:
        return place_of_site(session, row.site) or Place()
    return Place() if row.agency is None else place_of_agency(row.agency)


def _row(alarm: Alarm) -> AlarmRow:
    values: dict[str, Any] = {name: getattr(alarm, name) for name in Alarm.__dataclass_fields__}
    return AlarmRow(**values | {"details": dict(alarm.details)})


def _alarm(row: AlarmRow) -> Alarm:
    return Alarm(**{name: getattr(row, name) for name in Alarm.__dataclass_fields__})
