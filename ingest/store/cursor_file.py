# SPDX-License-Identifier: Apache-2.0
"""Cursors of stores that cannot keep one themselves, in a small SQLite file.

A cursor is written after the rows it speaks of: lost, it only makes the store receive the same rows once more.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from threading import Lock

from ingest.store.errors import StoreRefused, StoreUnavailable

__all__ = ["CursorFile"]

_LAYOUT = "CREATE TABLE IF NOT EXISTS cursor (store TEXT PRIMARY KEY, upto INTEGER NOT NULL) WITHOUT ROWID"
_PUT = "INSERT INTO cursor VALUES (?, ?) ON CONFLICT (store) DO UPDATE SET upto = excluded.upto"


class CursorFile:
    """Keeps a journal position for each store, named by where its rows are."""

    def __init__(self, path: Path) -> None:
        self._lock = Lock()
        try:
            self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._connection.execute(_LAYOUT)
        except sqlite3.Error as exc:
            raise StoreRefused(f"{path}: {exc}") from exc

    def get(self, store: str) -> int:
        """Return the position of a store, 0 if it has none."""
        try:
            with self._lock:
                row = self._connection.execute("SELECT upto FROM cursor WHERE store = ?", (store,)).fetchone()
        except sqlite3.Error as exc:
            raise StoreUnavailable(str(exc)) from exc
        return int(row[0]) if row else 0

    def put(self, store: str, upto: int) -> None:
        """Keep the position of a store."""
        try:
            with self._lock:
                self._connection.execute(_PUT, (store, upto))
        except sqlite3.Error as exc:
            raise StoreUnavailable(str(exc)) from exc

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()
