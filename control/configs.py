# SPDX-License-Identifier: Apache-2.0
"""The desired configuration of devices: what people set, their zones' limits, their offset from UTC; and what is in force.

Invariant: a device is told again, under a higher version, whenever what it should know has changed, also when its site
changes to another season's time; until the broker has it, it stays due. What is shown as in force the device itself has said.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from control.alarms import Cause
from control.audit import Trail, record
from control.calendars import offset_min
from control.checks import check_version, plain, storable
from control.commands import Outgoing
from control.database import Database
from control.errors import DatabaseUnavailable, Invalid, NotFound
from control.models import DeviceRow, SiteRow, ZoneRow
from control.sight import place_of_site
from gateway.messages import Config, ZoneLimits, encode_message
from gateway.topics import Address, Channel, build_topic

__all__ = [
    "DeviceConfig",
    "Setting",
    "Wanted",
    "confirm_config",
    "device_config",
    "due_configs",
    "keep_reported",
    "mark_offsets",
    "refused_configs",
    "set_config",
]

MAX_AT_ONCE: Final = 100  # devices told in one go
MAX_RUNS: Final = 64  # of a fallback program
MAX_TOLD: Final = 200  # devices that refuse something, told at a time
MAX_REFUSED: Final = 200  # characters of what one refuses

State = Literal["in-force", "waiting", "refused", "different"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What people set of a device's configuration.

    Attributes
    ----------
    telemetry_s : int or None
        How often it measures; None is as often as the platform asks of all. [s]
    calibration : mapping
        Of quantities, each {"gain", "offset"}: what is sent is gain x measured + offset.
    fallback : mapping or None
        {"after_h", "runs": [{"zone", "time", "seconds"}]}: what is watered when the platform was silent for so long.
    """

    telemetry_s: int | None = None
    calibration: Mapping[str, Mapping[str, float]] | None = None
    fallback: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Setting:
    """One key of a configuration, as wanted and as the device has it.

    Attributes
    ----------
    state : str
        "in-force"; "waiting" for the device to take it; "refused", with its reason; "different": it took the version, and says
        another value without a reason.
    """

    key: str
    desired: Any
    reported: Any
    state: State
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class DeviceConfig:
    """A device's configuration: its version as wanted and as reported (None: it never said), and every setting."""

    version: int
    reported_version: int | None
    wanted: Wanted
    settings: tuple[Setting, ...]

    @property
    def state(self) -> State:
        """The worst state among its settings."""
        order: tuple[State, ...] = ("refused", "different", "waiting")
        return next((one for one in order if any(setting.state == one for setting in self.settings)), "in-force")


def set_config(session: Session, key: str, wanted: Wanted, *, version: int | None = None, trail: Trail) -> None:
    """Replace what people set of a device's configuration; it is told at once, or when it connects.

    Parameters
    ----------
    version : int or None
        The device's version that the change was made from; None does not ask.

    Raises
    ------
    NotFound
        There is no such device.
    Invalid
        The fallback program waters what is no bed of this device, or for longer than the zone may run.
    """
    row = _live(session, key)
    check_version(row, "device", version)
    _check_fallback(session, row, wanted.fallback)
    kept = {"telemetry_s": wanted.telemetry_s, "calibration": wanted.calibration, "fallback": wanted.fallback}
    after = {name: value for name, value in kept.items() if value}
    before = dict(row.wanted or {})
    row.wanted, row.config_due = after or None, True
    row.version += 1
    row.updated_ms, row.updated_by = trail.at_ms, trail.actor
    place = place_of_site(session, row.site)
    record(session, trail, "device.config", f"device:{row.key}", place=place, before=before, after=after)


def device_config(session: Session, key: str, now_ms: int, telemetry_s: int) -> DeviceConfig:
    """Return a device's configuration as it is wanted, key by key beside what the device says is in force.

    Parameters
    ----------
    telemetry_s : int
        How often devices shall measure, where nothing else was set. [s]
    """
    row = _live(session, key)
    config = _desired(session, row, session.get_one(SiteRow, row.site).timezone, now_ms, telemetry_s)
    said = row.reported or {}
    reported = said.get("version") if isinstance(said.get("version"), int) else None
    version = row.config_version + row.config_due
    heard = reported is not None and reported >= version
    refused = said.get("refused") if heard else None
    desired, known = dict(_flat(msgspec.to_builtins(config))), dict(_flat(said))
    settings = tuple(_setting(name, value, known.get(name), refused, heard) for name, value in desired.items())
    return DeviceConfig(version, reported, Wanted(**(row.wanted or {})), settings)


