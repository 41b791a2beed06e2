# SPDX-License-Identifier: Apache-2.0
"""A controller on a stepped clock, without a broker, and the pilot's bed and pond."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from control import decisions, ledger, schedules
from control.controller import Controller
from control.database import Database
from control.records import Act
from gateway.clock import SteppedClock
from gateway.errors import LinkLost
from tests.unit.control.fakes import FixedLatest

__all__ = ["BED", "POND", "Pilot", "at", "prepare"]

BED, POND = "pilot:garden:1", "pilot:pond:1"


def at(text: str) -> int:
    return int(datetime.fromisoformat(f"2026-11-22T{text}:00+08:00").timestamp() * 1000)


class Pilot:
    """A controller, its clock, what it published and what it told."""

    def __init__(self, database: Database, start_ms: int) -> None:
        self.database = database
        self.clock = SteppedClock(start_ms)
        self.latest = FixedLatest(self.clock)
        self.published: list[tuple[str, dict[str, Any], bool]] = []
        self.told: list[tuple[str, Mapping[str, Any]]] = []
        self.lost = False
        self.connected = True
        self.restart(database)

    def restart(self, database: Database) -> None:
        self.database = database
        self.controller = Controller(database, self.latest, self._publish, self.clock, self, connected=lambda: self.connected)

    async def _publish(
        self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False, message_expiry_s: int | None = None
    ) -> None:
        self.published.append((topic, json.loads(payload), retain))
        if self.lost:
            raise LinkLost

    def publish(self, name: str, data: Mapping[str, Any]) -> None:
        self.told.append((name, data))

    async def minute(self, minutes: int = 1) -> None:
        for _ in range(minutes):
            await self.clock.advance(60)
            await self.controller.tick()
            await self.controller.send_due()

    async def online(self, device: str, **fields: Any) -> None:
        await self.say(device, "status", {"online": True, "boot": 1, "n": 0, "ts": self.clock.now_ms(), **fields})

    async def say(self, device: str, channel: str, message: Any, *, retained: bool = False) -> None:
        await self.controller.on_message(f"tirta/v1/pilot/{device}/{channel}", json.dumps(message).encode(), retained)

    def commands(self) -> list[dict[str, Any]]:
        return [message for topic, message, _ in self.published if topic.endswith("/command")]

    def acts(self, zone: str | None = None) -> list[Act]:
        with self.database.reader() as session:
            return ledger.list_acts(session, zone_key=zone)[0]

    def decisions(self, zone: str) -> list[Any]:
        with self.database.reader() as session:
            return decisions.list_decisions(session, zone_key=zone)[0]


def prepare(database: Database, start: str, *definitions: tuple[str, dict[str, Any]]) -> Pilot:
    with database.session() as session:
        for zone, definition in definitions:
            schedules.create_schedule(session, zone, definition, now_ms=at(start) - 60_000)
    pilot = Pilot(database, at(start) - 60_000)
    pilot.latest.values = {
        (("pilot", "garden", 1), "soil_moisture"): 0.16,
        (("pilot", "pond", 1), "dissolved_oxygen"): 6.0,
    }
    return pilot
