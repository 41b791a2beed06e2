# SPDX-License-Identifier: Apache-2.0
"""The thin shell around a virtual device: its power, one MQTT connection after another, and a clock.

Invariant: the device's time goes on whether or not there is a connection, as long as it has power. Time is the clock's;
keepalive, timeouts and the wait before connecting again are the wall's.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import logging
import random
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from gateway.clock import Clock
from gateway.errors import InvalidTopic
from gateway.messages import Status, encode_message
from gateway.topics import TO_DEVICE, Address, Channel, build_topic, parse_topic
from simulators.device import VirtualDevice
from simulators.events import Event, Watcher, What
from simulators.outbox import Batch
from simulators.speech import Outgoing

__all__ = ["BrokerAddress", "Shell"]

logger = logging.getLogger(__name__)

Protocol = Literal["3.1.1", "5"]

KEEPALIVE_S: Final = 20
TIMEOUT_S: Final = 15.0  # for any answer of the broker [s, wall]
GOODBYE_S: Final = 2.0  # for the last words at the end [s, wall]
FIRST_WAIT_S: Final = 0.25  # before connecting again; doubled each time [s, wall]
LONGEST_WAIT_S: Final = 10.0
SHORTEST_TICK_S: Final = 0.005  # on a fast clock, no tick follows another sooner [s, wall]
SESSION_S: Final = 86_400  # for so long an MQTT 5 broker keeps commands for a device that is away [s]
INCOMING: Final = 1_000  # messages waiting to be read; more are dropped, and the platform sends what matters again
OUTGOING: Final = 1_000  # messages waiting to be published; the oldest makes room, and the ledger in status settles it


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """Where the broker listens; without a TLS context the connection is plain."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None


