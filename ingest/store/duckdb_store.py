# SPDX-License-Identifier: Apache-2.0
"""The series store in a file of our own, on DuckDB.

Rows, cursor and the marks of touched hours are written in one transaction, so a batch is kept wholly and once, or not at
all. Only one process can open the file, and only one thread writes; each call reads through a DuckDB cursor of its own, so
readers do not wait, and windows are made while rows are written.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import astuple, dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from gateway.clock import Clock, WallClock
from ingest.store import duckdb_sql as sql
from ingest.store import duckdb_tiers as tiers
from ingest.store.answers import Kept, answer_query, empty_series, needed_columns, tier_series
from ingest.store.batch import Batch, DeviceNames, Keep, Reach, RejectedRow
from ingest.store.duckdb_file import DuckDBFile, transaction
from ingest.store.duckdb_tables import (
    Known,
    insert,
    read_holes,
    read_known,
    read_tier_columns,
    with_columns,
    with_devices,
)
from ingest.store.errors import StoreRefused, StoreUnavailable
from ingest.store.holes import Hole, with_hole
from ingest.store.protocol import HOUR_MS, Latest, Series, SeriesQuery, TierName
from ingest.store.tiers import TIERS, Retention, Span, Tier, is_old, kept_from_ms, too_old, without
from ingest.store.touched import TOUCHED_MAX, Touched, Turn
from ingest.store.windows import Windows, column_of

__all__ = ["DuckDBConfig", "DuckDBStore"]


@dataclass(frozen=True, slots=True)
class DuckDBConfig:
    """Where the series are kept and what the engine may use.

    Attributes
    ----------
    path : Path
        The file; made if it is not there. Space of deleted rows is used again, never given back.
    memory_limit_mib : int
        Most memory of the engine; sorts that need more go to files beside `path`. [MiB]
    threads : int
        Processor threads of the engine, shared by all queries.
    zones_a_turn : int
        Zones whose windows are made in one transaction.
    rows_a_step : int
        Rows past their age that are deleted in one.
    """

    path: Path
    memory_limit_mib: int = 256
    threads: int = 1
    zones_a_turn: int = 2_000
    rows_a_step: int = 100_000


class DuckDBStore:
    """Keeps measurements in a DuckDB file; see `SeriesStore`.

    Parameters
    ----------
    config : DuckDBConfig
        File and bounds.
    names : DeviceNames
        Names of the device indexes in the batches.
    retention : Retention or None
        How long each tier is kept; None for the usual.
    totals : frozenset of str
        Quantities that are running totals.
    clock : Clock or None
        The platform's, by which hours end and rows grow old; None for the wall's.
    wall_s : callable
        Seconds that pass on the wall.

    Raises
    ------
    StoreRefused
        If the file belongs to another process, is damaged, or was written by a newer version.
    """

    name = "duckdb"

    def __init__(
        self,
        config: DuckDBConfig,
        names: DeviceNames,
        *,
        retention: Retention | None = None,
        totals: frozenset[str] = frozenset(),
        clock: Clock | None = None,
        wall_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._names = names
        self._retention = retention or Retention()
        self._totals = totals
        self._clock = clock or WallClock()
        self._wall_s = wall_s
        self._writing = Lock()
        self._tending = Lock()  # taken before `_writing` by who needs both
        self._known = Known({}, {}, np.empty(0, dtype=np.int32))
        self._tier_columns: dict[tuple[TierName, str], frozenset[str]] = {}
        self._touched = Touched((), wall_s)
        self._tidied_hour: int | None = None
        self._file = DuckDBFile(config.path, config.memory_limit_mib, config.threads, self._read_layout)

    def cursor(self) -> int:
        """Return the journal position that the file has been brought to."""
        with self._file.lend() as connection:
            return _one_int(connection.execute("SELECT upto FROM store"))

    def reach(self) -> Reach:
        """Return the cursor and what was told with it."""
        with self._file.lend() as connection:
            found = connection.execute("SELECT upto, records, received_ms FROM store").fetchone()
        assert found is not None
        return Reach(*found)

    def skip(self, hole: Hole, reach: Reach) -> None:
        """Keep the hole and move the cursor in one transaction."""
        with self._writing, self._file.lend() as connection, transaction(connection):
            holes = with_hole(read_holes(connection), hole)
            connection.execute("DELETE FROM hole")
            connection.executemany("INSERT INTO hole VALUES (?, ?, ?, ?, ?, ?)", [list(astuple(each)) for each in holes])
            _move(connection, reach)

    def holes(self) -> tuple[Hole, ...]:
        """Return what the file never got."""
        with self._file.lend() as connection:
            return read_holes(connection)

    def prepare(self) -> None:
        """Return at once: the file was made when it was opened."""

    def write(self, batch: Batch, keep: Keep | None = None) -> tuple[RejectedRow, ...]:
        """Keep rows, cursor and marks in one transaction; there is no row that is refused alone, so none for `keep`."""
        del keep
        if batch.upto <= self.cursor():
            return ()
        rejected = too_old(batch, self._retention, self._clock.now_ms())
        batch = without(batch, rejected)
        with self._writing, self._file.lend() as connection:
            if len(self._touched) > TOUCHED_MAX:
                raise StoreUnavailable(f"{len(self._touched)} hours of zones wait for their windows.")
            marks = self._touched.new_marks(batch, self._names.names)
            with transaction(connection):
                known = with_devices(connection, self._known, batch, self._names)
                for rows in filter(len, batch.rows):
                    known = with_columns(connection, known, rows)
                    insert(connection, rows, known.id_of_index[rows.device])
                tiers.insert_marks(connection, marks, known.ids)
                _move(connection, batch.reach)
            self._known = known
            self._touched.add(marks)
        return rejected

    def tend(self) -> bool:
        """Make the windows of an hour, or delete some rows past their age."""
        with self._tending:
            return self._make_windows() or self._tidy()

    def _make_windows(self) -> bool:
        with self._file.lend() as connection:
            with self._writing:
                turn = self._touched.take_turn(self._clock.now_ms(), self._config.zones_a_turn)
                if turn is None:
                    return False
                known = self._known
                connection.begin()
                connection.execute("FROM store").fetchall()  # from here on the transaction does not see what others write
            try:
                columns = self._make_turn(connection, known, turn)
                connection.commit()
            except BaseException:
                with suppress(duckdb.Error):
                    connection.rollback()
                with self._writing:
                    self._touched.add(turn.marks())
                raise
            self._tier_columns = {**self._tier_columns, **columns}
        return True

    def _make_turn(
        self, connection: duckdb.DuckDBPyConnection, known: Known, turn: Turn
    ) -> dict[tuple[TierName, str], frozenset[str]]:
        kept = tiers.kept_columns(known.kinds[turn.kind], self._totals)
        names = [column_of(*key) for key in kept]
        there = {
            (tier.name, turn.kind): tiers.with_tier_columns(
                connection, self._tier_columns.get((tier.name, turn.kind)), tier, turn.kind, names
            )
            for tier in TIERS
        }
        ids = np.array([known.ids[zone.site, zone.device] for zone in turn.zones], np.int32)
        zones = np.array([zone.zone for zone in turn.zones], np.uint8)
        if is_old(turn.hour, self._clock.now_ms()):
            closed = tiers.closed_zones(connection, turn.kind, turn.hour, kept)
            shut = np.array([key in closed for key in zip(ids.tolist(), zones.tolist(), strict=True)], np.bool_)
            tiers.forget_marks(connection, turn.kind, turn.hour, (ids[shut], zones[shut]))
            ids, zones = ids[~shut], zones[~shut]
        tiers.make_windows(connection, turn.kind, turn.hour, (ids, zones), kept)
        return there

    def _tidy(self) -> bool:
        """Delete what is past its age, once in an hour of the platform's clock."""
        now_ms = self._clock.now_ms()
        if now_ms // HOUR_MS == self._tidied_hour:
            return False
        for table, column, before_ms in self._aged(now_ms):
            with self._writing, self._file.lend() as connection:
                if tiers.delete_rows(connection, table, column, before_ms, self._config.rows_a_step):
                    return True
        self._tidied_hour = now_ms // HOUR_MS
        return False

    def _aged(self, now_ms: int) -> Iterator[tuple[str, str, int]]:
        """Give table, column of time, and from when on its rows are kept."""
        with self._writing:
            first_hour = self._touched.first_hour
        if (kept := kept_from_ms(self._retention, "raw", now_ms)) is not None:
            # An hour later than rows are refused, and never before their windows are made.
            before_ms = min(kept - HOUR_MS, kept if first_hour is None else first_hour * HOUR_MS)
            for kind in self._known.kinds:
                yield sql.table_of(kind), "ts_ms", before_ms
        for tier in TIERS:
            if (kept := kept_from_ms(self._retention, tier.name, now_ms)) is not None:
                for name, kind in self._tier_columns:
                    if name == tier.name:
                        yield tiers.tier_table(tier, kind), "began", kept

    def flush(self) -> None:
        """Bring what is committed from the log into the file."""
        with self._tending, self._writing, self._file.lend() as connection:
            connection.execute("CHECKPOINT")

    def series(self, query: SeriesQuery) -> Series:
        """Return rows or windows of one zone, in order of time."""
        known = self._known
        device = known.ids.get((query.site, query.device), -1)

        def as_sent(asked: SeriesQuery) -> Series:
            return self._from_rows(asked, device, known)

        def read_rows(unit_ms: int, spans: list[Span]) -> list[Windows]:
            with self._file.lend() as connection:
                return _read_rows(connection, known, query, unit_ms, spans)

        def from_tier(tier: Tier, kept: Kept) -> Series:
            return self._from_tier(query, tier, kept, device, known)

        return answer_query(query, (self._retention, self._clock.now_ms(), self._totals), as_sent, read_rows, from_tier)

    def _from_rows(self, query: SeriesQuery, device: int, known: Known) -> Series:
        statement = sql.select_series(known.kinds, query)
        if statement is None:
            return empty_series(query)
        values = {
            "device": device,
            "zone": query.zone,
            "start_ms": query.start_ms,
            "end_ms": query.end_ms,
            "limit": query.limit + 1,
        }
        if query.every_ms is not None:
            values["every_ms"] = query.every_ms
        with self._file.lend() as connection:
            found = connection.execute(statement, values).fetchnumpy()
        columns = {name: _floats(found[f"v{i}"])[: query.limit] for i, name in enumerate(query.quantities)}
        ts_ms = np.asarray(found["ts_ms"], dtype=np.int64)
        return Series(ts_ms[: query.limit], columns, truncated=len(ts_ms) > query.limit)

    def _from_tier(self, query: SeriesQuery, tier: Tier, kept: Kept, device: int, known: Known) -> Series:
        columns = needed_columns(query)
        there = {kind: names for (name, kind), names in self._tier_columns.items() if name == tier.name}
        chosen = {kind: [key for key in columns if column_of(*key) in names] for kind, names in there.items()}
        zone = (device, query.zone)
        with self._file.lend() as connection, transaction(connection):

            def read_tier(span: Span, most: int) -> list[Windows]:
                return [
                    tiers.read_tier(connection, tier, kind, keys, zone, span, most) for kind, keys in chosen.items() if keys
                ]

            def read_rows(spans: list[Span]) -> list[Windows]:
                return _read_rows(connection, known, query, tier.unit_ms, spans)

            return tier_series(query, tier, kept, tiers.touched_hours(connection, *zone), read_tier, read_rows)

    def latest(self, since_ms: int) -> list[Latest]:
        """Return the newest values measured at or after an instant."""
        newest = []
        for kind, quantities in self._known.kinds.items():
            order = sorted(quantities)
            with self._file.lend() as connection:
                found = connection.execute(sql.latest_values(kind, order), {"since_ms": since_ms}).fetchnumpy()
            for i, quantity in enumerate(order):
                if (part := _latest(kind, quantity, found, i)) is not None:
                    newest.append(part)
        return newest

    def count(self, site: str, device: str) -> int:
        """Return how many rows are kept of a device."""
        known = self._known
        number = known.ids.get((site, device))
        if number is None:
            return 0
        with self._file.lend() as connection:
            return _one_int(connection.execute(sql.count_rows(known.kinds), {"device": number}))

    def close(self) -> None:
        """Bring the log into the file and close it."""
        with self._tending, self._writing:
            self._file.close()

    def _read_layout(self, connection: duckdb.DuckDBPyConnection) -> None:
        connection.execute(sql.LAYOUT)
        version = _one_int(connection.execute("SELECT version FROM store"))
        if version > sql.LAYOUT_VERSION:
            raise StoreRefused(f"{self._config.path} has layout {version}; update Tirta, it knows {sql.LAYOUT_VERSION}.")
        known = read_known(connection)
        if version < sql.LAYOUT_VERSION:
            with transaction(connection):
                if version < sql.TIERS_VERSION:
                    tiers.mark_everything(connection, known.kinds)
                connection.execute("UPDATE store SET version = ?", [sql.LAYOUT_VERSION])
        self._known = known
        self._tier_columns = read_tier_columns(connection, known.kinds)
        self._touched = Touched(tiers.read_marks(connection), self._wall_s)


