# SPDX-License-Identifier: Apache-2.0
"""The zones of the registry: beds, ponds and measuring points.

Invariant: a zone belongs to one device for ever and is known by the device's key and its number.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, fields
from typing import Any

from sqlalchemy import select, tuple_
from sqlalchemy.orm import Session

from control.checks import check_limit, check_number, check_text, storable
from control.errors import Invalid, NotFound
from control.models import DeviceRow, ZoneRow
from control.records import ZONE_TYPES, Zone, ZoneParameters, ZoneSpec
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
}
REQUIRED = ("max_seconds", "litres_day", "grams_day")  # limits are never absent

PARAMETERS = tuple(getattr(ZoneRow, item.name) for item in fields(ZoneParameters))
# A page of a thousand is read as plain columns, past the mapper: with its objects it takes four times as long.
COLUMNS = (ZoneRow.key, DeviceRow.site, DeviceRow.name, ZoneRow.number, ZoneRow.title, ZoneRow.type, *PARAMETERS)


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
                **asdict(spec.parameters),
            )
        )


def list_zones(
    session: Session, *, site: str | None = None, device: str | None = None, limit: int = 100, after: str | None = None
) -> tuple[list[Zone], str | None]:
    """Return zones in the order of their device and number, revoked devices' left out, and the next cursor.

    Parameters
    ----------
    device : str or None
        A device's key, "{site}:{device}".
    after : str or None
        The cursor of the page before.
    """
    query = (
        select(*COLUMNS)
        .join(DeviceRow, DeviceRow.key == ZoneRow.device_key)
        .where(DeviceRow.revoked_ms.is_(None))
        .order_by(ZoneRow.device_key, ZoneRow.number)
        .limit(check_limit(limit) + 1)
    )
    if site is not None:
        query = query.where(DeviceRow.site == (site if storable(site) else ""))
    if device is not None:
        query = query.where(ZoneRow.device_key == (device if storable(device) else ""))
    if after is not None:
        query = query.where(tuple_(ZoneRow.device_key, ZoneRow.number) > _cursor(after))
    rows = session.connection().execute(query).all()
    zones = [
        Zone(key, site_name, name, number, title, zone_type, ZoneParameters(*values))
        for key, site_name, name, number, title, zone_type, *values in rows[:limit]
    ]
    return zones, zones[-1].key if len(rows) > limit else None


def get_zone(session: Session, key: str) -> Zone:
    """Return the zone, if its device is not revoked."""
    return zone_record(_live_row(session, key))


def change_zone(session: Session, key: str, *, title: str | None = None, parameters: ZoneParameters | None = None) -> Zone:
    """Change a zone's title or parameters; None leaves as it is. Its device is told its new limits."""
    row = _live_row(session, key)
    if title is not None:
        row.title = check_text("title", title)
    if parameters is not None:
        _check(parameters, "")
        for name, value in asdict(parameters).items():
            setattr(row, name, value)
        device = session.get_one(DeviceRow, row.device_key)
        device.config_due = True
    session.flush()
    return zone_record(row)


def zone_record(row: ZoneRow) -> Zone:
    """Return the record of a row."""
    site, device, _ = row.key.split(":")
    values: dict[str, Any] = {item.name: getattr(row, item.name) for item in fields(ZoneParameters)}
    return Zone(row.key, site, device, row.number, row.title, row.type, ZoneParameters(**values))  # type: ignore[arg-type]


def _live_row(session: Session, key: str) -> ZoneRow:
    row = session.get(ZoneRow, key) if storable(key) else None
    if row is None or session.get_one(DeviceRow, row.device_key).revoked_ms is not None:
        raise NotFound("zone", key)
    return row


def zone_numbers(session: Session) -> dict[str, list[int]]:
    """Return the numbers of every device's zones, by the device's key."""
    found: dict[str, list[int]] = {}
    for device_key, number in session.execute(select(ZoneRow.device_key, ZoneRow.number)):
        found.setdefault(device_key, []).append(number)
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
