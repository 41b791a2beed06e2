# SPDX-License-Identifier: Apache-2.0
"""One MQTT 5 connection: handshake, publishes in flight, acknowledgements, keepalive; it lives once and never reconnects.

Invariant: everything that waits for the broker (a handshake, a publish) is settled at the latest when the connection is
lost, and nothing of it outlives the connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
from collections import deque
from collections.abc import Callable
from typing import cast

import mqtt5

from gateway.errors import LinkLost, LinkRefused, LinkTakenOver, MalformedPacket
from gateway.framing import Burst, Inbox
from gateway.tally import Tally

__all__ = ["Beat", "Connection", "beat"]

_MAX_PACKET_ID = 65535
_ERROR = 0x80  # reason codes from here on are failures [MQTT 5, 2.4]; the codec's enumerations don't compare by size
_LINGER_S = 2.0  # for the broker to close after our DISCONNECT
_WASTE_BYTES = 16384
_PINGREQ = mqtt5.PingReqPacket().write()
_QOS = {0: mqtt5.QoS.AT_MOST_ONCE, 1: mqtt5.QoS.AT_LEAST_ONCE}


class Beat(enum.Enum):
    """What keepalive asks for now."""

    NOTHING = "nothing"
    PING = "ping"
    DEAD = "dead"


def beat(*, now_s: float, last_received_s: float, last_ping_s: float, keep_alive_s: float) -> Beat:
    """Decide on keepalive: ping each half interval, call the peer dead after 1.25 intervals of silence.

    Asked each quarter interval, a dead peer is found within 1.5 intervals.
    """
    if now_s - last_received_s >= 1.25 * keep_alive_s:
        return Beat.DEAD
    if now_s - last_ping_s >= 0.5 * keep_alive_s:
        return Beat.PING
    return Beat.NOTHING


class Connection(asyncio.BufferedProtocol):
    """A connection as the event loop sees it.

    Parameters
    ----------
    number : int
        Counts the connections of a link; bursts carry it.
    inbox : Inbox
        What arrives.
    max_inflight : int
        Most QoS 1 publishes without an acknowledgement; the broker's own receive_max lowers it. Further ones wait.
    on_arrival, on_lost : callable
        Called when messages can be taken, and once when the connection is gone.
    """

    def __init__(
        self,
        *,
        number: int,
        inbox: Inbox,
        max_inflight: int,
        on_arrival: Callable[[], None],
        on_lost: Callable[[], None],
    ) -> None:
        self.number = number
        self.inbox = inbox
        self.reason: LinkLost | LinkRefused = LinkLost("the broker closed the connection without a word")
        self.closed_silently = False
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._max_inflight = max_inflight
        self._broker_max_packet: int | None = None
        self._on_arrival = on_arrival
        self._on_lost = on_lost
        self._connack: asyncio.Future[mqtt5.ConnAckPacket] = self._loop.create_future()
        self._suback: asyncio.Future[mqtt5.SubAckPacket] = self._loop.create_future()
        self.lost: asyncio.Future[None] = self._loop.create_future()
        self._inflight: dict[int, asyncio.Future[mqtt5.PubAckPacket]] = {}
        self._slots: deque[asyncio.Future[None]] = deque()  # publishes waiting for room in flight
        self._drained: asyncio.Event = asyncio.Event()
        self._drained.set()
        self._next_id = 0
        self._acknowledged = Tally()  # QoS 1 messages, by us
        self._pings = 0
        self._answered = Tally()  # of these pings, by the broker
        self._paused = False
        self._ended = False  # by us, or by the broker with a reason
        self._last_received_s = self._last_ping_s = self._loop.time()

    # The event loop's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but its class
        self._transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:
        """Offer the inbox's free room."""
        del sizehint
        return memoryview(bytearray(_WASTE_BYTES)) if self._ended else self.inbox.room()

    def buffer_updated(self, nbytes: int) -> None:
        """Parse what arrived; pause the socket when the reader is behind."""
        if self._ended:
            return
        self._last_received_s = self._loop.time()
        inbox = self.inbox
        try:
            for packet in inbox.received(nbytes):
                self._on_control(packet)
        except MalformedPacket as exc:
            self.end(exc, mqtt5.DisconnectReasonCode.MALFORMED_PACKET)
        if inbox.waiting:
            self._on_arrival()
            if inbox.full and not self._paused and self._transport is not None and self.alive:
                self._paused = True
                self._transport.pause_reading()

    def eof_received(self) -> bool:
        """Close when the broker closes."""
        return False

    def pause_writing(self) -> None:
        """Let publishes wait: the broker reads slowly."""
        self._drained.clear()

    def resume_writing(self) -> None:
        """Let publishes go on."""
        self._drained.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Settle everything that waits."""
        if not self._ended:
            self.closed_silently = exc is None
            if exc is not None:
                self.reason = LinkLost(f"the connection was lost: {exc}")
        self._transport = None
        for future in (self._connack, self._suback, *self._inflight.values(), *self._slots):
            waiting = cast("asyncio.Future[object]", future)
            if not waiting.done():
                waiting.set_exception(self.reason)
                waiting.exception()  # whoever gave up waiting need not hear of it
        self._inflight.clear()
        self._slots.clear()
        self._acknowledged.end(self.reason)
        self._answered.end(self.reason)
        self._drained.set()
        if not self.lost.done():
            self.lost.set_result(None)
        self._on_lost()

    # The link's side

    @property
    def alive(self) -> bool:
        """Whether something can be written."""
        return self._transport is not None and not self._ended and not self._transport.is_closing()

    async def open(self, connect: mqtt5.ConnectPacket) -> mqtt5.ConnAckPacket:
        """Greet the broker.

        Raises
        ------
        LinkRefused
            The broker said no.
        LinkLost
            The connection ended before an answer.
        """
        self._write(connect.write())
        answer = await self._connack
        if answer.reason_code != mqtt5.ConnAckReasonCode.SUCCESS:
            raise LinkRefused(_refusal(answer.reason_code.name, answer.reason_str))
        self._max_inflight = min(self._max_inflight, answer.receive_max)
        self._broker_max_packet = answer.max_packet_size
        return answer

    async def subscribe(self, subscriptions: tuple[tuple[str, int], ...], *, retained: bool) -> None:
        """Subscribe, and wait for the broker's word on each filter.

        Parameters
        ----------
        retained : bool
            Ask for retained messages also where the session holds the subscription already.

        Raises
        ------
        LinkRefused
            A filter was refused.
        """
        handling = mqtt5.RetainHandling.SEND_ALWAYS if retained else mqtt5.RetainHandling.SEND_IF_SUBSCRIPTION_NOT_EXISTS
        filters = [
            # Not as published: only what the broker kept from before comes as retained, what is said now does not.
            mqtt5.TopicFilter(pattern, max_qos=_QOS[qos], retain_as_published=False, retain_handling=handling)
            for pattern, qos in subscriptions
        ]
        self._write(mqtt5.SubscribePacket(self._take_id(), filters).write())
        answer = await self._suback
        for (pattern, _), code in zip(subscriptions, answer.reason_codes, strict=False):
            if int(code) >= _ERROR:
                raise LinkRefused(f"subscription to {pattern!r} refused: {_words(code.name)}")

    def take(self) -> Burst | None:
        """Take what has arrived and let the socket go on."""
        burst = self.inbox.take()
        if self._paused:
            self._paused = False
            self._last_received_s = self._loop.time()  # silence was ours
            if self._transport is not None and self.alive:
                self._transport.resume_reading()
        return burst

    def acknowledge(self, acks: bytes) -> bool:
        """Write acknowledgements at once; False when the connection is gone. Bounded by receive_max x 4 bytes."""
        if self._transport is None or not self.alive:
            return False
        if acks:
            self._transport.write(acks)
            self._acknowledged.rise(len(acks) // 4)
        return True

    async def wait_caught_up(self, broker_inflight: int) -> bool:
        """Wait until everything that the broker held for us when this was called is acknowledged; give False where that
        cannot be told.

        The broker answers a ping after what it sent before. What it sent is all there is unless so much was on the way
        that it held some back: not fewer than `broker_inflight` messages without an acknowledgement.

        Raises
        ------
        LinkLost, LinkRefused
            The connection ended before.
        """
        before = self._acknowledged.value
        self._ping()
        await self._answered.reach(self._pings)
        arrived = self.inbox.arrived
        if arrived is None or arrived - before >= broker_inflight:
            return False
        await self._acknowledged.reach(arrived)
        return True

    async def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool, message_expiry_s: int | None) -> None:
        """Write a message; with QoS 1 return when the broker has acknowledged it.

        Raises
        ------
        LinkLost, LinkRefused
            See `Link.publish`.
        """
        packet_id: int | None = None
        acknowledged: asyncio.Future[mqtt5.PubAckPacket] | None = None
        if qos:
            packet_id, acknowledged = await self._reserve()
        packet = mqtt5.PublishPacket(
            topic, payload, qos=_QOS[qos], retain=retain, packet_id=packet_id, message_expiry_interval=message_expiry_s
        ).write()
        if self._broker_max_packet is not None and len(packet) > self._broker_max_packet:
            self._release(packet_id)
            raise LinkRefused(f"a message of {len(packet)} bytes, above the broker's limit of {self._broker_max_packet}")
        self._write(packet)
        if acknowledged is None:
            await self._drained.wait()
            return
        # Shielded: a caller who gives up leaves the packet id in use until the broker answers or the connection ends.
        answer = await asyncio.shield(acknowledged)
        if int(answer.reason_code) >= _ERROR:
            raise LinkRefused(f"publish to {topic!r}: {_refusal(answer.reason_code.name, answer.reason_str)}")

    async def watch(self, keep_alive_s: float) -> None:
        """Ping, and end the connection when the peer is dead; return when the connection is lost."""
        while not self.lost.done():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(keep_alive_s / 4):
                    await asyncio.shield(self.lost)
                return
            now_s = self._loop.time()
            heard_s = now_s if self._paused else self._last_received_s
            match beat(now_s=now_s, last_received_s=heard_s, last_ping_s=self._last_ping_s, keep_alive_s=keep_alive_s):
                case Beat.DEAD:
                    self.end(LinkLost(f"the broker has been silent for {now_s - heard_s:.0f} s"))
                case Beat.PING:
                    self._last_ping_s = now_s
                    if self.alive:
                        self._ping()
                case Beat.NOTHING:
                    pass

    def end(self, reason: LinkLost | LinkRefused, code: mqtt5.DisconnectReasonCode | None = None) -> None:
        """End the connection for `reason`; with `code` say so to the broker and let it close, without it drop the socket."""
        transport = self._transport
        if transport is None:
            return
        if not self._ended:
            self.reason = reason
            self._ended = True
        elif code is not None:
            return
        if code is None:
            transport.abort()
            return
        if transport.is_closing():
            return
        # The broker closes: closing first, with bytes unread, would reset the connection, and with it what was written
        # last (RFC 1122, 4.2.2.13). So the rest is read and thrown away, for a bounded time.
        transport.write(mqtt5.DisconnectPacket(reason_code=code).write())
        transport.resume_reading()
        self._loop.call_later(_LINGER_S, transport.abort)

    # Within

    def _ping(self) -> None:
        self._write(_PINGREQ)
        self._pings += 1

    def _write(self, data: bytes) -> None:
        if self._transport is None or not self.alive:
            raise self.reason
        self._transport.write(data)

    def _on_control(self, packet: mqtt5.Packet) -> None:
        if isinstance(packet, mqtt5.PubAckPacket):
            acknowledged = self._inflight.get(packet.packet_id)
            self._release(packet.packet_id)
            if acknowledged is not None and not acknowledged.done():
                acknowledged.set_result(packet)
        elif isinstance(packet, mqtt5.ConnAckPacket) and not self._connack.done():
            self._connack.set_result(packet)
        elif isinstance(packet, mqtt5.SubAckPacket) and not self._suback.done():
            self._suback.set_result(packet)
        elif isinstance(packet, mqtt5.DisconnectPacket):
            self._on_disconnect(packet)
        elif isinstance(packet, mqtt5.PingRespPacket) and self._answered.value < self._pings:
            self._answered.rise()
        else:
            raise MalformedPacket(f"a {type(packet).__name__} that nobody asked for")

    def _on_disconnect(self, packet: mqtt5.DisconnectPacket) -> None:
        if packet.reason_code == mqtt5.DisconnectReasonCode.SESSION_TAKEN_OVER:
            self.end(LinkTakenOver())
        else:
            self.end(LinkLost(f"the broker ended the connection: {_words(packet.reason_code.name)}"))

    async def _reserve(self) -> tuple[int, asyncio.Future[mqtt5.PubAckPacket]]:
        """Wait for room in flight, in order of arrival, and take a packet id."""
        while len(self._inflight) >= self._max_inflight:
            slot: asyncio.Future[None] = self._loop.create_future()
            self._slots.append(slot)
            try:
                await slot
            except asyncio.CancelledError:
                with contextlib.suppress(ValueError):
                    self._slots.remove(slot)
                if slot.done() and not slot.cancelled():
                    self._wake_next()
                raise
        await self._drained.wait()
        if not self.alive:
            raise self.reason
        packet_id = self._take_id()
        acknowledged: asyncio.Future[mqtt5.PubAckPacket] = self._loop.create_future()
        self._inflight[packet_id] = acknowledged
        return packet_id, acknowledged

    def _release(self, packet_id: int | None) -> None:
        if packet_id is not None and self._inflight.pop(packet_id, None) is not None:
            self._wake_next()

    def _wake_next(self) -> None:
        while self._slots:
            slot = self._slots.popleft()
            if not slot.done():
                slot.set_result(None)
                return

    def _take_id(self) -> int:
        """Find the next free packet id; there is one, since max_inflight is below 65535."""
        while True:
            self._next_id = self._next_id % _MAX_PACKET_ID + 1
            if self._next_id not in self._inflight:
                return self._next_id


def _words(name: str) -> str:
    return name.lower().replace("_", " ")


def _refusal(name: str, reason: str | None) -> str:
    return f"{_words(name)} ({reason})" if reason else _words(name)
