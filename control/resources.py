# SPDX-License-Identifier: Apache-2.0
"""Pumps, mains and supplies that the beds of a site share, and what each can take.

Invariant: a resource and all its zones are of one site; what is said here binds planned acts and those by hand alike, from
the next tick on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from control.access import Principal
from control.audit import Trail, record
from control.checks import check_name, check_number, check_text, check_version, is_pair, storable
from control.errors import Conflict, Invalid, NotFound
from control.models import DeviceRow, ZoneRow
from control.paging import Order, cut
from control.records import SharedResource
from control.resources_models import ResourceRow, ResourceZoneRow
from control.sight import place_of_site, seen_sites
from control.sites import get_site

__all__ = [
    "KINDS",
    "ResourceDetails",
    "change_resource",
    "create_resource",
    "delete_resource",
    "get_resource",
    "list_resources",
]

KINDS: Final = ("pump", "main", "supply")
MAX_FLOW: Final = 1e6  # [L min-1]
MAX_ZONES: Final = 1000  # of one resource
MAX_RESOURCES: Final = 200  # of one site
MAX_SHARED: Final = 8  # resources of one zone: from its valve to the well
MAX_REST_S: Final = 86_400  # [s]
ORDER: Final = Order(
    ResourceRow.key, {"id": ResourceRow.key, "title": ResourceRow.title, "created": ResourceRow.created_ms}, "id", is_pair
)


@dataclass(frozen=True, slots=True)
class ResourceDetails:
    """What is said of a resource beside its name and title; see `control.records.SharedResource`."""

    kind: Literal["pump", "main", "supply"] = "pump"
    max_flow_l_min: float | None = None
    max_zones: int | None = None
    min_rest_s: int = 0
    zones: tuple[str, ...] = ()


def create_resource(
    session: Session, site: str, name: str, title: str, details: ResourceDetails | None = None, *, trail: Trail
) -> SharedResource:
    """Create a resource of a site.

    Raises
    ------
    NotFound
        There is no such site.
    Invalid
        A field cannot be taken; of a zone that is none of the site's beds, say.
    Conflict
        The name is in use, or the site has as many as it may have.
    """
    get_site(session, site)
    key = f"{site}:{check_name('name', name)}"
    if session.get(ResourceRow, key) is not None:
        raise Conflict(f"resource {key!r} is there already; choose another name")
    if (session.scalar(select(func.count()).where(ResourceRow.site == site)) or 0) >= MAX_RESOURCES:
        raise Conflict(f"site {site!r} has {MAX_RESOURCES} resources, as many as there may be; delete one first")
    row = ResourceRow(key=key, site=site, name=name, title=check_text("title", title), created_ms=trail.at_ms, version=1)
    details = details or ResourceDetails()
    _set(row, details)
    session.add(row)
    session.flush()
    _set_zones(session, row, details.zones)
    made = _one(session, row)
    record(session, trail, "resource.create", f"resource:{key}", place=place_of_site(session, site), after=_told(made))
    return made


def list_resources(
    session: Session,
    *,
    site: str | None = None,
    zone: str | None = None,
    seen_by: Principal | None = None,
    sort: str | None = None,
    limit: int = 100,
    after: str | None = None,
) -> tuple[list[SharedResource], str | None]:
    """Return resources, by site and name unless told otherwise, and the cursor of the next page if there is one.

    Parameters
    ----------
    zone : str or None
        Only those that the zone of that key shares.
    """
    query = select(ResourceRow)
    if (names := seen_sites(seen_by)) is not None:
        query = query.where(ResourceRow.site.in_(names))
    if site is not None:
        query = query.where(ResourceRow.site == (site if storable(site) else ""))
    if zone is not None:
        of_zone = select(ResourceZoneRow.resource_key).where(ResourceZoneRow.zone_key == (zone if storable(zone) else ""))
        query = query.where(ResourceRow.key.in_(of_zone))
    rows, cursor = cut(session, query, ORDER, lambda row: row, sort=sort, limit=limit, after=after)
    zones = _zones(session, [row.key for row in rows])
    return [_record(row, zones.get(row.key, ())) for row in rows], cursor


def get_resource(session: Session, key: str) -> SharedResource:
    """Return the resource."""
    return _one(session, _row(session, key))


def change_resource(
    session: Session,
    key: str,
    *,
    title: str | None = None,
    details: Mapping[str, Any] | None = None,
    version: int | None = None,
    trail: Trail,
) -> SharedResource:
    """Change a resource; None leaves as it is. What waits for it is looked at anew with the next tick.

    Parameters
    ----------
    details : mapping or None
        Fields of `ResourceDetails` to be changed; `zones` replaces them all.
    version : int or None
        The version that the change was made from; None does not ask.
    """
    row = _row(session, key)
    check_version(row, "resource", version)
    before = _one(session, row)
    if title is not None:
        row.title = check_text("title", title)
    kept = {field: getattr(before, field) for field in ResourceDetails.__dataclass_fields__}
    wanted = ResourceDetails(**(kept | dict(details or {})))
    _set(row, wanted)
    if wanted.zones != before.zones:
        _set_zones(session, row, wanted.zones)
    row.version += 1
    row.updated_ms, row.updated_by = trail.at_ms, trail.actor
    session.flush()
    after, place = _one(session, row), place_of_site(session, row.site)
    record(session, trail, "resource.change", f"resource:{key}", place=place, before=_told(before), after=_told(after))
    return after


def delete_resource(session: Session, key: str, *, version: int | None = None, trail: Trail) -> None:
    """Delete a resource; its zones are bound by it no longer."""
    row = _row(session, key)
    check_version(row, "resource", version)
    before = _one(session, row)
    session.execute(delete(ResourceZoneRow).where(ResourceZoneRow.resource_key == key))
    session.delete(row)
    place = place_of_site(session, row.site)
    record(session, trail, "resource.delete", f"resource:{key}", place=place, before=_told(before))


def _set(row: ResourceRow, details: ResourceDetails) -> None:
    if details.kind not in KINDS:
        raise Invalid("kind", f"one of {', '.join(KINDS)}")
    if details.max_flow_l_min is not None:
        check_number("max_flow_l_min", details.max_flow_l_min, 0.0, MAX_FLOW)
    if details.max_zones is not None and not 1 <= details.max_zones <= MAX_ZONES:
        raise Invalid("max_zones", f"1 to {MAX_ZONES}")
    if not 0 <= details.min_rest_s <= MAX_REST_S:
        raise Invalid("min_rest_s", f"0 to {MAX_REST_S}")
    row.kind, row.max_flow_l_min = details.kind, details.max_flow_l_min
    row.max_zones, row.min_rest_s = details.max_zones, details.min_rest_s


def _set_zones(session: Session, row: ResourceRow, zones: Sequence[str]) -> None:
    wanted = sorted(set(zones))
    if len(wanted) > MAX_ZONES:
        raise Invalid("zones", f"at most {MAX_ZONES}")
    beds = set(
        session.scalars(
            select(ZoneRow.key)
            .join(DeviceRow, DeviceRow.key == ZoneRow.device_key)
            .where(DeviceRow.site == row.site, ZoneRow.type == "bed")
        )
    )
    session.execute(delete(ResourceZoneRow).where(ResourceZoneRow.resource_key == row.key))
    session.flush()
    shared = dict(
        session.execute(
            select(ResourceZoneRow.zone_key, func.count())
            .join(ResourceRow, ResourceRow.key == ResourceZoneRow.resource_key)
            .where(ResourceRow.site == row.site)
            .group_by(ResourceZoneRow.zone_key)
        ).all()
    )
    for index, zone in enumerate(wanted):
        if zone not in beds:
            raise Invalid(f"zones.{index}", f"{zone[:200]!r} is no bed of site {row.site!r}")
        if shared.get(zone, 0) >= MAX_SHARED:
            raise Invalid(f"zones.{index}", f"{zone!r} shares {MAX_SHARED} resources already, as many as it may")
    session.add_all(ResourceZoneRow(resource_key=row.key, zone_key=zone) for zone in wanted)
    session.flush()


def _row(session: Session, key: str) -> ResourceRow:
    row = session.get(ResourceRow, key) if storable(key) else None
    if row is None:
        raise NotFound("resource", key)
    return row


def _one(session: Session, row: ResourceRow) -> SharedResource:
    return _record(row, _zones(session, [row.key]).get(row.key, ()))


def _zones(session: Session, keys: Sequence[str]) -> dict[str, tuple[str, ...]]:
    query = select(ResourceZoneRow).where(ResourceZoneRow.resource_key.in_(keys)).order_by(ResourceZoneRow.zone_key)
    found: dict[str, list[str]] = {}
    for row in session.scalars(query):
        found.setdefault(row.resource_key, []).append(row.zone_key)
    return {key: tuple(sorted(zones)) for key, zones in found.items()}


def _told(resource: SharedResource) -> dict[str, Any]:
    told = {name: getattr(resource, name) for name in ("title", *ResourceDetails.__dataclass_fields__)}
    return told | {"zones": list(resource.zones)}


def _record(row: ResourceRow, zones: Sequence[str]) -> SharedResource:
    return SharedResource(
        key=row.key,
        site=row.site,
        name=row.name,
        title=row.title,
        kind=row.kind,  # type: ignore[arg-type]
        max_flow_l_min=row.max_flow_l_min,
        max_zones=row.max_zones,
        min_rest_s=row.min_rest_s,
        zones=tuple(zones),
        created_ms=row.created_ms,
        version=row.version,
    )
