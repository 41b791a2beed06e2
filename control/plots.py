# SPDX-License-Identifier: Apache-2.0
"""Plots: a zone together with its enabled schedule, as the controller looks at it in one tick.

Invariant: every tick works on what the database says now. What people change is read again where its footprint (how many
rows there are, and the sum of versions that only rise) is another than at the tick before; what changes by itself, whether
a device is connected and what a zone carries, is read each time. A definition is parsed once a version.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, func, select
from sqlalchemy.orm import Session

from control.database import in_parts
from control.decisions import STATE
from control.definitions import AnyDefinition, IrrigationDefinition, parse_definition
from control.forecasts import ForecastCache
from control.holidays import load_holidays
from control.models import DeviceRow, ScheduleRow, SiteRow, ZoneRow, ZoneStateRow
from control.records import Zone, ZoneParameters
from control.starts import Whereabouts
from control.zones import PARAMETERS

__all__ = ["Carried", "Group", "Plot", "PlotCache", "load_plots"]

# As plain columns, past the mapper: most rows are as they were, and are compared and not looked into.
_OWN: Final = (ZoneRow.key, ScheduleRow.id, ScheduleRow.version, ScheduleRow.updated_ms)
_WHERE: Final = (SiteRow.timezone, SiteRow.latitude, SiteRow.longitude, SiteRow.agency_key)
_ZONE: Final = (DeviceRow.site, DeviceRow.name, ZoneRow.number, ZoneRow.title, ZoneRow.type, *PARAMETERS)

_Row = tuple[Any, ...]


class Carried(NamedTuple):
    """What a zone carries from its last decision; `reasons` as bits of `rules.Reason`, `carried_l` of missed runs in L."""

    latched: bool
    kind: str
    acted: bool
    reasons: int
    carried_l: float = 0.0


@dataclass(slots=True)
class Plot:
    """A zone, its enabled schedule, and how it stands; `online` and `carried` are brought up to date at each tick."""

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


class Group:
    """Plots of one sort of definition."""

    def __init__(self, plots: Sequence[Plot]) -> None:
        self.plots = plots
        self._row = {plot.zone.key: row for row, plot in enumerate(plots)}

    def those(self, zone_keys: Collection[str]) -> list[Plot]:
        """Return the plots of those zones, in the group's order."""
        return [self.plots[row] for row in sorted(self._row[key] for key in zone_keys if key in self._row)]


class PlotCache:
    """The plots of the last reading, what they were read from, and the forecasts.

    Attributes
    ----------
    stirred : set of str
        Zones that are another than at the reading before: what people change, or what they carry.
    """

    def __init__(self) -> None:
        self.plots: list[Plot] = []
        self.read: dict[str, tuple[_Row, Plot]] = {}
        self.footprint: _Row = ()
        self.away: frozenset[str] = frozenset()
        self.carried: frozenset[_Row] = frozenset()
        self.forecasts = ForecastCache()
        self.stirred: set[str] = set()
        self._timed: list[Plot] = []
        self._groups: dict[type, Group] = {}

    @property
    def beds(self) -> Sequence[Plot]:
        """Those that are watered by what a probe says."""
        return self.group(IrrigationDefinition).plots

    @property
    def timed(self) -> list[Plot]:
        """Those whose definition plans moments: the same list until a plot is another."""
        return self._timed

    def group(self, sort: type[AnyDefinition]) -> Group:
        """Return those whose definition is of that sort."""
        if sort not in self._groups:
            self._groups[sort] = Group([plot for plot in self.plots if type(plot.definition) is sort])
        return self._groups[sort]

    def replace(self, read: dict[str, tuple[_Row, Plot]], footprint: _Row) -> None:
        """Take what was read anew."""
        self.read, self.footprint = read, footprint
        self.plots = [plot for _, plot in read.values()]
        self._timed = [plot for plot in self.plots if not isinstance(plot.definition, IrrigationDefinition)]
        self.away, self.carried, self._groups = frozenset(), frozenset(), {}
        self.stirred = set(read)


def load_plots(session: Session, cache: PlotCache, zone_key: str | None = None) -> list[Plot]:
    """Return every zone with an enabled schedule, revoked devices' left out, by device and number; or only one zone's."""
    session.flush()
    connection = session.connection()
    holidays = load_holidays(session)
    footprint = () if zone_key is not None else _footprint(connection, holidays)
    cache.stirred = set()
    if footprint != cache.footprint or not footprint:
        cache.replace(_read(session, cache, holidays, zone_key), footprint)
    _bring_up_to_date(connection, cache, zone_key)
    return cache.plots


