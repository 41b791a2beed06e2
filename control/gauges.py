# SPDX-License-Identifier: Apache-2.0
"""Gauges: how much rain fell at the sites whose schedules ask for it, hour by hour, out of what devices measured.

Of several gauges at a site the middle one counts, so that one that is clogged, or splashed by a sprinkler, is outvoted.
Invariant: an hour is reckoned again for as long as late records of it can come; nothing here makes a tick wait.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Final

from sqlalchemy import String, cast, select
from sqlalchemy.orm import Session

from control.database import Database
from control.errors import DatabaseUnavailable
from control.models import DeviceRow, ScheduleRow, ZoneRow
from control.proof_readings import SeriesReader
from control.rain import forget_rain, keep_rain
from gateway import Catalogue
from gateway.clock import Clock
from ingest.store.errors import StoreError
from ingest.store.protocol import HOUR_MS, SeriesQuery

__all__ = ["GaugeConfig", "RainGauges", "rain_kinds"]

logger = logging.getLogger(__name__)

RAIN: Final = "rain"
FIRST_HOURS: Final = 73  # looked at after a start: what a schedule may look back to


@dataclass(frozen=True, slots=True)
class GaugeConfig:
    """How rain is looked at.

    Attributes
    ----------
    every_s : float
        Between two looks. [s]
    late_hours : int
        So many hours are reckoned again at each look: records may come late. [h]
    gauges : int
        Most of one site that are looked at, weather stations first.
    least_wall_s : float
        Between two looks on the wall, however fast the clock. [s]
    """

    every_s: float = 300.0
    late_hours: int = 6
    gauges: int = 9
    least_wall_s: float = 1.0


class RainGauges:
    """Look at the gauges again and again.

    Parameters
    ----------
    readings : SeriesReader
        The store from which readings are taken.
    kinds : mapping
        Of the kinds of device that measure rain: whether they do nothing else, as a weather station.
    """

    def __init__(
        self,
        database: Database,
        readings: SeriesReader,
        kinds: Mapping[str, bool],
        clock: Clock,
        config: GaugeConfig | None = None,
    ) -> None:
        self._database = database
        self._readings = readings
        self._kinds = kinds
        self._clock = clock
        self._config = config or GaugeConfig()
        self._known: set[str] = set()
        self._trouble = False

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                await asyncio.to_thread(self.look)
            except (DatabaseUnavailable, StoreError) as exc:
                level = logging.DEBUG if self._trouble else logging.WARNING
                logger.log(level, "rain could not be looked at: %s", exc, extra={"action": "rain_failed"})
                self._trouble = True
            else:
                if self._trouble:
                    logger.info("rain is looked at again", extra={"action": "rain_recovered"})
                self._trouble = False
            await asyncio.gather(self._clock.sleep(self._config.every_s), asyncio.sleep(self._config.least_wall_s))

    def look(self) -> None:
        """Look at the gauges once, and keep what they say.

        Raises
        ------
        DatabaseUnavailable, StoreError
            Nothing was kept, or not of every site; the next look tries again.
        """
        now_ms = self._clock.now_ms()
        with self._database.reader() as session:
            gauges = self._gauges(session)
        for site, zones in gauges.items():
            hours = self._config.late_hours if site in self._known else FIRST_HOURS
            fallen = self._fallen(zones, now_ms, hours)
            with self._database.session() as session:
                keep_rain(session, site, sorted(fallen.items()))
                forget_rain(session, now_ms)
            self._known.add(site)
        self._known &= gauges.keys()

    def _gauges(self, session: Session) -> dict[str, list[tuple[str, str, int]]]:
        """Return the gauges of each site with a schedule that asks for rain."""
        asking = (
            select(DeviceRow.site)
            .join(ZoneRow, ZoneRow.device_key == DeviceRow.key)
            .join(ScheduleRow, ScheduleRow.zone_key == ZoneRow.key)
            .where(ScheduleRow.enabled, ScheduleRow.deleted_ms.is_(None))
            # As JSON is written down; null, where nobody asks, has no brace.
            .where(cast(ScheduleRow.definition, String).contains('"rain_skip": {', autoescape=True))
        )
        query = (
            select(DeviceRow.site, DeviceRow.name, ZoneRow.number, DeviceRow.kind)
            .join(ZoneRow, ZoneRow.device_key == DeviceRow.key)
            .where(DeviceRow.site.in_(asking), DeviceRow.kind.in_(self._kinds), DeviceRow.revoked_ms.is_(None))
            .order_by(DeviceRow.key, ZoneRow.number)
        )
        found: dict[str, list[tuple[str, str, int]]] = {}
        rows = sorted(session.execute(query).all(), key=lambda row: not self._kinds[row.kind])
        for site, device, number, _ in rows:
            of_site = found.setdefault(site, [])
            if len(of_site) < self._config.gauges:
                of_site.append((site, device, number))
        return found

    def _fallen(self, gauges: Collection[tuple[str, str, int]], now_ms: int, hours: int) -> dict[int, float]:
        """Return the rain of each hour that a gauge said something of. [mm]"""
        this_hour = now_ms // HOUR_MS * HOUR_MS
        seen: dict[int, list[float]] = {}
        for site, device, number in gauges:
            query = SeriesQuery(
                site, device, number, (RAIN,), this_hour - (hours - 1) * HOUR_MS, this_hour + HOUR_MS, HOUR_MS, "sum"
            )
            series = self._readings.series(query)
            for hour_ms, mm in zip(series.ts_ms.tolist(), series.values[RAIN].tolist(), strict=True):
                if not math.isnan(mm):
                    seen.setdefault(hour_ms, []).append(max(mm, 0.0))
        return {hour_ms: median(mm) for hour_ms, mm in seen.items()}


def rain_kinds(catalogue: Catalogue) -> dict[str, bool]:
    """Return the kinds of device that measure rain, and of each whether it only measures."""
    return {
        name: not {"irrigate", "feed"} & set(kind.actions)
        for name, kind in catalogue.kinds.items()
        if kind.quantity(RAIN) is not None
    }
