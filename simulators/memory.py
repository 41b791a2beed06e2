# SPDX-License-Identifier: Apache-2.0
"""A virtual device's non-volatile memory: what is left when its process is killed.

One SQLite file holds the memory of a whole fleet, and one process at a time has it open. Invariant: what `write` has
returned from survives the process (not the machine: the valves of a virtual device hold no water either).
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from simulators.errors import MemoryInUse

__all__ = ["Memory", "open_storage"]

Value = str | int | float | bytes | None

_SCHEMA: Final = """
create table if not exists facts (device text, key text, value text not null, primary key (device, key)) without rowid;
create table if not exists outbox (device text, boot integer, seq integer, record blob not null,
    primary key (device, boot, seq)) without rowid;
create table if not exists ledger (place integer primary key autoincrement, device text not null, id text not null, n integer,
    action text not null, zone integer, most text not null, state text not null, reason text, result text,
    unique (device, id));
create table if not exists spent (device text, zone integer, day integer, litres real not null, grams real not null,
    primary key (device, zone, day)) without rowid;
create table if not exists acks (place integer primary key autoincrement, device text not null, payload blob not null);
"""


def open_storage(path: Path | None) -> sqlite3.Connection:
    """Open a fleet's memory; None keeps it in this process only.

    Raises
    ------
    MemoryInUse
        Another process has it open.
    """
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(":memory:" if path is None else path, isolation_level=None, timeout=1.0)
    try:
        # Exclusive, for two processes running the same device would act twice.
        connection.execute("pragma locking_mode = exclusive")
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = normal")
        connection.executescript(_SCHEMA)
        connection.execute("begin immediate")
        connection.execute("commit")
    except sqlite3.OperationalError as exc:
        connection.close()
        if "locked" in str(exc):
            raise MemoryInUse(f"{path}: {MemoryInUse.__doc__}") from exc
        raise
    return connection


class Memory:
    """One device's part of the storage."""

    def __init__(self, storage: sqlite3.Connection, device: str) -> None:
        self._storage = storage
        self.device = device

    def read(self, statement: str, *values: Value) -> list[tuple[Value, ...]]:
        """Return the rows of a query whose first parameter is the device."""
        return self._storage.execute(statement, (self.device, *values)).fetchall()

    def write(self, statement: str, *values: Value) -> int:
        """Change rows by a statement whose first parameter is the device; return how many."""
        return self._storage.execute(statement, (self.device, *values)).rowcount

    def write_many(self, statement: str, rows: Sequence[tuple[Value, ...]]) -> None:
        """Do one statement for several rows, all or none."""
        with self.atomic():
            self._storage.executemany(statement, [(self.device, *row) for row in rows])

    @contextlib.contextmanager
    def atomic(self) -> Iterator[None]:
        """Make the writes within one: all of them or none. It may be nested."""
        if self._storage.in_transaction:
            yield
            return
        self._storage.execute("begin immediate")
        try:
            yield
        except BaseException:
            self._storage.execute("rollback")
            raise
        self._storage.execute("commit")

    def recall(self, key: str) -> object:
        """Return a fact kept under a name, or None."""
        rows = self.read("select value from facts where device = ? and key = ?", key)
        return json.loads(str(rows[0][0])) if rows else None

    def keep(self, key: str, value: object) -> None:
        """Keep a fact that JSON can hold under a name."""
        text = json.dumps(value, separators=(",", ":"))
        self.write("insert into facts values (?, ?, ?) on conflict do update set value = excluded.value", key, text)
