# SPDX-License-Identifier: Apache-2.0
"""A device in the field: the product's virtual device on a memory that outlives it, with valves and motors watched.

Invariant: what the oracle counts is what moved: a valve that opened, a motor that turned. The valves are of the latching
sort: without power they stay as they are, and only a device that closes them at its start has them closed.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from sqlite3 import Connection as Storage
from typing import Any, Final

import numpy as np

from gateway.messages import Status, encode_message
from gateway.topics import TO_DEVICE, Address, Channel, build_topic, parse_topic
from simulators.device import VirtualDevice
from simulators.events import Event, What
from simulators.machine import Machine, Place
from simulators.memory import Memory, open_storage
from simulators.speech import Outgoing
from tests.faults.simulation.broker import Broker, Connection, Delivered
from tests.faults.simulation.points import Deadly, Points
from tests.faults.simulation.timeline import Timeline

__all__ = ["Actuators", "Field"]

_CONNECT_S: Final = (0.05, 1.0)


class Actuators:
    """What hangs on the board, as it is: every switch is a point, and is counted for the act that was begun last there.

    Attributes
    ----------
    executed : Counter
        How often something was set in motion for an act.
    given : Counter
        What truly came out for an act. [L, g]
    moved_ms : dict
        When it was set in motion for an act, in true time. [ms since the Unix epoch]
    on : set
        What is open or turns.
    """

    def __init__(self, machine: Machine, points: Points, timeline: Timeline) -> None:
        self.executed: Counter[str] = Counter()
        self.given: Counter[str] = Counter()
        self.on: set[Place] = set()
        self.begun: dict[Place, str] = {}
        self.moved_ms: dict[str, int] = {}
        self._machine = machine
        self._points = points
        self._timeline = timeline

    @property
    def kind(self) -> str:
        """The kind of device."""
        return self._machine.kind

    @property
    def actions(self) -> tuple[str, ...]:
        """What can be done."""
        return self._machine.actions

    @property
    def zones(self) -> int:
        """How many beds or ponds."""
        return self._machine.zones

    def __getattr__(self, name: str) -> Any:
        return getattr(self._machine, name)

    def rate(self, place: Place) -> float:
        """Return what it gives."""
        return self._machine.rate(place)

    def fault(self, place: Place) -> str | None:
        """Return what is wrong."""
        return self._machine.fault(place)

    def switch(self, place: Place, on: bool) -> None:
        """Open or close, start or stop."""
        what = "on" if on else "off"
        self._points.reached(f"device switches {what}: before")
        self._machine.switch(place, on)
        if on and place not in self.on:
            self.executed[self.begun[place]] += 1
            self.moved_ms[self.begun[place]] = self._timeline.now_ms
        (self.on.add if on else self.on.discard)(place)
        self._timeline.note("switch", place, what, self.begun.get(place))
        self._points.reached(f"device switches {what}: after")

    def advance(self, now_ms: int, seconds: float) -> Mapping[Place, float]:
        """Let time pass."""
        given = self._machine.advance(now_ms, seconds)
        for place, amount in given.items():
            self.given[self.begun[place]] += amount
        return given

    def measure(self, zone: int, now_ms: int, random: np.random.Generator) -> dict[str, float | bool]:
        """Read the sensors."""
        return self._machine.measure(zone, now_ms, random)

    def snapshot(self) -> list[dict[str, float | bool]]:
        """Return the state of nature."""
        return self._machine.snapshot()

    def restore(self, state: list[dict[str, float | bool]]) -> None:
        """Go on from it, all closed: the board does that at its start."""
        self._machine.restore(state)
        self.on.clear()


class _WatchedMemory(Memory):
    """A memory of which each write and each commit is a point, before and after."""

    def __init__(self, storage: Storage, device: str, points: Points) -> None:
        super().__init__(storage, device)
        self._points = points

    def write(self, statement: str, *values: Any) -> int:
        what = " ".join(statement.split()[:3])
        self._points.reached(f"device writes {what}: before")
        count = super().write(statement, *values)
        self._points.reached(f"device writes {what}: after")
        return count

    @contextmanager
    def atomic(self) -> Iterator[None]:
        outermost = not self._storage.in_transaction
        with super().atomic():
            yield
            if outermost:
                self._points.reached("device commits: before")
        if outermost:
            self._points.reached("device commits: after")


class Field:
    """One device: its power, its connection, its clock.

    Attributes
    ----------
    wrong_ms : int
        How far its clock is ahead of true time. [ms]
    contact_us : int
        When it last connected. [us]
    open_at_boot : int
        Valves that were still open, or motors that still turned, when a start was over.
    """

    def __init__(
        self,
        timeline: Timeline,
        broker: Broker,
        address: Address,
        machine: Machine,
        points: Points,
        *,
        device: Callable[..., VirtualDevice] = VirtualDevice,
    ) -> None:
        self.address = address
        self.actuators = Actuators(machine, points, timeline)
        self.powered = False
        self.wrong_ms = 0
        self.contact_us = 0
        self.booted_us = 0
        self.open_at_boot = 0
        self.boots = 0
        self.device: VirtualDevice | None = None
        self._make = device
        self._timeline = timeline
        self._broker = broker
        self._points = points
        self._storage = open_storage(None)
        self._connection: Connection | None = None
        self._queue: deque[Outgoing] = deque()
        self._sending = False
        self._life = 0

    @property
    def connected(self) -> bool:
        """Whether it is on and at the broker."""
        return self.powered and self._connection is not None and self._connection.open

    @property
    def now_ms(self) -> int:
        """What its clock shows. [ms since the Unix epoch]"""
        return self._timeline.now_ms + self.wrong_ms

    def switch_on(self) -> None:
        """Give it power."""
        self._life += 1
        self.powered, self.boots = True, self.boots + 1
        self.booted_us = self._timeline.now_us
        self._timeline.note("device starts", self.address.key)
        memory = _WatchedMemory(self._storage, self.address.key, self._points)
        try:
            self.device = self._make(self.address, self.actuators, memory, self.now_ms, watch=self._event)
        except Deadly:
            return
        self.open_at_boot += len(self.actuators.on)
        self.connect_after(self._timeline.between(*_CONNECT_S))
        self._tick(self._life)

    def cut_power(self) -> None:
        """Take its power."""
        if self.powered:
            self._timeline.note("device without power", self.address.key)
            self.powered, self.device = False, None
            self._life += 1
            self.lose_link()

    def lose_link(self, *, noticed: bool = True) -> None:
        """Cut its connection; it stays away until told to connect. The broker may not notice before that."""
        if self._connection is not None:
            self._connection.cut(noticed=noticed)

    def connect_after(self, seconds: float) -> None:
        """Connect a while later. [s]"""
        life = self._life
        self._timeline.after(seconds, lambda: self._connect(life))

    def end(self) -> None:
        """Put all away."""
        self.cut_power()
        self._storage.close()

    def _connect(self, life: int) -> None:
        if life != self._life or not self.powered or self.connected:
            return
        will = (build_topic(self.address, Channel.STATUS), encode_message(Status(online=False)))
        topics = [build_topic(self.address, channel) for channel in TO_DEVICE]
        self.contact_us = self._timeline.now_us
        connection: Connection

        def deliver(message: Delivered) -> None:
            if connection is self._connection and self.powered:
                connection.acknowledge(message.number)
                _, channel = parse_topic(message.topic)
                self._do(lambda device: device.handle(channel, message.payload, self.now_ms))
                self._tick(self._life)

        connection = self._connection = self._broker.connect(self.address.username, topics, deliver, will)
        self._queue.clear()
        self._sending = False
        self._do(lambda device: device.connected(self.now_ms))

    def _tick(self, life: int) -> None:
        """Let its time pass up to now, and come again when it wants to."""
        if life != self._life or self.device is None:
            return
        self._do(lambda device: device.tick(self.now_ms))
        if self.device is not None:
            wait_s = max((self.device.next_wake_ms - self.now_ms) / 1000, 0.005)
            self._timeline.after(wait_s, lambda: self._tick(life))

    def _do(self, work: Callable[[VirtualDevice], list[Outgoing]]) -> None:
        if self.device is None:
            return
        try:
            self._queue.extend(work(self.device))
            self._points.reached("device has done something")
            self._send()
        except Deadly:
            return

    def _send(self) -> None:
        """Publish one message after the other, each when the broker has the one before."""
        connection = self._connection
        if self._sending or not self._queue or connection is None or not connection.open or not self.powered:
            return
        outgoing, life = self._queue.popleft(), self._life
        self._sending = True
        topic = build_topic(self.address, outgoing.channel)
        self._points.reached(f"device sends {outgoing.channel.value}: before")
        self._timeline.note("device says", topic, outgoing.payload.decode())

        def confirmed() -> None:
            if life != self._life or connection is not self._connection or self.device is None:
                return
            self._sending = False
            try:
                self._points.reached(f"device sent {outgoing.channel.value}")
                self.device.acknowledge(outgoing)
                self._send()
            except Deadly:
                return

        connection.publish(topic, outgoing.payload, confirmed, retain=outgoing.retain)

    def _event(self, event: Event) -> None:
        if event.what is What.ACT_BEGUN:
            place = (int(str(event.detail["zone"])), str(event.detail["action"]))
            self.actuators.begun[place] = str(event.detail["id"])
            self._points.reached("device begins")
        elif event.what in (What.ACT_ENDED, What.ACT_REFUSED):
            self._timeline.note(event.what.value, *(f"{name}={value}" for name, value in event.detail.items()))
