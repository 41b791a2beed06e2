# SPDX-License-Identifier: Apache-2.0
"""The whole way of a measurement: real broker, link, journal and series file; nothing lost, nothing doubled."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from gateway.clock import WallClock
from gateway.credentials import INGEST
from gateway.link import Link, LinkConfig
from gateway.quantities import Kind, load_catalogue
from gateway.topics import Address
from ingest.decode import BurstDecoder
from ingest.devices import DeviceTable
from ingest.errors import Fenced, Full
from ingest.feed import LiveFeed
from ingest.journal import JournalConfig, SqliteJournal
from ingest.judge import Judge
from ingest.latest import LatestState
from ingest.notes import Notes
from ingest.pipeline import Ingest, IngestConfig
from ingest.progress import Progress
from ingest.quarantine import Quarantine, QuarantineConfig
from ingest.sequences import GapTotals, Sequences
from ingest.store import Batch, DuckDBConfig, DuckDBStore, Hole, SeriesQuery, StoreUnavailable
from ingest.store.batch import Keep, RejectedRow
from ingest.writer import WriterConfig
from tests.servers.mosquitto import Mosquitto

CATALOGUE = load_catalogue()
DEVICES = ("kebun/bed-0", "kebun/bed-1")
QUICK = IngestConfig(
    checkpoint_s=0.05, flush_horizon_s=0.1, retry_s=0.02, drain_s=20.0, writer=WriterConfig(batch_s=0.02, backoff_max_s=0.3)
)
WAIT_S = 30.0


class Killed(Exception):
    """The service ends here, without a word to anybody."""


class LameStore(DuckDBStore):
    """The real store, which can be told to be away."""

    away = False

    def write(self, batch: Batch, keep: Keep | None = None) -> tuple[RejectedRow, ...]:
        if self.away:
            raise StoreUnavailable("told to be away")
        return super().write(batch, keep)


class House:
    """What lies in the data folder, and one Ingest after another upon it."""

    def __init__(self, folder: Path, broker: Mosquitto) -> None:
        self.folder = folder
        self.broker = broker
        self.store: LameStore

    @asynccontextmanager
    async def running(
        self, config: IngestConfig = QUICK, *, max_bytes: int = 2**30, away: bool = False, left_out: bool = False
    ) -> AsyncIterator[Ingest]:
        self.devices = DeviceTable()
        for name in DEVICES:
            self.devices.put(Address(*name.split("/")), CATALOGUE.kinds["irrigation-controller"])
        self.journal = SqliteJournal(JournalConfig(self.folder / "journal.sqlite", max_bytes))
        self.progress = Progress(self.folder / "progress.sqlite")
        self.quarantine = Quarantine(QuarantineConfig(self.folder / "quarantine.sqlite"))
        self.store = LameStore(DuckDBConfig(self.folder / "series.duckdb"), self.devices)
        self.store.away = away
        self.latest = LatestState(self.devices, CATALOGUE)
        self.sequences = Sequences()
        decoder = BurstDecoder(self.devices, CATALOGUE)
        judge = Judge(decoder, self.devices, self.sequences, self.quarantine, self.latest, self.progress)
        stores = [] if left_out else [self.store]
        credential = self.broker[INGEST]
        link_config = LinkConfig(
            self.broker.host,
            self.broker.port,
            credential.username,
            credential.password,
            credential.username,
            (("tirta/v1/+/+/telemetry", 1),),
            backoff_min_s=0.05,
            backoff_max_s=0.3,
        )
        try:
            async with Link(link_config, rng=random.Random(1)) as link:
                notes = Notes(link, judge, self.devices, LiveFeed(), WallClock())
                async with Ingest(
                    config, link=link, journal=self.journal, judge=judge, stores=stores, notes=notes, clock=WallClock()
                ) as ingest:
                    await link.wait_connected(10)
                    self.link = link
                    yield ingest
        finally:
            for part in (self.journal, self.progress, self.quarantine, self.store):
                part.close()

    def catalogue_with(self, quantity: str) -> Kind:
        """The devices' kind, having gained a quantity."""
        kind = CATALOGUE.kinds["irrigation-controller"]
        return replace(kind, quantities=(*kind.quantities, CATALOGUE.quantities[quantity]))

    def counts(self) -> list[int]:
        return [self.store.count(*name.split("/")) for name in DEVICES]

    def values(self, device: int) -> list[int]:
        site, name = DEVICES[device].split("/")
        now_ms = time.time_ns() // 1_000_000
        found = self.store.series(SeriesQuery(site, name, 1, ("flow",), now_ms - 86_400_000, now_ms + 86_400_000))
        assert not found.truncated
        return sorted(found.values["flow"].astype(np.int64).tolist())

    def sees(self, device: int, flow: float) -> bool:
        """Whether this is the newest flow of a device's first zone."""
        site, name = DEVICES[device].split("/")
        return self.latest.gather([(site, name, 1)], "flow")[0][0] == flow

    def reopened(self) -> House:
        self.devices = DeviceTable()
        self.store = LameStore(DuckDBConfig(self.folder / "series.duckdb"), self.devices)
        return self


