# SPDX-License-Identifier: Apache-2.0
"""What is DuckDB's own: one transaction for rows and cursor, whatever happens to the process."""

from __future__ import annotations

import asyncio
import itertools
import resource
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from threading import Thread

import duckdb
import numpy as np
import pytest

from gateway.clock import SteppedClock
from ingest.store import (
    Batch,
    DuckDBConfig,
    DuckDBStore,
    Retention,
    Rows,
    SeriesQuery,
    StoreRefused,
    StoreRejected,
    StoreUnavailable,
)

TS = 1_763_770_800_000
CLOCK = SteppedClock(TS + 86_400_000)
ROWS = 100


class Names:
    def names(self, index: int) -> tuple[str, str]:
        return "pilot", f"bed-{index + 1}"


def make_rows(*, first: int = 0, kind: str = "water-meter", quantity: str = "flow") -> Rows:
    return Rows(
        kind=kind,
        device=np.zeros(ROWS, dtype=np.int32),
        zone=np.ones(ROWS, dtype=np.uint8),
        ts_ms=np.arange(ROWS, dtype=np.int64) + TS + first,
        boot=np.zeros(ROWS, dtype=np.int64),
        seq=np.arange(ROWS, dtype=np.int64) + first,
        place=np.zeros(ROWS, dtype=np.int64),
        flags=np.zeros(ROWS, dtype=np.uint8),
        values={quantity: np.ones(ROWS)},
    )


def opened(path: Path) -> closing[DuckDBStore]:
    return closing(DuckDBStore(DuckDBConfig(path), Names(), clock=CLOCK))


def write_for_ever(path: Path) -> None:
    """Write batch after batch and say how far; run in a process that is killed."""
    store = DuckDBStore(DuckDBConfig(path), Names(), clock=CLOCK)
    upto = store.cursor()
    while True:
        store.write(Batch((make_rows(first=upto * ROWS),), upto + 1))
        upto += 1
        print(upto, flush=True)


def test_write_killed_at_any_moment_leaves_whole_batches_and_their_cursor(tmp_path: Path) -> None:
    path = tmp_path / "series.duckdb"
    code = f"from pathlib import Path; import {__name__} as t; t.write_for_ever(Path({str(path)!r}))"
    for batches in (3, 20, 11):
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            said = [int(process.stdout.readline()) for _ in range(batches)]
            process.kill()
        with opened(path) as store:
            assert store.cursor() >= said[-1]
            assert store.count("pilot", "bed-1") == store.cursor() * ROWS


