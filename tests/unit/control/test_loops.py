# SPDX-License-Identifier: Apache-2.0
"""The controller's loops: a minute of site time each, and on after the database was away."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from sqlalchemy import text

from control import schedules
from control.controller import Controller
from control.database import Database
from control.errors import DatabaseUnavailable
from gateway.clock import SteppedClock
from tests.unit.control.fakes import FixedLatest

FIVE = 1_795_294_800_000  # 2026-11-22T05:00 in Makassar


class MinuteClock(SteppedClock):
    """Stands still until the tick loop waits, and tells for how long it means to."""

    def __init__(self, start_ms: int) -> None:
        super().__init__(start_ms)
        self.waits: asyncio.Queue[float] = asyncio.Queue()

    async def sleep(self, seconds: float) -> None:
        self.waits.put_nowait(seconds)
        await super().sleep(seconds)


class Listener:
    """Hears what the controller tells and sends."""

    def __init__(self) -> None:
        self.sent: asyncio.Queue[str] = asyncio.Queue()

    def publish(self, name: str, data: Mapping[str, Any]) -> None:
        """Events are of no interest here."""

    async def send(
        self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False, message_expiry_s: int | None = None
    ) -> None:
        self.sent.put_nowait(topic)


async def test_run_ticks_at_each_whole_minute_and_sends_between(pilot: Database) -> None:
    clock, listener = MinuteClock(FIVE + 12_500), Listener()
    controller = Controller(pilot, FixedLatest(clock), listener.send, clock, listener)
    running = asyncio.create_task(controller.run())
    assert await clock.waits.get() == 47.5
    sent = {await listener.sent.get(), await listener.sent.get()}
    assert sent == {"tirta/v1/pilot/garden/config", "tirta/v1/pilot/pond/config"}
    await clock.advance(47.5)
    assert await clock.waits.get() == 60.0
    assert controller.counters.ticks == 2
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_run_goes_on_after_the_database_was_locked(pilot: Database, url: str) -> None:
    impatient = Database(url, wait_s=0.05)
    clock, listener = MinuteClock(FIVE), Listener()
    controller = Controller(impatient, FixedLatest(clock), listener.send, clock, listener)
    with pilot.session() as blocker:
        blocker.execute(text("SELECT 1"))
        running = asyncio.create_task(controller.run())
        await clock.waits.get()
        assert (controller.counters.ticks, controller.counters.ticks_failed) == (0, 1)
        with pytest.raises(DatabaseUnavailable, match="lock"):
            await controller.on_message("tirta/v1/pilot/garden/status", b'{"online": true}')
    await clock.advance(60)
    await clock.waits.get()
    assert (controller.counters.ticks, controller.counters.ticks_failed) == (1, 1)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    impatient.close()


async def test_tick_reads_a_changed_schedule_at_once(pilot: Database) -> None:
    clock, listener = MinuteClock(FIVE), Listener()
    latest = FixedLatest(clock)
    controller = Controller(pilot, latest, listener.send, clock, listener)
    definition = {"type": "irrigation", "low": 0.22, "high": 0.30, "litres_day": 100}
    latest.values[("pilot", "garden", 1), "soil_moisture"] = 0.25
    with pilot.session() as session:
        made = schedules.create_schedule(session, "pilot:garden:1", definition, now_ms=FIVE)
    assert (await controller.tick()).decisions[0].inputs["low"] == 0.22
    with pilot.session() as session:
        schedules.change_schedule(session, made.id, definition={**definition, "low": 0.26}, now_ms=FIVE)
    [decision] = (await controller.tick()).decisions
    assert (decision.inputs["low"], "dry" in decision.reasons) == (0.26, True)


async def test_run_in_a_minute_that_was_decided_before_waits_for_the_next_one(pilot: Database) -> None:
    clock, listener = MinuteClock(FIVE + 12_500), Listener()
    await Controller(pilot, FixedLatest(clock), listener.send, clock, listener).tick()
    controller = Controller(pilot, FixedLatest(clock), listener.send, clock, listener)
    running = asyncio.create_task(controller.run())
    assert await clock.waits.get() == 47.5
    assert controller.counters.ticks == 0
    await clock.advance(47.5)
    assert await clock.waits.get() == 60.0
    assert controller.counters.ticks == 1
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
