# SPDX-License-Identifier: Apache-2.0
"""Sites of the registry: places with one time zone, each of one agency.

Invariant: a site's name stands in topics and is never changed; its agency, and with it who may see it, can be.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from control.access import Place, Principal
from control.audit import Trail, record
from control.checks import (
    check_name,
    check_pillars,
    check_position,
    check_tags,
    check_text,
    check_timezone,
    check_version,
    storable,
    tag_words,
)
from control.errors import Conflict, NotFound
from control.models import DeviceRow, SiteRow
from control.paging import Order, cut
from control.people_models import GrantRow, PersonRow
from control.places import default_agency, get_agency
from control.records import Site
from control.resources_models import ResourceRow
from control.sight import sites_seen
from control.suspensions import forget_suspensions
from control.weather_models import ForecastRow, RainHourRow
from gateway.topics import is_name

__all__ = ["SiteDetails", "change_site", "create_site", "delete_site", "get_site", "list_sites", "site_place"]

MAX_ACTIVITY: Final = 300  # characters
ORDER: Final = Order(
    SiteRow.name, {"name": SiteRow.name, "title": SiteRow.title, "created": SiteRow.created_ms}, "name", is_name
)


@dataclass(frozen=True, slots=True)
class SiteDetails:
    """What is said of a site beyond its name, title and time zone; see `control.records.Site`."""

    agency: str | None = None
    pillars: tuple[str, ...] = ()
    activity: str | None = None
    tags: tuple[str, ...] = ()
    position: tuple[float, float] | None = None


def create_site(
    session: Session,
    name: str,
    title: str,
    timezone: str,
    details: SiteDetails | None = None,
    *,
    now_ms: int,
    trail: Trail | None = None,
) -> Site:
    """Create a site.

    Parameters
    ----------
    details : SiteDetails or None
        Without an agency it belongs to the only one there is; with none, a first city and agency are made.

    Raises
    ------
    Invalid
        A field cannot be taken.
    NotFound
        There is no such agency.
    Conflict
        The name is in use.
    """
    trail, details = trail or Trail("tirta", "local", now_ms), details or SiteDetails()
    row = SiteRow(
        name=check_name("name", name),
        title=check_text("title", title),
        timezone=check_timezone(timezone),
        created_ms=now_ms,
        version=1,
    )
    if session.get(SiteRow, name) is not None:
        raise Conflict(f"site {name!r} is there already; choose another name")
    row.agency_key = default_agency(session, trail=trail) if details.agency is None else get_agency(session, details.agency).key
    _set_details(row, details)
    session.add(row)
    session.flush()
    record(session, trail, "site.create", f"site:{name}", place=site_place(row), after=_told(row))
    return _site(row)


def list_sites(
    session: Session,
    *,
    agency: str | None = None,
    tag: str | None = None,
    seen_by: Principal | None = None,
    sort: str | None = None,
    limit: int = 100,
    after: str | None = None,
) -> tuple[list[Site], str | None]:
    """Return sites, and the cursor of the next page if there is one."""
    query = select(SiteRow)
    if seen_by is not None:
        query = query.where(sites_seen(seen_by))
    if agency is not None:
        query = query.where(SiteRow.agency_key == (agency if storable(agency) else ""))
    if tag is not None:
        query = query.where(SiteRow.tags.contains(f" {tag} ", autoescape=True))
    return cut(session, query, ORDER, _site, sort=sort, limit=limit, after=after)


def get_site(session: Session, name: str, *, seen_by: Principal | None = None) -> Site:
    """Return the site of that name, if it may be seen."""
    return _site(_row(session, name, seen_by))


def change_site(
    session: Session,
    name: str,
    *,
    title: str | None = None,
    timezone: str | None = None,
    details: Mapping[str, Any] | None = None,
    version: int | None = None,
    trail: Trail,
) -> Site:
    """Change a site; None leaves as it is.

    Parameters
    ----------
    details : mapping or None
        Fields of `SiteDetails` to be changed.
    version : int or None
        The version that the change was made from; None does not ask.
    """
    row = _row(session, name)
    check_version(row, "site", version)
    before = _told(row)
    if title is not None:
        row.title = check_text("title", title)
    if timezone is not None and timezone != row.timezone:
        row.timezone = check_timezone(timezone)
        for device in session.scalars(select(DeviceRow).where(DeviceRow.site == name, DeviceRow.revoked_ms.is_(None))):
            device.config_due = True  # they are told their offset from UTC
    kept = _site(row)
    wanted = {field: getattr(kept, field) for field in SiteDetails.__dataclass_fields__} | dict(details or {})
    if wanted["agency"] != row.agency_key:
        row.agency_key = get_agency(session, wanted["agency"]).key
    _set_details(row, SiteDetails(**wanted))
    row.version += 1
    row.updated_ms, row.updated_by = trail.at_ms, trail.actor
    session.flush()
    record(session, trail, "site.change", f"site:{name}", place=site_place(row), before=before, after=_told(row))
    return _site(row)


def delete_site(session: Session, name: str, *, version: int | None = None, trail: Trail | None = None) -> None:
    """Delete a site that never had a device, and with it what was forecast for it and what was put off there.

    Raises
    ------
    Conflict
        It has, or had, devices; it has pumps or mains; or people or tokens have a role there.
    """
    row = _row(session, name)
    check_version(row, "site", version)
    if session.scalar(select(DeviceRow.key).where(DeviceRow.site == name).limit(1)) is not None:
        raise Conflict(f"site {name!r} has devices, or had some whose history is kept")
    if session.scalar(select(ResourceRow.key).where(ResourceRow.site == name).limit(1)) is not None:
        raise Conflict(f"site {name!r} has pumps or mains; delete them first")
    granted = select(GrantRow.id).where(GrantRow.scope_type == "site", GrantRow.scope_key == name).limit(1)
    home = select(PersonRow.id).where(PersonRow.home_type == "site", PersonRow.home_key == name).limit(1)
    if session.scalar(granted) is not None or session.scalar(home) is not None:
        raise Conflict(f"people or tokens have their home or a role at site {name!r}; change those first")
    trail = trail or Trail("tirta", "local", row.created_ms)
    record(session, trail, "site.delete", f"site:{name}", place=site_place(row), before=_told(row))
    for table in (ForecastRow, RainHourRow):  # what is nobody's else goes with it
        session.execute(delete(table).where(table.site == name))
    forget_suspensions(session, "site", name)
    session.delete(row)


def site_place(row: SiteRow) -> Place:
    """Return where a site's row is."""
    agency = row.agency_key or ""
    return Place(agency.partition(":")[0], agency, row.name)


