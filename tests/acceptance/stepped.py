# SPDX-License-Identifier: Apache-2.0
"""A platform and its devices in one process on a stepped clock, with a model of the wire between them that can be broken.

Controller, ledger, decoding, latest values and devices are the real ones. The broker is a model: it holds a session for each
side, and forgets both when it is killed. Invariant: the same steps are the same story.
"""

from __future__ import annotations

import sqlite3
from collections import Counter, deque

from control.controller import Controller
from gateway import Address
from gateway.errors import LinkLost
from gateway.messages import Status, encode_message
from gateway.topics import Channel, build_topic, parse_topic
from ingest.bursts import StoredBurst
from simulators.device import VirtualDevice
from simulators.events import Event, What
from simulators.faults import Faults, parse_fault
from simulators.fleet import build_device
from simulators.memory import open_storage
from simulators.scenario import Scenario
from tests.unit.api.house import House

__all__ = ["SteppedField"]

STEP_S = 30.0
_WAITING = 1_000  # messages of one session


class SteppedField:
    """The field of a scenario before a house.

    Attributes
    ----------
    begun : Counter
        How often each act truly began, by its id.
    faults : list of str
        Of devices that start from now on, as of `tirta simulate --fault`.
    """

    def __init__(self, house: House, scenario: Scenario) -> None:
        self.begun: Counter[str] = Counter()
        self.faults: list[str] = []
        self._house = house
        self._clock = house.services.clock
        self._specs = {Address(site.name, spec.name): (site, spec) for site in scenario.sites for spec in site.devices}
        self._storage: sqlite3.Connection = open_storage(None)
        self._seed = scenario.seed
        self._devices: dict[Address, VirtualDevice] = {}
        self._to_device: dict[Address, deque[tuple[Channel, bytes]]] = {key: deque(maxlen=_WAITING) for key in self._specs}
        self._to_server: deque[tuple[str, bytes]] = deque(maxlen=_WAITING)
        self._broker = True
        self._controller: Controller | None = None
        self._minute = -1
        self.start_server()
        for address, (_, spec) in self._specs.items():
            house.devices.put(address, house.services.catalogue.kinds[spec.kind])

    def start_server(self) -> None:
        """Start the platform on what is on disk."""
        services = self._house.services
        self._controller = Controller(
            services.database, services.latest, self._publish, self._clock, services.feed, connected=lambda: self._broker
        )

    def kill_server(self) -> None:
        """End the platform as a crash would: what it had in mind is gone."""
        self._controller = None

    def kill_broker(self) -> None:
        """End the broker as a crash would: it forgets what it held."""
        self._broker = False
        self._to_server.clear()
        for waiting in self._to_device.values():
            waiting.clear()

    def start_broker(self) -> None:
        """Start the broker; the devices come back to it."""
        self._broker = True
        for address in self._devices:
            self._connect(address)

    def power(self, address: Address, on: bool) -> None:
        """Cut a device's power, or give it again."""
        if not on:
            self._devices.pop(address)
            if self._broker:
                self._to_server.append((build_topic(address, Channel.STATUS), encode_message(Status(online=False))))
            return
        site, spec = self._specs[address]
        now_ms = self._clock.now_ms()
        faults = Faults(address, [fault for text in self.faults if (fault := parse_fault(text)).address == address], now_ms)
        self._devices[address] = build_device(
            site, spec, self._storage, now_ms, seed=self._seed, faults=faults, watch=self._watch
        )
        self._connect(address)

    def waters(self, address: Address) -> bool:
        """Tell whether a device is giving something."""
        return bool(self._devices[address].running)

    async def go_on(self, until_ms: int) -> None:
        """Live on until an instant; the platform looks once a minute. [ms since the Unix epoch, UTC]"""
        while self._clock.now_ms() < until_ms:
            await self._clock.advance(min(STEP_S, (until_ms - self._clock.now_ms()) / 1000))
            await self.step()

    async def step(self) -> None:
        """Let everybody do what is to be done now."""
        now_ms = self._clock.now_ms()
        for address, device in self._devices.items():
            self._say(address, device.tick(now_ms))
            while self._broker and (batch := device.next_batch()) is not None:
                topic = build_topic(address, Channel.TELEMETRY)
                self._house.decide(StoredBurst(now_ms, [topic], [batch.payload]))
                device.acknowledge(batch)
        if self._controller is None:
            return
        while self._to_server:
            topic, payload = self._to_server.popleft()
            await self._controller.on_message(topic, payload)
        if now_ms // 60_000 != self._minute:
            self._minute = now_ms // 60_000
            await self._controller.tick()
        await self._controller.send_due()
        self._hand_over()

    async def _publish(
        self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False, message_expiry_s: int | None = None
    ) -> None:
        if not self._broker:
            raise LinkLost
        address, channel = parse_topic(topic)
        self._to_device[address].append((channel, payload))

    def _hand_over(self) -> None:
        for address, device in self._devices.items():
            while self._broker and self._to_device[address]:
                channel, payload = self._to_device[address].popleft()
                self._say(address, device.handle(channel, payload, self._clock.now_ms()))

    def _connect(self, address: Address) -> None:
        if self._broker:
            self._say(address, self._devices[address].connected(self._clock.now_ms()))

    def _say(self, address: Address, messages: list) -> None:  # type: ignore[type-arg]
        for message in messages if self._broker else ():
            self._devices[address].acknowledge(message)
            self._to_server.append((build_topic(address, message.channel), message.payload))

    def _watch(self, event: Event) -> None:
        if event.what is What.ACT_BEGUN:
            self.begun[str(event.detail["id"])] += 1
