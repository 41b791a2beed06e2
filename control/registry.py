# SPDX-License-Identifier: Apache-2.0
"""The registry: sites, devices and (from `control.zones`) their zones.

Invariant: a name is never given to a second device, so measurements and acts keep their meaning; a device is revoked,
not erased. Passwords are known here by their hash alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from control.checks import check_limit, check_name, check_text, check_timezone, storable
from control.errors import Conflict, NotFound
from control.models import DeviceRow, ScheduleRow, SiteRow, ZoneRow
from control.records import Device, Site, Zone, ZoneParameters, ZoneSpec
from control.zones import add_zones, change_zone, get_zone, list_zones, zone_numbers
from gateway.topics import Address

__all__ = [
    "Device",
    "Site",
    "Zone",
    "ZoneParameters",
    "ZoneSpec",
    "broker_users",
    "change_zone",
    "create_device",
    "create_site",
    "delete_site",
    "get_device",
    "get_site",
    "get_zone",
    "list_devices",
    "list_sites",
    "list_zones",
    "revoke_device",
    "set_password_hash",
    "zone_numbers",
]


def create_site(session: Session, name: str, title: str, timezone: str, *, now_ms: int) -> Site:
    """Create a site.

    Raises
    ------
    Invalid
        A field cannot be taken.
    Conflict
        The name is in use.
    """
    row = SiteRow(
        name=check_name("name", name),
        title=check_text("title", title),
        timezone=check_timezone(timezone),
        created_ms=now_ms,
    )
    if session.get(SiteRow, name) is not None:
        raise Conflict(f"there is a site {name!r} already; choose another name")
    session.add(row)
    session.flush()
    return _site(row)


def list_sites(session: Session, *, limit: int = 100, after: str | None = None) -> tuple[list[Site], str | None]:
    """Return sites by name, and the cursor of the next page if there is one."""
    query = select(SiteRow).order_by(SiteRow.name).limit(check_limit(limit) + 1)
    if after is not None:
        query = query.where(SiteRow.name > (after if storable(after) else ""))
    rows = session.scalars(query).all()
    sites = [_site(row) for row in rows[:limit]]
    return sites, sites[-1].name if len(rows) > limit else None


def get_site(session: Session, name: str) -> Site:
    """Return the site of that name."""
    row = session.get(SiteRow, name) if storable(name) else None
    if row is None:
        raise NotFound("site", name)
    return _site(row)


def delete_site(session: Session, name: str) -> None:
    """Delete a site that never had a device.

    Raises
    ------
    Conflict
        It has, or had, devices.
    """
    get_site(session, name)
    if session.scalar(select(DeviceRow.key).where(DeviceRow.site == name).limit(1)) is not None:
        raise Conflict(f"site {name!r} has devices, or had some whose history is kept")
    session.delete(session.get_one(SiteRow, name))


def create_device(
    session: Session,
    site: str,
    name: str,
    kind: str,
    title: str,
    zones: Sequence[ZoneSpec],
    password_hash: str,
    *,
    now_ms: int,
) -> Device:
    """Create a device with its zones.

    Raises
    ------
    NotFound
        There is no such site.
    Conflict
        The name is, or was, a device's of this site.
    """
    get_site(session, site)
    key = Address(site, check_name("name", name)).key
    if (known := session.get(DeviceRow, key)) is not None:
        was = "was revoked; its name stays with its history" if known.revoked_ms is not None else "is there already"
        raise Conflict(f"device {key!r} {was}; choose another name")
    row = DeviceRow(
        key=key,
        site=site,
        name=name,
        kind=check_name("kind", kind),
        title=check_text("title", title),
        password_hash=password_hash,
        created_ms=now_ms,
        last_n=0,
        online=False,
        config_version=0,
        config_due=True,
    )
    session.add(row)
    session.flush()
    add_zones(session, key, zones)
    session.flush()
    return _device(row, len(zones))


def list_devices(
    session: Session, site: str | None = None, *, limit: int = 100, after: str | None = None
) -> tuple[list[Device], str | None]:
    """Return devices by key, revoked ones left out, and the cursor of the next page if there is one."""
    counts = select(ZoneRow.device_key, func.count().label("zones")).group_by(ZoneRow.device_key).subquery()
    query = (
        select(DeviceRow, func.coalesce(counts.c.zones, 0))
        .outerjoin(counts, counts.c.device_key == DeviceRow.key)
        .where(DeviceRow.revoked_ms.is_(None))
        .order_by(DeviceRow.key)
        .limit(check_limit(limit) + 1)
    )
    if site is not None:
        query = query.where(DeviceRow.site == (site if storable(site) else ""))
    if after is not None:
        query = query.where(DeviceRow.key > (after if storable(after) else ""))
    rows = session.execute(query).all()
    devices = [_device(row, zones) for row, zones in rows[:limit]]
    return devices, devices[-1].key if len(rows) > limit else None


def get_device(session: Session, key: str) -> Device:
    """Return the device of key "{site}:{device}", if it is not revoked."""
    row = _live(session, key)
    zones = session.scalar(select(func.count()).select_from(ZoneRow).where(ZoneRow.device_key == row.key))
    return _device(row, zones or 0)


def revoke_device(session: Session, key: str, *, now_ms: int) -> None:
    """End a device: its credential goes, its schedules stop, its history stays."""
    row = _live(session, key)
    row.revoked_ms, row.online, row.password_hash = now_ms, False, ""
    zone_keys = select(ZoneRow.key).where(ZoneRow.device_key == row.key)
    for schedule in session.scalars(select(ScheduleRow).where(ScheduleRow.zone_key.in_(zone_keys))):
        schedule.deleted_ms = schedule.deleted_ms or now_ms


def set_password_hash(session: Session, key: str, password_hash: str) -> None:
    """Give a device another credential, by its hash; until it comes back with that it is offline.

    The broker puts it out without telling its last will.
    """
    row = _live(session, key)
    row.password_hash, row.online = password_hash, False


def broker_users(session: Session) -> list[tuple[str, str]]:
    """Return the broker's user name and password hash of every live device."""
    query = select(DeviceRow.site, DeviceRow.name, DeviceRow.password_hash).where(DeviceRow.revoked_ms.is_(None))
    return [(Address(site, name).username, kept) for site, name, kept in session.execute(query.order_by(DeviceRow.key))]


def _live(session: Session, key: str) -> DeviceRow:
    row = session.get(DeviceRow, key) if storable(key) else None
    if row is None or row.revoked_ms is not None:
        raise NotFound("device", key)
    return row


def _site(row: SiteRow) -> Site:
    return Site(row.name, row.title, row.timezone, row.created_ms)


def _device(row: DeviceRow, zones: int) -> Device:
    return Device(
        key=row.key,
        site=row.site,
        name=row.name,
        kind=row.kind,
        title=row.title,
        zones=zones,
        created_ms=row.created_ms,
        revoked_ms=row.revoked_ms,
        online=row.online,
        last_seen_ms=row.last_seen_ms,
        last_n=row.last_n,
        firmware=row.firmware,
        boot=row.boot,
        rssi=row.rssi,
        config_version=row.config_version,
        reported=row.reported,
    )
