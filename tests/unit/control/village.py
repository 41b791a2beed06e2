# SPDX-License-Identifier: Apache-2.0
"""One controller, one device and the network between them, in one thread: what the state machine of acts plays with.

The controller is the real one on a real SQLite file, the device the real virtual device; the network loses, doubles and
reorders what it is told to. What the device truly did is counted at its valves.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
from collections import Counter
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
from sqlalchemy import select

from control import ledger, registry, schedules
from control.controller import Controller, ControllerConfig
from control.database import Database, open_database
from control.ids import act_id
from control.ledger import Order
from control.models import ActRow, DeviceRow
from control.records import Act, ZoneParameters, ZoneSpec
from gateway.errors import LinkLost
from gateway.topics import TO_DEVICE, Address, Channel, parse_topic
from simulators.device import VirtualDevice
from simulators.events import Event, What
from simulators.faults import Fault
from simulators.ledger import Ledger
from simulators.machine import Place
from simulators.memory import Memory, open_storage
from simulators.speech import Outgoing
from tests.servers.sqlite import fresh_sqlite

__all__ = ["DEVICE", "SITE", "START_MS", "ZONES", "Village"]

START_MS: Final = 1_795_305_600_000  # 2026-11-22T00:00:00Z
SITE, DEVICE, ZONES = "desa", "desa:kebun", ("desa:kebun:1", "desa:kebun:2")
FLOW_L_S: Final = 0.2
LATE_S: Final = 600
EACH_HOUR: Final = {
    "type": "timer",
    "starts": [{"time": f"{hour:02}:00", "litres": 10} for hour in range(24)],
    "litres_day": 1e5,
    "late_s": LATE_S,
}
Answer = TypeVar("Answer")


class PowerCut(Exception):
    """The device lost its power within a step."""


class _Taps:
    """Two valves that let through what they should, and count it for the act that opened them."""

    kind = "irrigation-controller"
    actions = ("irrigate",)
    zones = 2

    def __init__(self, given: Counter[str], opened_by: dict[int, str]) -> None:
        self._given, self._opened_by = given, opened_by
        self._open: set[int] = set()

    def rate(self, place: Place) -> float:
        return FLOW_L_S

    def switch(self, place: Place, on: bool) -> None:
        (self._open.add if on else self._open.discard)(place[0])

    def advance(self, now_ms: int, seconds: float) -> Mapping[Place, float]:
        for zone in self._open:
            self._given[self._opened_by[zone]] += FLOW_L_S * seconds  # type: ignore[assignment]
        return {(zone, "irrigate"): FLOW_L_S * seconds for zone in self._open}

    def fault(self, place: Place) -> str | None:
        return None

    def measure(self, zone: int, now_ms: int, random: np.random.Generator) -> dict[str, float | bool]:
        return {"valve_open": zone in self._open}

    def suffer(self, faults: Sequence[Fault]) -> None: ...

    def snapshot(self) -> list[dict[str, float | bool]]:
        return [{}, {}]

    def restore(self, state: list[dict[str, float | bool]]) -> None:
        self._open.clear()


class _Clock:
    """The server's: true time, and by how much it is wrong."""

    speed = 1.0

    def __init__(self) -> None:
        self.true_ms, self.shift_ms = START_MS, 0

    def now_ms(self) -> int:
        return self.true_ms + self.shift_ms

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nobody waits here")


class _Nothing:
    """No sensor, and nobody who listens."""

    def gather(self, keys: Sequence[tuple[str, str, int]], quantity: str) -> tuple[Any, Any]:
        return np.full(len(keys), np.nan), np.full(len(keys), -1)

    def publish(self, name: str, data: Mapping[str, Any]) -> None: ...


