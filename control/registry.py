# SPDX-License-Identifier: Apache-2.0
"""The registry: sites, devices and (from `control.zones`) their zones.

Invariant: a name is never given to a second device, so measurements and acts keep their meaning; a device is revoked,
not erased. Passwords are known here by their hash alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from control.access import Principal
from control.audit import Trail, record
from control.checks import check_name, check_tags, check_text, check_version, is_pair, storable, tag_words
from control.errors import Conflict, NotFound
from control.models import DeviceRow, ScheduleRow, ZoneRow
from control.paging import Order
from control.records import Device, Site, Zone, ZoneParameters, ZoneSpec
from control.sight import place_of_site, seen_sites
from control.sites import SiteDetails, change_site, create_site, delete_site, get_site, list_sites
from control.ticking import leave_out
from control.versions import end_version
from control.zones import add_zones, change_zone, get_zone, list_zones, zone_numbers
from gateway.topics import Address

__all__ = [
    "Device",
    "Site",
    "SiteDetails",
    "Zone",
    "ZoneParameters",
    "ZoneSpec",
    "broker_users",
    "change_device",
    "change_site",
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

ORDER: Final = Order(
    DeviceRow.key,
    {"id": DeviceRow.key, "title": DeviceRow.title, "kind": DeviceRow.kind, "created": DeviceRow.created_ms},
    "id",
    is_pair,
)


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
    tags: Sequence[str] = (),
    trail: Trail | None = None,
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
        tags=check_tags(tags),
        version=1,
    )
    session.add(row)
    session.flush()
    add_zones(session, key, zones)
    session.flush()
    told = {"kind": kind, "title": row.title, "tags": list(tag_words(row.tags)), "zones": len(zones)}
    _record(session, trail or Trail("tirta", "local", now_ms), "device.create", row, after=told)
    return _device(row, len(zones))


def change_device(
    session: Session,
    key: str,
    *,
    title: str | None = None,
    tags: Sequence[str] | None = None,
    version: int | None = None,
    trail: Trail,
) -> Device:
    """Change a device's title or tags; None leaves as it is.

    Parameters
    ----------
    version : int or None
        The version that the change was made from; None does not ask.
    """
    row = _live(session, key)
    check_version(row, "device", version)
    before = {"title": row.title, "tags": list(tag_words(row.tags))}
    if title is not None:
        row.title = check_text("title", title)
    if tags is not None:
        row.tags = check_tags(tags)
    row.version += 1
    row.updated_ms, row.updated_by = trail.at_ms, trail.actor
    _record(session, trail, "device.change", row, before=before, after={"title": row.title, "tags": list(tag_words(row.tags))})
    return get_device(session, key)


def list_devices(
    session: Session,
    site: str | None = None,
    *,
    kind: str | None = None,
    tag: str | None = None,
    online: bool | None = None,
    seen_by: Principal | None = None,
    sort: str | None = None,
    limit: int = 100,
    after: str | None = None,
) -> tuple[list[Device], str | None]:
    """Return devices, revoked ones left out, and the cursor of the next page if there is one."""
    counts = select(ZoneRow.device_key, func.count().label("zones")).group_by(ZoneRow.device_key).subquery()
    query = (
        select(DeviceRow, func.coalesce(counts.c.zones, 0))
        .outerjoin(counts, counts.c.device_key == DeviceRow.key)
        .where(DeviceRow.revoked_ms.is_(None))
    )
    if site is not None:
        query = query.where(DeviceRow.site == (site if storable(site) else ""))
    if kind is not None:
        query = query.where(DeviceRow.kind == (kind if storable(kind) else ""))
    if tag is not None:
        query = query.where(DeviceRow.tags.contains(f" {tag} ", autoescape=True))
    if online is not None:
        query = query.where(DeviceRow.online.is_(online))
    if (names := seen_sites(seen_by)) is not None:
        query = query.where(DeviceRow.site.in_(names))
    rows = session.execute(ORDER.apply(query, sort, limit, after)).all()
    devices = [_device(row, zones) for row, zones in rows[:limit]]
    return devices, ORDER.cursor(rows[limit - 1][0], sort) if len(rows) > limit else None


def get_device(session: Session, key: str) -> Device:
    """Return the device of key "{site}:{device}", if it is not revoked."""
    row = _live(session, key)
    zones = session.scalar(select(func.count()).select_from(ZoneRow).where(ZoneRow.device_key == row.key))
    return _device(row, zones or 0)


def revoke_device(session: Session, key: str, *, now_ms: int, version: int | None = None, trail: Trail | None = None) -> None:
    """End a device: its credential goes, its schedules stop, its history stays."""
    row = _live(session, key)
    check_version(row, "device", version)
    _record(session, trail or Trail("tirta", "local", now_ms), "device.revoke", row, before={"title": row.title})
    for zone_key in session.scalars(select(ZoneRow.key).where(ZoneRow.device_key == row.key)).all():
        leave_out(session, zone_key, now_ms)
    row.revoked_ms, row.online, row.password_hash = now_ms, False, ""
    zone_keys = select(ZoneRow.key).where(ZoneRow.device_key == row.key)
    for schedule in session.scalars(select(ScheduleRow).where(ScheduleRow.zone_key.in_(zone_keys))).all():
        if schedule.deleted_ms is None:
            end_version(session, schedule.id, now_ms)
            schedule.deleted_ms = now_ms


def set_password_hash(session: Session, key: str, password_hash: str, *, trail: Trail | None = None) -> None:
    """Give a device another credential, by its hash; until it comes back with that it is offline.

    The broker puts it out without telling its last will.

    Parameters
    ----------
    trail : Trail or None
        Who does it; None where that was entered into the audit trail already, as with the device's creation.
    """
    row = _live(session, key)
    row.password_hash, row.online = password_hash, False
    if trail is not None:
        _record(session, trail, "device.credential", row, after={"credential": "new"})


def note_certificate(session: Session, key: str, *, trail: Trail) -> None:
    """Enter into the audit trail that a device is given a certificate; which those are the authority keeps."""
    _record(session, trail, "device.certificate", _live(session, key), after={"certificate": "new"})


def broker_users(session: Session) -> list[tuple[str, str]]:
    """Return the broker's user name and password hash of every live device that has been given a credential."""
    query = select(DeviceRow.site, DeviceRow.name, DeviceRow.password_hash)
    # A user without a hash would be one without a password.
    query = query.where(DeviceRow.revoked_ms.is_(None), DeviceRow.password_hash != "")
    return [(Address(site, name).username, kept) for site, name, kept in session.execute(query.order_by(DeviceRow.key))]


def _live(session: Session, key: str) -> DeviceRow:
    row = session.get(DeviceRow, key) if storable(key) else None
    if row is None or row.revoked_ms is not None:
        raise NotFound("device", key)
    return row


def _record(
    session: Session,
    trail: Trail,
    action: str,
    row: DeviceRow,
    *,
    before: Mapping[str, object] | None = None,
    after: Mapping[str, object] | None = None,
) -> None:
    record(session, trail, action, f"device:{row.key}", place=place_of_site(session, row.site), before=before, after=after)


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
        tags=tag_words(row.tags),
        version=row.version,
    )
