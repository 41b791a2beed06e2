# SPDX-License-Identifier: Apache-2.0
"""How fast a long range is answered out of many rows, by DuckDB.

    python -m benchmarks.series --json [--rows N] [--zones N] [--folder DIR]

Rows of eight quantities, one a minute from each zone, are made inside the engine; then the store makes its windows of
them as it always does, and questions are asked of the store. Times are medians of rounds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import psutil

from gateway.clock import SteppedClock
from ingest.store.batch import Batch, Rows
from ingest.store.duckdb_store import DuckDBConfig, DuckDBStore
from ingest.store.protocol import SeriesQuery
from ingest.store.tiers import DAY_MS, Retention

__all__ = ["main", "measure"]

_KIND = "irrigation-controller"
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
_START_MS = 1_767_225_600_000  # 2026-01-01
_MINUTE_MS = 60_000


class _Names:
    def names(self, index: int) -> tuple[str, str]:
        return "bench", f"device-{index}"


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON line and nothing else")
    parser.add_argument("--rows", type=int, default=20_000_000, help="rows to make")
    parser.add_argument("--zones", type=int, default=1_000, help="zones they come from, one a minute each")
    parser.add_argument("--rounds", type=int, default=15, help="times that each question is asked")
    parser.add_argument("--folder", type=Path, default=None, help="where the file is made; a temporary folder when not given")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        found = measure(Path(folder), options.rows, options.zones, options.rounds, quiet=options.json)
    print(json.dumps(found) if options.json else json.dumps(found, indent=2))


def measure(folder: Path, rows: int, zones: int, rounds: int, *, quiet: bool = True) -> dict[str, Any]:
    """Fill a store and ask it."""
    minutes = max(rows // zones, 1)
    end_ms = _START_MS + minutes * _MINUTE_MS
    path = folder / "series.duckdb"
    clock = SteppedClock(end_ms + DAY_MS)
    store = DuckDBStore(DuckDBConfig(path), _Names(), retention=Retention(None, None, None), clock=clock)
    store.write(Batch((_first_rows(zones),), 1))
    store.close()
    began = time.perf_counter()
    _fill(path, zones, minutes, quiet=quiet)
    filled = time.perf_counter()
    cpu = time.process_time()
    totals = frozenset({"litres_total"})
    store = DuckDBStore(
        DuckDBConfig(path), _Names(), retention=Retention(None, None, None), totals=totals, clock=clock, wall_s=_impatient()
    )
    while store.tend():
        pass
    store.flush()
    tended, tended_cpu = time.perf_counter(), time.process_time()

    month = SeriesQuery("bench", f"device-{zones // 2}", 1, ("soil_moisture",), end_ms - 30 * DAY_MS, end_ms, 3_600_000)
    eight = SeriesQuery("bench", f"device-{zones // 3}", 1, _QUANTITIES, end_ms - 30 * DAY_MS, end_ms, 3_600_000)
    day = SeriesQuery("bench", f"device-{zones // 4}", 1, ("soil_moisture",), end_ms - DAY_MS, end_ms, 300_000)
    found = {
        "rows": minutes * zones,
        "zones": zones,
        "days": round(minutes / 1440, 1),
        "fill_s": round(filled - began, 1),
        "tiers_s": round(tended - filled, 1),
        "tiers_cpu_s_per_million": round((tended_cpu - cpu) / (minutes * zones) * 1e6, 2),
        "file_mb": round(path.stat().st_size / 2**20),
        "month_hourly_one_zone_ms": _median_ms(lambda: _asked(store, month), rounds),
        "month_hourly_eight_quantities_ms": _median_ms(lambda: _asked(store, eight), rounds),
        "day_five_minutes_one_zone_ms": _median_ms(lambda: _asked(store, day), rounds),
        "rss_mb": round(psutil.Process().memory_info().rss / 2**20),
    }
    store.close()
    return found


def _impatient() -> Callable[[], float]:
    """Return a wall on which every look takes a minute, so that nothing waits for more rows."""
    looks = iter(range(0, 10**12, 60))
    return lambda: float(next(looks))


def _first_rows(zones: int) -> Rows:
    """Return one row of each zone, for which the store makes its tables."""
    return Rows(
        kind=_KIND,
        device=np.arange(zones, dtype=np.int32),
        zone=np.ones(zones, np.uint8),
        ts_ms=np.full(zones, _START_MS - _MINUTE_MS, np.int64),
        boot=np.zeros(zones, np.int64),
        seq=np.zeros(zones, np.int64),
        place=np.zeros(zones, np.int64),
        flags=np.zeros(zones, np.uint8),
        values={name: np.ones(zones) for name in _QUANTITIES},
    )


def _fill(path: Path, zones: int, minutes: int, *, quiet: bool) -> None:
    """Make all rows, a day at a time, in the order in which they would have come; mark every hour of them."""
    values = ", ".join(f"round(random() * 100, 2) AS {name}" for name in _QUANTITIES if name != "litres_total")
    connection = duckdb.connect(str(path), config={"memory_limit": "512MiB", "threads": 2})
    for first in range(0, minutes, 1440):
        last = min(first + 1440, minutes)
        connection.execute(
            f'INSERT INTO "kind_{_KIND}" BY NAME SELECT zone_of.i AS device, 1 AS zone, '
            f"{_START_MS} + minute.m * {_MINUTE_MS} + zone_of.i % 60000 AS ts_ms, 0 AS boot, minute.m + 1 AS seq, 0 AS place, "
            f"0 AS flags, minute.m * 0.5 AS litres_total, {values} "
            f"FROM range({first}, {last}) AS minute(m), range(1, {zones} + 1) AS zone_of(i)"
        )
        if not quiet:
            print(f"{last * zones:,} rows", file=sys.stderr)
    hours = f"range({_START_MS // 3_600_000}, {(_START_MS + minutes * _MINUTE_MS - 1) // 3_600_000 + 1})"
    connection.execute(
        f"INSERT INTO touched SELECT '{_KIND}', i, 1, h FROM {hours} AS hour(h), range(1, {zones} + 1) AS zone_of(i)"
    )
    connection.close()


def _asked(store: DuckDBStore, query: SeriesQuery) -> None:
    series = store.series(query)
    if series.tier == "raw" or not len(series.ts_ms):
        raise SystemExit(f"not answered from a tier: {query}")


def _median_ms(call: Callable[[], None], rounds: int) -> float:
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        call()
        taken.append((time.perf_counter() - began) * 1000)
    return round(statistics.median(taken), 1)


if __name__ == "__main__":
    main()
