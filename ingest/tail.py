# SPDX-License-Identifier: Apache-2.0
"""The newest decoded bursts, kept in memory for the stores that follow closely.

Invariant: the positions held are contiguous. What every store has taken is let go at once, so that memory follows what
waits and not how long the service runs. A store that falls behind the oldest reads the journal again instead, so a slow
store costs no more than the bounds, and nobody's time but its own.
"""

from __future__ import annotations

import threading
from collections import deque
from itertools import islice
from typing import Final

from ingest.decode import DecodedBurst

__all__ = ["MAX_TAIL_BURSTS", "MAX_TAIL_ROWS", "DecodedTail"]

MAX_TAIL_ROWS: Final = 150_000  # rows held; about 100 bytes a row
MAX_TAIL_BURSTS: Final = 4_000  # bursts held; about 4 KiB each, however few rows are in it


class DecodedTail:
    """A bounded window of decoded bursts. Thread-safe: one appends, any number read."""

    def __init__(self, start: int, max_rows: int = MAX_TAIL_ROWS, max_bursts: int = MAX_TAIL_BURSTS) -> None:
        self._max_rows = max_rows
        self._max_bursts = max_bursts
        self._changed = threading.Condition()
        self._bursts: deque[DecodedBurst] = deque()
        self._rows = 0
        self._end = start
        self._closed = False
        self._taken: dict[str, int] = {}

    @property
    def end(self) -> int:
        """The position after the newest decoded one."""
        return self._end

    @property
    def closed(self) -> bool:
        """Whether nothing more will come."""
        return self._closed

    def append(self, bursts: list[DecodedBurst]) -> None:
        """Add the next bursts and let the oldest go past the bounds; behind a hole in the journal begin anew."""
        with self._changed:
            for burst in bursts:
                if burst.position != self._end:
                    self._bursts.clear()
                    self._rows = 0
                self._bursts.append(burst)
                self._rows += _count(burst)
                self._end = burst.position + 1
            while (self._rows > self._max_rows or len(self._bursts) > self._max_bursts) and len(self._bursts) > 1:
                self._rows -= _count(self._bursts.popleft())
            self._changed.notify_all()

    def note_taken(self, reader: str, upto: int) -> None:
        """Note that a reader has, or is back at, everything up to `upto`; let go what all who ever said so have."""
        with self._changed:
            self._taken[reader] = upto
            everybody = min(self._taken.values())
            while self._bursts and self._bursts[0].position <= everybody:
                self._rows -= _count(self._bursts.popleft())

    def read_from(self, position: int, max_rows: int, wait: float) -> list[DecodedBurst] | None:
        """Return bursts from `position` on, none when none came for `wait` seconds, or None when it is held no longer."""
        with self._changed:
            self._changed.wait_for(lambda: position < self._end or self._closed, timeout=wait)
            if position >= self._end:
                return []
            if not self._bursts or position < self._bursts[0].position:
                return None
            found: list[DecodedBurst] = []
            rows = 0
            skip = position - self._bursts[0].position
            for burst in islice(self._bursts, skip, None):
                found.append(burst)
                rows += _count(burst)
                if rows >= max_rows:
                    break
            return found

    def close(self) -> None:
        """Wake everybody who waits."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


def _count(burst: DecodedBurst) -> int:
    return sum(len(rows) for rows in burst.rows) + 1