@dataclass(slots=True, eq=False)
class Shell:
    """Run one virtual device until cancelled.

    Attributes
    ----------
    password : str
        Of the device's user name, `{site}/{device}`.
    protocol : "3.1.1" or "5"
        The version of MQTT that it speaks.
    random : random.Random
        For the jitter of reconnecting.
    start : callable
        Returns the device as it is after a restart at that instant: what its power's being cut leaves of it.
    """

    device: VirtualDevice
    broker: BrokerAddress
    password: str
    clock: Clock
    random: random.Random
    start: Callable[[int], VirtualDevice]
    protocol: Protocol = "3.1.1"
    watch: Watcher | None = None
    _queue: collections.deque[Outgoing] = field(default_factory=lambda: collections.deque(maxlen=OUTGOING))
    _online: bool = False
    _failed: bool = False
    _stopping: bool = False
    _dark: bool = False  # without power
    _wake: asyncio.Event = field(default_factory=asyncio.Event)  # something is to be sent
    _hurry: asyncio.Event = field(default_factory=asyncio.Event)  # the next tick may be due sooner than was thought
    _connection: aiomqtt.Client | None = None

    @property
    def address(self) -> Address:
        """The device's name."""
        return self.device.address

    async def run(self) -> None:
        """Tick and talk until cancelled, also through cuts of its power; then end what runs and say so."""
        try:
            while True:
                await self._run_until_cut()
                await self._stay_dark()
        finally:
            # Without a connection there was nobody to say goodbye to, but what runs must end, and be known to have.
            if not self._dark:
                self.device.shut_down(self.clock.now_ms())

    async def _run_until_cut(self) -> None:
        loops = [
            asyncio.create_task(self._tick(), name=f"tick {self.address.key}"),
            asyncio.create_task(self._stay_connected(), name=f"connect {self.address.key}"),
            asyncio.create_task(self._wait_for_cut(), name=f"power {self.address.key}"),
        ]
        try:
            done, _ = await asyncio.wait(loops, return_when=asyncio.FIRST_COMPLETED)
            for loop in done:
                loop.result()  # only the power goes without an error
        finally:
            self._stopping = True
            for loop in loops:
                loop.cancel()
            await asyncio.gather(*loops, return_exceptions=True)

    async def _wait_for_cut(self) -> None:
        """Return when the power is cut: from then on nothing of the device moves, says or keeps anything."""
        cut_ms = self.device.faults.next_ms("power-cut", self.clock.now_ms())
        if cut_ms is None:
            await asyncio.Event().wait()
            return
        while (left_ms := cut_ms - self.clock.now_ms()) > 0:
            await self.clock.sleep(left_ms / 1000.0)
        self._dark = True
        if self._connection is not None:
            _cut_off(self._connection)

    async def _stay_dark(self) -> None:
        """Wait for the power, then start anew with what the memory holds."""
        self._online = False
        self._queue.clear()
        self._tell(What.POWER_CUT)
        while (back_ms := self.device.faults.over_ms("power-cut", self.clock.now_ms())) is None:
            await asyncio.Event().wait()
        while (left_ms := back_ms - self.clock.now_ms()) > 0:
            await self.clock.sleep(left_ms / 1000.0)
        self.device = self.start(self.clock.now_ms())
        self._dark = self._stopping = False

    async def _tick(self) -> None:
        while not self._dark:
            self._push(self.device.tick(self.clock.now_ms()))
            wait_s = (self.device.next_wake_ms - self.clock.now_ms()) / 1000.0
            self._hurry.clear()
            sleep = asyncio.ensure_future(self.clock.sleep(max(wait_s, SHORTEST_TICK_S * self.clock.speed)))
            hurry = asyncio.ensure_future(self._hurry.wait())
            try:
                await asyncio.wait((sleep, hurry), return_when=asyncio.FIRST_COMPLETED)
            finally:
                sleep.cancel()
                hurry.cancel()

    async def _stay_connected(self) -> None:
        attempt = 0
        while True:
            began = asyncio.get_running_loop().time()
            try:
                await self._talk()
            except* (aiomqtt.MqttError, OSError) as group:
                self._lost(group)
            self._heed_stop()
            # A connection that held for a while was a good one: begin with a short wait again.
            attempt = 0 if asyncio.get_running_loop().time() - began > LONGEST_WAIT_S else min(attempt + 1, 16)
            wait_s = min(FIRST_WAIT_S * 2.0**attempt, LONGEST_WAIT_S)
            await asyncio.sleep(wait_s * self.random.uniform(0.5, 1.0))

    def _lost(self, group: BaseExceptionGroup[BaseException]) -> None:
        level = logging.DEBUG if self._failed else logging.WARNING
        cause: BaseException = group
        while isinstance(cause, BaseExceptionGroup):
            cause = cause.exceptions[0]
        logger.log(level, "%s: no connection: %s", self.address.key, cause, extra={"action": "lose_connection"})
        self._failed = True
        if self._online:
            self._tell(What.DISCONNECTED)
        self._online = False

    async def _talk(self) -> None:
        async with self._client() as client:
            channels = [(build_topic(self.address, channel), 1) for channel in TO_DEVICE]
            await client.subscribe(channels)
            self._heed_stop()
            self._queue.clear()
            self._push(self.device.connected(self.clock.now_ms()))
            if self._failed:
                logger.info("%s: connected again", self.address.key, extra={"action": "connect"})
            self._online, self._failed = True, False
            self._tell(What.CONNECTED)
            self._connection = client
            try:
                async with asyncio.TaskGroup() as loops:
                    loops.create_task(self._receive(client))
                    loops.create_task(self._send(client))
            except asyncio.CancelledError:
                if not self._dark:
                    await self._say_goodbye(client)
                raise
            finally:
                self._connection = None

    async def _receive(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            try:
                address, channel = parse_topic(message.topic.value)
            except InvalidTopic:
                continue
            if not self._dark and address == self.address and isinstance(message.payload, bytes):
                self._push(self.device.handle(channel, message.payload, self.clock.now_ms()))
                self._hurry.set()

    async def _send(self, client: aiomqtt.Client) -> None:
        while True:
            self._wake.clear()
            while self._queue:
                await self._publish(client, self._queue.popleft())
                _heed_cancellation()
            batch = self.device.next_batch()
            if batch is None:
                await self._wake.wait()
            else:
                await client.publish(build_topic(self.address, Channel.TELEMETRY), batch.payload, qos=1)
                self.device.acknowledge(batch)
                _heed_cancellation()

    async def _publish(self, client: aiomqtt.Client, outgoing: Outgoing) -> None:
        topic = build_topic(self.address, outgoing.channel)
        await client.publish(topic, outgoing.payload, qos=1, retain=outgoing.retain)
        self.device.acknowledge(outgoing)

    async def _say_goodbye(self, client: aiomqtt.Client) -> None:
        with contextlib.suppress(TimeoutError, aiomqtt.MqttError, OSError):
            async with asyncio.timeout(GOODBYE_S):
                last: list[Outgoing | Batch] = [*self._queue, *self.device.shut_down(self.clock.now_ms())]
                for outgoing in last:
                    if isinstance(outgoing, Outgoing):
                        await self._publish(client, outgoing)

    def _push(self, messages: list[Outgoing]) -> None:
        self._queue.extend(messages)
        self._wake.set()

    def _client(self) -> aiomqtt.Client:
        five = self.protocol == "5"
        properties = Properties(PacketTypes.CONNECT) if five else None  # type: ignore[no-untyped-call]
        if properties is not None:
            properties.SessionExpiryInterval = SESSION_S
        will = encode_message(Status(online=False))
        return aiomqtt.Client(
            self.broker.host,
            self.broker.port,
            identifier=self.address.username,
            username=self.address.username,
            password=self.password,
            protocol=aiomqtt.ProtocolVersion.V5 if five else aiomqtt.ProtocolVersion.V311,
            clean_session=None if five else False,
            clean_start=False if five else 3,
            properties=properties,
            will=aiomqtt.Will(build_topic(self.address, Channel.STATUS), will, qos=1, retain=True),
            keepalive=KEEPALIVE_S,
            timeout=TIMEOUT_S,
            tls_context=self.broker.tls,
            max_queued_incoming_messages=INCOMING,
            max_inflight_messages=20,
        )

    def _tell(self, what: What) -> None:
        if self.watch is not None:
            self.watch(Event(self.address, self.clock.now_ms(), what))

    def _heed_stop(self) -> None:
        # An error of the link while it closes takes the place of a cancellation, and Task.cancelling() can not be asked:
        # a task group that ends with errors leaves it raised in Python 3.11 and 3.12.
        if self._stopping:
            raise asyncio.CancelledError


def _cut_off(client: aiomqtt.Client) -> None:
    """Let a connection end as it does when a power supply goes: without a word."""
    link = client._client.socket()  # aiomqtt itself ends every connection with a goodbye
    if isinstance(link, socket.socket):
        with contextlib.suppress(OSError):
            link.shutdown(socket.SHUT_RDWR)


def _heed_cancellation() -> None:
    """Go on with a cancellation that was lost on the way.

    Before Python 3.12 `asyncio.wait_for`, in which aiomqtt waits for the broker, forgets a cancellation that comes in the same
    turn of the loop as the answer (python/cpython issue 86296).
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
