# SPDX-License-Identifier: Apache-2.0
"""Ingest and the controller together: what comes late is kept, and never acted on as if it were now."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from control import decisions, ledger, registry, schedules
from control.controller import Controller
from control.database import Database, open_database
from control.records import ZoneParameters, ZoneSpec
from gateway import Address, SteppedClock, load_catalogue
from ingest.bursts import StoredBurst
from ingest.decode import BurstDecoder
from ingest.devices import DeviceTable
from ingest.feed import LiveFeed
from ingest.journal import Entry
from ingest.judge import Judge
from ingest.latest import LatestState
from ingest.progress import Progress
from ingest.quarantine import Quarantine, QuarantineConfig
from ingest.sequences import Sequences

START_MS = 1_795_294_800_000  # 2026-11-22T05:00 in Makassar, within the hours of watering
MINUTE_MS, DAY_MS = 60_000, 86_400_000
BED = "pilot:garden:1"
WATER = {"type": "irrigation", "low": 0.22, "high": 0.30, "hours": [["05:00", "08:00"]], "litres_day": 200}


class House:
    """A bed with its schedule, what decides about its telemetry, and the controller that looks at it."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        catalogue, devices, sequences = load_catalogue(), DeviceTable(), Sequences()
        devices.put(Address("pilot", "garden"), catalogue.kinds["irrigation-controller"])
        self.clock = SteppedClock(START_MS)
        self.database: Database = open_database(f"sqlite:///{folder}/control.db")
        self.latest = LatestState(devices, catalogue)
        quarantine = Quarantine(QuarantineConfig(folder / "quarantine.sqlite"))
        progress = Progress(folder / "progress.sqlite")
        for part in (self.database, quarantine, progress):
            stack.callback(part.close)
        self.judge = Judge(BurstDecoder(devices, catalogue), devices, sequences, quarantine, self.latest, progress)
        self.sent: list[str] = []
        self.controller = Controller(self.database, self.latest, self._publish, self.clock, LiveFeed())
        self._register()

    def _register(self) -> None:
        bed = ZoneParameters(area_m2=4.0, root_depth_m=0.3, flow_l_min=12.0, max_seconds=900, litres_day=400.0)
        zones = [ZoneSpec(1, "Bed", "bed", bed)]
        with self.database.session() as session:
            registry.create_site(session, "pilot", "Pilot", "Asia/Makassar", now_ms=START_MS)
            kind = "irrigation-controller"
            registry.create_device(session, "pilot", "garden", kind, "Garden", zones, "$7$hash", now_ms=START_MS)
            schedules.create_schedule(session, BED, WATER, now_ms=START_MS)

    async def _publish(
        self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False, message_expiry_s: int | None = None
    ) -> None:
        self.sent.append(topic)

    def receive(self, *records: dict[str, Any]) -> None:
        """Decide about an array of records that comes now."""
        burst = StoredBurst(self.clock.now_ms(), ["tirta/v1/pilot/garden/telemetry"], [json.dumps(records).encode()])
        assert self.judge.judge([Entry(self.judge.position + 1, burst)]).rows == len(records)

    async def minute(self) -> None:
        await self.clock.advance(60)
        await self.controller.tick()
        await self.controller.send_due()

    def acts(self) -> int:
        with self.database.reader() as session:
            return len(ledger.list_acts(session, zone_key=BED)[0])

    def reasons(self) -> set[str]:
        with self.database.reader() as session:
            return set(decisions.list_decisions(session, zone_key=BED)[0][0].reasons)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with ExitStack() as stack:
        yield House(tmp_path, stack)


def backlog(seconds_ago: int, value: float, count: int = 100) -> list[dict[str, Any]]:
    """Records a minute apart, the newest so long ago."""
    newest_ms = START_MS - seconds_ago * 1000
    return [{"ts": newest_ms - (count - 1 - i) * MINUTE_MS, "boot": 1, "seq": i, "soil_moisture": value} for i in range(count)]


async def test_backlog_of_a_dry_bed_from_days_ago_waters_nothing(house: House) -> None:
    await house.controller.on_message("tirta/v1/pilot/garden/status", b'{"online":true,"boot":1,"n":0}', False)
    house.receive(*backlog(3 * 86_400, 0.05))
    for _ in range(3):
        await house.minute()
    assert (house.acts(), [topic for topic in house.sent if topic.endswith("/command")]) == (0, [])
    assert "stale-reading" in house.reasons()


async def test_backlog_of_a_dry_bed_behind_a_fresh_wet_reading_waters_nothing(house: House) -> None:
    await house.controller.on_message("tirta/v1/pilot/garden/status", b'{"online":true,"boot":1,"n":0}', False)
    house.receive({"ts": START_MS, "boot": 1, "seq": 100, "soil_moisture": 0.35})
    house.receive(*backlog(60, 0.05)[::-1])
    await house.minute()
    assert house.acts() == 0
    assert [column.tolist() for column in house.latest.gather([("pilot", "garden", 1)], "soil_moisture")] == [
        [0.35],
        [START_MS],
    ]


async def test_fresh_dry_reading_at_the_end_of_a_backlog_is_acted_on(house: House) -> None:
    await house.controller.on_message("tirta/v1/pilot/garden/status", b'{"online":true,"boot":1,"n":0}', False)
    house.receive(*backlog(0, 0.05))
    await house.minute()
    assert house.acts() == 1
