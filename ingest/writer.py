# SPDX-License-Identifier: Apache-2.0
"""Bring the decoded rows to one store, at its own pace, from its own cursor.

Invariants: the store gets every position in order, once each by its cursor; what it cannot take now is tried again with
growing, jittered waits and is never dropped; what it can never take is in quarantine before the cursor passes it, once
however often it is given again. Trouble here stays here.
A store whose word is not its disk may have died with what it had taken: it is given again all that the journal holds.
"""

from __future__ import annotations

import asyncio
import logging
import random
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

import numpy as np

from ingest.decode import DecodedBurst
from ingest.errors import Full, Gap, Unavailable
from ingest.journal import SqliteJournal
from ingest.judge import Judge
from ingest.store.batch import Batch, Reach, RejectedRow, Rows
from ingest.store.errors import StoreError, StoreUnavailable
from ingest.store.holes import Hole, describe_holes
from ingest.store.protocol import SeriesStore
from ingest.tail import DecodedTail

__all__ = ["Forgetful", "StoreWriter", "WriterConfig", "join_rows"]

logger = logging.getLogger(__name__)
_READ_BYTES: Final = 4 * 1024**2  # of the journal at once, by a store that is behind


@dataclass(frozen=True, slots=True)
class WriterConfig:
    """How rows are gathered for a store.

    Attributes
    ----------
    batch_rows : int
        Rows that are written at once when so many wait.
    batch_s : float
        Longest wait of a row for others, on the wall. [s]
    backoff_min_s, backoff_max_s : float
        Wait before a store is tried again, doubling, jittered. [s]
    refused_s : float
        Between attempts at a store that refuses us: somebody has to correct the deployment first. [s]
    """

    batch_rows: int = 50_000
    batch_s: float = 0.25
    backoff_min_s: float = 0.2
    backoff_max_s: float = 30.0
    refused_s: float = 30.0


@runtime_checkable
class Forgetful(Protocol):
    """A store that may answer before its disk has the rows; what is written to it twice stands there once."""

    def put_back(self, upto: int) -> None:
        """Move the cursor back to `upto` if it is beyond; raises StoreUnavailable, and has then not moved it."""


