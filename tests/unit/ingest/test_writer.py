# SPDX-License-Identifier: Apache-2.0
"""The writer: every position to its store once and in order, through failures, gaps and falling behind."""

from __future__ import annotations

import asyncio
import gc
import json
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from ingest.decode import BurstDecoder, DecodedBurst
from ingest.journal import Entry, JournalConfig, SqliteJournal
from ingest.judge import Judge
from ingest.latest import LatestState
from ingest.progress import Progress
from ingest.quarantine import Quarantine, QuarantineConfig
from ingest.sequences import Sequences
from ingest.store.batch import Batch, Keep, Reach, RejectedRow
from ingest.store.errors import StoreError, StoreRefused, StoreRejected, StoreUnavailable
from ingest.store.holes import Hole
from ingest.store.protocol import SeriesStore
from ingest.tail import DecodedTail
from ingest.writer import StoreWriter, WriterConfig, join_rows
from tests.unit.ingest.fleet import CATALOGUE, NOW_MS, burst_of, make_devices, rows_of, telemetry

QUICK = WriterConfig(batch_s=0.001, backoff_min_s=0.0005, backoff_max_s=0.001, refused_s=0.001)


@dataclass
class NotedStore:
    """A store in memory that fails as it is told to."""

    name: str = "noted"
    upto: int = 0
    unready: list[StoreError] = field(default_factory=list)
    failures: list[StoreError] = field(default_factory=list)
    batches: list[Batch] = field(default_factory=list)
    records: int | None = None
    received_ms: int | None = None
    found: list[Hole] = field(default_factory=list)
    refuse: int = 0
    expire: int = 0
    flushed: int = 0
    written: Callable[[], None] = lambda: None

    def cursor(self) -> int:
        return self.upto

    def reach(self) -> Reach:
        return Reach(self.upto, self.records, self.received_ms)

    def skip(self, hole: Hole, reach: Reach) -> None:
        self.found.append(hole)
        self.upto, self.records, self.received_ms = reach.position, reach.records, reach.received_ms

    def holes(self) -> tuple[Hole, ...]:
        return tuple(self.found)

    def prepare(self) -> None:
        if self.unready:
            raise self.unready.pop(0)

    def write(self, batch: Batch, keep: Keep | None = None) -> tuple[RejectedRow, ...]:
        if self.failures:
            raise self.failures.pop(0)
        refused = [RejectedRow(0, i, "never") for i in range(min(self.refuse, len(batch)))]
        if refused and keep is not None:
            keep(refused)
        if batch.upto > self.upto:
            self.batches.append(batch)
            self.upto, self.records, self.received_ms = batch.upto, batch.records, batch.received_ms
        self.written()
        expired = range(len(refused), min(len(refused) + self.expire, len(batch)))
        return (*refused, *(RejectedRow(0, i, "old", expired=True) for i in expired))

    def flush(self) -> None:
        self.flushed += 1

    def seqs(self) -> list[int]:
        return [int(seq) for batch in self.batches for rows in batch.rows for seq in rows.seq]

    def series(self, query: Any) -> Any:
        raise NotImplementedError

    def latest(self, since_ms: int) -> Any:
        raise NotImplementedError

    def count(self, site: str, device: str) -> int:
        raise NotImplementedError

    def close(self) -> None:
        """Nothing is open."""


class House:
    """A journal with bursts of one record each, decided about as far as told."""

    def __init__(self, folder: Path) -> None:
        self.journal = SqliteJournal(JournalConfig(folder / "journal.sqlite"))
        self.progress = Progress(folder / "progress.sqlite")
        self.quarantine = Quarantine(QuarantineConfig(folder / "quarantine.sqlite"))
        devices = make_devices()
        decoder, latest = BurstDecoder(devices, CATALOGUE), LatestState(devices, CATALOGUE)
        self.judge = Judge(decoder, devices, Sequences(), self.quarantine, latest, self.progress)
        self.fence = self.journal.claim(0, "test")
        self.tail = DecodedTail(1)

    def append(self, *seqs: int) -> None:
        for seq in seqs:
            end = self.journal.bounds(0).end
            self.journal.append(0, burst_of((0, telemetry(boot=1, seq=seq, flow=seq))), f"b-{end}", self.fence)

    def decide(self, upto: int) -> None:
        start = max(self.judge.position + 1, self.journal.bounds(0).first)
        entries: list[Entry] = self.journal.read_from(0, start, 2**30, 0.0)
        self.tail.append(self.judge.judge(entry for entry in entries if entry.position <= upto).bursts)

    def writer(self, store: SeriesStore, config: WriterConfig = QUICK) -> StoreWriter:
        return StoreWriter(store, self.tail, self.journal, self.judge, config)

    def close(self) -> None:
        self.journal.close()
        self.progress.close()
        self.quarantine.close()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.close()