def _set_details(row: SiteRow, details: SiteDetails) -> None:
    row.pillars = check_pillars(details.pillars)
    row.activity = None if details.activity is None else check_text("activity", details.activity, MAX_ACTIVITY)
    row.tags = check_tags(details.tags)
    row.longitude, row.latitude = check_position(details.position)


def _row(session: Session, name: str, seen_by: Principal | None = None) -> SiteRow:
    query = select(SiteRow).where(SiteRow.name == name)
    row = session.scalar(query if seen_by is None else query.where(sites_seen(seen_by))) if storable(name) else None
    if row is None:
        raise NotFound("site", name)
    return row


def _told(row: SiteRow) -> dict[str, Any]:
    site = _site(row)
    names = ("title", "timezone", *SiteDetails.__dataclass_fields__)
    return {name: list(value) if isinstance(value := getattr(site, name), tuple) else value for name in names}


def _site(row: SiteRow) -> Site:
    return Site(
        name=row.name,
        title=row.title,
        timezone=row.timezone,
        created_ms=row.created_ms,
        agency=row.agency_key or "",
        pillars=tuple(row.pillars or ()),
        activity=row.activity,
        tags=tag_words(row.tags),
        position=None if row.longitude is None or row.latitude is None else (row.longitude, row.latitude),
        version=row.version,
    )
