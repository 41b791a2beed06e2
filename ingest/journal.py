# SPDX-License-Identifier: Apache-2.0
"""The journal: where a burst is safe before it is acknowledged.

One row of SQLite a burst, WAL mode, `synchronous=FULL`: when `append` returns, the burst survives a power cut.
Invariants: positions rise by one and are never used twice; a reader sees every position in order or learns of the Gap;
only the process that claimed the journal last may append. Cursors live with the readers, never here.
Positions have a hole only where `skip_to` made one.
After an error of the volume no descriptor is trusted any more: a failed fsync may leave pages that the kernel calls clean
and the disk never got. The file is opened anew and its log copied into it, whole and forced, before anything is appended.

The protocol `Journal` is the seam for a replicated log; on one machine there is one partition, 0.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from ingest.bursts import StoredBurst, pack_burst, unpack_burst
from ingest.errors import Fenced, Full, Gap, Unavailable
from ingest.volume import connect, force_log, translated

__all__ = ["Bounds", "Entry", "Fence", "Journal", "JournalConfig", "SqliteJournal"]

_NAME: Final = "journal"
_PAGE_BYTES: Final = 16384  # a burst is tens to hundreds of KiB: larger pages take a third less time than the default's
_TRIM_ROWS: Final = 200  # deleted in one transaction, so that an append never waits long for a trim
_SCHEMA: Final = """
create table if not exists burst (
    position integer primary key autoincrement,
    burst_id text not null unique,
    blob     blob not null
) strict;
create table if not exists claim (
    part  integer primary key,
    epoch integer not null,
    owner text not null
) strict;
"""


@dataclass(frozen=True, slots=True)
class JournalConfig:
    """Where the journal lies and how far it may grow.

    Attributes
    ----------
    path : Path
        The SQLite file; its folder must be on a volume of its own choice of durability.
    max_bytes : int
        Bound of what is kept [bytes]; above it `append` raises Full and nothing more is acknowledged. One burst may pass it
        when nothing else is kept, or it would wait for ever.
    low_water : float
        Share of `max_bytes` under which a full journal takes bursts again.
    """

    path: Path
    max_bytes: int = 8 * 1024**3
    low_water: float = 0.9


@dataclass(frozen=True, slots=True)
class Fence:
    """Proof of a claim; stale as soon as somebody else claims."""

    part: int
    epoch: int


@dataclass(frozen=True, slots=True)
class Entry:
    """A burst and its position."""

    position: int
    burst: StoredBurst


@dataclass(frozen=True, slots=True)
class Bounds:
    """What can be read: positions in [first, end), and their size. [bytes]"""

    first: int
    end: int
    size: int


class Journal(Protocol):
    """An ordered, durable log of bursts."""

    def claim(self, part: int, owner: str) -> Fence:
        """Become the only writer of a partition."""

    def append(self, part: int, burst: StoredBurst, burst_id: str, fence: Fence) -> int:
        """Make a burst durable and return its position; raises Fenced, Full or Unavailable."""

    def read_from(self, part: int, position: int, max_bytes: int, wait: float) -> list[Entry]:
        """Return entries from `position` on, without a hole; raises Gap or Unavailable."""

    def trim(self, part: int, upto: int) -> None:
        """Forget the positions below `upto`."""

    def bounds(self, part: int) -> Bounds:
        """Return what can be read."""

    def close(self) -> None:
        """Let go of the files."""


class SqliteJournal:
    """The journal of one machine. Thread-safe: one writer, any number of readers."""

    def __init__(self, config: JournalConfig) -> None:
        self._config = config
        self._write_lock = threading.Lock()
        self._read_lock = threading.Lock()
        self._grown = threading.Condition()
        self._full = False
        self._doubtful = False  # whether the volume failed since the file was opened
        with translated(_NAME):
            self._open()

    def _open(self) -> None:
        self._writer = connect(self._config.path, page_bytes=_PAGE_BYTES)
        self._writer.executescript(_SCHEMA)
        self._reader = connect(self._config.path)
        self._measure()

    def _open_anew(self) -> None:
        """Let go of every descriptor, and have what the log holds written and forced once more.

        A burst whose commit failed may have become whole in the log all the same; what is found there afterwards is on disk.
        """
        with self._read_lock, translated(_NAME):
            for connection in (self._writer, self._reader):
                with suppress(sqlite3.Error):
                    connection.close()
            self._open()
            force_log(self._writer, _NAME)
        self._doubtful = False

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Write alone, and on descriptors that have never failed."""
        with self._write_lock:
            try:
                if self._doubtful:
                    self._open_anew()
                yield
            except Unavailable:
                self._doubtful = True
                raise

    def _measure(self) -> None:
        first, end, size = self._writer.execute(
            "select coalesce(min(position), 0), coalesce(max(position), 0), coalesce(sum(length(blob)), 0) from burst"
        ).fetchone()
        used = self._writer.execute("select seq from sqlite_sequence where name = 'burst'").fetchone()
        last = used[0] if used else 0
        self._end = max(end, last) + 1
        self._first = first or self._end
        self._size = size

    def claim(self, part: int, owner: str) -> Fence:
        with self._write_lock, translated(_NAME), self._writer:
            (epoch,) = self._writer.execute(
                "insert into claim values (?, 1, ?) on conflict (part) do update set epoch = epoch + 1, owner = excluded.owner"
                " returning epoch",
                (part, owner),
            ).fetchone()
        return Fence(part, epoch)

    def skip_to(self, position: int) -> None:
        """Use no position below `position` any more: a reader's cursor is ahead of a journal that was lost or put back."""
        with self._write_lock, translated(_NAME), self._writer:
            if position > self._end:
                self._writer.execute("delete from sqlite_sequence where name = 'burst'")
                self._writer.execute("insert into sqlite_sequence values ('burst', ?)", (position - 1,))
                self._first = position if self._first == self._end else self._first
                self._end = position

    def append(self, part: int, burst: StoredBurst, burst_id: str, fence: Fence) -> int:
        blob = pack_burst(burst)
        with self._writing():
            with translated(_NAME), self._writer:
                claimed = self._writer.execute("select epoch from claim where part = ?", (part,)).fetchone()
                if claimed != (fence.epoch,):
                    raise Fenced
                # Asked for first: an insert that SQLite then ignores would use up a position all the same.
                known = self._writer.execute("select position from burst where burst_id = ?", (burst_id,)).fetchone()
                if known is None:
                    self._check_room(len(blob))
                    insert = "insert into burst (burst_id, blob) values (?, ?) returning position"
                    (position,) = self._writer.execute(insert, (burst_id, blob)).fetchone()
            if known is not None:  # sent again by a writer that did not hear of its success; nor, perhaps, did we
                with translated(_NAME):
                    self._measure()
                return int(known[0])
            self._end = position + 1
            self._size += len(blob)
        with self._grown:
            self._grown.notify_all()
        return int(position)

    def _check_room(self, wanted: int) -> None:
        bound = self._config.max_bytes
        if self._full and self._size > bound * self._config.low_water:
            raise Full(f"the journal holds {self._size} bytes, over the low-water mark of its bound of {bound}")
        self._full = self._size > 0 and self._size + wanted > bound
        if self._full:
            raise Full(f"the journal holds {self._size} bytes and may hold {bound}")

    def read_from(self, part: int, position: int, max_bytes: int, wait: float) -> list[Entry]:
        del part
        with self._grown:
            self._grown.wait_for(lambda: position < self._end, timeout=wait)
        first, end = self._first, self._end
        if position < first:
            raise Gap(position, first)
        entries: list[Entry] = []
        size = 0
        query = "select position, blob from burst where position >= ? order by position"
        with self._read_lock, translated(_NAME), closing(self._reader.execute(query, (position,))) as rows:
            for found, blob in rows:
                size += len(blob)
                if entries and size > max_bytes:
                    break
                if found != position + len(entries):
                    end = found
                    break
                try:
                    entries.append(Entry(found, unpack_burst(blob)))
                except Unavailable:
                    if not entries:
                        raise
                    break  # what stands before it is whole
        if not entries and position < end:
            raise Gap(position, end)
        return entries

    def trim(self, part: int, upto: int) -> None:
        del part
        upto = min(upto, self._end)
        while self._first < upto:
            part_end = min(self._first + _TRIM_ROWS, upto)
            with self._writing():
                self._first = part_end
                with translated(_NAME), self._writer:
                    gone = self._writer.execute("delete from burst where position < ? returning length(blob)", (part_end,))
                    self._size -= sum(size for (size,) in gone.fetchall())

    def bounds(self, part: int) -> Bounds:
        del part
        return Bounds(self._first, self._end, self._size)

    def close(self) -> None:
        with self._grown:
            self._grown.notify_all()
        with self._read_lock:
            self._reader.close()
        with self._write_lock:
            self._writer.close()
