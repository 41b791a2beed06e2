# SPDX-License-Identifier: Apache-2.0
"""Schedules: what is to be done in a zone (`control.definitions`), under which version.

Invariants: a zone has at most one enabled schedule; every change makes a new version, and acts name the version they
follow, so that an act planned under one is never taken for an act of another; what had come under a version and was not
begun when it ended is in the ledger as skipped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from control.access import Place, Principal
from control.audit import Trail, record
from control.checks import storable
from control.conflicts import Conflicting, find_conflicts
from control.definitions import ZONE_TYPE_OF, AnyDefinition, parse_definition
from control.errors import Conflict, Invalid, NotFound, Stale
from control.holidays import list_holidays
from control.ids import is_id, new_id
from control.ledger import supersede
from control.models import ScheduleRow, SiteRow, ZoneRow
from control.paging import Order, cut
from control.records import Act, Schedule, Zone
from control.sentences import conflict_sentence
from control.sight import place_of_site, seen_devices
from control.starts import Whereabouts
from control.ticking import leave_out
from control.versions import end_version, keep_version
from control.zones import get_zone

__all__ = ["change_schedule", "create_schedule", "delete_schedule", "get_schedule", "list_conflicts", "list_schedules"]

ORDER: Final = Order(ScheduleRow.id, {"created": ScheduleRow.id, "updated": ScheduleRow.updated_ms}, "created", is_id)


def create_schedule(
    session: Session,
    zone_key: str,
    definition: Mapping[str, Any] | AnyDefinition,
    *,
    enabled: bool = True,
    now_ms: int,
    trail: Trail | None = None,
) -> Schedule:
    """Create a schedule of a zone.

    Raises
    ------
    NotFound
        There is no such zone.
    Invalid
        The definition does not fit, in itself (see `control.conflicts`) or for this type of zone.
    Conflict
        The zone has an enabled schedule already.
    """
    parsed = parse_definition(definition)
    _refuse_errors(list_conflicts(session, zone_key, parsed, now_ms=now_ms, enabled=False))
    row = ScheduleRow(
        id=new_id(now_ms),
        zone_key=zone_key,
        kind=parsed.type,
        version=1,
        enabled=enabled,
        definition=parsed.model_dump(mode="json"),
        created_ms=now_ms,
        updated_ms=now_ms,
        updated_by=None if trail is None else trail.actor,
    )
    if enabled:
        _only_enabled(session, row)
    session.add(row)
    session.flush()
    keep_version(session, row)
    _record(session, trail, "schedule.create", row, now_ms, after=_told(row))
    return _schedule(row)


def get_schedule(session: Session, schedule_id: str) -> Schedule:
    """Return the schedule."""
    return _schedule(_live(session, schedule_id))


def list_schedules(
    session: Session,
    *,
    zone_key: str | None = None,
    enabled: bool | None = None,
    seen_by: Principal | None = None,
    sort: str | None = None,
    limit: int = 100,
    after: str | None = None,
) -> tuple[list[Schedule], str | None]:
    """Return schedules, oldest first unless told otherwise, and the cursor of the next page if there is one."""
    query = select(ScheduleRow).where(ScheduleRow.deleted_ms.is_(None))
    if enabled is not None:
        query = query.where(ScheduleRow.enabled.is_(enabled))
    if (devices := seen_devices(seen_by)) is not None:
        query = query.where(ScheduleRow.zone_key.in_(select(ZoneRow.key).where(ZoneRow.device_key.in_(devices))))
    if zone_key is not None:
        query = query.where(ScheduleRow.zone_key == (zone_key if storable(zone_key) else ""))
    return cut(session, query, ORDER, _schedule, sort=sort, limit=limit, after=after)


def change_schedule(
    session: Session,
    schedule_id: str,
    *,
    definition: Mapping[str, Any] | AnyDefinition | None = None,
    enabled: bool | None = None,
    version: int | None = None,
    now_ms: int,
    trail: Trail | None = None,
    superseded: list[Act] | None = None,
) -> Schedule:
    """Change a schedule; None leaves as it is. The new version counts from now: no meal before now is given or missed.

    Parameters
    ----------
    version : int or None
        The version that the change was made from; another one there now is Stale. None does not ask.
    superseded : list of Act, optional
        Is given the acts that waited and are not to be any more, when this is committed.
    """
    row = _live(session, schedule_id)
    if version is not None and version != row.version:
        raise Stale("schedule", row.version, version, row.updated_by, row.updated_ms)
    before = _told(row)
    off = enabled is False and row.enabled
    cause = "its schedule was switched off" if off else f"version {row.version + 1} of its schedule took its place"
    _end_acts(session, row, cause, trail, now_ms, superseded)
    if definition is not None:
        parsed = parse_definition(definition)
        if parsed.type != row.kind:
            raise Invalid("definition.type", f"this schedule is for {row.kind}; create another one for {parsed.type}")
        _refuse_errors(list_conflicts(session, row.zone_key, parsed, now_ms=now_ms, enabled=False))
        row.definition = parsed.model_dump(mode="json")
    if enabled is not None:
        row.enabled = enabled
    if row.enabled:
        _only_enabled(session, row)
    row.version += 1
    row.updated_ms = now_ms
    row.updated_by = None if trail is None else trail.actor
    session.flush()
    keep_version(session, row)
    _record(session, trail, "schedule.change", row, now_ms, before=before, after=_told(row))
    return _schedule(row)


def delete_schedule(
    session: Session,
    schedule_id: str,
    *,
    version: int | None = None,
    now_ms: int,
    trail: Trail | None = None,
    superseded: list[Act] | None = None,
) -> None:
    """Delete a schedule; its acts and decisions stay. `version` and `superseded` as with `change_schedule`."""
    row = _live(session, schedule_id)
    if version is not None and version != row.version:
        raise Stale("schedule", row.version, version, row.updated_by, row.updated_ms)
    _end_acts(session, row, "its schedule was deleted", trail, now_ms, superseded)
    end_version(session, row.id, now_ms)
    row.deleted_ms = now_ms
    _record(session, trail, "schedule.delete", row, now_ms, before=_told(row))


def _end_acts(
    session: Session, row: ScheduleRow, cause: str, trail: Trail | None, now_ms: int, superseded: list[Act] | None
) -> None:
    """End what the version that is there has planned and not handed over, and keep what had come and did not begin."""
    actor = "tirta" if trail is None else trail.actor
    ended = supersede(session, f"schedule:{row.id}", cause, actor, now_ms=now_ms)
    ended += leave_out(session, row.zone_key, now_ms)
    if superseded is not None:
        superseded += ended


def list_conflicts(
    session: Session,
    zone_key: str,
    definition: AnyDefinition,
    *,
    now_ms: int,
    schedule_id: str | None = None,
    enabled: bool = True,
) -> list[Conflicting]:
    """Return what conflicts in a schedule of a zone, saved or to be saved, errors first; see `control.conflicts`.

    Parameters
    ----------
    schedule_id : str or None
        The schedule itself, where it is saved already.
    enabled : bool
        Whether it is to be followed: then another one that is stands in its way.

    Raises
    ------
    NotFound
        There is no such zone.
    Invalid
        It is not for this type of zone.
    """
    zone = get_zone(session, zone_key)
    if ZONE_TYPE_OF[definition.type] != zone.type:
        raise Invalid(
            "definition.type", f"zone {zone_key} is a {zone.type}; {definition.type} is for a {ZONE_TYPE_OF[definition.type]}"
        )
    others: list[Schedule] = []
    if enabled:
        query = select(ScheduleRow).where(
            ScheduleRow.zone_key == zone_key,
            ScheduleRow.enabled,
            ScheduleRow.deleted_ms.is_(None),
            ScheduleRow.id != (schedule_id or ""),
        )
        others = [_schedule(row) for row in session.scalars(query)]
    return find_conflicts(definition, zone, _whereabouts(session, zone), now_ms=now_ms, others=others)


def _whereabouts(session: Session, zone: Zone) -> Whereabouts:
    site = session.get_one(SiteRow, zone.site)
    holidays = frozenset(one.day for one in list_holidays(session, site.agency_key)) if site.agency_key else frozenset()
    return Whereabouts(ZoneInfo(site.timezone), site.latitude, site.longitude, holidays)


def _refuse_errors(conflicts: Sequence[Conflicting]) -> None:
    told = [(one.field, conflict_sentence(one, "en")) for one in conflicts if one.severity == "error"]
    if told:
        (field, detail), *more = told
        raise Invalid(field, detail, more)


def _told(row: ScheduleRow) -> dict[str, Any]:
    return {"zone": row.zone_key, "enabled": row.enabled, "definition": dict(row.definition)}


def _record(
    session: Session,
    trail: Trail | None,
    action: str,
    row: ScheduleRow,
    now_ms: int,
    *,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    place = place_of_site(session, row.zone_key.partition(":")[0]) or Place()
    trail = trail or Trail("tirta", "local", now_ms)
    record(session, trail, action, f"schedule:{row.id}", place=place, before=before, after=after)


def _only_enabled(session: Session, row: ScheduleRow) -> None:
    query = select(ScheduleRow.id).where(
        ScheduleRow.zone_key == row.zone_key,
        ScheduleRow.enabled,
        ScheduleRow.deleted_ms.is_(None),
        ScheduleRow.id != row.id,
    )
    with session.no_autoflush:
        other = session.scalar(query)
    if other is not None:
        raise Conflict(f"zone {row.zone_key} has the enabled schedule {other}; change or disable that one")


def _live(session: Session, schedule_id: str) -> ScheduleRow:
    row = session.get(ScheduleRow, schedule_id) if is_id(schedule_id) else None
    if row is None or row.deleted_ms is not None:
        raise NotFound("schedule", schedule_id)
    return row


def _schedule(row: ScheduleRow) -> Schedule:
    return Schedule(row.id, row.zone_key, row.kind, row.version, row.enabled, row.definition, row.created_ms, row.updated_ms)
