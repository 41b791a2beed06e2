# SPDX-License-Identifier: Apache-2.0
"""Plots: a zone together with its enabled schedule, as the controller looks at it in one tick.

Invariant: every tick reads what the database says now, in one query; what reads as it did the tick before is the same plot,
and a definition is parsed once a version.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from control.database import in_parts
from control.decisions import STATE
from control.definitions import AnyDefinition, parse_definition
from control.forecasts import ForecastCache
from control.holidays import load_holidays
from control.models import DeviceRow, ScheduleRow, SiteRow, ZoneRow, ZoneStateRow
from control.records import Zone, ZoneParameters
from control.starts import Whereabouts
from control.zones import PARAMETERS

__all__ = ["Carried", "Plot", "PlotCache", "load_plots"]

# As plain columns, past the mapper: most rows are as they were, and are compared and not looked into.
_OWN: Final = (ZoneRow.key, ScheduleRow.id, ScheduleRow.version, ScheduleRow.updated_ms, DeviceRow.online)
_WHERE: Final = (SiteRow.timezone, SiteRow.latitude, SiteRow.longitude, SiteRow.agency_key)
_STATE: Final = STATE
_ZONE: Final = (DeviceRow.site, DeviceRow.name, ZoneRow.number, ZoneRow.title, ZoneRow.type, *PARAMETERS)

_Row = tuple[Any, ...]


class Carried(NamedTuple):
    """What a zone carries from its last decision; `reasons` as bits of `rules.Reason`, `carried_l` of missed runs in L."""

    latched: bool
    kind: str
    acted: bool
    reasons: int
    carried_l: float = 0.0


@dataclass(frozen=True, slots=True)
class Plot:
    """A zone, its enabled schedule, and what it carries from the tick before."""

    zone: Zone
    where: Whereabouts
    online: bool
    schedule_id: str
    version: int
    since_ms: int
    definition: AnyDefinition
    carried: Carried | None

    @property
    def timezone(self) -> ZoneInfo:
        """Of the site."""
        return self.where.zone

    @property
    def carried_l(self) -> float:
        """Litres of missed runs that the next one makes up for. [L]"""
        return 0.0 if self.carried is None else self.carried.carried_l

    @property
    def latched(self) -> bool:
        """Whether the bed is being filled."""
        return self.carried is not None and self.carried.latched

    @property
    def reasons(self) -> int:
        """The reasons of the zone's last decision, as bits of `rules.Reason`."""
        return 0 if self.carried is None else self.carried.reasons

    @property
    def latest_key(self) -> tuple[str, str, int]:
        """How the latest values are asked for."""
        return self.zone.site, self.zone.device, self.zone.number


class PlotCache:
    """The plots of the last reading, each with the row it was made of, and the forecasts; as many as were read then."""

    def __init__(self) -> None:
        self.kept: dict[str, tuple[_Row, Plot]] = {}
        self.forecasts = ForecastCache()


def load_plots(session: Session, cache: PlotCache, zone_key: str | None = None) -> list[Plot]:
    """Return every zone with an enabled schedule, revoked devices' left out, by device and number; or only one zone's."""
    query = (
        select(*_OWN, *_WHERE, *_STATE, *_ZONE)
        .join_from(ScheduleRow, ZoneRow, ZoneRow.key == ScheduleRow.zone_key)
        .join(DeviceRow, DeviceRow.key == ZoneRow.device_key)
        .join(SiteRow, SiteRow.name == DeviceRow.site)
        .outerjoin(ZoneStateRow, ZoneStateRow.zone_key == ZoneRow.key)
        .where(ScheduleRow.enabled, ScheduleRow.deleted_ms.is_(None), DeviceRow.revoked_ms.is_(None))
        .order_by(ZoneRow.device_key, ZoneRow.number)
    )
    if zone_key is not None:
        query = query.where(ZoneRow.key == zone_key)
    session.flush()
    holidays = load_holidays(session)
    rows = [(*row, holidays.get(row[8] or "")) for row in session.connection().execute(query)]
    kept = cache.kept
    parsed = dict(_definitions(session, [row[1] for row in rows if not _same_version(row, kept.get(row[0]))]))
    found: dict[str, tuple[_Row, Plot]] = {}
    for row in rows:
        before = kept.get(row[0])
        if before is None or before[0] != row:
            definition = parsed.get(row[1]) or kept[row[0]][1].definition
            before = row, _plot(row, definition)
        found[row[0]] = before
    cache.kept = found
    return [plot for _, plot in found.values()]


def _same_version(row: _Row, before: tuple[_Row, Plot] | None) -> bool:
    return before is not None and before[0][1:3] == row[1:3]


def _definitions(session: Session, schedule_ids: Iterable[str]) -> Iterator[tuple[str, AnyDefinition]]:
    for part in in_parts(schedule_ids):
        query = select(ScheduleRow.id, ScheduleRow.definition).where(ScheduleRow.id.in_(part))
        for schedule_id, definition in session.connection().execute(query):
            yield schedule_id, parse_definition(definition)


def _plot(row: _Row, definition: AnyDefinition) -> Plot:
    key, schedule_id, version, since_ms, online, timezone, latitude, longitude, _, *rest = row
    *carried, site, name, number, title, zone_type = rest[:10]
    *values, holidays = rest[10:]
    return Plot(
        zone=Zone(key, site, name, number, title, zone_type, ZoneParameters(*values)),
        where=Whereabouts(ZoneInfo(timezone), latitude, longitude, holidays or frozenset()),
        online=online,
        schedule_id=schedule_id,
        version=version,
        since_ms=since_ms,
        definition=definition,
        carried=None if carried[1] is None else Carried(*carried),
    )