async def run_out(house: House, writer: StoreWriter) -> None:
    house.tail.close()
    await asyncio.wait_for(writer.run(), 30)


async def test_run_brings_every_decided_row_to_the_store_and_flushes_it(house: House) -> None:
    store = NotedStore()
    house.append(*range(20), 3, 4)
    house.decide(22)
    writer = house.writer(store)
    await run_out(house, writer)
    assert store.seqs() == list(range(20))
    assert (store.upto, writer.cursor, writer.rows, store.flushed) == (22, 22, 20, 1)
    assert writer.finished.is_set()
    assert writer.trouble is None


@pytest.mark.parametrize(
    "failure",
    [
        StoreUnavailable("away"),
        StoreUnavailable("busy", 0.001),
        StoreUnavailable("a proxy that asks for a day", 86_400.0),
        StoreRefused("token"),
        StoreRejected("why"),
    ],
)
async def test_run_through_failures_of_the_store_tries_again_and_drops_nothing(house: House, failure: StoreError) -> None:
    store = NotedStore(failures=[failure] * 5)
    house.append(*range(5))
    house.decide(5)
    writer = house.writer(store)
    await run_out(house, writer)
    assert store.seqs() == list(range(5))
    assert (writer.retries, writer.trouble) == (5, None)


async def test_run_has_the_store_ready_before_there_is_a_row_for_it_and_tells_what_is_in_the_way(house: House) -> None:
    store = NotedStore(unready=[StoreRefused("bucket 'series_5m' is not there"), StoreUnavailable("away", 20.0)])
    writer = house.writer(store, replace(QUICK, backoff_max_s=20.0))
    task = asyncio.create_task(writer.run())
    while writer.retries < 2:  # noqa: ASYNC110 - it is told by a thread
        await asyncio.sleep(0)
    assert writer.trouble == str(StoreUnavailable("away"))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 10)
    again = house.writer(NotedStore(unready=[StoreUnavailable("away")]))
    await run_out(house, again)
    assert (again.retries, again.trouble) == (1, None)


async def test_run_of_a_store_that_fell_behind_the_tail_reads_the_journal_and_leaves_duplicates_out(house: House) -> None:
    store = NotedStore(upto=2)
    house.append(0, 1, 1, 2, 3, 3, 4)
    house.decide(7)
    house.judge.checkpoint(0)
    house.tail = DecodedTail(8)  # all of it has gone past the tail's bound
    await run_out(house, house.writer(store))
    assert store.seqs() == [1, 2, 3, 4][1:]


async def test_run_of_a_store_that_is_behind_takes_nothing_that_is_not_decided_yet(house: House) -> None:
    store = NotedStore()
    house.append(0, 1, 0, 1)
    house.decide(2)
    house.tail = DecodedTail(3)
    writer = house.writer(store)
    store.written = lambda: house.decide(4)  # the rest is decided only after the first batch: both are duplicates
    await run_out(house, writer)
    assert store.seqs() == [0, 1]


async def test_run_of_a_store_whose_position_was_trimmed_goes_on_where_the_journal_begins(house: House) -> None:
    store = NotedStore()
    house.append(*range(6))
    house.decide(6)
    house.journal.trim(0, 4)
    house.tail = DecodedTail(7)
    writer = house.writer(store)
    await run_out(house, writer)
    assert store.seqs() == [3, 4, 5]
    assert writer.holes == (Hole(1, 4, 3, None, None, NOW_MS),)  # nobody counted what stood before a position within