def write_past_a_full_disk(path: Path) -> None:
    """Write until no file may grow, try on for a while, get room and go on; run in a process of its own."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    no_limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, no_limit[1]))
    store = DuckDBStore(DuckDBConfig(path), Names(), clock=CLOCK)
    failures = 0
    upto = 0
    while upto < 400:
        try:
            store.write(Batch((make_rows(first=upto * ROWS),), upto + 1))
            upto += 1
            if upto % 50 == 0:
                store.flush()
        except StoreUnavailable:
            failures += 1
            if failures == 5:
                resource.setrlimit(resource.RLIMIT_FSIZE, no_limit)
    print(failures, upto, store.cursor(), store.count("pilot", "bed-1"))
    store.close()


def test_write_on_a_full_disk_goes_on_when_there_is_room(tmp_path: Path) -> None:
    path = tmp_path / "series.duckdb"
    code = f"from pathlib import Path; import {__name__} as t; t.write_past_a_full_disk(Path({str(path)!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["5", "400", "400", str(400 * ROWS)], done.stderr
    with opened(path) as store:
        assert (store.cursor(), store.count("pilot", "bed-1")) == (400, 400 * ROWS)


def test_write_that_fails_half_way_keeps_nothing_of_the_batch(tmp_path: Path) -> None:
    with opened(tmp_path / "series.duckdb") as store:
        store.write(Batch((make_rows(),), 1))
        # DuckDB does not tell names apart by case, so the second column cannot be made.
        bad = make_rows(first=ROWS, kind="pond-feeder", quantity="ph")
        bad.values["PH"] = np.ones(ROWS)
        with pytest.raises(StoreRejected):
            store.write(Batch((make_rows(first=ROWS), bad), 2))
        assert (store.cursor(), store.count("pilot", "bed-1")) == (1, ROWS)
        store.write(Batch((make_rows(first=ROWS), make_rows(kind="pond-feeder")), 2))
        assert (store.cursor(), store.count("pilot", "bed-1")) == (2, 3 * ROWS)


def test_series_while_another_thread_writes_sees_whole_batches(tmp_path: Path) -> None:
    query = SeriesQuery("pilot", "bed-1", 1, ("flow",), TS, TS + 10**6, 10**9, "count")
    with opened(tmp_path / "series.duckdb") as store:
        store.write(Batch((make_rows(),), 1))
        writer = Thread(target=lambda: [store.write(Batch((make_rows(first=i * ROWS),), i + 1)) for i in range(1, 30)])
        writer.start()
        seen = []
        while writer.is_alive():
            seen.append(int(store.series(query).values["flow"][0]))
        writer.join()
        seen.append(int(store.series(query).values["flow"][0]))
    assert seen == sorted(seen)
    assert seen[-1] == 30 * ROWS
    assert all(count % ROWS == 0 for count in seen)


@pytest.mark.parametrize("name", ["main", "device", "store", "kind_water-meter", "temp.1"])
def test_open_with_any_file_name_works(tmp_path: Path, name: str) -> None:
    with opened(tmp_path / f"{name}.duckdb") as store:
        store.write(Batch((make_rows(),), 1))
        assert store.count("pilot", "bed-1") == ROWS


def test_open_of_a_file_that_another_process_has_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "series.duckdb"
    code = f"import duckdb, sys; c = duckdb.connect({str(path)!r}); print(1, flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(StoreRefused, match="lock"):
            opened(path)
        other.kill()


def test_open_of_a_file_that_is_not_a_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "series.duckdb"
    path.write_bytes(b"not a database" * 1000)
    with pytest.raises(StoreRefused, match=r"series\.duckdb"):
        opened(path)


def test_open_of_a_file_with_a_newer_layout_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "series.duckdb"
    with opened(path):
        pass
    with duckdb.connect(str(path)) as connection:
        connection.execute("UPDATE store SET version = 99")
    with pytest.raises(StoreRefused, match="update Tirta"):
        opened(path)


HOUR = 3_600_000
HOURS = 6


def hour_counts(store: DuckDBStore, every_ms: int = HOUR) -> dict[int, float]:
    query = SeriesQuery("pilot", "bed-1", 1, ("flow",), TS - TS % HOUR, TS + HOURS * HOUR, every_ms, "count")
    series = store.series(query)
    return dict(zip(series.ts_ms.tolist(), series.values["flow"].tolist(), strict=True))


def spread(upto: int) -> Rows:
    """Rows of a batch, spread over all hours."""
    rows = make_rows(first=upto * ROWS)
    rows.ts_ms[:] = TS + (rows.seq * 7919 * 1000) % (HOURS * HOUR)
    return rows


def test_tend_while_another_thread_writes_counts_every_row_once(tmp_path: Path) -> None:
    wall = itertools.count(0, 60)
    store = DuckDBStore(DuckDBConfig(tmp_path / "series.duckdb"), Names(), clock=CLOCK, wall_s=lambda: float(next(wall)))
    batches = 60
    with closing(store):
        writer = Thread(target=lambda: [store.write(Batch((spread(i),), i + 1)) for i in range(batches)])
        writer.start()
        turns = 0
        while writer.is_alive():
            turns += store.tend()
        writer.join()
        while store.tend():
            turns += 1
        assert turns > HOURS
        assert sum(hour_counts(store).values()) == sum(hour_counts(store, 300_000).values()) == batches * ROWS
    with duckdb.connect(str(tmp_path / "series.duckdb")) as file:
        kept = file.execute('SELECT sum(flow_count), count(DISTINCT began) FROM "tier_1h_water-meter"').fetchone()
        assert kept == (batches * ROWS, len({(ts // HOUR) for i in range(batches) for ts in spread(i).ts_ms.tolist()}))
        assert file.execute("SELECT count(*) FROM touched").fetchone() == (0,)


def write_and_tend_for_ever(path: Path) -> None:
    """Write batches and make windows, in two threads; run in a process that is killed."""
    wall = itertools.count(0, 60)
    store = DuckDBStore(DuckDBConfig(path), Names(), clock=CLOCK, wall_s=lambda: float(next(wall)))

    def tend() -> None:
        while True:
            store.tend()

    Thread(target=tend, daemon=True).start()
    upto = store.cursor()
    while True:
        store.write(Batch((spread(upto),), upto + 1))
        upto += 1
        print(upto, flush=True)


def test_tend_killed_at_any_moment_forgets_no_touched_hour(tmp_path: Path) -> None:
    path = tmp_path / "series.duckdb"
    code = f"from pathlib import Path; import {__name__} as t; t.write_and_tend_for_ever(Path({str(path)!r}))"
    for batches in (4, 25, 12):
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for _ in range(batches):
                process.stdout.readline()
            process.kill()
        with opened(path) as store:
            assert sum(hour_counts(store).values()) == store.cursor() * ROWS
    wall = itertools.count(0, 60)
    with closing(DuckDBStore(DuckDBConfig(path), Names(), clock=CLOCK, wall_s=lambda: float(next(wall)))) as store:
        while store.tend():
            pass
        expected = store.cursor() * ROWS
    with duckdb.connect(str(path)) as file:
        for tier in ("5m", "1h"):
            assert file.execute(f'SELECT sum(flow_count) FROM "tier_{tier}_water-meter"').fetchone() == (expected,)


def test_open_of_a_file_of_the_first_layout_makes_windows_of_what_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "series.duckdb"
    with opened(path) as store:
        store.write(Batch((spread(0), make_rows(kind="pond-feeder", first=ROWS, quantity="ph")), 1))
        counts = hour_counts(store)
    with duckdb.connect(str(path)) as connection:
        connection.execute("DROP TABLE touched; UPDATE store SET version = 1")
    wall = itertools.count(0, 60)
    with closing(DuckDBStore(DuckDBConfig(path), Names(), clock=CLOCK, wall_s=lambda: float(next(wall)))) as store:
        assert hour_counts(store) == counts
        turns = 0
        while store.tend():
            turns += 1
        assert turns == len(counts) + 1
        assert hour_counts(store) == counts


def test_tend_of_a_late_row_in_an_hour_whose_rows_were_let_go_leaves_its_windows(tmp_path: Path) -> None:
    clock = SteppedClock(TS + 8 * HOUR)
    wall = itertools.count(0, 60)
    config = DuckDBConfig(tmp_path / "series.duckdb")

    def opened_for(days: int) -> closing[DuckDBStore]:
        return closing(DuckDBStore(config, Names(), clock=clock, retention=Retention(days), wall_s=lambda: float(next(wall))))

    with opened_for(90) as store:
        store.write(Batch((spread(0),), 1))
        while store.tend():
            pass
        counts = hour_counts(store)
        asyncio.run(clock.advance(91 * 86_400))
        while store.tend():
            pass
        assert store.count("pilot", "bed-1") == 0
    with opened_for(400) as store:
        late = spread(1).without(range(2, ROWS))
        store.write(Batch((late,), 2))  # replayed, now that rows are kept longer
        while store.tend():
            pass
        assert store.count("pilot", "bed-1") == 2
        last = max(counts)  # the range cuts it, so it is asked of the rows
        assert {hour: n for hour, n in hour_counts(store).items() if hour < last} == {
            hour: n for hour, n in counts.items() if hour < last
        }
    with duckdb.connect(str(tmp_path / "series.duckdb")) as file:
        assert file.execute("SELECT count(*) FROM touched").fetchone() == (0,)
        assert file.execute('SELECT sum(flow_count) FROM "tier_1h_water-meter"').fetchone() == (ROWS,)


def test_tend_deletes_rows_past_their_age_in_steps_and_keeps_their_windows(tmp_path: Path) -> None:
    clock = SteppedClock(TS + 8 * HOUR)
    wall = itertools.count(0, 60)
    config = DuckDBConfig(tmp_path / "series.duckdb", rows_a_step=30)
    with closing(DuckDBStore(config, Names(), clock=clock, wall_s=lambda: float(next(wall)))) as store:
        store.write(Batch((spread(0), make_rows(first=ROWS)), 1))
        while store.tend():
            pass
        counts = hour_counts(store)
        assert store.count("pilot", "bed-1") == 2 * ROWS
        asyncio.run(clock.advance(91 * 86_400))
        steps = 0
        while store.tend():
            steps += 1
        assert steps == -(-2 * ROWS // 30)
        assert store.count("pilot", "bed-1") == 0
        assert hour_counts(store) == counts
