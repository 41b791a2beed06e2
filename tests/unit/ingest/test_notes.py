# SPDX-License-Identifier: Apache-2.0
"""Notes: how far a device may forget, what was wrong with what it sent, at a measured pace."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from gateway.clock import SteppedClock
from gateway.errors import LinkLost
from gateway.link import Link
from ingest.decode import BurstDecoder
from ingest.feed import LiveFeed
from ingest.journal import Entry
from ingest.judge import Judge
from ingest.latest import LatestState
from ingest.notes import MAX_EVENTS, Notes
from ingest.progress import Progress
from ingest.quarantine import Quarantine, QuarantineConfig
from ingest.sequences import Sequences
from tests.unit.ingest.fleet import CATALOGUE, NOW_MS, burst_of, make_devices, telemetry


class Outbox:
    """Stands where the link stands and keeps what is published."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.lost = False

    async def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        assert (qos, retain) == (0, False)
        if self.lost:
            raise LinkLost
        self.sent.append((topic.removeprefix("tirta/v1/kebun/"), json.loads(payload)))

    def take(self) -> list[tuple[str, dict[str, Any]]]:
        sent, self.sent = self.sent, []
        return sent


class House:
    """Notes with all that they ask."""

    def __init__(self, folder: Path) -> None:
        self.devices = make_devices()
        self.progress = Progress(folder / "progress.sqlite")
        self.quarantine = Quarantine(QuarantineConfig(folder / "quarantine.sqlite"))
        decoder, latest = BurstDecoder(self.devices, CATALOGUE), LatestState(self.devices, CATALOGUE)
        self.judge = Judge(decoder, self.devices, Sequences(), self.quarantine, latest, self.progress)
        self.clock = SteppedClock(NOW_MS)
        self.outbox = Outbox()
        self.feed = LiveFeed()
        self.notes = Notes(cast("Link", self.outbox), self.judge, self.devices, self.feed, self.clock)

    def receive(self, *messages: tuple[int, bytes]) -> None:
        self.notes.add(self.judge.judge([Entry(self.judge.position + 1, burst_of(*messages))]))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.notes.run())
        await asyncio.sleep(0)
        yield
        task.cancel()
        await asyncio.wait([task])


@pytest.fixture
def house(tmp_path: Path) -> Any:
    made = House(tmp_path)
    yield made
    made.progress.close()
    made.quarantine.close()


async def test_run_tells_each_sender_how_far_it_is_stored_every_ten_seconds(house: House) -> None:
    async with house.running():
        house.receive(
            *[(0, telemetry(boot=7, seq=seq)) for seq in (0, 1, 3)], (1, telemetry(boot=2, seq=1)), (2, telemetry(flow=1))
        )
        await house.clock.advance(9)
        assert house.outbox.take() == []
        await house.clock.advance(1)
        assert house.outbox.take() == [("bed-0/stored", {"boot": 7, "seq": 1})]
        await house.clock.advance(10)
        assert house.outbox.take() == []
        house.receive((0, telemetry(boot=7, seq=1)))  # sent again: the device has not heard
        await house.clock.advance(10)
        assert house.outbox.take() == [("bed-0/stored", {"boot": 7, "seq": 1})]


async def test_run_tells_a_device_its_first_error_once_a_second(house: House) -> None:
    async with house.running():
        house.receive((0, telemetry(seq=4, boot=1, flow=-1)), (0, b"{"), (1, telemetry(flwo=1)), (3, b"{}"))
        await house.clock.advance(1)
        sent = house.outbox.take()
        assert [(topic, note["code"], note.get("seq")) for topic, note in sent] == [
            ("bed-0/error", "out-of-range", 4),
            ("bed-1/error", "unknown-quantity", None),
        ]
        await house.clock.advance(3)
        assert house.outbox.take() == []


async def test_run_tells_a_long_detail_in_two_hundred_signs(house: House) -> None:
    async with house.running():
        house.receive((0, telemetry(**{"x" * 4_000: 1})))
        await house.clock.advance(1)
        ((_, note),) = house.outbox.take()
        assert len(note["detail"]) <= 200


async def test_run_without_a_connection_goes_on(house: House) -> None:
    async with house.running():
        house.outbox.lost = True
        house.receive((0, telemetry(boot=1, seq=0)), (0, b"{"))
        await house.clock.advance(20)
        house.outbox.lost = False
        house.receive((0, telemetry(boot=1, seq=1)))
        await house.clock.advance(10)
        assert house.outbox.take() == [("bed-0/stored", {"boot": 1, "seq": 1})]


async def test_add_shows_listeners_what_was_measured_up_to_a_bound(house: House) -> None:
    async with house.feed.subscribe() as listener:
        house.receive(*[(0, telemetry(boot=1, seq=seq, zone=3, flow=1.5)) for seq in range(MAX_EVENTS + 50)])
        events = [await listener.next(0) for _ in range(MAX_EVENTS + 1)]
    assert events[0] is not None
    assert events[0].data == {"zone": "kebun:bed-0:3", "at_ms": NOW_MS, "values": {"flow": 1.5}}
    assert sum(event is not None for event in events) == MAX_EVENTS