async def test_run_of_a_store_that_was_left_out_counts_what_it_missed(house: House) -> None:
    house.append(0, 1, 1, 2)
    house.decide(4)
    house.judge.checkpoint(0)
    store = NotedStore()
    await run_out(house, house.writer(store))
    assert (store.seqs(), store.records) == ([0, 1, 2], 3)
    house.append(2, 3, 4, 4, 5)  # while it is left out
    house.decide(9)
    house.judge.checkpoint(0)
    house.append(6, 7)
    house.decide(11)
    house.judge.checkpoint(0)
    house.journal.trim(0, house.judge.tally.floor(11))
    house.tail = DecodedTail(12)
    writer = house.writer(store)
    await run_out(house, writer)
    assert store.seqs() == [0, 1, 2, 6, 7]
    assert writer.holes == (Hole(5, 10, 5, 3, NOW_MS, NOW_MS),)
    assert (store.records, house.judge.tally.records) == (8, 8)
    assert house.writer(store).holes == writer.holes  # a store keeps its holes


async def test_run_of_a_store_that_joins_later_counts_what_came_before_it(house: House) -> None:
    house.append(*range(5))
    house.decide(5)
    house.judge.checkpoint(0)
    house.journal.trim(0, house.judge.tally.floor(6))
    house.tail = DecodedTail(6)
    store = NotedStore()
    writer = house.writer(store)
    await run_out(house, writer)
    assert (store.seqs(), store.upto) == ([], 5)
    assert [(hole.positions, hole.records) for hole in writer.holes] == [(5, 5)]


async def test_run_of_a_store_ahead_of_what_is_decided_writes_nothing_twice(house: House) -> None:
    store = NotedStore(upto=4)
    house.append(*range(6))
    house.decide(6)
    await run_out(house, house.writer(store))
    assert store.seqs() == [4, 5]


async def test_run_brings_rows_that_the_store_can_never_take_into_quarantine_once(house: House) -> None:
    house.append(0, 1, 2)
    house.decide(3)
    house.tail.close()
    for name in ("noted", "another"):
        writer = house.writer(NotedStore(name=name, refuse=2))
        await run_out(house, writer)
        assert (writer.rows, writer.rejected) == (1, 2)
    second, first = house.quarantine.list()[0]
    assert [(kept.reason, kept.device, kept.boot, kept.seq) for kept in (first, second)] == [
        ("store-refused", "bed-0", 1, 0),
        ("store-refused", "bed-0", 1, 1),
    ]
    assert first.detail == "noted: never"
    assert json.loads(first.payload) == {"boot": 1, "seq": 0, "zone": 1, "flow": 0.0}
    assert first.at_ms == NOW_MS


async def test_run_with_a_full_volume_under_the_quarantine_waits_and_keeps_what_was_refused(house: House) -> None:
    house.append(*range(200))
    house.decide(200)
    (pages,) = house.quarantine._db.execute("pragma page_count").fetchone()
    house.quarantine._db.execute(f"pragma max_page_count = {pages}")
    writer = house.writer(NotedStore(refuse=200))
    house.tail.close()
    task = asyncio.create_task(writer.run())
    while not writer.trouble:  # noqa: ASYNC110 - it is told by a thread
        await asyncio.sleep(0)
    assert "quarantine" in writer.trouble
    house.quarantine._db.execute("pragma max_page_count = 1000000")
    await asyncio.wait_for(task, 30)
    assert (writer.rejected, house.quarantine.totals()["kept"], writer.trouble) == (200, 200, None)


async def test_run_of_two_stores_of_which_one_refuses_us_brings_everything_to_the_other(house: House) -> None:
    house.append(*range(20))
    house.decide(20)
    slow, quick = NotedStore(name="slow", failures=[StoreRefused("401: correct the token")] * 1_000_000), NotedStore()
    refused = house.writer(slow, WriterConfig(batch_s=0.001, refused_s=20))
    waiting = asyncio.create_task(refused.run())
    await run_out(house, house.writer(quick))
    assert quick.seqs() == list(range(20))
    while refused.trouble is None:  # noqa: ASYNC110 - it is told by a thread
        await asyncio.sleep(0)
    assert "401" in refused.trouble
    assert slow.upto == 0
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_run_when_cancelled_stops_its_thread_without_being_told(house: House) -> None:
    store = NotedStore(failures=[StoreUnavailable("away")] * 1_000_000)
    house.append(0)
    house.decide(1)
    writer = house.writer(store, WriterConfig(batch_s=0.001, backoff_min_s=20, backoff_max_s=20))
    task = asyncio.create_task(writer.run())
    while writer.trouble is None:  # noqa: ASYNC110 - it is told by a thread
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 10)
    assert not writer.finished.is_set()
    assert store.upto == 0


