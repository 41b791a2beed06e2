# SPDX-License-Identifier: Apache-2.0
"""The series store in a file of our own, on DuckDB.

Rows and cursor are written in one transaction, so a batch is kept wholly and once, or not at all. Only one process can
open the file, and only one thread writes; each call reads through a DuckDB cursor of its own, so readers do not wait.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from ingest.store import duckdb_sql as sql
from ingest.store.batch import Batch, DeviceNames, RejectedRow
from ingest.store.duckdb_tables import Known, insert, read_known, with_columns, with_devices
from ingest.store.errors import StoreRefused, StoreRejected, StoreUnavailable
from ingest.store.protocol import Latest, Series, SeriesQuery

__all__ = ["DuckDBConfig", "DuckDBStore"]

_LOGGER = logging.getLogger(__name__)


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
    """

    path: Path
    memory_limit_mib: int = 256
    threads: int = 1


class DuckDBStore:
    """Keeps measurements in a DuckDB file; see `SeriesStore`.

    Parameters
    ----------
    config : DuckDBConfig
        File and bounds.
    names : DeviceNames
        Names of the device indexes in the batches.

    Raises
    ------
    StoreRefused
        If the file belongs to another process, is damaged, or was written by a newer version.
    """

    name = "duckdb"

    def __init__(self, config: DuckDBConfig, names: DeviceNames) -> None:
        self._config = config
        self._names = names
        self._writing = Lock()
        self._opening = Lock()
        self._closed = False
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._known = Known({}, {}, np.empty(0, dtype=np.int32))
        try:
            self._open()
        except duckdb.Error as exc:
            raise StoreRefused(f"{config.path}: {exc}") from exc

    def cursor(self) -> int:
        """Return the journal position that the file has been brought to."""
        with self._lend() as connection:
            return _one_int(connection.execute("SELECT upto FROM store"))

    def write(self, batch: Batch) -> tuple[RejectedRow, ...]:
        """Keep rows and cursor in one transaction."""
        if batch.upto <= self.cursor():
            return ()
        with self._writing, self._lend() as connection:
            self._known = self._write(connection, batch)
        return ()

    def _write(self, connection: duckdb.DuckDBPyConnection, batch: Batch) -> Known:
        with _transaction(connection):
            known = with_devices(connection, self._known, batch, self._names)
            for rows in filter(len, batch.rows):
                known = with_columns(connection, known, rows)
                insert(connection, rows, known.id_of_index[rows.device])
            connection.execute("UPDATE store SET upto = ?", [batch.upto])
        return known

    def flush(self) -> None:
        """Bring what is committed from the log into the file."""
        with self._writing, self._lend() as connection:
            connection.execute("CHECKPOINT")

    def series(self, query: SeriesQuery) -> Series:
        """Return rows or windows of one zone, in order of time."""
        known = self._known
        device = known.ids.get((query.site, query.device))
        statement = sql.select_series(known.kinds, query)
        if device is None or statement is None:
            empty = np.empty(0, dtype=np.float64)
            return Series(np.empty(0, dtype=np.int64), dict.fromkeys(query.quantities, empty), truncated=False)
        values = {
            "device": device,
            "zone": query.zone,
            "start_ms": query.start_ms,
            "end_ms": query.end_ms,
            "limit": query.limit + 1,
        }
        if query.every_ms is not None:
            values["every_ms"] = query.every_ms
        with self._lend() as connection:
            found = connection.execute(statement, values).fetchnumpy()
        columns = {name: _floats(found[f"v{i}"])[: query.limit] for i, name in enumerate(query.quantities)}
        ts_ms = np.asarray(found["ts_ms"], dtype=np.int64)
        return Series(ts_ms[: query.limit], columns, truncated=len(ts_ms) > query.limit)

    def latest(self, since_ms: int) -> list[Latest]:
        """Return the newest values measured at or after an instant."""
        newest = []
        for kind, quantities in self._known.kinds.items():
            order = sorted(quantities)
            with self._lend() as connection:
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
        with self._lend() as connection:
            return _one_int(connection.execute(sql.count_rows(known.kinds), {"device": number}))

    def close(self) -> None:
        """Bring the log into the file and close it."""
        with self._writing:
            self._closed = True
            self._let_go()

    def _let_go(self) -> None:
        with self._opening:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _open(self) -> None:
        bounds: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": f"{self._config.memory_limit_mib}MiB",
            "threads": self._config.threads,
            # Nothing is fetched from the network behind the operator's back.
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
        connection = duckdb.connect(str(self._config.path), config=bounds)
        try:
            connection.execute(sql.LAYOUT)
            version = _one_int(connection.execute("SELECT version FROM store"))
            if version > sql.LAYOUT_VERSION:
                raise StoreRefused(f"{self._config.path} has layout {version}; update Tirta, it knows {sql.LAYOUT_VERSION}.")
            known = read_known(connection)
        except BaseException:
            connection.close()
            raise
        self._known = known
        self._connection = connection

    @contextmanager
    def _lend(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Lend a cursor and turn the engine's errors into ours."""
        try:
            with self._opening:
                if self._closed:
                    raise StoreUnavailable(f"{self._config.path} is closed.")
                if self._connection is None:
                    self._open()
                assert self._connection is not None
                cursor = self._connection.cursor()
            with cursor:
                yield cursor
        except (duckdb.FatalException, duckdb.InternalException) as exc:
            # The engine is of no use after such an error until the file is opened anew.
            self._let_go()
            _LOGGER.warning("series file is opened again after %s", exc, extra={"action": "store_reopened"})
            raise StoreUnavailable(str(exc)) from exc
        except (duckdb.OperationalError, duckdb.InternalError) as exc:
            raise StoreUnavailable(str(exc)) from exc
        except duckdb.Error as exc:
            raise StoreRejected(str(exc)) from exc


@contextmanager
def _transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Begin a transaction, and undo what the block has not committed."""
    connection.begin()
    committed = False
    try:
        yield
        connection.commit()
        committed = True
    finally:
        if not committed:
            with suppress(duckdb.Error):  # the block's own error says more
                connection.rollback()


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
