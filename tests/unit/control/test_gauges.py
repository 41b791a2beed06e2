# SPDX-License-Identifier: Apache-2.0
"""Rain that gauges measured, out of a real store, as beds ask for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select

from control import registry, schedules
from control.database import Database
from control.gauges import GaugeConfig, RainGauges, rain_kinds
from control.records import ZoneSpec
from control.weather_models import RainHourRow
from gateway import Address, SteppedClock, load_catalogue
from ingest.devices import DeviceTable
from ingest.store.batch import Batch, Rows
from ingest.store.duckdb_store import DuckDBConfig, DuckDBStore
from tests.unit.control.stage import BED, at

HOUR = 3_600_000
NOW = at("06:30")
STATIONS = ("sky-1", "sky-2", "sky-3")


class Ground:
    """A store of measurements of a site, and what looks at its gauges."""

    def __init__(self, database: Database, store: DuckDBStore, devices: DeviceTable, clock: SteppedClock) -> None:
        self.database, self.store, self.devices, self.clock = database, store, devices, clock
        self.gauges = RainGauges(database, store, rain_kinds(load_catalogue()), clock)
        self.position = 0

    def rain(self, device: str, ts_ms: list[int], mm: list[float], kind: str = "weather-station") -> None:
        index, n = self.devices.put(Address("pilot", device), load_catalogue().kinds[kind]), len(ts_ms)
        rows = Rows(
            kind=kind,
            device=np.full(n, index, np.int32),
            zone=np.full(n, 1, np.uint8),
            ts_ms=np.array(ts_ms, np.int64),
            boot=np.full(n, 1, np.int64),
            seq=np.arange(self.position, self.position + n, dtype=np.int64),
            place=np.arange(n, dtype=np.int64),
            flags=np.zeros(n, np.uint8),
            values={"rain": np.array(mm, np.float64)},
        )
        self.position += n
        self.store.write(Batch((rows,), self.position))

    def hours(self) -> dict[str, float]:
        with self.database.reader() as session:
            rows = session.execute(select(RainHourRow.hour_ms, RainHourRow.mm).order_by(RainHourRow.hour_ms)).all()
        return {f"{(hour_ms - NOW) / HOUR:+.1f}": round(mm, 3) for hour_ms, mm in rows}


@pytest.fixture
def ground(pilot: Database, tmp_path: Path) -> Iterator[Ground]:
    clock, devices = SteppedClock(NOW), DeviceTable()
    with pilot.session() as session:
        for name in STATIONS:
            zones = [ZoneSpec(1, name, "point")]
            registry.create_device(session, "pilot", name, "weather-station", name, zones, "$7$", now_ms=at("00:00"))
    store = DuckDBStore(DuckDBConfig(tmp_path / "series.duckdb"), devices, totals=frozenset(), clock=clock)
    yield Ground(pilot, store, devices, clock)
    store.close()


def ask_for_rain(database: Database, *, rain_skip: bool = True) -> None:
    definition = {"type": "irrigation", "low": 0.2, "high": 0.3, "litres_day": 9.0, "rain_skip": {} if rain_skip else None}
    with database.session() as session:
        schedules.create_schedule(session, BED, definition, now_ms=at("00:00"))


def test_look_keeps_the_middle_gauge_of_each_hour_and_takes_late_records_in(ground: Ground) -> None:
    ask_for_rain(ground.database)
    ground.rain("sky-1", [NOW - HOUR, NOW - HOUR + 1, NOW], [2.0, 3.0, 1.0])
    ground.rain("sky-2", [NOW - HOUR, NOW], [40.0, 1.5])
    ground.rain("sky-3", [NOW - HOUR], [4.0])
    ground.gauges.look()

    assert ground.hours() == {"-1.5": 5.0, "-0.5": 1.25}
    ground.rain("sky-3", [NOW + 1], [9.0])
    ground.gauges.look()
    assert ground.hours() == {"-1.5": 5.0, "-0.5": 1.5}


def test_look_after_a_start_goes_back_as_far_as_schedules_look_and_then_only_so_far_as_records_are_late(
    ground: Ground,
) -> None:
    ask_for_rain(ground.database)
    ground.rain("sky-1", [NOW - 71 * HOUR], [7.0])
    ground.gauges.look()
    ground.rain("sky-1", [NOW - 50 * HOUR], [7.0])
    ground.gauges.look()

    assert list(ground.hours().values()) == [7.0]


def test_look_where_no_schedule_asks_reads_and_keeps_nothing(ground: Ground) -> None:
    ask_for_rain(ground.database, rain_skip=False)
    ground.rain("sky-1", [NOW], [7.0])
    ground.gauges.look()

    assert ground.hours() == {}


def test_look_takes_weather_stations_before_beds_where_there_are_too_many(ground: Ground) -> None:
    ask_for_rain(ground.database)
    ground.gauges = RainGauges(ground.database, ground.store, rain_kinds(load_catalogue()), ground.clock, GaugeConfig(gauges=1))
    ground.rain("garden", [NOW], [50.0], kind="irrigation-controller")
    ground.rain("sky-1", [NOW], [1.0])
    ground.gauges.look()

    assert list(ground.hours().values()) == [1.0]


def test_rain_kinds_tell_what_only_measures() -> None:
    assert rain_kinds(load_catalogue()) == {"irrigation-controller": False, "weather-station": True}
