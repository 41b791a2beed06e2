# SPDX-License-Identifier: Apache-2.0
"""Disks that fail, under the journal's own code: an SQLite file system, and a connection that looks like sqlite3's.

The product speaks to Python's sqlite3, whose file system cannot be replaced from Python; apsw's can. `Connection` gives
apsw the face of sqlite3: a transaction begins before the first change and ends with the `with` block, errors bear the same
names. Invariant: all bytes really go to files; what a disk would have kept of them is decided beside that.
"""

from __future__ import annotations

import errno
import os
import re
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import apsw

import ingest.journal

__all__ = ["Connection", "WatchedDisk", "place_under_journal", "use_failing_sync"]

_BASE = "unix"  # by name: the default may be one of ours
_CHANGES = re.compile(r"\s*(insert|update|delete|replace)\b", re.IGNORECASE)
_NAMES = {number: name for number, name in apsw.mapping_result_codes.items() if isinstance(number, int)}

Happened = Callable[[str, str, int, bytes], None]
"""Told of (what, file name, offset, bytes) before it is done; may raise, and then it is not done."""


class WatchedDisk(apsw.VFS):
    """The machine's own file system with somebody who looks at each call.

    Parameters
    ----------
    name : str
        Under which SQLite knows it.
    happened : callable
        See `Happened`. What: `open`, `write`, `truncate`, `sync`, `delete`.
    rng : random.Random, optional
        Gives SQLite its random bytes, so that the same seed makes the same file.
    """

    def __init__(self, name: str, happened: Happened, rng: Any = None) -> None:
        # With random bytes of our own it is the default: SQLite takes the seed of its own from the default alone.
        super().__init__(name, _BASE, makedefault=rng is not None)
        self.vfs_name = name
        self.happened = happened
        self._rng = rng

    def xOpen(self, name: Any, flags: list[int]) -> _WatchedFile:
        return _WatchedFile(self, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        self.happened("delete", os.path.basename(filename), int(syncdir), b"")
        super().xDelete(filename, syncdir)

    def xRandomness(self, count: int) -> bytes:
        return os.urandom(count) if self._rng is None else self._rng.randbytes(count)

    def xCurrentTimeInt64(self) -> int:
        return super().xCurrentTimeInt64()


class _WatchedFile(apsw.VFSFile):
    def __init__(self, disk: WatchedDisk, name: Any, flags: list[int]) -> None:
        self._disk = disk
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        self._name = os.path.basename(path or "")
        disk.happened("open", self._name, 0, b"")
        super().__init__(_BASE, name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:
        self._disk.happened("write", self._name, offset, bytes(data))
        super().xWrite(data, offset)

    def xTruncate(self, size: int) -> None:
        self._disk.happened("truncate", self._name, size, b"")
        super().xTruncate(size)

    def xSync(self, flags: int) -> None:
        self._disk.happened("sync", self._name, 0, b"")
        super().xSync(flags)


class Connection:
    """apsw with the face of sqlite3, as far as the journal uses it."""

    def __init__(self, path: Path, vfs: str) -> None:
        self._db = _as_sqlite3(lambda: apsw.Connection(str(path), vfs=vfs))
        self._db.set_busy_timeout(5000)

    def execute(self, statement: str, values: tuple[object, ...] = ()) -> _Cursor:
        if _CHANGES.match(statement) and not self._db.in_transaction:
            _as_sqlite3(lambda: self._db.execute("begin"))
        return _Cursor(_as_sqlite3(lambda: self._db.execute(statement, values)))

    def executescript(self, script: str) -> None:
        _as_sqlite3(lambda: self._db.execute(script).fetchall())

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        if self._db.in_transaction:
            if kind is None:
                try:
                    _as_sqlite3(lambda: self._db.execute("commit"))
                except sqlite3.Error:
                    self._roll_back()
                    raise
            else:
                self._roll_back()

    def _roll_back(self) -> None:
        if self._db.in_transaction:
            _as_sqlite3(lambda: self._db.execute("rollback"))

    def close(self) -> None:
        with suppress(apsw.Error):  # sqlite3 does not tell either that the last one could not bring the log into the file
            self._db.close(force=True)


class _Cursor:
    def __init__(self, cursor: apsw.Cursor) -> None:
        self._cursor = cursor

    def fetchone(self) -> Any:
        return _as_sqlite3(self._cursor.fetchone)

    def fetchall(self) -> list[Any]:
        found: list[Any] = _as_sqlite3(self._cursor.fetchall)
        return found

    def __iter__(self) -> _Cursor:
        return self

    def __next__(self) -> Any:
        return _as_sqlite3(lambda: next(self._cursor))

    def close(self) -> None:
        self._cursor.close()


def _as_sqlite3(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except apsw.Error as exc:
        found = sqlite3.OperationalError(str(exc))
        found.sqlite_errorname = _NAMES.get(getattr(exc, "extendedresult", 0), type(exc).__name__)
        raise found from exc


def place_under_journal(
    vfs: str, pragmas: tuple[str, ...] = ("synchronous = full",), *, page_bytes: int | None = None
) -> Callable[[], None]:
    """Let journals opened from now on lie on this disk, `page_bytes` before their own; return what undoes and closes it."""
    own = page_bytes
    opened: list[Connection] = []
    before = ingest.journal.connect

    def connect(path: Path, *, page_bytes: int | None = None) -> Any:
        size = () if page_bytes is None else (f"page_size = {own or page_bytes}",)
        opened.append(Connection(path, vfs))
        for pragma in (*size, "journal_mode = wal", *pragmas):
            opened[-1].execute(f"pragma {pragma}").fetchall()
        return opened[-1]

    ingest.journal.connect = connect  # type: ignore[assignment]

    def undo() -> None:
        ingest.journal.connect = before
        for connection in opened:
            connection.close()

    return undo


def use_failing_sync(switch: Path) -> None:
    """Let the fsync of the journal's log answer EIO while the file `switch` is there (for the life of this process)."""

    def happened(what: str, name: str, offset: int, data: bytes) -> None:
        if what == "sync" and name.endswith("-wal") and switch.exists():
            raise apsw.IOError(errno.EIO, "the disk answers EIO")

    disk = WatchedDisk("failing", happened)
    place_under_journal(disk.vfs_name)
    _KEPT.append(disk)


_KEPT: list[WatchedDisk] = []  # SQLite holds a file system by name only
