# SPDX-License-Identifier: Apache-2.0
"""SQLite files that must survive a loss of power, and their failures by remedy.

Invariants: of a transaction that was begun either all is on the disk when it returns, or nothing after an error of ours;
after an error of the volume no descriptor is trusted any more: a failed fsync may leave pages that the kernel calls clean
and the disk never got, so the log is written into the file and forced once more before the file is used.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from ingest.errors import Full, Unavailable

__all__ = ["SqliteFile", "connect", "force_log", "translated"]

_BUSY_S: Final = 5.0  # wait for another connection's transaction [s]


def connect(path: Path, *, page_bytes: int | None = None) -> sqlite3.Connection:
    """Open a file in WAL mode, each commit forced to the disk; `page_bytes` holds for a new file."""
    connection = sqlite3.connect(path, check_same_thread=False, timeout=_BUSY_S)
    if page_bytes is not None:
        connection.execute(f"pragma page_size = {page_bytes}")
    connection.execute("pragma journal_mode = wal")
    connection.execute("pragma synchronous = full")
    return connection


def force_log(connection: sqlite3.Connection, name: str) -> None:
    """Write all that the log holds into the file, and force both.

    Raises
    ------
    Unavailable
        Somebody reads the file meanwhile.
    """
    busy, *_ = connection.execute("pragma wal_checkpoint(truncate)").fetchone()
    if busy:
        raise Unavailable(f"the log of the {name} cannot be brought into its file yet")


class SqliteFile:
    """One file behind one connection, which is made anew after an error of the volume. Thread-safe.

    Parameters
    ----------
    path : Path
        The file.
    name : str
        What it is called in errors.
    schema : str
        Run whenever the file is opened.
    """

    def __init__(self, path: Path, name: str, schema: str) -> None:
        self._path = path
        self._name = name
        self._schema = schema
        self._lock = threading.Lock()
        self._doubtful = False
        with translated(name):
            self._open()

    def _open(self) -> None:
        self.db = connect(self._path)
        self.db.executescript(self._schema)

    @contextmanager
    def use(self) -> Iterator[None]:
        """Be the only one who uses `db`; its errors come out as ours."""
        with self._lock:
            try:
                with translated(self._name):
                    if self._doubtful:
                        self._open_anew()
                    yield
            except Unavailable:
                self._doubtful = True
                raise

    def _open_anew(self) -> None:
        with suppress(sqlite3.Error):
            self.db.close()
        self._open()
        force_log(self.db, self._name)
        self._doubtful = False

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self.db.close()


@contextmanager
def translated(name: str) -> Iterator[None]:
    """Turn SQLite's errors into ours; `name` is what the file is called in them."""
    try:
        yield
    except sqlite3.Error as exc:
        code = getattr(exc, "sqlite_errorname", "")
        if code.startswith("SQLITE_FULL"):
            raise Full(f"the volume of the {name} is full; make room on it") from exc
        raise Unavailable(f"the volume of the {name} answers {code or type(exc).__name__}: {exc}") from exc
