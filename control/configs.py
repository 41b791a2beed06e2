# SPDX-License-Identifier: Apache-2.0
"""The desired configuration of devices: their zones' limits, their offset from UTC.

Invariant: a device is told again, under a higher version, whenever what it should know has changed, also when its site
changes to another season's time; until the broker has it, it stays due.
"""

from __future__ import annotations

from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from control.calendars import offset_min
from control.commands import Outgoing
from control.models import DeviceRow, SiteRow, ZoneRow
from gateway.messages import Config, ZoneLimits, encode_message
from gateway.topics import Address, Channel, build_topic

__all__ = ["confirm_config", "due_configs", "keep_reported", "mark_offsets"]

MAX_AT_ONCE: Final = 100  # devices told in one go


def due_configs(session: Session, now_ms: int, telemetry_s: int) -> list[Outgoing]:
    """Return the configurations to publish, retained.

    Parameters
    ----------
    telemetry_s : int
        How often devices shall measure. [s]
    """
    query = (
        select(DeviceRow, SiteRow.timezone)
        .join(SiteRow, SiteRow.name == DeviceRow.site)
        .where(DeviceRow.config_due, DeviceRow.revoked_ms.is_(None))
        .order_by(DeviceRow.key)
        .limit(MAX_AT_ONCE)
    )
    return [_outgoing(session, row, zone, now_ms, telemetry_s) for row, zone in session.execute(query)]


def confirm_config(session: Session, sent: Outgoing, now_ms: int, telemetry_s: int) -> None:
    """Note that the broker has a configuration; it stays due if it has changed meanwhile."""
    row = session.get(DeviceRow, sent.device_key)
    if row is None or not row.config_due:
        return
    timezone = session.get_one(SiteRow, row.site).timezone
    unchanged = _outgoing(session, row, timezone, now_ms, telemetry_s).payload == sent.payload
    row.config_version += 1
    row.config_offset_min = offset_min(ZoneInfo(timezone), now_ms)
    row.config_due = not unchanged


def mark_offsets(session: Session, now_ms: int) -> None:
    """Make due the configuration of devices whose site has another offset from UTC than they were told."""
    query = select(DeviceRow, SiteRow.timezone).join(SiteRow, SiteRow.name == DeviceRow.site)
    for row, timezone in session.execute(query.where(DeviceRow.revoked_ms.is_(None), DeviceRow.config_due.is_(False))):
        if row.config_offset_min != offset_min(ZoneInfo(timezone), now_ms):
            row.config_due = True


def keep_reported(row: DeviceRow, reported: dict[str, Any]) -> None:
    """Keep the configuration that a device says is in force."""
    row.reported = reported
    version = reported.get("version")
    # After a restore from a backup the device may know a later version than we do: go on above it.
    if isinstance(version, int) and version > row.config_version:
        row.config_version, row.config_due = version, True


def _outgoing(session: Session, row: DeviceRow, timezone: str, now_ms: int, telemetry_s: int) -> Outgoing:
    zones = session.scalars(select(ZoneRow).where(ZoneRow.device_key == row.key).order_by(ZoneRow.number))
    config = Config(
        version=row.config_version + 1,
        telemetry_s=telemetry_s,
        utc_offset_min=offset_min(ZoneInfo(timezone), now_ms),
        zones={str(zone.number): _limits(zone) for zone in zones if zone.type != "point"},
    )
    topic = build_topic(Address(row.site, row.name), Channel.CONFIG)
    return Outgoing("", row.key, topic, encode_message(config), 0, retain=True)


def _limits(zone: ZoneRow) -> ZoneLimits:
    bed = zone.type == "bed"
    return ZoneLimits(
        max_seconds=zone.max_seconds,
        litres_day=zone.litres_day if bed else None,
        grams_day=None if bed else zone.grams_day,
    )
