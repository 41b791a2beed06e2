# SPDX-License-Identifier: Apache-2.0
"""Quarantine: records that did not fit, kept with the reason, oldest first out.

Invariants: what is rejected is kept before the burst counts as decoded; the same record is kept once however often its
burst is decoded; the size stays under its bound, and what was dropped for it is counted. A record leaves by a replay that
is taken, by being discarded, or as the oldest; never by a replay that is refused again.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.payloads import MAX_PAYLOAD
from ingest.volume import SqliteFile

__all__ = ["MAX_KEPT_PAYLOAD", "Quarantine", "QuarantineConfig", "QuarantinedRecord"]

MAX_KEPT_PAYLOAD: Final = 4096  # of a payload over the contract's limit only the beginning is kept [bytes]
_DECIDED_AGAIN: Final = 10_000  # bursts before the newest that a restart may decide about again; a checkpoint is far nearer
_OVERHEAD: Final = 700  # an entry's size besides its payload and topic: its detail, names and numbers, at most [bytes]
_COLUMNS: Final = "id, at_ms, topic, site, device, reason, detail, record, boot, seq, size, payload, replays"
_NAME: Final = "quarantine"
_SCHEMA: Final = """
create table if not exists record (
    id       integer primary key autoincrement,
    position integer not null,
    payload_place integer not null,
    record   integer not null,
    at_ms    integer not null,
    topic    text not null,
    site     text,
    device   text,
    reason   text not null,
    detail   text not null,
    boot     integer,
    seq      integer,
    size     integer not null,
    payload  blob not null,
    replays  integer not null default 0,
    unique (position, payload_place, record)
) strict;
create table if not exists gone (
    position integer not null,
    payload_place integer not null,
    record   integer not null,
    primary key (position, payload_place, record)
) strict, without rowid;
create table if not exists settled (
    position integer primary key
) strict;
create table if not exists total (
    name  text primary key,
    value integer not null
) strict;
insert or ignore into total values ('kept', 0), ('dropped', 0), ('bytes', 0), ('replayed', 0), ('discarded', 0);
"""


@dataclass(frozen=True, slots=True)
class QuarantineConfig:
    """Where the quarantine lies and how far it may grow. [bytes]"""

    path: Path
    max_bytes: int = 256 * 1024**2


@dataclass(frozen=True, slots=True)
class QuarantinedRecord:
    """A record, or a whole payload (`record` None), that did not fit.

    Attributes
    ----------
    at_ms : int
        Time of receipt. [ms since the Unix epoch]
    reason, detail : str
        The contract's error code, and what was wrong.
    payload : bytes
        The payload, or of an array the one record; of a payload over the contract's limit its first 4 KiB.
    size : int
        How long that was when it came. [bytes]
    replays : int
        How often it was replayed and refused again.
    """

    id: int
    at_ms: int
    topic: str
    site: str | None
    device: str | None
    reason: str
    detail: str
    record: int | None
    boot: int | None
    seq: int | None
    size: int
    payload: bytes
    replays: int = 0

    @property
    def complete(self) -> bool:
        """Whether all of it is kept, so that it can be replayed."""
        return len(self.payload) == self.size


class Quarantine:
    """The quarantine's file. Thread-safe."""

    def __init__(self, config: QuarantineConfig) -> None:
        self._config = config
        self._file = SqliteFile(config.path, _NAME, _SCHEMA)
        with self._file.use():
            columns = {name for _, name, *_ in self._db.execute("pragma table_info(record)")}
            if "replays" not in columns:  # a file of before records could be replayed
                self._db.execute("alter table record add column replays integer not null default 0")

    @property
    def _db(self) -> sqlite3.Connection:
        return self._file.db

    def keep(self, position: int, records: Iterable[tuple[int, QuarantinedRecord]]) -> None:
        """Keep the rejected records of the burst at `position`; each with the number of its payload in the burst.

        Raises Full or Unavailable, and has then kept nothing of it.
        """
        with self._file.use(), self._db:
            added = size = 0
            for place, r in records:
                kept = r.payload if r.size <= MAX_PAYLOAD else r.payload[:MAX_KEPT_PAYLOAD]
                number = -1 if r.record is None else r.record
                head = (position, place, number, r.at_ms, r.topic, r.site, r.device, r.reason, r.detail[:500])
                done = self._db.execute(
                    "insert or ignore into record select null, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0"
                    " where not exists (select 1 from gone where position = ? and payload_place = ? and record = ?)",
                    (*head, r.boot, r.seq, r.size, kept, position, place, number),
                )
                added += done.rowcount
                size += done.rowcount * (len(kept) + len(r.topic) + _OVERHEAD)
            self._count(kept=added, bytes=size)
            self._shrink()

    def _shrink(self) -> None:
        while self._totals()["bytes"] > self._config.max_bytes:
            dropped = self._delete("id in (select id from record order by id limit 100)", {})
            if not dropped:
                return
            self._count(dropped=dropped)

    def _delete(self, where: str, values: dict[str, object]) -> int:
        # A burst that is decided again after a crash must not bring back what was replayed or discarded since.
        (newest,) = self._db.execute(
            "select max(coalesce((select max(position) from record), 0), coalesce((select max(position) from gone), 0))"
        ).fetchone()
        recent = newest - _DECIDED_AGAIN
        self._db.execute("delete from gone where position <= ?", (recent,))
        self._db.execute("delete from settled where position <= ?", (recent,))
        self._db.execute(
            f"insert or ignore into gone select position, payload_place, record from record where ({where})"  # noqa: S608
            " and position > :recent",
            {**values, "recent": recent},
        )
        gone = self._db.execute(
            f"delete from record where {where} returning length(payload) + length(topic)",  # noqa: S608 - ours
            values,
        ).fetchall()
        self._count(bytes=-sum(length + _OVERHEAD for (length,) in gone))
        return len(gone)

    def settle(self, record_id: int, position: int) -> None:
        """Let a record go that was taken when it was replayed as `position`; one that is not there is passed over."""
        with self._file.use(), self._db:
            self._count(replayed=self._delete("id = :id", {"id": record_id}))
            self._db.execute("insert or ignore into settled values (?)", (position,))

    def was_settled(self, position: int) -> bool:
        """Tell whether the replay at `position` was taken."""
        with self._file.use():
            return self._db.execute("select 1 from settled where position = ?", (position,)).fetchone() is not None

    def rejected_at(self, position: int) -> NDArray[np.int64]:
        """Return what of a burst was kept, also what has left since, as `ingest.decode.mark_rejects` has it, ascending."""
        query = "select payload_place, record from {} where position = :position and payload_place >= 0"
        with self._file.use():
            found = self._db.execute(
                f"{query.format('record')} union {query.format('gone')}",
                {"position": position},
            ).fetchall()
        return np.array(sorted(place << 16 | (record + 1) for place, record in found), np.int64)

    def refuse_again(self, record_id: int, attempt: int, reason: str, detail: str) -> None:
        """Keep what was wrong this time with a record that was replayed for the `attempt`-th time, counted from 0."""
        with self._file.use(), self._db:
            self._db.execute(
                "update record set reason = ?, detail = ?, replays = ? where id = ? and replays <= ?",
                (reason, detail[:500], attempt + 1, record_id, attempt),
            )

    def discard(self, record_id: int) -> bool:
        """Throw one record away; tell whether it was there."""
        with self._file.use(), self._db:
            gone = self._delete("id = :id", {"id": record_id})
            self._count(discarded=gone)
        return bool(gone)

    def discard_all(
        self,
        *,
        limit: int,
        reason: str | None = None,
        site: str | None = None,
        device: str | None = None,
        sites: Collection[str] | None = None,
    ) -> int:
        """Throw the oldest records of a reason, site, device and of `sites` (see `list`) away; return how many."""
        where, values = _where(reason, site, device, sites=sites)
        with self._file.use(), self._db:
            chosen = f"select id from record {where} order by id limit :limit"  # noqa: S608 - names are ours
            gone = self._delete(f"id in ({chosen})", {**values, "limit": limit})
            self._count(discarded=gone)
        return gone

    def _count(self, **changes: int) -> None:
        self._db.executemany("update total set value = value + ? where name = ?", [(v, k) for k, v in changes.items()])

    def totals(self) -> dict[str, int]:
        """Return how many were ever `kept`, `dropped` for the bound, `replayed` and `discarded`, and the `bytes` held."""
        with self._file.use():
            return self._totals()

    def _totals(self) -> dict[str, int]:
        return dict(self._db.execute("select name, value from total").fetchall())

    def list(
        self,
        *,
        limit: int = 100,
        after: int | None = None,
        reason: str | None = None,
        site: str | None = None,
        device: str | None = None,
        sites: Collection[str] | None = None,
        newest_first: bool = True,
    ) -> tuple[list[QuarantinedRecord], int | None]:
        """Return records in the order of their coming, and the id to continue `after`, or None at the end.

        Parameters
        ----------
        sites : collection of str or None
            Only of these sites; None asks for all, also what names none.
        """
        beyond, order = ("<", "desc") if newest_first else (">", "asc")
        where, values = _where(reason, site, device, [f"id {beyond} :after"] if after is not None else [], sites)
        query = f"select {_COLUMNS} from record {where} order by id {order} limit :limit"  # noqa: S608 - names are ours
        with self._file.use():
            rows = self._db.execute(query, {**values, "after": after, "limit": limit + 1}).fetchall()
        items = [_record(row) for row in rows[:limit]]
        return items, items[-1].id if len(rows) > limit else None

    def oldest(
        self,
        *,
        limit: int,
        after: int = 0,
        reason: str | None = None,
        site: str | None = None,
        device: str | None = None,
        sites: Collection[str] | None = None,
    ) -> Sequence[QuarantinedRecord]:
        """Return the oldest records with an id above `after`, oldest first. `sites` as in `list`."""
        where, values = _where(reason, site, device, ["id > :after"], sites)
        query = f"select {_COLUMNS} from record {where} order by id limit :limit"  # noqa: S608 - names are ours
        with self._file.use():
            rows = self._db.execute(query, {**values, "after": after, "limit": limit}).fetchall()
        return [_record(row) for row in rows]

    def get(self, record_id: int) -> QuarantinedRecord | None:
        """Return one record, or None."""
        with self._file.use():
            row = self._db.execute(f"select {_COLUMNS} from record where id = ?", (record_id,)).fetchone()  # noqa: S608
        return _record(row) if row else None

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def _where(
    reason: str | None,
    site: str | None,
    device: str | None,
    also: Iterable[str] = (),
    sites: Collection[str] | None = None,
) -> tuple[str, dict[str, object]]:
    wanted = {"reason": reason, "site": site, "device": device}
    clauses = [*also, *(f"{column} = :{column}" for column, value in wanted.items() if value is not None)]
    values: dict[str, object] = dict(wanted)
    if sites is not None:
        clauses.append("site in (select value from json_each(:sites))")
        values["sites"] = json.dumps(list(sites))
    return f"where {' and '.join(clauses)}" if clauses else "", values


def _record(
    row: tuple[int, int, str, str | None, str | None, str, str, int, int | None, int | None, int, bytes, int],
) -> QuarantinedRecord:
    return QuarantinedRecord(*row[:7], None if row[7] < 0 else row[7], *row[8:])
