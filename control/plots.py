# SPDX-License-Identifier: Apache-2.0
"""Plots: a zone together with its enabled schedule, as the controller looks at it in one tick.

Invariant: a plot is read in one query, and its definition is parsed once a version.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from control.models import DeviceRow, ScheduleRow, SiteRow, ZoneRow, ZoneStateRow
from control.records import Zone
from control.schedules import FeedingDefinition, IrrigationDefinition, parse_definition
from control.zones import zone_record

__all__ = ["DefinitionCache", "Plot", "load_plots"]

CACHE_SIZE: Final = 20_000  # parsed definitions kept


@dataclass(frozen=True, slots=True)
class Plot:
    """A zone, its enabled schedule, and what it carries from the tick before."""

    zone: Zone
    timezone: ZoneInfo
    online: bool
    schedule_id: str
    version: int
    since_ms: int
    definition: IrrigationDefinition | FeedingDefinition
    carried: ZoneStateRow | None  # held here, so that the session need not read it again to change it

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


class DefinitionCache:
    """Parsed definitions by schedule and version; the least recently used go first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, int], IrrigationDefinition | FeedingDefinition] = OrderedDict()

    def get(self, row: ScheduleRow) -> IrrigationDefinition | FeedingDefinition:
        """Return the definition of a row."""
        key = (row.id, row.version)
        found = self._kept.get(key)
        if found is None:
            found = self._kept[key] = parse_definition(row.definition)
            if len(self._kept) > CACHE_SIZE:
                self._kept.popitem(last=False)
        else:
            self._kept.move_to_end(key)
        return found


def load_plots(session: Session, cache: DefinitionCache, zone_key: str | None = None) -> list[Plot]:
    """Return every zone with an enabled schedule, revoked devices' left out, by device and number; or only one zone's."""
    query = (
        select(ScheduleRow, ZoneRow, DeviceRow.online, SiteRow.timezone, ZoneStateRow)
        .join(ZoneRow, ZoneRow.key == ScheduleRow.zone_key)
        .join(DeviceRow, DeviceRow.key == ZoneRow.device_key)
        .join(SiteRow, SiteRow.name == DeviceRow.site)
        .outerjoin(ZoneStateRow, ZoneStateRow.zone_key == ZoneRow.key)
        .where(ScheduleRow.enabled, ScheduleRow.deleted_ms.is_(None), DeviceRow.revoked_ms.is_(None))
        .order_by(ZoneRow.device_key, ZoneRow.number)
    )
    if zone_key is not None:
        query = query.where(ZoneRow.key == zone_key)
    return [
        Plot(
            zone=zone_record(zone),
            timezone=ZoneInfo(timezone),
            online=online,
            schedule_id=schedule.id,
            version=schedule.version,
            since_ms=schedule.updated_ms,
            definition=cache.get(schedule),
            carried=carried,
        )
        for schedule, zone, online, timezone, carried in session.execute(query)
    ]
