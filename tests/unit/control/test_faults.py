# SPDX-License-Identifier: Apache-2.0
"""The ledger against a device, with everything between them failing at random: seeded, on a stepped clock."""

from __future__ import annotations

import json
import random
from collections import Counter
from typing import Any

import pytest

from control import ledger, schedules
from control.controller import Controller
from control.database import Database, open_database
from control.errors import InvalidRequest
from gateway.clock import SteppedClock
from gateway.errors import LinkLost
from tests.unit.control.fakes import FixedLatest

FIVE = 1_795_294_800_000  # 2026-11-22T05:00 in Makassar
BED = "pilot:garden:1"
WATER: dict[str, Any] = {"type": "irrigation", "low": 0.22, "high": 0.30, "litres_day": 390, "soak_s": 60, "max_seconds": 60}


class Device:
    """Obeys the contract: acts at most once for an id, refuses what is expired or not above its last number."""

    def __init__(self, clock: SteppedClock) -> None:
        self.clock = clock
        self.n = 0
        self.ledger: dict[str, str] = {}
        self.executed: Counter[str] = Counter()
        self.numbers: list[int] = []

    def command(self, command: dict[str, Any]) -> dict[str, Any]:
        key, n = command["id"], command.get("n")
        if key not in self.ledger:
            if self.clock.now_ms() > command["expires"]:
                return {"id": key, "n": n, "state": "rejected", "reason": "expired"}
            if n <= self.n:
                return {"id": key, "n": n, "state": "rejected", "reason": "replayed"}
            self.n = n
            self.numbers.append(n)
            self.executed[key] += 1
            self.ledger[key] = "done"
        return {"id": key, "n": n, "state": self.ledger[key], "result": {"seconds": 60, "litres": 12.0}}

    def status(self) -> dict[str, Any]:
        newest = [{"id": key, "state": state} for key, state in list(self.ledger.items())[::-1][:16]]
        return {"online": True, "boot": 1, "n": self.n, "ledger": newest, "ts": self.clock.now_ms()}


class World:
    """A controller and a device with a broker between them that loses, doubles and delays."""

    def __init__(self, database: Database, url: str, seed: int) -> None:
        self.random = random.Random(seed)
        self.url = url
        self.database = database
        self.clock = SteppedClock(FIVE)
        self.latest = FixedLatest(self.clock)
        self.latest.values[("pilot", "garden", 1), "soil_moisture"] = 0.16
        self.device = Device(self.clock)
        self.to_device: list[dict[str, Any]] = []
        self.to_platform: list[tuple[str, dict[str, Any]]] = []
        self.sent: dict[str, set[int | None]] = {}
        self.faults = True
        self.start()

    def start(self) -> None:
        self.controller = Controller(self.database, self.latest, self._publish, self.clock, self)

    def publish(self, name: str, data: Any) -> None:
        """Nobody listens."""

    async def _publish(
        self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False, message_expiry_s: int | None = None
    ) -> None:
        luck = self.random.random() if self.faults else 1.0
        if topic.endswith("/command"):
            command = json.loads(payload)
            self.sent.setdefault(command["id"], set()).add(command.get("n"))
        if luck >= 0.2 and topic.endswith("/command"):
            self.to_device += [json.loads(payload)] * (2 if 0.2 <= luck < 0.3 else 1)
        if luck < 0.4:
            raise LinkLost  # in half of these it did arrive

    async def step(self) -> None:
        often = [self.pass_time, self.tick, self.send, self.deliver, self.answer]
        doing = self.random.choice([*often, *often, self.restart, self.by_hand])
        await doing()
        with self.database.reader() as session:
            for act in ledger.list_acts(session)[0]:
                # What may have been done is never said to have been left undone.
                assert act.id not in self.device.executed or act.state not in ("planned", "held", "expired", "cancelled")

    async def pass_time(self) -> None:
        await self.clock.advance(self.random.choice([1, 5, 20, 61, 61, 400]))

    async def tick(self) -> None:
        await self.controller.tick()

    async def send(self) -> None:
        await self.controller.send_due()

    async def deliver(self) -> None:
        """Bring some of what waits to the device, which answers."""
        while self.to_device and self.random.random() < 0.8:
            command = self.to_device.pop(0)
            if command["action"] == "ping":
                self.to_platform.append(("status", self.device.status()))
            else:
                self.to_platform.append(("ack", self.device.command(command)))

    async def answer(self) -> None:
        """Bring some of what the device said to the platform; lose some acks, as a broker that dies does."""
        while self.to_platform and self.random.random() < 0.8:
            channel, message = self.to_platform.pop(0)
            if not (self.faults and channel == "ack" and self.random.random() < 0.4):
                await self.hear(channel, message)

    async def hear(self, channel: str, message: dict[str, Any]) -> None:
        await self.controller.on_message(f"tirta/v1/pilot/garden/{channel}", json.dumps(message).encode())

    async def restart(self) -> None:
        """Lose everything the controller had in memory."""
        self.database.close()
        self.database = open_database(self.url)
        self.start()

    async def by_hand(self) -> None:
        try:
            await self.controller.request_act(BED, "irrigate", seconds=30, actor="ani")
        except InvalidRequest:
            return

    async def calm_down(self) -> None:
        """Let everything through until nothing is left to say."""
        self.faults = False
        self.latest.values[("pilot", "garden", 1), "soil_moisture"] = 0.40
        for _ in range(8):
            await self.clock.advance(120)
            await self.tick()
            await self.send()
            while self.to_device or self.to_platform:
                await self.deliver()
                await self.answer()


@pytest.mark.parametrize(
    ("sort", "seed"),
    # On a server each takes several times as long.
    [*(("sqlite", seed) for seed in range(6)), pytest.param("postgresql", 0, marks=pytest.mark.postgresql)],
)
async def test_acts_are_executed_at_most_once_and_the_ledger_ends_up_true(pilot: Database, url: str, seed: int) -> None:
    with pilot.session() as session:
        schedules.create_schedule(session, BED, WATER, now_ms=FIVE - 1)
    world = World(pilot, url, seed)
    await world.hear("status", world.device.status())
    for _ in range(300):
        await world.step()
    await world.calm_down()
    with world.database.reader() as session:
        acts = ledger.list_acts(session, limit=1000)[0]
        steps = {act.id: ledger.list_transitions(session, act.id) for act in acts}
    world.database.close()
    executed = world.device.executed
    assert set(executed.values()) <= {1}
    assert world.device.numbers == sorted(set(world.device.numbers))
    assert executed.keys() <= {act.id for act in acts}
    for act in acts:
        told = [step.state for step in steps[act.id]]
        assert act.state in ("done", "expired", "rejected", "cancelled"), f"{act.id} went {told}"
        assert (act.state == "done") == (act.id in executed), f"{act.id} went {told}"
    assert all(len(numbers) == 1 for numbers in world.sent.values())
    assert len(executed) >= 2, "the device did something"