class Publisher:
    """A device's side, on paho: QoS 1, every message acknowledged by the broker."""

    def __init__(self, broker: Mosquitto, device: int) -> None:
        credential = broker[DEVICES[device]]
        self.topic = f"tirta/v1/{DEVICES[device]}/telemetry"
        self.client = paho.Client(CallbackAPIVersion.VERSION2, client_id=credential.username, protocol=paho.MQTTv5)
        self.client.username_pw_set(credential.username, credential.password)
        self.client.max_inflight_messages_set(1000)
        self.client.connect(broker.host, broker.port)
        self.client.loop_start()

    def send(self, *payloads: bytes) -> None:
        until = time.monotonic() + WAIT_S
        while not self.client.is_connected() and time.monotonic() < until:
            time.sleep(0.01)
        for told in [self.client.publish(self.topic, payload, qos=1) for payload in payloads]:
            told.wait_for_publish(WAIT_S)
            assert told.is_published()

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def record(seq: int, **fields: Any) -> bytes:
    return json.dumps({"boot": 1, "seq": seq, "flow": seq, **fields}).encode()


async def until(true: Callable[[], object], what: str) -> None:
    try:
        async with asyncio.timeout(WAIT_S):
            while not true():  # noqa: ASYNC110 - seen from outside, as a caller sees it
                await asyncio.sleep(0.01)
    except TimeoutError:
        pytest.fail(f"waited in vain until {what}")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path, devices=DEVICES) as running:
        yield running


@pytest.fixture
def house(tmp_path: Path, broker: Mosquitto) -> House:
    return House(tmp_path, broker)


@pytest.fixture
def beds(broker: Mosquitto) -> Iterator[list[Publisher]]:
    made = [Publisher(broker, device) for device in (0, 1)]
    yield made
    for one in made:
        one.close()


async def send(bed: Publisher, payloads: Iterable[bytes]) -> None:
    await asyncio.to_thread(bed.send, *payloads)


async def test_ingest_of_what_devices_publish_is_read_back_whole(house: House, beds: list[Publisher]) -> None:
    async with house.running() as ingest:
        await asyncio.gather(*(send(bed, (record(seq) for seq in range(1000))) for bed in beds))
        await until(lambda: house.counts() == [1000, 1000], "all is stored")
        assert [house.values(device) for device in (0, 1)] == [list(range(1000))] * 2
        assert ingest.problems == {}
        assert ingest.counters.messages == 2000
        assert house.link.counters.acks_sent == 2000
        assert house.sees(0, 999)
        await until(lambda: house.journal.bounds(0).size == 0, "the journal is trimmed")


async def test_ingest_stopped_in_the_middle_drains_and_goes_on_after_the_start(house: House, beds: list[Publisher]) -> None:
    async with house.running():
        await send(beds[0], (record(seq) for seq in range(500)))
    acknowledged = house.link.counters.acks_sent  # the broker may hold the last ones yet
    assert 0 < acknowledged <= 500
    stored = house.reopened().values(0)
    house.store.close()
    assert stored == list(range(len(stored)))
    assert len(stored) >= acknowledged
    await send(beds[0], (record(seq) for seq in range(500, 700)))  # the broker keeps them for our session
    async with house.running():
        await until(lambda: house.counts()[0] == 700, "what came meanwhile is stored")
        assert house.sequences.contiguous(0, 1) == 699