def _read_rows(
    connection: duckdb.DuckDBPyConnection, known: Known, query: SeriesQuery, unit_ms: int, spans: list[Span]
) -> list[Windows]:
    columns = needed_columns(query)
    zone = (known.ids.get((query.site, query.device), -1), query.zone)
    chosen = {kind: [key for key in columns if key[0] in names] for kind, names in known.kinds.items()}
    # One question a span: the engine passes over what lies outside one range, not outside many.
    return [
        tiers.read_rows(connection, unit_ms, kind, keys, zone, span) for kind, keys in chosen.items() if keys for span in spans
    ]


def _move(connection: duckdb.DuckDBPyConnection, reach: Reach) -> None:
    """Move the cursor, inside the transaction of what it passes."""
    connection.execute("UPDATE store SET upto = ?, records = ?, received_ms = ?", list(astuple(reach)))


def _one_int(answer: duckdb.DuckDBPyConnection) -> int:
    row = answer.fetchone()
    assert row is not None
    return int(row[0])


def _floats(column: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.ma.filled(column, np.nan).astype(np.float64)


def _latest(kind: str, quantity: str, found: dict[str, NDArray[Any]], i: int) -> Latest | None:
    """Return one quantity out of a kind's newest values, None if no zone has it."""
    value = _floats(found[f"v{i}"])
    there = np.flatnonzero(~np.isnan(value))
    if not there.size:
        return None
    return Latest(
        kind,
        quantity,
        tuple(found["site"][there].tolist()),
        tuple(found["name"][there].tolist()),
        found["zone"][there].astype(np.uint8),
        found[f"t{i}"][there].astype(np.int64),
        value[there],
    )