def _footprint(connection: Connection, holidays: dict[str, frozenset[date]]) -> _Row:
    """Return what is another one after any change by people: rows are never taken away but for sites, which have none."""
    found: _Row = (frozenset(holidays.items()),)
    for query in (
        select(func.count(), func.sum(ScheduleRow.version), func.count(ScheduleRow.deleted_ms)),
        select(func.count(), func.sum(ZoneRow.version)),
        select(func.count(), func.sum(DeviceRow.version), func.count(DeviceRow.revoked_ms)),
        select(func.count(), func.sum(SiteRow.version)),
    ):
        found += tuple(connection.execute(query).one())
    return found


def _read(
    session: Session, cache: PlotCache, holidays: dict[str, frozenset[date]], zone_key: str | None
) -> dict[str, tuple[_Row, Plot]]:
    query = (
        select(*_OWN, *_WHERE, *_ZONE)
        .join_from(ScheduleRow, ZoneRow, ZoneRow.key == ScheduleRow.zone_key)
        .join(DeviceRow, DeviceRow.key == ZoneRow.device_key)
        .join(SiteRow, SiteRow.name == DeviceRow.site)
        .where(ScheduleRow.enabled, ScheduleRow.deleted_ms.is_(None), DeviceRow.revoked_ms.is_(None))
        .order_by(ZoneRow.device_key, ZoneRow.number)
    )
    if zone_key is not None:
        query = query.where(ZoneRow.key == zone_key)
    rows = [(*row, holidays.get(row[7] or "")) for row in session.connection().execute(query)]
    kept = cache.read
    parsed = dict(_definitions(session, [row[1] for row in rows if not _same_version(row, kept.get(row[0]))]))
    found: dict[str, tuple[_Row, Plot]] = {}
    for row in rows:
        before = kept.get(row[0])
        if before is None or before[0] != row:
            definition = parsed.get(row[1]) or kept[row[0]][1].definition
            before = row, _plot(row, definition)
        found[row[0]] = before
    return found


def _bring_up_to_date(connection: Connection, cache: PlotCache, zone_key: str | None) -> None:
    query = select(DeviceRow.key).where(DeviceRow.online.is_(False), DeviceRow.revoked_ms.is_(None))
    away = frozenset(connection.execute(query).scalars())
    if away != cache.away or not cache.carried:
        cache.away = away
        for plot in cache.plots:
            plot.online = plot.zone.device_key not in away
    states = select(ZoneStateRow.zone_key, *STATE)
    if zone_key is not None:
        states = states.where(ZoneStateRow.zone_key == zone_key)
    # As the driver gives them, and compared in one go: nearly all are as they were.
    result = connection.execute(states)
    assert result.cursor is not None
    rows = frozenset(result.cursor.fetchall())
    result.close()
    for key, latched, *rest in rows - cache.carried:
        if key in cache.read:
            cache.stirred.add(key)
            kind, acted, *amounts = rest
            cache.read[key][1].carried = Carried(bool(latched), kind, bool(acted), *amounts)
    cache.carried = rows


def _same_version(row: _Row, before: tuple[_Row, Plot] | None) -> bool:
    return before is not None and before[0][1:3] == row[1:3]


def _definitions(session: Session, schedule_ids: Iterable[str]) -> Iterator[tuple[str, AnyDefinition]]:
    for part in in_parts(schedule_ids):
        query = select(ScheduleRow.id, ScheduleRow.definition).where(ScheduleRow.id.in_(part))
        for schedule_id, definition in session.connection().execute(query):
            yield schedule_id, parse_definition(definition)


def _plot(row: _Row, definition: AnyDefinition) -> Plot:
    key, schedule_id, version, since_ms, timezone, latitude, longitude, _, site, name, number, title, zone_type, *rest = row
    *values, holidays = rest
    return Plot(
        zone=Zone(key, site, name, number, title, zone_type, ZoneParameters(*values)),
        where=Whereabouts(ZoneInfo(timezone), latitude, longitude, holidays or frozenset()),
        online=False,
        schedule_id=schedule_id,
        version=version,
        since_ms=since_ms,
        definition=definition,
        carried=None,
    )
