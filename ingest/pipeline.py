# SPDX-License-Identifier: Apache-2.0
"""The way of a measurement, from the link to the stores.

    link ── receive ──> journal (fsync) ──> PUBACK
    announcements ─────────┤
                           └── judge ──> tail ──> one writer a store (own cursor)
                                 └── latest, quarantine, `stored` and `error` to the devices, live feed

Invariants: nothing is acknowledged before the journal has it; nothing is decided twice differently; a store that is slow or
dead delays neither the others nor the acknowledgements. Every queue here is bounded (`IngestConfig`).
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from gateway.broker_save import BrokerSave
from gateway.clock import Clock
from gateway.link import Link
from ingest.announcements import Announcements
from ingest.bursts import StoredBurst
from ingest.errors import Full, Gap, JournalError, Unavailable
from ingest.gaps import SessionLosses
from ingest.heard import LastHeard
from ingest.journal import Entry, Fence, SqliteJournal
from ingest.judge import Judge, Judged
from ingest.notes import Notes
from ingest.session_watch import SessionWatch
from ingest.store.holes import Hole
from ingest.store.protocol import SeriesStore
from ingest.tail import DecodedTail
from ingest.writer import StoreWriter, WriterConfig

__all__ = ["Ingest", "IngestConfig", "IngestCounters"]

logger = logging.getLogger(__name__)
_PART = 0  # the one partition of one machine
_READ_BYTES = 4 * 1024**2  # of the journal at once, when catching up after a start


@dataclass(frozen=True, slots=True)
class IngestConfig:
    """Bounds of the way of a measurement.

    Attributes
    ----------
    pending_bytes : int
        Bursts on disk that wait to be decided about; past it nothing more is taken from the link. [bytes]
    gather_s : float
        While much arrives (more than `gather_messages` in a burst), wait this long for more before the next commit, on the
        wall: fewer, larger commits cost half the processor time. [s]
    gather_messages : int
    judge_messages : int
        Messages decided about in one go.
    checkpoint_s : float
        Between checkpoints, on the wall; a restart decodes again what came after the last. [s]
    flush_horizon_s : float
        The journal keeps what a store took within this time, on the wall: a store's word is not its disk. [s]
    retry_s : float
        Between attempts at a journal that does not take. [s]
    drain_s : float
        Given to a stop for emptying everything; what is left then is in the journal. [s]
    """

    pending_bytes: int = 32 * 1024**2
    gather_s: float = 0.01
    gather_messages: int = 64
    judge_messages: int = 20_000
    checkpoint_s: float = 5.0
    flush_horizon_s: float = 60.0
    retry_s: float = 0.5
    drain_s: float = 3.0
    writer: WriterConfig = field(default_factory=WriterConfig)


@dataclass(slots=True)
class IngestCounters:
    """What was taken and decided since the start."""

    messages: int = 0
    bursts: int = 0
    rows: int = 0
    rejected: int = 0
    journal_failures: int = 0


class Ingest:
    """Run the way of a measurement while its context lasts."""

    def __init__(
        self,
        config: IngestConfig,
        *,
        link: Link,
        journal: SqliteJournal,
        judge: Judge,
        stores: Sequence[SeriesStore],
        notes: Notes,
        clock: Clock,
        broker: BrokerSave | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._config = config
        self._link = link
        self._journal = journal
        self._judge = judge
        self._notes = notes
        self._clock = clock
        self._sleep = sleep
        self.counters = IngestCounters()
        self.heard = LastHeard()
        self._fence: Fence | None = None
        self._owner = uuid.uuid4().hex
        self._appending = asyncio.Lock()
        self._appended = 0
        self._end = 0
        expected = judge.position > 0 or judge.sessions.good_ms > 0
        self._watch = SessionWatch(link, judge.sessions, clock, self._put, expected=expected, broker=broker, sleep=sleep)
        self.announcements = Announcements(self._put, judge, clock)
        self._pending: deque[Entry] = deque()
        self._pending_bytes = 0
        self._arrived = asyncio.Event()
        self._taken = asyncio.Event()
        self._received_all = asyncio.Event()
        self._decided_all = asyncio.Event()
        self._troubles: dict[str, str] = {}
        self._group = asyncio.TaskGroup()
        self._endless: list[asyncio.Task[None]] = []
        self._finite: list[asyncio.Task[None]] = []
        # One thread each: the journal's commits, the judge's decisions. Stores have their own.
        self._commits = ThreadPoolExecutor(1, "journal")
        self._decisions = ThreadPoolExecutor(1, "judge")
        self._tail = DecodedTail(judge.position + 1)
        self.writers = [StoreWriter(store, self._tail, journal, judge, config.writer) for store in stores]

    async def __aenter__(self) -> Self:
        furthest = max([self._judge.position, *(writer.cursor for writer in self.writers)])
        self._journal.skip_to(furthest + 1)
        self._fence = self._journal.claim(_PART, self._owner)
        self._end = self._journal.bounds(_PART).end
        self._judge.resume(self._end, max((writer.cursor for writer in self.writers), default=0))
        await self._group.__aenter__()
        self._finite = [
            self._group.create_task(self._receive(), name="ingest receive"),
            self._group.create_task(self._decide(), name="ingest decide"),
            *(self._group.create_task(w.run(), name=f"ingest write {w.name}") for w in self.writers),
        ]
        self._endless = [
            self._group.create_task(self._keep_checkpoints(), name="ingest checkpoint"),
            self._group.create_task(self._notes.run(), name="ingest notes"),
            self._group.create_task(self.announcements.run(), name="ingest announcements"),
            self._group.create_task(self._watch.run(), name="ingest session"),
        ]
        return self

    async def __aexit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if kind is None:
                await self._drain()
        finally:
            for task in [*self._endless, *self._finite]:
                task.cancel()
            for writer in self.writers:
                writer.stop()
            try:
                cancelled = kind is not None and issubclass(kind, asyncio.CancelledError)
                # The caller's own error goes on as it is, in no group.
                await self._group.__aexit__(*((kind, exc, trace) if cancelled else (None, None, None)))
            finally:
                self._commits.shutdown()
                self._decisions.shutdown()
        if kind is None:
            try:
                self._judge.checkpoint(min(self._slowest(), self._journal.bounds(_PART).first))
            except (Full, Unavailable) as exc_:
                self._note_failure("checkpoint", exc_)

    async def _drain(self) -> None:
        """Stop taking; decide about what is there and bring it to the stores, as far as the time given reaches."""
        self._link.stop_receiving()
        try:
            async with asyncio.timeout(self._config.drain_s):
                await self._decided_all.wait()
                self._tail.close()
                for writer in self.writers:
                    if not writer.trouble:  # one that is in trouble has the journal to come back to
                        await writer.finished.wait()
        except TimeoutError:
            logger.warning("stopped before everything was stored; the journal has the rest", extra={"action": "drain_cut"})

    @property
    def sessions(self) -> SessionLosses:
        """The times in which the broker may have lost what it had acknowledged."""
        return self._judge.sessions

    @property
    def problems(self) -> dict[str, str]:
        """What is in the way, by part; empty when all is well."""
        found = {}
        if not self._link.connected:
            found["broker"] = self._link.state
        found |= self._troubles
        for writer in self.writers:
            if writer.trouble:
                found[f"store {writer.name}"] = writer.trouble
        return found

    @property
    def holes(self) -> dict[str, tuple[Hole, ...]]:
        """What a store never got and will never get by itself, by the store's name; empty when each has everything."""
        return {writer.name: writer.holes for writer in self.writers if writer.holes}

    async def _receive(self) -> None:
        async for burst in self._link.bursts():
            await self._watch.note()  # before what came after it
            stored = StoredBurst(self._clock.now_ms(), burst.topics, burst.payloads)
            await self._put(stored)
            self._link.acknowledge(burst)
            self.counters.bursts += 1
            self.counters.messages += len(burst.payloads)
            if len(burst.payloads) > self._config.gather_messages:
                await self._sleep(self._config.gather_s)
            while self._pending_bytes > self._config.pending_bytes:
                self._taken.clear()
                await self._taken.wait()
        self._received_all.set()
        self._arrived.set()

    async def _put(self, stored: StoredBurst, burst_id: str | None = None, *, patient: bool = True) -> tuple[int, bool]:
        """Append, and have it decided about in its turn; return its position, and whether it is new there."""
        async with self._appending:
            position = await self._append(stored, burst_id, patient=patient)
            fresh = position >= self._end
            if position > self._end:
                await self._queue_unheard(position)
            if fresh:
                self._queue(Entry(position, stored))
        return position, fresh

    def _queue(self, entry: Entry) -> None:
        self._end = entry.position + 1
        self._pending.append(entry)
        self._pending_bytes += sum(map(len, entry.burst.payloads))
        self._arrived.set()

    async def _queue_unheard(self, end: int) -> None:
        """Take in what the journal kept although it said that it could not, and that nobody sent again."""
        loop = asyncio.get_running_loop()
        while self._end < end:
            entries = await loop.run_in_executor(self._commits, self._journal.read_from, _PART, self._end, _READ_BYTES, 0.0)
            for entry in entries:
                if entry.position < end:
                    self._queue(entry)

    async def _append(self, stored: StoredBurst, burst_id: str | None, *, patient: bool) -> int:
        """Append until it is done: while the journal does not take, nothing is acknowledged and nothing read."""
        assert self._fence is not None
        loop = asyncio.get_running_loop()
        if burst_id is None:
            burst_id = f"{self._owner}-{self._appended}"
            self._appended += 1
        while True:
            try:
                position = await loop.run_in_executor(self._commits, self._journal.append, _PART, stored, burst_id, self._fence)
            except (Full, Unavailable) as exc:
                self.counters.journal_failures += 1
                self._note_failure("journal", exc)
                if not patient:
                    raise
                await self._sleep(self._config.retry_s)
            else:
                self._note_success("journal")
                return position

    def _note_failure(self, part: str, exc: JournalError) -> None:
        level = logging.DEBUG if part in self._troubles else logging.WARNING
        logger.log(level, "%s does not take: %s", part, exc, extra={"action": "journal_failed", "part": part})
        self._troubles[part] = str(exc)

    def _note_success(self, part: str) -> None:
        if self._troubles.pop(part, None) is not None:
            logger.info("%s takes again", part, extra={"action": "journal_recovered", "part": part})

    async def _decide(self) -> None:
        loop = asyncio.get_running_loop()
        await self._catch_up(loop)
        while True:
            entries = self._take_pending()
            if entries:
                await self._decide_about(loop, entries)
            elif self._received_all.is_set():
                self._decided_all.set()
                return
            else:
                self._arrived.clear()
                await self._arrived.wait()

    async def _catch_up(self, loop: asyncio.AbstractEventLoop) -> None:
        """Decide about what the journal held at the start beyond the checkpoint."""
        bounds = self._journal.bounds(_PART)
        held = self._pending[0].position if self._pending else bounds.end
        position = max(self._judge.position + 1, bounds.first)
        while position < held:
            try:
                entries = await loop.run_in_executor(
                    self._decisions, self._journal.read_from, _PART, position, _READ_BYTES, 0.0
                )
            except Gap as exc:  # the journal was put back from an older copy
                position = exc.first
            except (Full, Unavailable) as exc:
                self._note_failure("catching up", exc)
                await self._sleep(self._config.retry_s)
            else:
                self._note_success("catching up")
                entries = [entry for entry in entries if entry.position < held]
                await self._decide_about(loop, entries)
                position = entries[-1].position + 1

    async def _decide_about(self, loop: asyncio.AbstractEventLoop, entries: list[Entry]) -> None:
        """Decide about all of these, and wait for the quarantine's volume where it does not take."""
        while entries:
            try:
                judged = await loop.run_in_executor(self._decisions, self._judge_and_show, entries)
            except (Full, Unavailable) as exc:
                self._note_failure("quarantine", exc)
                await self._sleep(self._config.retry_s)
            else:
                self._note_success("quarantine")
                self._tell(judged)
                entries = entries[len(judged.bursts) :]

    def _take_pending(self) -> list[Entry]:
        entries: list[Entry] = []
        messages = 0
        while self._pending and messages < self._config.judge_messages:
            entry = self._pending.popleft()
            self._pending_bytes -= sum(map(len, entry.burst.payloads))
            if entry.position <= self._judge.position:
                continue  # decided about while catching up
            entries.append(entry)
            messages += len(entry.burst.payloads)
        if self._pending_bytes <= self._config.pending_bytes:
            self._taken.set()
        return entries

    def _judge_and_show(self, entries: list[Entry]) -> Judged:
        judged = self._judge.judge(entries)
        self._tail.append(judged.bursts)
        return judged

    def _tell(self, judged: Judged) -> None:
        self.counters.rows += judged.rows
        self.counters.rejected += sum(len(burst.rejects) for burst in judged.bursts)
        self.heard.note(judged.bursts)
        self._notes.add(judged)
        self.announcements.settle(judged)

    async def _keep_checkpoints(self) -> None:
        loop = asyncio.get_running_loop()
        history: deque[tuple[float, int]] = deque()
        while True:
            await self._sleep(self._config.checkpoint_s)
            slowest = self._slowest()
            # A store may be put back to where the journal begins: what was found out about that is needed as long.
            needed = min(slowest, self._journal.bounds(_PART).first)
            try:
                checkpoint = await loop.run_in_executor(self._decisions, self._judge.checkpoint, needed)
            except (Full, Unavailable) as exc:
                self._note_failure("checkpoint", exc)
                continue
            self._note_success("checkpoint")
            history.append((loop.time(), self._judge.tally.floor(min(slowest, checkpoint + 1))))
            safe = None
            while history and history[0][0] <= loop.time() - self._config.flush_horizon_s:
                safe = history.popleft()[1]
            if safe is not None:
                try:
                    # Never past a store that was put back since.
                    upto = self._judge.tally.floor(min(safe, self._slowest()))
                    await loop.run_in_executor(self._commits, self._journal.trim, _PART, upto)
                except (Full, Unavailable) as exc:
                    self._note_failure("trim", exc)
                else:
                    self._note_success("trim")

    def _slowest(self) -> int:
        """Return the first position that some store still has to read."""
        return min([writer.cursor for writer in self.writers], default=self._judge.position) + 1
