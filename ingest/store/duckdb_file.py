# SPDX-License-Identifier: Apache-2.0
"""A DuckDB file that is opened once for all, and anew after an error that leaves the engine useless.

Invariant: each use has a DuckDB cursor of its own, and the engine's errors come out as the stores' own.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock

import duckdb

from ingest.store.errors import StoreRefused, StoreRejected, StoreUnavailable

__all__ = ["DuckDBFile", "transaction"]

_LOGGER = logging.getLogger(__name__)


class DuckDBFile:
    """Opens the file and lends cursors of it.

    Parameters
    ----------
    path : Path
        The file; made if it is not there.
    memory_limit_mib : int
        Most memory of the engine. [MiB]
    threads : int
        Processor threads of the engine.
    on_open : callable
        Is given each new connection before anybody else.

    Raises
    ------
    StoreRefused
        If the file cannot be opened, or `on_open` says so.
    """

    def __init__(
        self, path: Path, memory_limit_mib: int, threads: int, on_open: Callable[[duckdb.DuckDBPyConnection], None]
    ) -> None:
        self._path = path
        self._bounds: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": f"{memory_limit_mib}MiB",
            "threads": threads,
            # Nothing is fetched from the network behind the operator's back.
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
        self._on_open = on_open
        self._opening = Lock()
        self._closed = False
        self._connection: duckdb.DuckDBPyConnection | None = None
        try:
            self._open()
        except duckdb.Error as exc:
            raise StoreRefused(f"{path}: {exc}") from exc

    @contextmanager
    def lend(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Lend a cursor and turn the engine's errors into ours."""
        try:
            with self._opening:
                if self._closed:
                    raise StoreUnavailable(f"{self._path} is closed.")
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

    def close(self) -> None:
        """Bring the log into the file and close it."""
        self._closed = True
        self._let_go()

    def _let_go(self) -> None:
        with self._opening:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _open(self) -> None:
        connection = duckdb.connect(str(self._path), config=self._bounds)
        try:
            self._on_open(connection)
        except BaseException:
            connection.close()
            raise
        self._connection = connection


@contextmanager
def transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
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
