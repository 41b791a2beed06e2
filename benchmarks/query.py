# SPDX-License-Identifier: Apache-2.0
"""How fast questions are answered out of many rows in DuckDB.

    python -m benchmarks.query --json [--rows N] [--zones N] [--rounds N] [--folder DIR]

The fleet measures eight quantities a zone once a minute. As many zones as the rows allow have done so for 31 days, all of
them for the last day. The rows are made inside the engine, the windows by the statements that the store makes them with.
Then everything is asked with the bounds that the service has, one thread and 256 MiB:

`latest_1000_zones`   what `GET /api/v1/zones?limit=1000` does without HTTP and the token: the zones from the control database
                      in a file, their values from `LatestState`, which was filled from the store as at a start, to JSON.
                      The store itself is not asked; `benchmarks.api` measures the same over HTTP.
`month_hourly`        what `GET /api/v1/zones/{zone}/series` asks the store: `DuckDBStore.series`, from the 1 h tier. The
                      range ends in the middle of an hour, so the hours that it cuts are made of rows.
`fleet_day_hourly`    one day of all zones, from the table of the 1 h tier by one statement of this file. Neither the store
                      nor the API has a question for many zones; this tells what the tables would bear.

Times are medians of rounds but for those named p99; processor times beside them, of this process, tell more where a
machine is shared.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import duckdb
import msgspec
import numpy as np
import psutil
from numpy.typing import NDArray

from api.latest import shown_zones
from control import registry
from control.database import Database, open_database
from control.records import ZoneSpec
from control.suspended import suspensions_of
from gateway import Address, Catalogue, load_catalogue
from gateway.clock import SteppedClock
from ingest.devices import DeviceTable
from ingest.latest import LatestState
from ingest.store import duckdb_tiers
from ingest.store.batch import Batch, Rows
from ingest.store.duckdb_file import transaction
from ingest.store.duckdb_sql import quoted, table_of
from ingest.store.duckdb_store import DuckDBConfig, DuckDBStore
from ingest.store.protocol import HOUR_MS, SeriesQuery
from ingest.store.tiers import DAY_MS, TIERS
from ingest.store.windows import column_of
from tirta.stores import restore_latest

__all__ = ["main", "measure"]

_SITE = "bench"
_KIND = "irrigation-controller"
_ZONES_A_DEVICE = 4
_QUANTITIES = (
    "soil_moisture",
    "soil_temperature",
    "air_temperature",
    "relative_humidity",
    "flow",
    "litres_total",
    "tank_level",
    "battery",
)
_TOTALS = frozenset({"litres_total"})
_START_MS = 1_767_225_600_000  # 2026-01-01
_DAYS = 31
_END_MS = _START_MS + _DAYS * DAY_MS
_MINUTE_MS = 60_000
_DAY_MINUTES = 1440
_PAGE = 1000  # zones in an answer
_CUT_MS = 17 * _MINUTE_MS  # how far the month's ends lie from whole hours
_LATEST_ROUNDS = 300
_BUILDING: Final[dict[str, Any]] = {"memory_limit": "2GiB", "threads": 2, "checkpoint_threshold": "1GiB"}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON line only, progress goes to standard error")
    parser.add_argument("--rows", type=int, default=100_000_000, help="rows to make")
    parser.add_argument("--zones", type=int, default=10_000, help="zones of the fleet, a multiple of 4")
    parser.add_argument("--rounds", type=int, default=15, help="times that each question is asked of the store")
    parser.add_argument("--folder", type=Path, default=None, help="where the files are made; a temporary folder when not given")
    options = parser.parse_args()
    if options.zones < _PAGE or options.zones % _ZONES_A_DEVICE:
        parser.error(f"--zones has to be {_PAGE} or more, and a multiple of {_ZONES_A_DEVICE}")
    least, most = (options.zones * _DAY_MINUTES * days for days in (1, _DAYS))
    if not least < options.rows <= most:
        parser.error(f"--rows has to be more than {least} and at most {most} for {options.zones} zones; or change --zones")
    if options.rounds < 1:
        parser.error("--rounds has to be 1 or more")
    with tempfile.TemporaryDirectory(prefix="tirta-bench-", dir=options.folder) as folder:
        found = measure(Path(folder), options.rows, options.zones, options.rounds)
    print(json.dumps(found) if options.json else "\n".join(f"{name:>38} {value}" for name, value in found.items()))


def measure(folder: Path, rows: int, zones: int, rounds: int) -> dict[str, Any]:
    """Fill a store and ask it."""
    catalogue, devices, clock = load_catalogue(), DeviceTable(), SteppedClock(_END_MS)
    for number in range(zones // _ZONES_A_DEVICE):
        devices.put(Address(_SITE, _device(number)), catalogue.kinds[_KIND])
    path = folder / "series.duckdb"
    began = time.perf_counter()
    long_kept = -(-(rows - zones * _DAY_MINUTES) // ((_DAYS - 1) * _DAY_MINUTES))
    made, windows_s = _build(path, devices, zones, long_kept)
    build_s = time.perf_counter() - began

    store = DuckDBStore(DuckDBConfig(path), devices, totals=_TOTALS, clock=clock)
    found: dict[str, Any] = {
        "rows": made,
        "zones": zones,
        "zones_of_31_days": long_kept,
        "build_s": round(build_s, 1),
        "build_windows_s": round(windows_s, 1),
        "size_mb": round(path.stat().st_size / 1e6),
    }
    found |= _ask_latest(folder, store, devices, catalogue, zones)
    found |= _ask_month(store, long_kept, rounds)
    store.close()
    found |= _ask_fleet(path, zones, rounds)
    return found | {"rss_mb": round(psutil.Process().memory_info().rss / 1e6)}


def _device(number: int) -> str:
    return f"device-{number:05}"


def _progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _build(path: Path, devices: DeviceTable, zones: int, long_kept: int) -> tuple[int, float]:
    """Make rows and windows a day at a time; return how many rows there are, and the time that windows took. [s]"""
    store = DuckDBStore(DuckDBConfig(path), devices, totals=_TOTALS, clock=SteppedClock(_START_MS))
    store.write(Batch((_first_rows(zones),), 1))  # for it the store makes its tables and the ids of devices
    store.close()
    connection = duckdb.connect(str(path), config=_BUILDING)
    kept = duckdb_tiers.kept_columns(_QUANTITIES, _TOTALS)
    for tier in TIERS:
        duckdb_tiers.with_tier_columns(connection, None, tier, _KIND, [column_of(*key) for key in kept])
    everything = np.arange(zones)
    ids, numbers = (everything // _ZONES_A_DEVICE + 1).astype(np.int32), (everything % _ZONES_A_DEVICE + 1).astype(np.uint8)
    began, windows_s, made = time.perf_counter(), 0.0, zones
    for day in range(_DAYS):
        measuring = zones if day == _DAYS - 1 else long_kept
        connection.execute(_day_of_rows(day, measuring))
        made += measuring * _DAY_MINUTES
        before = time.perf_counter()
        first_hour = (_START_MS + day * DAY_MS) // HOUR_MS
        hours = range(first_hour - (day == 0), first_hour + 24)  # the first rows lie an hour before
        some = [slice(zones if hour < _START_MS // HOUR_MS else measuring) for hour in hours]
        turns = [(hour, (ids[part], numbers[part])) for hour, part in zip(hours, some, strict=True)]
        with ThreadPoolExecutor(_BUILDING["threads"]) as pool:  # an hour is too little for the engine's own threads
            list(pool.map(lambda turn: _make_windows(connection, kept, *turn), turns))
        windows_s += time.perf_counter() - before
        connection.execute("CHECKPOINT")
        _progress(f"day {day + 1} of {_DAYS}: {made:,} rows and their windows in {time.perf_counter() - began:.0f} s")
    _check(connection, made)
    connection.close()
    return made, windows_s


def _make_windows(
    connection: duckdb.DuckDBPyConnection,
    kept: Sequence[tuple[str, str]],
    hour: int,
    zones: tuple[NDArray[np.int32], NDArray[np.uint8]],
) -> None:
    with connection.cursor() as cursor, transaction(cursor):
        duckdb_tiers.make_windows(cursor, _KIND, hour, zones, kept)


def _first_rows(zones: int) -> Rows:
    """Return one row of each zone, a minute before all others."""
    everything = np.arange(zones)
    return Rows(
        kind=_KIND,
        device=(everything // _ZONES_A_DEVICE).astype(np.int32),
        zone=(everything % _ZONES_A_DEVICE + 1).astype(np.uint8),
        ts_ms=np.full(zones, _START_MS - _MINUTE_MS, np.int64),
        boot=np.zeros(zones, np.int64),
        seq=everything % _ZONES_A_DEVICE,
        place=np.zeros(zones, np.int64),
        flags=np.zeros(zones, np.uint8),
        values=dict.fromkeys(_QUANTITIES, np.ones(zones)),
    )


def _day_of_rows(day: int, zones: int) -> str:
    """Return the statement that makes a day of some zones, in the order in which the rows would have come."""
    values = ", ".join(f"round(random() * 100, 2) AS {name}" for name in _QUANTITIES if name not in _TOTALS)
    return (
        f"INSERT INTO {table_of(_KIND)} BY NAME "
        f"SELECT z // {_ZONES_A_DEVICE} + 1 AS device, z % {_ZONES_A_DEVICE} + 1 AS zone, "
        f"{_START_MS} + m * {_MINUTE_MS} + z % {_MINUTE_MS} AS ts_ms, 1 AS boot, "
        f"m * {_ZONES_A_DEVICE} + z % {_ZONES_A_DEVICE} AS seq, 0 AS place, 0 AS flags, m * 0.5 AS litres_total, {values} FROM "
        f"(SELECT n // {zones} + {day * _DAY_MINUTES} AS m, n % {zones} AS z FROM range({zones * _DAY_MINUTES}) AS rows(n))"
    )


def _check(connection: duckdb.DuckDBPyConnection, made: int) -> None:
    hours = duckdb_tiers.tier_table(TIERS[-1], _KIND)
    counted = connection.execute(
        f"SELECT (SELECT count(*) FROM {table_of(_KIND)}), (SELECT sum({quoted('soil_moisture_count')})::BIGINT FROM {hours}), "
        "(SELECT count(*) FROM touched)"
    ).fetchone()
    if counted != (made, made, 0):
        raise SystemExit(f"rows, rows in windows, hours not made: {counted} instead of {(made, made, 0)}")


def _ask_latest(
    folder: Path, store: DuckDBStore, devices: DeviceTable, catalogue: Catalogue, zones: int
) -> dict[str, float | int]:
    """Ask for the newest values of a page of zones, again and again."""
    latest = LatestState(devices, catalogue)
    began = time.perf_counter()
    if (why := restore_latest(store, devices, latest, _END_MS)) is not None:
        raise SystemExit(why)
    restore_s = time.perf_counter() - began
    _progress(f"newest values of {zones} zones read from the store in {restore_s:.1f} s")
    database = open_database(f"sqlite:///{folder}/control.db")
    _register(database, zones)
    gc.collect()
    gc.freeze()  # as the service does
    times: list[float] = []
    cpu_s = time.process_time()
    for _ in range(_LATEST_ROUNDS):
        began = time.perf_counter()
        with database.reader() as session:
            found, after = registry.list_zones(session, site=None, device=None, limit=_PAGE, after=None)
            held = suspensions_of(session, [zone.key for zone in found], _END_MS)
        shown = shown_zones(found, held, latest, catalogue, _END_MS)
        size = len(msgspec.json.encode({"items": shown, "next": after}))
        times.append((time.perf_counter() - began) * 1000)
        if len(shown) != _PAGE or any(len(zone.latest) != len(_QUANTITIES) for zone in shown):
            raise SystemExit("values are missing")
    cpu_s = time.process_time() - cpu_s
    gc.unfreeze()
    database.close()
    parts = statistics.quantiles(times, n=100, method="inclusive")
    return {
        "latest_1000_zones_p50_ms": round(parts[49], 1),
        "latest_1000_zones_p99_ms": round(parts[98], 1),
        "latest_1000_zones_cpu_ms": round(cpu_s / _LATEST_ROUNDS * 1000, 1),
        "latest_1000_zones_bytes": size,
        "latest_restore_s": round(restore_s, 1),
    }


def _register(database: Database, zones: int) -> None:
    specs = [ZoneSpec(number, f"Bedeng {number}", "bed") for number in range(1, _ZONES_A_DEVICE + 1)]
    with database.session() as session:
        registry.create_site(session, _SITE, "Bench", "Asia/Makassar", now_ms=_START_MS)
        for number in range(zones // _ZONES_A_DEVICE):
            name = _device(number)
            registry.create_device(session, _SITE, name, _KIND, f"Kebun {number}", specs, "$7$", now_ms=_START_MS)


def _ask_month(store: DuckDBStore, long_kept: int, rounds: int) -> dict[str, float]:
    """Ask for a month, and for a day in small windows, of one zone."""
    name, zone = _device(long_kept // 2 // _ZONES_A_DEVICE), long_kept // 2 % _ZONES_A_DEVICE + 1
    whole = SeriesQuery(_SITE, name, zone, ("soil_moisture",), _END_MS - 30 * DAY_MS, _END_MS, HOUR_MS)
    cut = replace(whole, start_ms=whole.start_ms - _CUT_MS, end_ms=whole.end_ms - _CUT_MS)
    day = replace(whole, start_ms=_END_MS - DAY_MS, every_ms=TIERS[0].unit_ms)
    asked = {
        "month_hourly_one_zone": (cut, 721),
        "month_hourly_one_zone_whole_hours": (whole, 720),
        "month_hourly_one_zone_eight_quantities": (replace(cut, quantities=_QUANTITIES), 721),
        "day_five_minutes_one_zone": (day, 288),
    }

    def ask(query: SeriesQuery, windows: int) -> None:
        series = store.series(query)
        if series.tier == "raw" or len(series.ts_ms) != windows:
            raise SystemExit(f"{len(series.ts_ms)} windows of {windows} from {series.tier}: {query}")

    found: dict[str, float] = {}
    for key, one in asked.items():
        found |= _timed(key, partial(ask, *one), rounds)
    return found


def _ask_fleet(path: Path, zones: int, rounds: int) -> dict[str, float]:
    """Ask the table of the 1 h tier for the last day of all zones."""
    usual = DuckDBConfig(path)
    config: dict[str, Any] = {"memory_limit": f"{usual.memory_limit_mib}MiB", "threads": usual.threads}
    with duckdb.connect(str(path), read_only=True, config=config) as connection:

        def ask(quantities: tuple[str, ...]) -> None:
            means = ", ".join(quoted(column_of(name, "mean")) for name in quantities)
            table = duckdb_tiers.tier_table(TIERS[-1], _KIND)
            statement = (
                f"SELECT site, name, zone, began, {means} FROM {table} JOIN device ON device.id = device "
                "WHERE began >= $start AND began < $end ORDER BY site, name, zone, began"
            )
            found = connection.execute(statement, {"start": _END_MS - DAY_MS, "end": _END_MS}).fetchnumpy()
            if len(found["began"]) != zones * 24:
                raise SystemExit(f"{len(found['began'])} windows of {zones * 24}")

        found = _timed("fleet_day_hourly", partial(ask, _QUANTITIES[:1]), rounds)
        return found | _timed("fleet_day_hourly_eight_quantities", partial(ask, _QUANTITIES), rounds)


def _timed(name: str, call: Callable[[], None], rounds: int) -> dict[str, float]:
    """Return the median time of a call, and the processor time of one on the average. [ms]"""
    taken: list[float] = []
    cpu_s = time.process_time()
    for _ in range(rounds):
        began = time.perf_counter()
        call()
        taken.append((time.perf_counter() - began) * 1000)
    cpu_ms = (time.process_time() - cpu_s) / rounds * 1000
    return {f"{name}_ms": round(statistics.median(taken), 1), f"{name}_cpu_ms": round(cpu_ms, 1)}


if __name__ == "__main__":
    main()