class Village:
    """The controller, the device and the network.

    Attributes
    ----------
    down, up : list
        What is under way to the device and to the controller.
    begun, given : Counter
        How often the device began an act, and what truly flowed for it, by the act's id. [L]
    heard : dict
        The last word that the controller was given of an act, since it was last put back to a backup.
    sent : list
        Each numbered command as it was published: how often the controller had been put back by then, id, number, zone.
    told_n : int
        The highest number that the controller was told of, since it was last put back to a backup.
    statuses : list
        Instant and number of each status it was given since then.
    wrong : list of str
        What somebody said that may never be said, as it was said.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock, self.loop = _Clock(), asyncio.new_event_loop()
        self.down: list[tuple[str, bytes]] = []
        self.up: list[tuple[str, bytes, bool]] = []
        self.begun: Counter[str] = Counter()
        self.given: Counter[str] = Counter()
        self.heard: dict[str, str] = {}
        self.sent: list[tuple[int, str, int, str]] = []
        self.told_n = 0
        self.statuses: list[tuple[int, int]] = []
        self.wrong: list[str] = []
        self.restored = 0
        self.fails: str | None = None  # how publishing fails
        self.cut_in: int | None = None  # after so many more events of acts the device loses its power
        self.connected = False
        self.status = b""
        self._opened_by: dict[int, str] = {}
        self._storage: sqlite3.Connection = open_storage(None)
        self.database = open_database(fresh_sqlite(folder))
        self._settle_down()
        self.device: VirtualDevice | None = None
        self.boot()
        self.start_server(self.database)

    def _settle_down(self) -> None:
        bed = ZoneParameters(area_m2=4.0, root_depth_m=0.3, flow_l_min=FLOW_L_S * 60, max_seconds=900, litres_day=1e5)
        zones = [ZoneSpec(number, f"Bed {number}", "bed", bed) for number in (1, 2)]
        with self.database.session() as session:
            registry.create_site(session, SITE, "Desa", "Asia/Makassar", now_ms=START_MS)
            registry.create_device(session, SITE, "kebun", "irrigation-controller", "Kebun", zones, "$7$", now_ms=START_MS)
            self.schedule = schedules.create_schedule(session, ZONES[0], EACH_HOUR, now_ms=START_MS).id

    def run(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        return self.loop.run_until_complete(work)

    def close(self) -> None:
        self.database.close()
        self._storage.close()
        self.run(self.loop.shutdown_default_executor())
        self.loop.close()

    # The server

    def start_server(self, database: Database) -> None:
        self.database = database
        nothing = _Nothing()
        config = ControllerConfig(telemetry_s=3600)
        self.controller = Controller(database, nothing, self._publish, self.clock, nothing, config)

    def back_up(self) -> None:
        with sqlite3.connect(self.folder / "control.db") as source, sqlite3.connect(self.folder / "backup.db") as copy:
            source.backup(copy)
        source.close()
        copy.close()

    def restore(self, *, retained: bool = True) -> None:
        """Put the controller back to its backup; the broker gives it what is retained, unless that is lost too."""
        self.database.close()
        for left in ("control.db-wal", "control.db-shm"):
            (self.folder / left).unlink(missing_ok=True)
        shutil.copy(self.folder / "backup.db", self.folder / "control.db")
        self.restored += 1
        self.heard.clear()
        self.statuses.clear()
        self.told_n = 0
        self.start_server(open_database(f"sqlite:///{self.folder}/control.db"))
        if retained:
            self.hear_retained()

    def hear_retained(self) -> None:
        if self.status:
            self._hear((f"tirta/v1/{SITE}/kebun/status", self.status, True))

    def acts(self) -> list[Act]:
        with self.database.reader() as session:
            found, after = ledger.list_acts(session, limit=1000)
        assert after is None
        return found

    def plant(self, zone: str) -> str:
        """Put an act into the ledger past all that asks whether the zone is free, as two who ask at once might."""
        now_ms = self.clock.now_ms()
        key = act_id(f"planted-{len(self.sent)}", 0, zone, now_ms)
        order = Order(
            device_key=DEVICE, zone_key=zone, action="irrigate", origin="manual", version=0, actor="ani", planned_ms=now_ms,
            issued_ms=now_ms, expires_ms=now_ms + 300_000, seconds=10.0, litres=2.0, max_seconds=60,
        )  # fmt: skip
        with self.database.session() as session:
            ledger.plan_act(session, key, order)
        return key

    def number(self) -> int:
        """Return the number above which the controller goes on."""
        with self.database.reader() as session:
            return session.get_one(DeviceRow, DEVICE).last_n

    async def _publish(
        self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False, message_expiry_s: int | None = None
    ) -> None:
        message = json.loads(payload)
        if message.get("n") is not None and "action" in message:
            self.sent.append((self.restored, message["id"], message["n"], f"{DEVICE}:{message['zone']}"))
            self._compare_with_disk(message["id"], message["n"])
        if self.fails == "before":
            raise LinkLost
        self.down.append((topic, payload))
        if self.fails == "after":
            raise LinkLost

    def _compare_with_disk(self, key: str, n: int) -> None:
        """Look, by a connection of its own, for what is sent: a crash now must find it as handed over under that number."""
        with self.database.reader() as session:
            kept = session.execute(select(ActRow.state, ActRow.n).where(ActRow.reference == key)).one_or_none()
        if kept is None or tuple(kept) != ("sent", n):
            self.wrong.append(f"{key} was sent as {n} while the ledger held {kept}")

    # The network

    def carry_down(self, place: int, *, keep: bool = False) -> None:
        topic, payload = self.down[place] if keep else self.down.pop(place)
        channel = parse_topic(topic)[1]
        if self.device is not None and self.connected and channel in TO_DEVICE:
            device = self.device
            self._do(lambda: device.handle(channel, payload, self.clock.true_ms))

    def carry_up(self, place: int, *, keep: bool = False) -> None:
        self._hear(self.up[place] if keep else self.up.pop(place))

    def _hear(self, message: tuple[str, bytes, bool]) -> None:
        self.run(self.controller.on_messages([message]))
        said = json.loads(message[1])
        is_status, is_ack = message[0].endswith("status"), message[0].endswith("ack")
        if is_status or is_ack:
            self.told_n = max(self.told_n, said.get("n") or 0)
        if is_status and said["online"]:
            self.statuses.append((said["ts"], said["n"]))
        words = said.get("ledger", ()) if is_status else [said] if is_ack else ()
        for word in words:
            final = word["state"] in ("done", "failed", "rejected", "indeterminate") and word.get("reason") != "replayed"
            if final and self._holds(word["id"]):
                self.heard[word["id"]] = "expired" if word.get("reason") == "expired" else word["state"]

    def _holds(self, key: str) -> bool:
        """Tell whether the ledger has the act: after a restore it may be planned anew only later."""
        with self.database.reader() as session:
            return session.scalar(select(ActRow.id).where(ActRow.reference == key)) is not None

    # The device

    def boot(self) -> None:
        memory, taps = Memory(self._storage, DEVICE), _Taps(self.given, self._opened_by)
        self.device = VirtualDevice(Address(SITE, "kebun"), taps, memory, self.clock.true_ms, watch=self._saw)

    def cut_power(self) -> None:
        self.device, self.cut_in = None, None
        self.leave()

    def join(self) -> None:
        if (device := self.device) is not None:
            self.connected = True
            self._do(lambda: device.connected(self.clock.true_ms))

    def leave(self) -> None:
        if self.connected:
            self.connected, self.status = False, b'{"online":false}'
            self.up.append((f"tirta/v1/{SITE}/kebun/status", self.status, False))

    def live(self) -> None:
        """Let the device live up to now."""
        if (device := self.device) is not None:
            self._do(lambda: device.tick(self.clock.true_ms))

    def _do(self, work: Any) -> None:
        try:
            said: list[Outgoing] = work()
        except PowerCut:
            self.cut_power()
            return
        for one in said if self.connected else ():
            topic = f"tirta/v1/{SITE}/kebun/{one.channel.value}"
            if topic.endswith("status"):
                self.status = one.payload
            self.up.append((topic, one.payload, False))
            assert self.device is not None
            self._compare_with_ledger(one)
            self.device.acknowledge(one)

    def _compare_with_ledger(self, one: Outgoing) -> None:
        """Hold that the device answers a command that it knows by what became of it."""
        word = json.loads(one.payload)
        replayed = one.channel is Channel.ACK and word.get("reason") == "replayed"
        if replayed and Ledger(Memory(self._storage, DEVICE)).find(word["id"]) is not None:
            self.wrong.append(f"{word['id']} was refused as replayed though the device knows how it ended")

    def _saw(self, event: Event) -> None:
        if event.what is What.ACT_BEGUN:
            self.begun[str(event.detail["id"])] += 1
            self._opened_by[int(event.detail["zone"] or 1)] = str(event.detail["id"])
        if event.what in (What.ACT_BEGUN, What.ACT_ENDED) and self.cut_in is not None:
            self.cut_in -= 1
            if self.cut_in < 0:
                raise PowerCut
