# SPDX-License-Identifier: Apache-2.0
"""Suspensions: what people put off: a pause, a rain delay, the next planned moment of a zone.

A pause holds whatever a schedule asks for in a zone, or in all zones of a site, agency or city; a rain delay holds watering
alone; a skip leaves out one planned moment. What is under way goes on, and what a person asks for by hand is not held.
Invariant: at one place at most one pause and one rain delay is open; a new one takes the other's place.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Literal, cast

from sqlalchemy import ColumnElement, delete, or_, select
from sqlalchemy.orm import Session

from control.access import Permission, Place, Principal, Scope
from control.checks import storable
from control.errors import Invalid, NotFound
from control.ids import is_id
from control.models import AgencyRow, CityRow, DeviceRow, SiteRow, ZoneRow
from control.paging import Order, cut
from control.records import Suspension
from control.sight import agencies_seen, check, check_scope, cities_seen, place_of_scope, place_of_site, seen_sites
from control.suspensions_models import OPEN_SUSPENSIONS, SuspensionRow
from control.zones import get_zone

__all__ = [
    "KINDS",
    "SCOPES",
    "Kind",
    "On",
    "forget_suspensions",
    "get_suspension",
    "list_suspensions",
    "parse_on",
    "place_of",
    "suspension_on",
    "suspension_record",
    "suspension_row",
    "zones_of",
]

Kind = Literal["pause", "rain-delay", "skip"]
ScopeName = Literal["zone", "site", "agency", "city"]

KINDS: Final = ("pause", "rain-delay", "skip")
SCOPES: Final = ("zone", "site", "agency", "city")
ORDER: Final = Order(SuspensionRow.id, {"begun": SuspensionRow.id}, "-begun", is_id)


@dataclass(frozen=True, slots=True)
class On:
    """Of what: `scope` is "zone", "site", "agency" or "city", and `key` its id."""

    scope: ScopeName
    key: str

    def __str__(self) -> str:
        return f"{self.scope}:{self.key}"


def parse_on(text: str) -> On:
    """Return what "zone:SITE:DEVICE:NUMBER", "site:NAME", "agency:CITY:NAME" or "city:NAME" names; Invalid where nothing."""
    scope, _, key = text.partition(":")
    if scope not in SCOPES or not key or not storable(key):
        raise Invalid("on", "zone:SITE:DEVICE:NUMBER, site:NAME, agency:CITY:NAME or city:NAME")
    return On(cast("ScopeName", scope), key)


def place_of(session: Session, on: On, seen_by: Principal | None, permission: Permission = Permission.SCHEDULE) -> Place:
    """Return the place of a zone, site, agency or city, if the principal may do this in all of it; None may everything.

    Raises
    ------
    NotFound
        It is not there, or may not be seen.
    NotAllowed
        It may be seen, and no more.
    """
    if on.scope == "zone":
        zone = get_zone(session, on.key)
        if seen_by is not None:
            return check(session, seen_by, permission, zone.site, "zone", on.key)
        return place_of_site(session, zone.site) or Place()
    scope = Scope(on.scope, on.key)
    return place_of_scope(session, scope) if seen_by is None else check_scope(session, seen_by, permission, scope)


def get_suspension(session: Session, suspension_id: str, *, seen_by: Principal | None = None) -> Suspension:
    """Return what was put off, if it may be seen."""
    return suspension_record(suspension_row(session, suspension_id, seen_by))


def list_suspensions(
    session: Session,
    *,
    on: On | None = None,
    kind: str | None = None,
    is_open: bool | None = None,
    seen_by: Principal | None = None,
    sort: str | None = None,
    limit: int = 100,
    after: str | None = None,
) -> tuple[list[Suspension], str | None]:
    """Return what was put off, the latest first unless told otherwise, and the cursor of the next page if there is one."""
    query = select(SuspensionRow)
    if (seen := _seen(seen_by)) is not None:
        query = query.where(seen)
    if on is not None:
        query = query.where(SuspensionRow.scope == on.scope, SuspensionRow.key == on.key)
    if kind is not None:
        query = query.where(SuspensionRow.kind == kind)
    if is_open is not None:
        query = query.where(OPEN_SUSPENSIONS if is_open else SuspensionRow.ended_ms.is_not(None))
    return cut(session, query, ORDER, suspension_record, sort=sort, limit=limit, after=after)


def forget_suspensions(session: Session, scope: ScopeName, key: str) -> None:
    """Forget what was put off at a place that is deleted: another one of its name begins anew."""
    session.execute(delete(SuspensionRow).where(SuspensionRow.scope == scope, SuspensionRow.key == key))


def zones_of(session: Session, row: SuspensionRow, among: Collection[str] = ()) -> list[tuple[str, str]]:
    """Return the zones that a suspension holds, each with the time zone of its site.

    Parameters
    ----------
    among : collection of str
        Only of these zones, at most a page of them; of all where it is empty.
    """
    query = (
        select(ZoneRow.key, SiteRow.timezone)
        .join(DeviceRow, DeviceRow.key == ZoneRow.device_key)
        .join(SiteRow, SiteRow.name == DeviceRow.site)
    )
    where = {
        "zone": ZoneRow.key == row.key,
        "site": SiteRow.name == row.key,
        "agency": SiteRow.agency_key == row.key,
        "city": SiteRow.agency_key.startswith(f"{row.key}:", autoescape=True),
    }[row.scope]
    if row.kind == "rain-delay":
        query = query.where(ZoneRow.type == "bed")
    if among:
        query = query.where(ZoneRow.key.in_(among))
    return [(key, timezone) for key, timezone in session.execute(query.where(where))]


def suspension_record(row: SuspensionRow) -> Suspension:
    """Return the record of a row."""
    return Suspension(
        id=row.id,
        kind=row.kind,
        on=f"{row.scope}:{row.key}",
        site=row.site,
        begun_ms=row.begun_ms,
        until_ms=row.until_ms,
        note=row.note,
        actor=row.actor,
        ended_ms=row.ended_ms,
        ended_by=row.ended_by,
        ending=row.ending,
    )


def suspension_on(row: SuspensionRow) -> On:
    return On(cast("ScopeName", row.scope), row.key)


def suspension_row(session: Session, suspension_id: str, seen_by: Principal | None) -> SuspensionRow:
    """Return the row of what was put off, if it may be seen."""
    row = None
    if is_id(suspension_id):
        query = select(SuspensionRow).where(SuspensionRow.id == suspension_id)
        seen = _seen(seen_by)
        row = session.scalar(query if seen is None else query.where(seen))
    if row is None:
        raise NotFound("suspension", suspension_id)
    return row


def _seen(principal: Principal | None) -> ColumnElement[bool] | None:
    """Return the condition on what may be seen: at a site that may be, or above one; None where that is all."""
    sites = seen_sites(principal)
    if principal is None or sites is None:
        return None
    agencies, cities = select(AgencyRow.key).where(agencies_seen(principal)), select(CityRow.name).where(cities_seen(principal))
    return or_(
        SuspensionRow.site.in_(sites),
        (SuspensionRow.scope == "agency") & SuspensionRow.key.in_(agencies),
        (SuspensionRow.scope == "city") & SuspensionRow.key.in_(cities),
    )