def refused_configs(database: Database) -> list[Cause] | None:
    """Return the alarms' causes: devices that refuse something of their configuration; None where nobody can tell."""
    query = (
        select(DeviceRow.key, DeviceRow.site, DeviceRow.title, DeviceRow.config_refused)
        .where(DeviceRow.config_refused.is_not(None), DeviceRow.revoked_ms.is_(None))
        .order_by(DeviceRow.key)
        .limit(MAX_TOLD)
    )
    try:
        with database.reader() as session:
            rows = session.execute(query).all()
    except DatabaseUnavailable:
        return None
    return [
        Cause("config-refused", f"device:{row.key}", site=row.site, details={"title": row.title, "keys": row.config_refused})
        for row in rows
    ]


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
    for timezone in session.scalars(select(SiteRow.timezone).distinct()).all():
        sites = select(SiteRow.name).where(SiteRow.timezone == timezone)
        query = select(DeviceRow).where(DeviceRow.site.in_(sites), DeviceRow.revoked_ms.is_(None), ~DeviceRow.config_due)
        query = query.where(DeviceRow.config_offset_min.is_distinct_from(offset_min(ZoneInfo(timezone), now_ms)))
        for row in session.scalars(query):
            row.config_due = True


def keep_reported(row: DeviceRow, reported: dict[str, Any]) -> None:
    """Keep the configuration that a device says is in force."""
    row.reported = reported
    refused = ", ".join(sorted(reported.get("refused") or ()))
    row.config_refused = plain(refused, MAX_REFUSED) or None
    version = reported.get("version")
    # After a restore from a backup the device may know a later version than we do: go on above it.
    if isinstance(version, int) and version > row.config_version:
        row.config_version, row.config_due = version, True


def _outgoing(session: Session, row: DeviceRow, timezone: str, now_ms: int, telemetry_s: int) -> Outgoing:
    config = _desired(session, row, timezone, now_ms, telemetry_s)
    topic = build_topic(Address(row.site, row.name), Channel.CONFIG)
    return Outgoing("", row.key, topic, encode_message(config), 0, retain=True)


def _desired(session: Session, row: DeviceRow, timezone: str, now_ms: int, telemetry_s: int) -> Config:
    zones = session.scalars(select(ZoneRow).where(ZoneRow.device_key == row.key).order_by(ZoneRow.number))
    wanted = Wanted(**(row.wanted or {}))
    return Config(
        version=row.config_version + 1,
        telemetry_s=wanted.telemetry_s or telemetry_s,
        utc_offset_min=offset_min(ZoneInfo(timezone), now_ms),
        zones={str(zone.number): _limits(zone) for zone in zones if zone.type != "point"},
        calibration={name: dict(value) for name, value in (wanted.calibration or {}).items()},
        fallback=None if wanted.fallback is None else dict(wanted.fallback),
    )


def _flat(config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Give the settings of a configuration, or of one that is reported, by their names; its version is none."""
    for key in ("telemetry_s", "utc_offset_min"):
        yield key, config.get(key)
    zones = config.get("zones")
    for number, limits in (zones if isinstance(zones, dict) else {}).items():
        for limit in ZoneLimits.__struct_fields__:
            yield f"zones.{number}.{limit}", limits.get(limit) if isinstance(limits, dict) else None
    yield "calibration", config.get("calibration") or {}
    yield "fallback", config.get("fallback")


def _setting(key: str, desired: Any, reported: Any, refused: object, heard: bool) -> Setting:
    names = [key, key.rpartition(".")[0], key.partition(".")[0]]
    reasons = refused if isinstance(refused, dict) else {}
    why = next((str(reasons[name])[:MAX_REFUSED] for name in names if name in reasons), None)
    if why is not None:
        return Setting(key, desired, reported, "refused", why)
    if heard and desired == reported:
        return Setting(key, desired, reported, "in-force")
    return Setting(key, desired, reported, "different" if heard else "waiting")


def _check_fallback(session: Session, row: DeviceRow, fallback: Mapping[str, Any] | None) -> None:
    if fallback is None:
        return
    beds = select(ZoneRow.number, ZoneRow.max_seconds).where(ZoneRow.device_key == row.key, ZoneRow.type == "bed")
    longest = {found.number: found.max_seconds for found in session.execute(beds)}
    if not 1 <= len(fallback["runs"]) <= MAX_RUNS:
        raise Invalid("fallback", f"1 to {MAX_RUNS} runs; null for no program")
    for run in fallback["runs"]:
        if run["zone"] not in longest:
            raise Invalid("fallback", f"zone {run['zone']} is no bed of this device; a fallback program only waters")
        if run["seconds"] > longest[run["zone"]]:
            raise Invalid("fallback", f"the longest run of zone {run['zone']} is {longest[run['zone']]} s")


def _live(session: Session, key: str) -> DeviceRow:
    row = session.get(DeviceRow, key) if storable(key) else None
    if row is None or row.revoked_ms is not None:
        raise NotFound("device", key)
    return row


def _limits(zone: ZoneRow) -> ZoneLimits:
    bed = zone.type == "bed"
    return ZoneLimits(
        max_seconds=zone.max_seconds,
        litres_day=zone.litres_day if bed else None,
        grams_day=None if bed else zone.grams_day,
    )