def test_join_rows_of_bursts_with_other_columns_fills_with_nan() -> None:
    house = [rows_of((0, 1, 0), flow=1.0), rows_of((0, 1, 1), rain=2.0)]
    (joined,) = join_rows([DecodedBurst(i, 0, (rows,), ()) for i, rows in enumerate(house)])
    assert joined.seq.tolist() == [0, 1]
    assert {name: str(column.tolist()) for name, column in joined.values.items()} == {
        "flow": "[1.0, nan]",
        "rain": "[nan, 2.0]",
    }


@dataclass
class ForgetfulStore(NotedStore):
    """A store that may die with what it had taken."""

    def put_back(self, upto: int) -> None:
        self.upto = min(upto, self.upto)


async def test_run_of_a_forgetful_store_that_fell_silent_gives_again_what_the_journal_holds(house: House) -> None:
    house.append(*range(8))
    house.decide(8)
    house.journal.trim(0, 3)
    store = ForgetfulStore(upto=6)
    writer = house.writer(store)
    store.upto = writer.cursor = 6
    store.failures = [StoreUnavailable("reset", silent=True)]
    await run_out(house, writer)
    assert store.seqs() == [2, 3, 4, 5, 6, 7]
    assert (store.upto, writer.cursor, writer.trouble) == (8, 8, None)


async def test_run_of_a_forgetful_store_begins_where_the_journal_does(house: House) -> None:
    house.append(*range(5))
    house.decide(5)
    store = ForgetfulStore(upto=4)
    await run_out(house, house.writer(store))
    assert store.seqs() == [0, 1, 2, 3, 4]


async def test_run_of_a_store_that_was_put_back_counts_each_row_once(house: House) -> None:
    house.append(*range(8))
    house.decide(8)
    store = ForgetfulStore(upto=3, refuse=1, expire=1)
    store.failures = [StoreUnavailable("reset", silent=True)]
    writer = house.writer(store)
    await run_out(house, writer)
    assert store.seqs() == list(range(8))
    assert (writer.rows, writer.rejected, writer.expired) == (5, 0, 0)  # what was refused lies before the cursor


async def test_run_with_rows_that_expired_while_they_waited_counts_them_and_keeps_none_in_quarantine(house: House) -> None:
    house.append(*range(5))
    house.decide(5)
    writer = house.writer(NotedStore(expire=2))
    await run_out(house, writer)
    assert (writer.rows, writer.rejected, writer.expired) == (3, 0, 2)
    assert house.quarantine.totals()["kept"] == 0


async def test_run_of_a_store_that_says_no_itself_is_not_put_back(house: House) -> None:
    house.append(*range(5))
    house.decide(5)
    house.journal.trim(0, 5)
    store = ForgetfulStore(upto=4, failures=[StoreUnavailable("busy")] * 2)
    writer = house.writer(store)
    await run_out(house, writer)
    assert (store.seqs(), writer.retries) == ([4], 2)


async def test_run_of_a_store_that_keeps_its_cursor_with_its_rows_is_never_put_back(house: House) -> None:
    house.append(*range(5))
    house.decide(5)
    store = NotedStore(upto=3, failures=[StoreUnavailable("reset", silent=True)])
    await run_out(house, house.writer(store))
    assert store.seqs() == [3, 4]


class Encoded:
    """What a store makes of a batch."""


async def test_run_after_a_failure_holds_nothing_of_what_the_store_had_made_of_the_batch(house: House) -> None:
    made: list[weakref.ref[Encoded]] = []
    alive: list[int] = []

    class Hoarder(NotedStore):
        def write(self, batch: Batch, keep: Keep | None = None) -> tuple[RejectedRow, ...]:
            alive.append(sum(one() is not None for one in made))
            if self.failures:
                lines = Encoded()
                made.append(weakref.ref(lines))
                failure = self.failures.pop(0)  # held by this frame, which its traceback holds: a cycle
                raise failure
            return super().write(batch, keep)

    house.append(*range(3))
    house.decide(3)
    gc.disable()
    try:
        await run_out(house, house.writer(Hoarder(failures=[StoreUnavailable("away") for _ in range(4)])))
    finally:
        gc.enable()
    assert alive == [0, 0, 0, 0, 0]
