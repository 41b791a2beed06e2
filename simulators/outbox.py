# SPDX-License-Identifier: Apache-2.0
"""A device's records until the platform has them on its disk.

Invariant: a record leaves only by `stored`, or, when the box is full, the oldest makes room for the newest (which the
device then says by a later `oldest` in its status). The broker's acknowledgement alone forgets nothing.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from gateway.messages import Position
from gateway.payloads import MAX_PAYLOAD, MAX_RECORDS
from simulators.memory import Memory

__all__ = ["Batch", "Outbox"]

CAPACITY: Final = 20_000  # records; about two weeks of one zone at one a minute
_TRIM_BY: Final = 100  # records dropped at once when full, so that it is not done for each new one
_BEFORE_ALL: Final = (-1, -1)


@dataclass(frozen=True, slots=True)
class Batch:
    """One telemetry payload and the records in it."""

    payload: bytes
    positions: tuple[Position, ...]


class Outbox:
    """Keep records in order and hand them out, from the last `stored` on after each reconnect."""

    def __init__(self, memory: Memory, *, cbor: bool = False, capacity: int = CAPACITY) -> None:
        self._memory = memory
        self._cbor = cbor
        self._capacity = capacity
        self._sent = _BEFORE_ALL
        self._held = int(str(memory.read("select count(*) from outbox where device = ?")[0][0]))

    def __len__(self) -> int:
        return self._held

    @property
    def oldest(self) -> Position | None:
        """The oldest record still held."""
        rows = self._memory.read("select boot, seq from outbox where device = ? order by boot, seq limit 1")
        return Position(int(str(rows[0][0])), int(str(rows[0][1]))) if rows else None

    def put(self, position: Position, record: bytes) -> None:
        """Keep one encoded record."""
        self._memory.write("insert into outbox values (?, ?, ?, ?)", position.boot, position.seq, record)
        self._held += 1
        if self._held > self._capacity:
            self._drop_oldest()

    def forget(self, boot: int, seq: int) -> int:
        """Forget what is stored: this boot's records up to and including `seq`; return how many there were."""
        gone = self._memory.write("delete from outbox where device = ? and boot = ? and seq <= ?", boot, seq)
        self._held -= gone
        return gone

    def rewind(self) -> None:
        """Begin anew with the oldest record held: the connection is new."""
        self._sent = _BEFORE_ALL

    def next_batch(self) -> Batch | None:
        """Return what is to be sent next, up to 500 records or 64 KiB, or None; it counts as sent from then on."""
        rows = self._memory.read(
            "select boot, seq, record from outbox where device = ? and (boot, seq) > (?, ?) order by boot, seq limit ?",
            *self._sent,
            MAX_RECORDS,
        )
        records: list[bytes] = []
        positions: list[Position] = []
        size = 8  # for the array around them
        for boot, seq, record in rows:
            assert isinstance(boot, int)
            assert isinstance(seq, int)
            assert isinstance(record, bytes)
            size += len(record) + 1
            if records and size > MAX_PAYLOAD:
                break
            records.append(record)
            positions.append(Position(boot, seq))
        if not records:
            return None
        self._sent = (positions[-1].boot, positions[-1].seq)
        return Batch(_join(records, cbor=self._cbor), tuple(positions))

    def _drop_oldest(self) -> None:
        self._held -= self._memory.write(
            "delete from outbox where (device, boot, seq) in"
            " (select device, boot, seq from outbox where device = ? order by boot, seq limit ?)",
            self._held - self._capacity + min(_TRIM_BY, self._capacity // 10),
        )


def _join(records: list[bytes], *, cbor: bool) -> bytes:
    """Make one payload of encoded records: the record itself, or an array of them."""
    if len(records) == 1:
        return records[0]
    if not cbor:
        return b"[" + b",".join(records) + b"]"
    # CBOR, RFC 8949 section 3: major type 4 with a length of two bytes.
    return struct.pack(">BH", 0x99, len(records)) + b"".join(records)
