# SPDX-License-Identifier: Apache-2.0
"""Six rows of beds on one pump, with a device that does what it is told, and an onlooker at their valves."""

from __future__ import annotations

from typing import Any

from control import registry, resources
from control.audit import Trail
from control.database import Database
from control.records import ZoneParameters, ZoneSpec
from control.resources import ResourceDetails
from tests.unit.control.stage import Pilot, at, prepare

__all__ = ["BEDS", "FLOW", "Rows", "grow", "timer"]

BEDS = tuple(f"pilot:rows:{number}" for number in range(1, 7))
TRAIL = Trail("sari", "local", at("00:00"))
FLOW = 12.0  # of each bed [L min-1]


def timer(time: str = "05:30", litres: float = 120.0, **more: Any) -> dict[str, Any]:
    return {"type": "timer", "starts": [{"time": time, "litres": litres}], "litres_day": 400.0} | more


def grow(database: Database, start: str, definitions: dict[str, dict[str, Any]], **pump: Any) -> Rows:
    """Prepare rows of six beds on one pump, some of them with a schedule."""
    with database.session() as session:
        zones = [ZoneSpec(number, f"Row {number}", "bed", ZoneParameters(4.0, 0.3, FLOW)) for number in range(1, 7)]
        registry.create_device(session, "pilot", "rows", "irrigation-controller", "Rows", zones, "$7$", now_ms=at("00:00"))
        details = ResourceDetails(zones=BEDS, **({"max_zones": 1} | pump))
        resources.create_resource(session, "pilot", "pump", "North pump", details, trail=TRAIL)
    return Rows(prepare(database, start, *definitions.items()))


class Rows:
    """The rows with a device that does what it is told, and an onlooker at their valves."""

    def __init__(self, house: Pilot) -> None:
        self.house = house
        self.open: dict[str, tuple[int, dict[str, Any]]] = {}  # zone to the end and the command of what runs
        self.seen: list[tuple[int, int, str]] = []  # begin, end, zone
        self.told = 0
        self.silent = False

    async def minute(self, minutes: int = 1) -> None:
        for _ in range(minutes):
            await self.house.clock.advance(60)
            await self.finish()
            await self.house.controller.tick()
            await self.house.controller.send_due()
            await self.begin()

    async def finish(self) -> None:
        """End what is over."""
        now_ms = self.house.clock.now_ms()
        for zone, (end_ms, command) in list(self.open.items()):
            if end_ms <= now_ms:
                del self.open[zone]
                await self.ack(command, "done", end_ms)

    async def begin(self) -> None:
        """Begin what was asked for."""
        now_ms = self.house.clock.now_ms()
        commands = self.commands()
        while self.told < len(commands):
            command = commands[self.told]
            self.told += 1
            zone = f"pilot:rows:{command.get('zone')}"
            if command["action"] == "irrigate" and zone not in self.open:
                end_ms = now_ms + round(command["amount"]["seconds"] * 1000)
                self.open[zone] = end_ms, command
                self.seen.append((now_ms, end_ms, zone))
                await self.ack(command, "running", now_ms)
                await self.house.controller.send_due()
                commands = self.commands()

    def commands(self) -> list[dict[str, Any]]:
        return [one for topic, one, _ in self.house.published if topic.endswith("rows/command")]

    async def ack(self, command: dict[str, Any], state: str, ts: int, reason: str | None = None) -> None:
        if self.silent:
            return
        amount = command["amount"] if state == "done" else None
        answer = {"id": command["id"], "n": command["n"], "state": state, "reason": reason, "result": amount, "ts": ts}
        await self.house.say("rows", "ack", answer)

    def begun(self, zone: str) -> list[str]:
        """Return at what local times a bed's valve was opened."""
        return [clock(begin) for begin, _, name in self.seen if name == zone]

    def ended(self, zone: str) -> list[tuple[str, str | None, int]]:
        acts = sorted(self.house.acts(zone), key=lambda act: act.id)
        return [(act.state, act.reason, act.part) for act in acts]


def clock(ms: int) -> str:
    seconds = ms // 1000 + 8 * 3600
    return f"{seconds // 3600 % 24:02}:{seconds // 60 % 60:02}"