async def test_ingest_with_a_store_that_was_left_out_too_long_counts_what_it_misses(
    house: House, beds: list[Publisher]
) -> None:
    async with house.running():
        await send(beds[0], (record(seq) for seq in range(50)))
        await until(lambda: house.counts()[0] == 50, "the first are stored")
    async with house.running(left_out=True) as ingest:
        await send(beds[0], (record(seq) for seq in (*range(40, 60), *range(50, 300))))  # some of them twice
        await until(lambda: ingest.counters.rows == 250, "all is decided about")
        await until(lambda: house.journal.bounds(0).size == 0, "the journal is trimmed without the store")
    for _ in range(2):
        async with house.running() as ingest:
            (hole,) = ingest.writers[0].holes or await holes_of(ingest)
            assert (hole.records, hole.end - hole.start) == (250, hole.positions)
            assert ingest.problems == {}
    async with house.running() as ingest:
        await send(beds[0], (record(seq) for seq in range(300, 310)))
        await until(lambda: house.counts()[0] == 60, "what comes after is stored")
        assert ingest.holes == {"duckdb": (hole,)}


async def holes_of(ingest: Ingest) -> tuple[Hole, ...]:
    await until(lambda: ingest.holes, "the hole is found")
    return ingest.holes["duckdb"]


async def test_ingest_killed_again_and_again_loses_and_doubles_nothing(house: House, beds: list[Publisher]) -> None:
    total = 1500
    async with house.running():
        pass  # from now on the broker has our session and keeps what comes
    sending = asyncio.gather(*(send(bed, (record(seq) for seq in range(total))) for bed in beds))
    rng = random.Random(7)
    for _ in range(4):
        with contextlib.suppress(Killed):
            async with house.running():
                await asyncio.sleep(rng.uniform(0.02, 0.3))
                raise Killed
    await sending
    async with house.running():
        await until(lambda: house.counts() == [total, total], "all is stored")
        await send(beds[0], [record(total)])
        await until(lambda: house.counts()[0] == total + 1, "the last one is stored")
        assert [house.values(device) for device in (0, 1)] == [list(range(total + 1)), list(range(total))]
        assert [house.sequences.contiguous(device, 1) for device in (0, 1)] == [total, total - 1]


async def test_ingest_of_a_backlog_sent_again_stores_each_record_once(house: House, beds: list[Publisher]) -> None:
    async with house.running():
        for start in (0, 0, 50):
            await send(beds[0], [b"[%s]" % b",".join(record(seq) for seq in range(start, start + 100))])
        await send(beds[0], [record(150)])
        await until(lambda: 150 in house.values(0), "the last one is stored")
        assert house.values(0) == list(range(151))
        assert house.sequences.duplicates == 150


