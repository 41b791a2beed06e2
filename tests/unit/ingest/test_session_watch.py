# SPDX-License-Identifier: Apache-2.0
"""What of the broker's memory may be lost: noted once, with the right window."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest

from gateway.broker_config import BrokerFiles
from gateway.broker_save import BrokerLoss, BrokerSave
from gateway.clock import SteppedClock
from gateway.link import Link
from gateway.link_config import LinkCounters
from ingest.bursts import StoredBurst
from ingest.gaps import LostSession, SessionLosses
from ingest.own_words import is_session_lost, lost_since_ms
from ingest.session_watch import SessionWatch
from tests.unit.ingest.fleet import NOW_MS


class Line:
    """Stands where the link stands; greeted as the test says."""

    def __init__(self) -> None:
        self.counters = LinkCounters()
        self.connected = False
        self.session_present = False
        self.caught_up = True

    def connect(self, *, session_present: bool) -> None:
        self.counters.connections += 1
        self.counters.sessions_made += not session_present
        self.counters.sessions_lost += not session_present and self.counters.connections > 1
        self.session_present = session_present
        self.connected = True

    async def wait_caught_up(self) -> bool:
        return self.connected and self.caught_up


class House:
    """A watch with all that it asks; what it puts is decided about at once."""

    def __init__(self, folder: Path) -> None:
        self.line = Line()
        self.sessions = SessionLosses()
        self.clock = SteppedClock(NOW_MS)
        files = BrokerFiles(folder)
        files.store.mkdir(parents=True)
        self.broker = BrokerSave(files, self.clock)
        self.put: asyncio.Event = asyncio.Event()
        self.put.set()
        self.watch = self.begin()

    def begin(self, *, expected: bool = False) -> SessionWatch:
        """Begin as after a start."""
        self.watch = SessionWatch(
            cast("Link", self.line),
            self.sessions,
            self.clock,
            self._put,
            expected=expected,
            broker=self.broker,
            sleep=self.clock.sleep,
        )
        return self.watch

    async def _put(self, burst: StoredBurst) -> None:
        await self.put.wait()
        assert is_session_lost(burst)
        self.sessions.add(burst.received_ms, lost_since_ms(burst))

    def die(self, saved_ms: int | None) -> BrokerLoss:
        """Let the broker die and be started again."""
        self.broker._loss, self.broker._read = BrokerLoss(1, saved_ms or 0), True
        self.line.connected = False
        return BrokerLoss(1, saved_ms or 0)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.watch.run())
        await asyncio.sleep(0)
        yield
        task.cancel()
        await asyncio.wait([task])


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "broker")


async def test_run_notes_until_when_nothing_is_missing_only_while_the_link_has_caught_up(house: House) -> None:
    async with house.running():
        await house.clock.advance(5)
        assert house.sessions.good_ms == 0
        house.line.connect(session_present=False)
        await house.clock.advance(3)
        assert house.sessions.good_ms == NOW_MS + 8_000
        house.line.caught_up = False
        await house.clock.advance(60)
        assert house.sessions.good_ms == NOW_MS + 8_000
    assert house.sessions.count == 0


async def test_run_of_a_session_that_is_gone_shows_a_window_since_nothing_was_missing(house: House) -> None:
    async with house.running():
        house.line.connect(session_present=False)
        await house.clock.advance(2)
        house.line.connected = False
        await house.clock.advance(60)
        house.line.connect(session_present=False)
        await house.clock.advance(5)
    assert house.sessions.windows == (LostSession(NOW_MS + 2_000, NOW_MS + 63_000),)


async def test_run_behind_a_long_queue_begins_the_window_before_it(house: House) -> None:
    async with house.running():
        house.line.connect(session_present=False)
        await house.clock.advance(2)
        house.line.caught_up = False  # what is heard now waited at the broker
        house.sessions.heard_ms = NOW_MS + 50_000
        await house.clock.advance(48)
        house.line.connect(session_present=False)
        await house.clock.advance(1)
    assert house.sessions.windows == (LostSession(NOW_MS + 2_000, NOW_MS + 51_000),)


async def test_run_after_a_death_with_saved_queues_begins_where_they_end(house: House) -> None:
    async with house.running():
        house.line.connect(session_present=False)
        await house.clock.advance(2)
        house.line.caught_up = False
        await house.clock.advance(60)
        loss = house.die(NOW_MS + 40_000)
        await house.clock.advance(3)
        assert house.sessions.count == 0  # not before the broker shows what it remembers
        house.line.connect(session_present=True)
        await house.clock.advance(5)
    assert house.sessions.windows == (LostSession(NOW_MS + 39_999, NOW_MS + 66_000),)
    assert house.broker.loss is None is not loss


async def test_run_after_a_death_begins_where_nothing_was_missing_if_that_is_later(house: House) -> None:
    async with house.running():
        house.line.connect(session_present=False)
        await house.clock.advance(50)
        house.die(NOW_MS + 10_000)
        house.line.connect(session_present=True)
        await house.clock.advance(1)
    assert house.sessions.windows == (LostSession(NOW_MS + 50_000, NOW_MS + 51_000),)


async def test_run_after_a_death_that_lost_the_session_too_shows_one_window_since_nothing_was_missing(house: House) -> None:
    async with house.running():
        house.line.connect(session_present=False)
        await house.clock.advance(2)
        house.line.caught_up = False
        await house.clock.advance(10)
        house.die(NOW_MS + 11_000)
        house.line.connect(session_present=False)
        await house.clock.advance(5)
    assert house.sessions.windows == (LostSession(NOW_MS + 2_000, NOW_MS + 13_000),)


async def test_run_under_a_fast_clock_counts_the_queues_age_in_its_time(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SteppedClock, "speed", 60.0)
    house.die(NOW_MS - 2_000)
    house.line.connect(session_present=True)
    await house.watch.note()
    assert house.sessions.windows == (LostSession(NOW_MS - 120_001, NOW_MS),)


async def test_note_after_a_start_notes_a_session_that_should_have_been_there_once(house: House) -> None:
    house.sessions.good_ms = NOW_MS - 5_000
    watch = house.begin(expected=True)
    house.line.connect(session_present=False)
    house.line.connected = False  # and away again before anybody looked
    await watch.note()
    assert house.sessions.count == 0
    house.line.connect(session_present=True)
    await watch.note()
    await watch.note()
    assert house.sessions.windows == (LostSession(NOW_MS - 5_000, NOW_MS),)


async def test_note_of_a_first_start_notes_nothing(house: House) -> None:
    house.line.connect(session_present=False)
    await house.watch.note()
    assert house.sessions.count == 0


async def test_note_while_the_journal_does_not_take_is_noted_once_and_kept_until_then(house: House) -> None:
    house.die(NOW_MS - 2_000)
    house.line.connect(session_present=True)
    house.put.clear()
    noting = [asyncio.create_task(house.watch.note()) for _ in range(2)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert house.broker.loss is not None  # a crash now would find it again
    house.put.set()
    await asyncio.gather(*noting)
    assert house.sessions.count == 1
    assert house.broker.loss is None


async def test_run_with_a_loss_that_is_not_noted_yet_does_not_say_that_nothing_is_missing(house: House) -> None:
    house.sessions.good_ms = NOW_MS - 9_000
    house.line.connect(session_present=True)

    async def caught_up() -> bool:
        house.die(NOW_MS - 2_000)  # it died and came back while this was asked
        house.line.connect(session_present=True)
        return True

    house.line.wait_caught_up = caught_up  # type: ignore[method-assign]
    async with house.running():
        await house.clock.advance(1)
    assert house.sessions.good_ms == NOW_MS - 9_000
