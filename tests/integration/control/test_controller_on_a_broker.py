# SPDX-License-Identifier: Apache-2.0
"""The controller with virtual devices over a real mosquitto: a morning, with the controller torn away in the middle."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from control import decisions, ledger, registry, schedules
from control.controller import Controller
from control.database import Database, open_database
from control.records import Act, ZoneParameters, ZoneSpec
from gateway.clock import ScaledClock
from gateway.credentials import CONTROL, INGEST
from gateway.link import Link, LinkConfig
from gateway.topics import Address, Channel, channel_filter, parse_topic
from simulators import BrokerAddress, load_scenario, run
from simulators.events import Event, What
from tests.servers.mosquitto import Mosquitto

GARDEN, POND = Address("pilot", "garden"), Address("pilot", "pond")
START_MS = 1_795_294_800_000 + 100 * 60_000  # 2026-11-22 06:40 in Makassar
SPEED = 600.0


class Measured:
    """The newest values, from telemetry as it comes; and a feed that nobody reads."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, str, int], dict[str, tuple[float, int]]] = {}

    def take(self, topic: str, payload: bytes) -> None:
        address, _ = parse_topic(topic)
        records = json.loads(payload)
        for record in records if isinstance(records, list) else [records]:
            zone = self.values.setdefault((address.site, address.device, record.get("zone", 1)), {})
            zone.update((name, (float(value), record["ts"])) for name, value in record.items() if name not in ("ts", "zone"))

    def gather(self, keys: Sequence[tuple[str, str, int]], quantity: str) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        found = [self.values.get(key, {}).get(quantity, (np.nan, -1)) for key in keys]
        return np.array([value for value, _ in found]), np.array([ts_ms for _, ts_ms in found])

    def publish(self, name: str, data: Mapping[str, Any]) -> None:
        assert json.dumps(data), f"an event {name} has to be plain values"


def prepare(database: Database) -> None:
    bed = ZoneParameters(area_m2=8.0, root_depth_m=0.2, flow_l_min=12.0, litres_day=400.0)
    pond = ZoneParameters(grams_per_s=5.0, max_seconds=600, grams_day=1500.0)
    water = {"type": "irrigation", "low": 0.20, "high": 0.30, "litres_day": 300}
    feed = {"type": "feeding", "meals": [{"time": "07:00", "grams": 400}, {"time": "19:00", "grams": 400}], "grams_day": 900}
    with database.session() as session:
        registry.create_site(session, "pilot", "Pilot", "Asia/Makassar", now_ms=START_MS)
        for name, kind, zone, definition in (
            ("garden", "irrigation-controller", ZoneSpec(1, "Bed", "bed", bed), water),
            ("pond", "pond-feeder", ZoneSpec(1, "Pond", "pond", pond), feed),
        ):
            registry.create_device(session, "pilot", name, kind, name, [zone], "$7$", now_ms=START_MS)
            schedules.create_schedule(session, f"pilot:{name}:1", definition, now_ms=START_MS)


@contextlib.asynccontextmanager
async def platform(
    broker: Mosquitto, url: str, clock: ScaledClock, measured: Measured
) -> AsyncIterator[tuple[Database, Controller]]:
    """Run the controller on a link of its own; at the end it is torn away as it stands."""

    def config(role: str, *channels: Channel) -> LinkConfig:
        filters = tuple((channel_filter(channel), 1) for channel in channels)
        password = broker[role].password
        return LinkConfig(broker.host, broker.port, role, password, role, filters, retained_on_reconnect=role == CONTROL)

    async def listen(link: Link) -> None:
        async for burst in link.bursts():
            for topic, payload in zip(burst.topics, burst.payloads, strict=True):
                measured.take(topic, payload)
            link.acknowledge(burst)

    async def hear(link: Link, controller: Controller) -> None:
        async for burst in link.bursts():
            retained = burst.retained or [False] * len(burst.topics)
            await controller.on_messages(zip(burst.topics, burst.payloads, retained, strict=True))
            link.acknowledge(burst)

    database = open_database(url)
    heard = (Channel.STATUS, Channel.ACK, Channel.REPORTED)
    async with (
        Link(config(INGEST, Channel.TELEMETRY), rng=random.Random(1)) as ingest,
        Link(config(CONTROL, *heard), rng=random.Random(2)) as link,
    ):
        controller = Controller(database, measured, link.publish, clock, measured, connected=lambda: link.connected)
        tasks = [
            asyncio.create_task(listen(ingest)),
            asyncio.create_task(hear(link, controller)),
            asyncio.create_task(controller.run()),
        ]
        try:
            yield database, controller
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            database.close()
            assert all(isinstance(end, asyncio.CancelledError) for end in ended), ended


async def until(true: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come to pass in time"
        await asyncio.sleep(0.02)


def acts(database: Database, zone: str) -> list[Act]:
    with database.reader() as session:
        return ledger.list_acts(session, zone_key=zone)[0]


async def test_bed_and_pond_get_theirs_once_though_the_controller_is_torn_away(tmp_path: Path) -> None:
    events: list[Event] = []
    measured = Measured()
    url = f"sqlite:///{tmp_path}/control.db"
    with Mosquitto(tmp_path, devices=(GARDEN.username, POND.username)) as broker:
        clock = ScaledClock(time.time_ns() // 1_000_000, START_MS, SPEED)
        passwords = {address: broker[address.username].password for address in (GARDEN, POND)}
        address = BrokerAddress(broker.host, broker.port)
        database = open_database(url)
        prepare(database)
        database.close()
        devices = asyncio.create_task(
            run(load_scenario("demo"), address, passwords, clock, state_dir=tmp_path / "devices", on_event=events.append)
        )
        try:
            async with platform(broker, url, clock, measured):
                await until(lambda: any(event.what is What.ACT_BEGUN for event in events))
            async with platform(broker, url, clock, measured) as (database, controller):
                await until(lambda: any(act.state == "done" for act in acts(database, "pilot:garden:1")))
                await until(lambda: any(act.state == "done" for act in acts(database, "pilot:pond:1")))
                watered, fed = acts(database, "pilot:garden:1"), acts(database, "pilot:pond:1")
                with database.reader() as session:
                    reported = registry.get_device(session, "pilot:garden").reported or {}
                    told = decisions.list_decisions(session, zone_key="pilot:pond:1")[0]
                counters = controller.counters
        finally:
            devices.cancel()
            await asyncio.gather(devices, return_exceptions=True)
    begun = Counter(str(event.detail["id"]) for event in events if event.what is What.ACT_BEGUN)
    assert set(begun.values()) == {1}
    assert set(begun) <= {act.id for act in watered + fed}
    assert all(act.id in begun for act in watered + fed if act.state == "done")
    assert any(act.result_litres for act in watered)
    [meal] = fed
    assert (meal.planned_ms, meal.result_grams) == (START_MS + 20 * 60_000, 400)
    assert any(decision.acted and decision.act_id == meal.id for decision in told)
    assert reported["zones"]["1"]["litres_day"] == 400
    assert (counters.messages_malformed, counters.ticks_failed) == (0, 0)
