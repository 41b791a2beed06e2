# SPDX-License-Identifier: Apache-2.0
"""The zones of the registry: beds, ponds and measuring points.

Invariant: a zone belongs to one device for ever and is known by the device's key and its number.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from typing import Any

from sqlalchemy import select, tuple_
from sqlalchemy.orm import Session

from control.access import Principal
from control.audit import Trail, record
from control.checks import check_limit, check_number, check_tags, check_text, check_version, storable, tag_words
from control.errors import Invalid, NotFound
from control.models import DeviceRow, ZoneRow
from control.paging import Order
from control.records import ZONE_TYPES, Zone, ZoneParameters, ZoneSpec
from control.sight import place_of_site, seen_sites
from gateway.payloads import MAX_ZONE

__all__ = ["add_zones", "change_zone", "get_zone", "list_zones", "zone_numbers", "zone_record"]

LIMITS = {  # the largest value of each parameter, all above 0
    "area_m2": 1e6,
    "root_depth_m": 10.0,
    "flow_l_min": 1e5,
    "grams_per_s": 1e5,
    "max_seconds": 86400,
    "litres_day": 1e6,
    "grams_day": 1e6,
    "flow_within_s": 3600,
}
ORDER = Order(ZoneRow.key, {"title": ZoneRow.title}, "title")  # besides that of device and number
REQUIRED = ("max_seconds", "litres_day", "grams_day", "flow_within_s")  # limits are never absent

PARAMETERS = tuple(getattr(ZoneRow, item.name) for item in fields(ZoneParameters))
# A page of a thousand is read as plain columns, past the mapper: with its objects it takes four times as long.
SHOWN = (
    ZoneRow.key,
    DeviceRow.site,
    DeviceRow.name,
    ZoneRow.number,
    ZoneRow.title,
    ZoneRow.type,
    ZoneRow.tags,
    ZoneRow.version,
)
COLUMNS = (*SHOWN, *PARAMETERS)


def add_zones(session: Session, device_key: str, zones: Iterable[ZoneSpec]) -> None:
    """Create the zones of a new device."""
    seen: set[int] = set()
    for index, spec in enumerate(zones):
        if not 1 <= spec.number <= MAX_ZONE or spec.number in seen:
            raise Invalid(f"zones.{index}.number", f"1 to {MAX_ZONE}, each once")
        if spec.type not in ZONE_TYPES:
            raise Invalid(f"zones.{index}.type", f"one of {', '.join(ZONE_TYPES)}")
        seen.add(spec.number)
        _check(spec.parameters, f"zones.{index}.")
        session.add(
            ZoneRow(
                key=f"{device_key}:{spec.number}",
                device_key=device_key,
                number=spec.number,
                title=check_text(f"zones.{index}.title", spec.title),
                type=spec.type,
                version=1,
                **asdict(spec.parameters),
            )
        )


def list_zones(
    session: Session,
    *,
    site: str | None = None,
    device: str | None = None,
    tag: str | None = None,
    seen_by: Principal | None = None,
    sort: str | None = None,
    limit: int = 100,
    after: str | None = None,
) -> tuple[list[Zone], str | None]:
    """Return zones in the order of their device and number, revoked devices' left out, and the next cursor.

    Parameters
    ----------
    device : str or None
        A device's key, "{site}:{device}".
    sort : str or None
        "title", "-title", or None for the order of device and number.
    after : str or None
        The cursor of the page before.
    """
    plain = sort is None
    query = select(*COLUMNS) if plain else select(ZoneRow)
    query = query.join(DeviceRow, DeviceRow.key == ZoneRow.device_key).where(DeviceRow.revoked_ms.is_(None))
    if site is not None:
        query = query.where(DeviceRow.site == (site if storable(site) else ""))
    if device is not None:
        query = query.where(ZoneRow.device_key == (device if storable(device) else ""))
    if tag is not None:
        query = query.where(ZoneRow.tags.contains(f" {tag} ", autoescape=True))
    if (names := seen_sites(seen_by)) is not None:
        query = query.where(DeviceRow.site.in_(names))
    if sort is not None:
        rows = session.scalars(ORDER.apply(query, sort, limit, after)).all()
        return [zone_record(row) for row in rows[:limit]], ORDER.cursor(rows[limit - 1], sort) if len(rows) > limit else None
    query = query.order_by(ZoneRow.device_key, ZoneRow.number).limit(check_limit(limit) + 1)
    if after is not None:
        query = query.where(tuple_(ZoneRow.device_key, ZoneRow.number) > _cursor(after))
    rows = session.connection().execute(query).all()
    zones = [
        Zone(key, site_name, name, number, title, zone_type, ZoneParameters(*values), tag_words(tags), version)
        for key, site_name, name, number, title, zone_type, tags, version, *values in rows[:limit]
    ]
    return zones, zones[-1].key if len(rows) > limit else None


def get_zone(session: Session, key: str) -> Zone:
    """Return the zone, if its device is not revoked."""
    return zone_record(_live_row(session, key))


def change_zone(
    session: Session,
    key: str,
    *,
    title: str | None = None,
    parameters: ZoneParameters | None = None,
    tags: Sequence[str] | None = None,
    version: int | None = None,
    trail: Trail | None = None,
) -> Zone:
    """Change a zone's title, parameters or tags; None leaves as it is. Its device is told its new limits.

    Parameters
    ----------
    version : int or None
        The version that the change was made from; None does not ask.
    """
    row = _live_row(session, key)
    check_version(row, "zone", version)
    device = session.get_one(DeviceRow, row.device_key)
    before = _told(row)
    if title is not None:
        row.title = check_text("title", title)
    if tags is not None:
        row.tags = check_tags(tags)
    if parameters is not None:
        _check(parameters, "")
        for name, value in asdict(parameters).items():
            setattr(row, name, value)
        device.config_due = True
    row.version += 1
    trail = trail or Trail("tirta", "local", device.created_ms)
    row.updated_ms, row.updated_by = trail.at_ms, trail.actor
    session.flush()
    place = place_of_site(session, device.site)
    record(session, trail, "zone.change", f"zone:{key}", place=place, before=before, after=_told(row))
    return zone_record(row)


def zone_record(row: ZoneRow) -> Zone:
    """Return the record of a row."""
    site, device, _ = row.key.split(":")
    values: dict[str, Any] = {item.name: getattr(row, item.name) for item in fields(ZoneParameters)}
    return Zone(
        key=row.key,
        site=site,
        device=device,
        number=row.number,
        title=row.title,
        type=row.type,  # type: ignore[arg-type]
        parameters=ZoneParameters(**values),
        tags=tag_words(row.tags),
        version=row.version,
    )


def _told(row: ZoneRow) -> dict[str, Any]:
    zone = zone_record(row)
    return {"title": zone.title, "tags": list(zone.tags), **asdict(zone.parameters)}


def _live_row(session: Session, key: str) -> ZoneRow:
    row = session.get(ZoneRow, key) if storable(key) else None
    if row is None or session.get_one(DeviceRow, row.device_key).revoked_ms is not None:
        raise NotFound("zone", key)
    return row


def zone_numbers(session: Session, device_key: str | None = None) -> dict[str, list[int]]:
    """Return the numbers of every device's zones, or of one device's, by the device's key."""
    query = select(ZoneRow.device_key, ZoneRow.number)
    if device_key is not None:
        query = query.where(ZoneRow.device_key == device_key)
    found: dict[str, list[int]] = {}
    for key, number in session.execute(query):
        found.setdefault(key, []).append(number)
    return found


def _check(parameters: ZoneParameters, prefix: str) -> None:
    for name, value in asdict(parameters).items():
        if value is not None:
            check_number(prefix + name, value, 0.0, LIMITS[name])
        elif name in REQUIRED:
            raise Invalid(prefix + name, f"a number above 0, up to {LIMITS[name]:g}")


def _cursor(after: str) -> tuple[str, int]:
    device, _, number = after.rpartition(":")
    if not storable(device) or not number.isdecimal() or len(number) > 4:
        raise Invalid("after", "the value of `next` in the answer before")
    return device, int(number)