class StoreWriter:
    """The consumer that feeds one store.

    Attributes
    ----------
    holes : tuple of Hole
        What the store never got, found when it came to positions that are gone from the journal.
    """

    def __init__(
        self, store: SeriesStore, tail: DecodedTail, journal: SqliteJournal, judge: Judge, config: WriterConfig
    ) -> None:
        self.store = store
        self.name = store.name
        self.finished = asyncio.Event()
        self.trouble: str | None = None
        self.refused = False  # whether the trouble is one that somebody has to correct
        self.rows = 0
        self.rejected = 0
        self.expired = 0
        self.retries = 0
        self._tail = tail
        self._journal = journal
        self._judge = judge
        self._config = config
        self._stopping = threading.Event()
        self._rng = random.Random()
        self.holes = store.holes()
        reach = store.reach()
        self._records = reach.records
        self._move_to(reach.position)
        if self._records is None:
            self._records = judge.tally.before(self.cursor + 1)
        self._counted = self.cursor  # what is given again up to here was counted before

    async def run(self) -> None:
        """Write until the tail is closed and everything in it is stored."""
        thread = ThreadPoolExecutor(1, f"store {self.name}")
        work = asyncio.get_running_loop().run_in_executor(thread, self._work)
        try:
            await asyncio.shield(work)
            self.finished.set()
        finally:
            # When cancelled the thread must hear of it and be waited for: the store is closed next.
            self.stop()
            await asyncio.wait([work])
            thread.shutdown(wait=False)

    def stop(self) -> None:
        """Give up waiting; what is not stored stays in the journal."""
        self._stopping.set()
        self._tail.close()

    def _work(self) -> None:
        self._prepare()
        self._put_back()  # it may have died while nobody looked
        waited_since = time.monotonic()
        while not self._stopping.is_set():
            bursts = self._next(self._config.batch_s)
            now = time.monotonic()
            if not bursts:
                waited_since = now
                if self._tail.closed and self.cursor + 1 >= self._tail.end:
                    self._flush()
                    return
                continue
            waiting = sum(len(rows) for burst in bursts for rows in burst.rows)
            newest = bursts[-1].position + 1 == self._tail.end and not self._tail.closed
            if newest and waiting < self._config.batch_rows and now - waited_since < self._config.batch_s:
                self._stopping.wait(self._config.batch_s - (now - waited_since))
                continue
            self._write(self._batch(bursts), bursts)
            waited_since = time.monotonic()

    def _batch(self, bursts: list[DecodedBurst]) -> Batch:
        count = sum(len(rows) for burst in bursts for rows in burst.rows)
        records = None if self._records is None else self._records + count
        return Batch(join_rows(bursts), bursts[-1].position, records, bursts[-1].received_ms)

    def _next(self, wait: float) -> list[DecodedBurst]:
        bursts = self._tail.read_from(self.cursor + 1, self._config.batch_rows, wait)
        if bursts is not None:
            return bursts
        decided = self._tail.end  # what lies behind is in the journal already, but it is not known what is new in it
        try:
            entries = self._journal.read_from(0, self.cursor + 1, _READ_BYTES, 0.0)
            return self._judge.decode_again(entry for entry in entries if entry.position < decided)
        except (Full, Unavailable) as exc:
            self._wait(str(exc), self._config.backoff_max_s)
            return []
        except Gap as exc:
            self._skip_to(exc.first)
            return []

    def _skip_to(self, first: int) -> None:
        """Begin where the journal does, and keep what the store misses: it was left out, joins later, or is an old copy."""
        before, records = self.store.reach(), self._judge.tally.before(first)
        missed = None if records is None or self._records is None else records - self._records
        count = first - 1 - self.cursor
        try:
            there = self._journal.read_from(0, first, 1, 0.0)
            end_ms = there[0].burst.received_ms if there else self._judge.sessions.heard_ms or None
            hole = Hole(self.cursor + 1, first, count, missed, before.received_ms, end_ms)
            self.store.skip(hole, Reach(first - 1, records, end_ms))
            self.holes = self.store.holes()
        except (StoreError, Full, Unavailable) as exc:
            self._wait(str(exc), self._config.backoff_min_s)
            return
        logger.warning("store %s %s", self.name, describe_holes([hole]), extra={"action": "store_gap"})
        self._records = records
        self._move_to(first - 1)

    def _prepare(self) -> None:
        """Have the store ready before there are rows for it, so that what is in its way is told at the start."""
        attempt = 0
        while not self._stopping.is_set():
            try:
                self.store.prepare()
            except StoreError as exc:
                attempt += 1
                self._wait_for_store(exc, attempt)
            else:
                self._note_recovery()
                return

    def _wait_for_store(self, exc: StoreError, attempt: int) -> None:
        _let_go(exc)
        if isinstance(exc, StoreUnavailable):
            ceiling = min(self._config.backoff_max_s, self._config.backoff_min_s * 2.0 ** min(attempt, 20))
            wait = exc.retry_after_s or self._rng.uniform(self._config.backoff_min_s, ceiling)
            self._wait(str(exc), min(wait, self._config.backoff_max_s))  # a proxy may ask for hours
        else:  # refused; or rejected whole, which no store should do to a batch, so it is kept
            self._wait(str(exc), self._config.refused_s, refused=True)

    def _write(self, batch: Batch, bursts: list[DecodedBurst]) -> None:
        attempt = 0
        while not self._stopping.is_set():
            try:
                rejected = self.store.write(batch, lambda refused: self._keep_refused(batch, bursts, refused))
            except StoreError as exc:
                attempt += 1
                self._wait_for_store(exc, attempt)
                if isinstance(exc, StoreUnavailable) and exc.silent and self._put_back():
                    return
            except (Full, Unavailable) as exc:  # of the quarantine's volume: the rows are given again, and once kept
                _let_go(exc)
                self._wait(str(exc), self._config.backoff_min_s)
            else:
                self._note_success(batch, bursts, rejected)
                return

    def _put_back(self) -> bool:
        """Go back to where the journal begins, if the store may have forgotten what came since; tell whether it was done.

        The journal keeps what a store took within the flush horizon, so what lies before is on the store's disk.
        """
        upto = self._journal.bounds(0).first - 1
        if not isinstance(self.store, Forgetful) or upto >= self.cursor:
            return False
        try:
            self.store.put_back(upto)
        except StoreUnavailable as exc:  # the batch at hand is tried again, and then this
            self.trouble = str(exc)
            return False
        logger.info(
            "store %s is given again what came after %d", self.name, upto, extra={"action": "store_put_back", "upto": upto}
        )
        self._move_to(upto)
        self._records = self._judge.tally.before(upto + 1)
        return True

    def _keep_refused(self, batch: Batch, bursts: list[DecodedBurst], refused: Sequence[RejectedRow]) -> None:
        """Put what the store can never take into quarantine."""
        for number, rows in enumerate(batch.rows):
            if own := [row for row in refused if row.rows == number]:
                self._judge.keep_refused(self.name, bursts, rows.kind, own)

    def _wait(self, why: str, seconds: float, *, refused: bool = False) -> None:
        level = logging.DEBUG if self.trouble else logging.WARNING
        logger.log(level, "store %s: %s", self.name, why, extra={"action": "store_failed"})
        self.trouble, self.refused = why, refused
        self.retries += 1
        self._stopping.wait(seconds)

    def _note_success(self, batch: Batch, bursts: list[DecodedBurst], rejected: Sequence[RejectedRow]) -> None:
        self._note_recovery()
        self._count(batch, bursts, rejected)
        self._move_to(batch.upto)
        self._records = batch.records
        self._counted = max(self._counted, batch.upto)

    def _note_recovery(self) -> None:
        if self.trouble:
            logger.info("store %s takes again", self.name, extra={"action": "store_recovered"})
            self.trouble, self.refused = None, False

    def _count(self, batch: Batch, bursts: list[DecodedBurst], rejected: Sequence[RejectedRow]) -> None:
        """Count rows and what is not kept of them, but for what this store was given before it was put back."""
        known = Counter[str]()  # of each kind; in the batch these come first
        for burst in bursts:
            for rows in burst.rows if burst.position <= self._counted else ():
                known[rows.kind] += len(rows)
        new = [row for row in rejected if row.index >= known[batch.rows[row.rows].kind]]
        expired = sum(row.expired for row in new)
        refused = len(new) - expired
        self.rows += len(batch) - known.total() - len(new)
        self.rejected += refused
        self.expired += expired
        if expired:
            text = "store %s: %d rows waited until they were older than rows are kept"
            logger.warning(text, self.name, expired, extra={"action": "rows_expired"})
        if refused:
            logger.warning("store %s can never take %d rows", self.name, refused, extra={"action": "rows_refused"})

    def _move_to(self, upto: int) -> None:
        self.cursor = upto
        self._tail.note_taken(self.name, upto)

    def _flush(self) -> None:
        try:
            self.store.flush()
        except StoreError as exc:
            logger.warning("store %s: %s", self.name, exc, extra={"action": "store_failed"})


def _let_go(exc: BaseException) -> None:
    """Clear the frames of a failed attempt: they hold the batch as it was encoded, in a cycle that is collected late."""
    found: BaseException | None = exc
    while found is not None:
        traceback.clear_frames(found.__traceback__)
        found = found.__cause__ or found.__context__


def join_rows(bursts: Iterable[DecodedBurst]) -> tuple[Rows, ...]:
    """Return the rows of many bursts as one `Rows` a kind, in order."""
    by_kind: dict[str, list[Rows]] = {}
    for burst in bursts:
        for rows in burst.rows:
            by_kind.setdefault(rows.kind, []).append(rows)
    return tuple(_join(parts) for parts in by_kind.values())


def _join(parts: list[Rows]) -> Rows:
    if len(parts) == 1:
        return parts[0]
    names = dict.fromkeys(name for rows in parts for name in rows.values)
    values = {name: np.concatenate([rows.values.get(name, np.full(len(rows), np.nan)) for rows in parts]) for name in names}
    columns = {
        name: np.concatenate([getattr(rows, name) for rows in parts])
        for name in ("device", "zone", "ts_ms", "boot", "seq", "place", "flags")
    }
    return Rows(kind=parts[0].kind, values=values, **columns)