BAD = {
    "broken JSON": (b'{"flow":1', "malformed"),
    "an unknown quantity": (b'{"flwo":1}', "unknown-quantity"),
    "a megabyte": (b'{"flow":"' + b"x" * 1_000_000 + b'"}', "too-large"),
    "NaN": (b'{"flow":NaN}', "out-of-range"),
    "a time in the future": (json.dumps({"ts": time.time_ns() // 1_000_000 + 90_000_000, "flow": 1}).encode(), "ts-ahead"),
    "a depth of 10,000": (b"[" * 10_000, "too-deep"),
    "an integer of 400 digits": (b'{"flow":' + b"9" * 400 + b"}", "out-of-range"),
    "no bytes": (b"", "malformed"),
    "binary": (bytes(range(256)), "malformed"),
}


@pytest.mark.parametrize(("payload", "reason"), BAD.values(), ids=BAD)
async def test_ingest_of_bad_input_keeps_it_with_its_reason_and_stores_the_next(
    house: House, beds: list[Publisher], payload: bytes, reason: str
) -> None:
    async with house.running() as ingest:
        await send(beds[0], [payload, record(0)])
        await send(beds[1], [record(0)])
        await until(lambda: house.counts() == [1, 1], "the good ones are stored")
        (kept,), _ = house.quarantine.list()
        assert (kept.reason, kept.site, kept.device, kept.size) == (reason, "kebun", "bed-0", len(payload))
        assert kept.payload == (payload if len(payload) <= 65_536 else payload[:4096])
        assert (ingest.problems, ingest.counters.rejected) == ({}, 1)


async def test_ingest_of_a_device_that_is_not_registered_keeps_it_in_quarantine(house: House, beds: list[Publisher]) -> None:
    async with house.running():
        house.devices.remove(Address("kebun", "bed-1"))
        await send(beds[1], [record(0)])
        await send(beds[0], [record(0)])
        await until(lambda: house.counts()[0] == 1, "the good one is stored")
        assert [kept.reason for kept in house.quarantine.list()[0]] == ["unknown-device"]


async def test_ingest_with_a_full_journal_acknowledges_nothing_and_recovers_when_there_is_room(
    house: House, beds: list[Publisher]
) -> None:
    total = 1300
    async with house.running(max_bytes=1_000_000, away=True) as ingest:
        for start in range(0, total, 100):
            await send(beds[0], (record(seq) + b" " * 1_000 for seq in range(start, start + 100)))
        await until(lambda: "journal" in ingest.problems, "the journal is full")
        assert "may hold 1000000" in ingest.problems["journal"] or "low-water" in ingest.problems["journal"]
        journalled, acknowledged = ingest.counters.messages, house.link.counters.acks_sent
        assert acknowledged == journalled < total
        await asyncio.sleep(0.2)
        assert house.link.counters.acks_sent == acknowledged
        house.store.away = False
        await until(lambda: house.counts()[0] == total, "all is stored")
        assert house.link.counters.acks_sent == total
        assert ingest.problems == {}
        assert house.values(0) == list(range(total))


async def test_ingest_with_a_store_that_is_away_goes_on_acknowledging_and_catches_up(
    house: House, beds: list[Publisher]
) -> None:
    async with house.running(away=True) as ingest:
        await send(beds[0], (record(seq) for seq in range(500)))
        await until(lambda: house.link.counters.acks_sent == 500, "all is acknowledged")
        await until(lambda: "store duckdb" in ingest.problems, "the trouble is told")
        assert house.counts()[0] == 0
        house.store.away = False
        await until(lambda: house.counts()[0] == 500, "the store has caught up")
        assert ingest.problems == {}


async def test_ingest_stopped_while_its_store_is_away_loses_nothing(house: House, beds: list[Publisher]) -> None:
    async with house.running(IngestConfig(drain_s=0.3, writer=WriterConfig(batch_s=0.02)), away=True):
        await send(beds[0], [*(record(seq) for seq in range(300)), record(5)])
        await until(lambda: house.link.counters.acks_sent == 301, "all is acknowledged")
    assert house.reopened().counts()[0] == 0
    house.store.close()
    async with house.running():
        await until(lambda: house.counts()[0] == 300, "the store has caught up from the journal")
        assert house.values(0) == list(range(300))


async def test_ingest_with_a_full_volume_under_the_quarantine_waits_and_goes_on(house: House, beds: list[Publisher]) -> None:
    async with house.running() as ingest:
        (pages,) = house.quarantine._db.execute("pragma page_count").fetchone()
        house.quarantine._db.execute(f"pragma max_page_count = {pages}")
        await send(beds[0], [b"x" * 4096] * 30)
        await send(beds[0], [record(0)])
        await until(lambda: "quarantine" in ingest.problems, "the trouble is told")
        house.quarantine._db.execute("pragma max_page_count = 1000000")
        await until(lambda: house.counts()[0] == 1, "the good one is stored")
        assert house.quarantine.totals()["kept"] == 30
        assert ingest.problems == {}


async def test_ingest_with_a_full_volume_under_its_checkpoint_and_trim_goes_on(house: House, beds: list[Publisher]) -> None:
    async with house.running() as ingest:
        (pages,) = house.progress._db.execute("pragma page_count").fetchone()
        house.progress._db.execute(f"pragma max_page_count = {pages}")
        await send(beds[0], (json.dumps({"ts": 1000 * (time.time_ns() // 10**9) + i, "flow": i}).encode() for i in range(1500)))
        await until(lambda: "checkpoint" in ingest.problems, "the trouble is told")
        await send(beds[1], [record(0)])
        await until(lambda: house.counts() == [1500, 1], "all is stored")
        house.progress._db.execute("pragma max_page_count = 1000000")
        await until(lambda: ingest.problems == {}, "the checkpoint is made")


async def test_ingest_after_a_broker_s_death_goes_on_by_itself(house: House, broker: Mosquitto, beds: list[Publisher]) -> None:
    async with house.running() as ingest:
        await send(beds[0], [record(0)])
        await until(lambda: house.counts()[0] == 1, "the first is stored")
        broker.stop()
        await until(lambda: "broker" in ingest.problems, "the trouble is told")
        broker.start()
        await until(lambda: ingest.problems == {}, "the link is up again")
        await send(beds[0], [record(1)])
        await until(lambda: house.counts()[0] == 2, "the second is stored")


async def test_ingest_whose_journal_another_process_claims_ends_fenced(house: House, beds: list[Publisher]) -> None:
    with pytest.raises(ExceptionGroup) as caught:  # noqa: PT012 - the whole life of an ingest is one statement
        async with house.running():
            other = SqliteJournal(JournalConfig(house.folder / "journal.sqlite"))
            other.claim(0, "another")
            other.close()
            await send(beds[0], [record(0)])
            await asyncio.sleep(WAIT_S)
    assert caught.group_contains(Fenced)


async def test_ingest_with_a_journal_that_was_lost_uses_no_position_again(house: House, beds: list[Publisher]) -> None:
    async with house.running():
        for seq in range(20):
            await send(beds[0], [record(seq)])
        await until(lambda: house.counts()[0] == 20, "all is stored")
    for name in ("journal.sqlite", "journal.sqlite-wal", "journal.sqlite-shm"):
        (house.folder / name).unlink(missing_ok=True)
    async with house.running():
        await send(beds[0], [record(20)])
        await until(lambda: house.counts()[0] == 21, "the next is stored")


async def test_ingest_with_a_journal_put_back_from_an_older_copy_goes_on(house: House, beds: list[Publisher]) -> None:
    still = IngestConfig(checkpoint_s=3600.0, writer=WriterConfig(batch_s=0.02))
    names = ("journal.sqlite", "progress.sqlite")
    async with house.running(still):
        await send(beds[0], [record(0)])
        await until(lambda: house.counts()[0] == 1, "the first is stored")
    copies = {name: (house.folder / name).read_bytes() for name in names}
    async with house.running(still):
        for seq in range(1, 10):
            await send(beds[0], [record(seq)])
        await until(lambda: house.counts()[0] == 10, "all is stored")
    for name, copy in copies.items():
        for path in house.folder.glob(f"{name}*"):
            path.unlink()
        (house.folder / name).write_bytes(copy)
    async with house.running(still) as ingest:
        await send(beds[0], [record(10)])
        await until(lambda: house.counts()[0] == 11, "the next is stored")
        assert house.values(0) == list(range(11))
        assert ingest.problems == {}


STATUS = "tirta/v1/kebun/bed-0/status"


async def test_ingest_of_statuses_opens_the_gap_of_a_boot_s_tail_and_counts_what_is_given_up(
    house: House, beds: list[Publisher]
) -> None:
    async with house.running() as ingest:
        await send(beds[0], [record(0), record(3)])
        await until(lambda: house.counts()[0] == 2, "both are stored")
        told = {"online": True, "boot": 2, "last": {"boot": 1, "seq": 9}}
        ingest.announcements.hear([(STATUS, json.dumps(told).encode()), ("tirta/v1/kebun/bed-0/ack", b"{}")])
        await until(lambda: house.sequences.totals() == GapTotals(2, 8, 0), "the tail is a gap")
        await send(beds[0], [record(2)])
        await until(lambda: house.sequences.totals() == GapTotals(2, 7, 0), "a late one closes its part")
        ingest.announcements.hear([(STATUS, json.dumps({**told, "oldest": {"boot": 1, "seq": 5}}).encode())])
        await until(lambda: house.sequences.totals() == GapTotals(1, 5, 2), "what the device holds no more is lost")
    async with house.running():
        assert house.sequences.totals() == GapTotals(1, 5, 2)


async def test_ingest_of_a_replayed_record_stores_it_once_and_lets_it_go(house: House, beds: list[Publisher]) -> None:
    good = house.catalogue_with("turbidity")
    async with house.running() as ingest:
        await send(beds[0], [record(0, turbidity=5.0), record(1)])
        await until(lambda: house.counts()[0] == 1, "the good one is stored")
        (kept,), _ = house.quarantine.list()
        assert await ingest.announcements.replay(kept) == "refused"
        (kept,), _ = house.quarantine.list()
        house.devices.put(Address("kebun", "bed-0"), good)
        outcomes = await asyncio.gather(*(ingest.announcements.replay(kept) for _ in range(3)))
        assert outcomes[0] == "stored"
        assert set(outcomes[1:]) <= {"stored", None}  # None: it was decided about before this one asked
        assert await ingest.announcements.replay(kept) is None
        await until(lambda: house.values(0) == [0, 1], "it is stored")
        assert house.quarantine.list() == ([], None)
    house.reopened()
    assert house.values(0) == [0, 1]


async def test_ingest_after_the_broker_forgot_the_session_shows_the_window(
    house: House, broker: Mosquitto, beds: list[Publisher]
) -> None:
    async with house.running() as ingest:
        await send(beds[0], [record(0)])
        await until(lambda: house.counts()[0] == 1, "it is stored")
        await until(lambda: ingest.sessions.good_ms > ingest.sessions.heard_ms, "it is seen that nothing is missing")
        heard_ms, death_ms = ingest.sessions.heard_ms, WallClock().now_ms()
        broker.stop(signal.SIGKILL)
        dead_ms = WallClock().now_ms()
        broker.start()
        await until(lambda: ingest.sessions.count == 1, "the lost session is noted")
        (window,) = ingest.sessions.windows
        assert heard_ms < window.start_ms <= dead_ms  # it may be looked at once more before it is dead
        assert death_ms < window.end_ms
    broker.stop(signal.SIGKILL)
    broker.start()
    async with house.running() as ingest:
        await until(lambda: ingest.sessions.count == 2, "the one between two processes is noted too")
    async with house.running() as ingest:
        await asyncio.sleep(1.2)
        assert ingest.sessions.count == 2


async def test_ingest_with_a_journal_that_does_not_take_refuses_a_replay_at_once(house: House, beds: list[Publisher]) -> None:
    async with house.running() as ingest:
        await send(beds[0], [b"{"])
        await until(lambda: house.quarantine.totals()["kept"] == 1, "it is kept")
        (kept,), _ = house.quarantine.list()
        (pages,) = house.journal._writer.execute("pragma page_count").fetchone()
        house.journal._writer.execute(f"pragma max_page_count = {pages}")
        with pytest.raises(Full):
            await ingest.announcements.replay(replace(kept, payload=b"x" * 2_000_000))
        house.journal._writer.execute("pragma max_page_count = 1000000")
        assert await ingest.announcements.replay(kept) == "refused"
        assert ingest.problems == {}


DAY_MS = 86_400_000


async def test_ingest_of_a_three_days_backlog_keeps_no_other_device_waiting_and_puts_every_point_in_its_place(
    house: House, beds: list[Publisher]
) -> None:
    now_ms = time.time_ns() // 1_000_000
    backlog = [record(seq, ts=now_ms - 3 * DAY_MS + seq * 60_000, flow=1 + seq % 7) for seq in range(4320)]
    payloads = [b"[%s]" % b",".join(backlog[start : start + 500]) for start in range(0, 4320, 500)]
    random.Random(3).shuffle(payloads)
    assert max(map(len, payloads)) <= 65_536
    async with house.running(away=True) as ingest:
        emptying = asyncio.create_task(send(beds[0], payloads))
        for seq in range(20):
            await send(beds[1], [json.dumps({"boot": 1, "seq": seq, "ts": now_ms + seq, "flow": seq}).encode()])
            await until(partial(house.sees, 1, seq), "it is seen")
        assert house.counts() == [0, 0], "each was seen while all of the backlog still waits for its store"
        await emptying
        house.store.away = False
        await until(lambda: house.counts() == [4320, 20], "all is stored")
        assert house.sequences.totals() == GapTotals(0, 0, 0)
        assert ingest.counters.rejected == 0
        query = SeriesQuery("kebun", "bed-0", 1, ("flow",), now_ms - 4 * DAY_MS, now_ms, limit=5000)
        found = house.store.series(query)
        assert found.ts_ms.tolist() == [now_ms - 3 * DAY_MS + seq * 60_000 for seq in range(4320)]
        assert found.values["flow"].tolist() == [1 + seq % 7 for seq in range(4320)]
        flow, at_ms = house.latest.gather([("kebun", "bed-0", 1)], "flow")
        assert (flow[0], at_ms[0]) == (1 + 4319 % 7, now_ms - 3 * DAY_MS + 4319 * 60_000)
