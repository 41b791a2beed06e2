# SPDX-License-Identifier: Apache-2.0
"""Cursors and marks of stores that cannot keep them themselves, in a small SQLite file.

A cursor is written after the rows it speaks of: lost, it only makes the store receive the same rows once more. A mark (an
hour of a zone whose windows are to be made) is written before them: one too many only makes the same windows once more.
Both are on the disk when they are returned from: by the cursor the journal lets go of its bursts, for good.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import astuple
from pathlib import Path
from threading import Lock
from typing import Any

from ingest.store.batch import Reach
from ingest.store.errors import StoreRefused, StoreUnavailable
from ingest.store.holes import Hole, with_hole
from ingest.store.touched import Turn, Zone, ZoneHour
from ingest.volume import connect

__all__ = ["CursorFile"]

_LAYOUT = """
CREATE TABLE IF NOT EXISTS cursor (
    store TEXT PRIMARY KEY, upto INTEGER NOT NULL, records INTEGER, received_ms INTEGER
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS hole (
    store TEXT NOT NULL, start_position INTEGER NOT NULL, end_position INTEGER NOT NULL, positions INTEGER NOT NULL,
    records INTEGER, start_ms INTEGER, end_ms INTEGER
);
CREATE TABLE IF NOT EXISTS surveyed (store TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS touched (
    mark INTEGER PRIMARY KEY AUTOINCREMENT, store TEXT NOT NULL, kind TEXT NOT NULL,
    site TEXT NOT NULL, device TEXT NOT NULL, zone INTEGER NOT NULL, hour INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS touched_of_zone ON touched (store, site, device, zone, hour);
"""
_PUT = "INSERT OR REPLACE INTO cursor (store, upto, records, received_ms) VALUES (?, ?, ?, ?)"


class CursorFile:
    """Keeps a journal position for each store, named by where its rows are."""

    def __init__(self, path: Path) -> None:
        self._lock = Lock()
        self._path = path
        try:
            self._connection = connect(path)
            self._connection.isolation_level = None
            self._connection.executescript(_LAYOUT)
            columns = {name for _, name, *_ in self._connection.execute("PRAGMA table_info(cursor)")}
            for name in {"records", "received_ms"} - columns:  # a file of before they were kept
                self._connection.execute(f"ALTER TABLE cursor ADD COLUMN {name} INTEGER")
        except sqlite3.Error as exc:
            raise StoreRefused(f"{path}: {exc}") from exc

    def get(self, store: str) -> Reach:
        """Return how far a store has been brought."""
        rows = self._run("SELECT upto, records, received_ms FROM cursor WHERE store = ?", [(store,)])
        return Reach(*rows[0]) if rows else Reach(0)

    def put(self, store: str, reach: Reach) -> None:
        """Keep how far a store has been brought."""
        self._run(_PUT, [(store, *astuple(reach))])

    def holes(self, store: str) -> tuple[Hole, ...]:
        """Return what a store never got, oldest first."""
        columns = "start_position, end_position, positions, records, start_ms, end_ms"
        rows = self._run(f"SELECT {columns} FROM hole WHERE store = ? ORDER BY rowid", [(store,)])  # noqa: S608
        return tuple(Hole(*row) for row in rows)

    def skip(self, store: str, hole: Hole, reach: Reach) -> None:
        """Keep a hole and how far a store has been brought behind it, both or neither."""
        holes = [(store, *astuple(each)) for each in with_hole(self.holes(store), hole)]
        self._run_all(
            ("DELETE FROM hole WHERE store = ?", [(store,)]),
            ("INSERT INTO hole VALUES (?, ?, ?, ?, ?, ?, ?)", holes),
            (_PUT, [(store, *astuple(reach))]),
        )

    def is_surveyed(self, store: str) -> bool:
        """Say whether the rows that a store had before it had marks have been looked through."""
        return bool(self._run("SELECT 1 FROM surveyed WHERE store = ?", [(store,)]))

    def set_surveyed(self, store: str) -> None:
        """Remember that they have."""
        self._run("INSERT OR IGNORE INTO surveyed VALUES (?)", [(store,)])

    def add_marks(self, store: str, marks: Iterable[ZoneHour]) -> None:
        """Keep marks, all or none."""
        self._run(
            "INSERT INTO touched (store, kind, site, device, zone, hour) VALUES (?, ?, ?, ?, ?, ?)",
            [(store, *mark) for mark in marks],
        )

    def marks(self, store: str) -> list[ZoneHour]:
        """Return every mark of a store, each once."""
        rows = self._run("SELECT DISTINCT kind, site, device, zone, hour FROM touched WHERE store = ?", [(store,)])
        return [ZoneHour(*row) for row in rows]

    def touched_hours(self, store: str, zone: Zone) -> list[int]:
        """Return the marked hours of a zone."""
        where = "store = ? AND site = ? AND device = ? AND zone = ?"
        return [row[0] for row in self._run(f"SELECT DISTINCT hour FROM touched WHERE {where}", [(store, *zone)])]  # noqa: S608

    def last_mark(self) -> int:
        """Return the number of the newest mark."""
        return int(self._run("SELECT coalesce(max(mark), 0) FROM touched", [()])[0][0])

    def remove_marks(self, store: str, turn: Turn, upto: int) -> None:
        """Take the marks of a turn away, as far as they are not newer than `upto`."""
        where = "store = ? AND kind = ? AND site = ? AND device = ? AND zone = ? AND hour = ? AND mark <= ?"
        self._run(f"DELETE FROM touched WHERE {where}", [(store, *mark, upto) for mark in turn.marks()])  # noqa: S608

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def _run(self, statement: str, rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """Run a statement for each of some rows, in one transaction; return what the last one found."""
        return self._run_all((statement, rows))

    def _run_all(self, *work: tuple[str, list[tuple[Any, ...]]]) -> list[tuple[Any, ...]]:
        """Run statements, each for its rows, in one transaction; return what the last one found."""
        found: list[tuple[Any, ...]] = []
        try:
            with self._lock:
                self._connection.execute("BEGIN")
                try:
                    for statement, rows in work:
                        for values in rows:
                            found = self._connection.execute(statement, values).fetchall()
                    self._connection.execute("COMMIT")
                except sqlite3.Error:
                    if self._connection.in_transaction:
                        self._connection.execute("ROLLBACK")
                    raise
        except sqlite3.Error as exc:
            raise StoreUnavailable(f"{self._path}: {exc}") from exc
        return found
