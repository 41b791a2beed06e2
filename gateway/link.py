# SPDX-License-Identifier: Apache-2.0
"""The platform's link to the broker: an asyncio MQTT 5 client whose acknowledgements are the caller's to send.

One socket read is part of one burst, a burst is handed over whole, and its PUBACKs are written when the caller says that
it is on disk. Invariants: acknowledgements belong to a connection and die with it; what was not acknowledged comes again,
for the session persists; unread bytes are bounded, the socket is paused at the bound; one reader a link.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from types import TracebackType
from typing import Self

import mqtt5

from gateway.connection import Connection
from gateway.errors import GatewayError, LinkLost, LinkRefused, LinkTakenOver, MalformedPacket
from gateway.framing import Burst, Inbox
from gateway.link_config import LinkConfig, LinkCounters, backoff_s

__all__ = ["Link", "LinkConfig", "LinkCounters", "backoff_s"]

logger = logging.getLogger(__name__)

_CLOSE_TIMEOUT_S = 2.0
# mosquitto before 2.0.15 closes a connection whose session is taken over without reason 142. So many connections in a row
# that were greeted and then closed without a word, each so young, are another client with our id.
_TAKEN_OVER_CLOSES = 3
_TAKEN_OVER_YOUNG_S = 10.0


class Link:
    """A link that keeps itself up while its context lasts.

    Parameters
    ----------
    config : LinkConfig
        Address, credential and bounds.
    rng : random.Random
        Jitter of the reconnecting.
    sleep : callable
        Waits between attempts, on the wall's clock whatever the platform's.
    on_session_lost : callable, optional
        Called when the broker no longer has our session although it had one.
    """

    def __init__(
        self,
        config: LinkConfig,
        *,
        rng: random.Random,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        on_session_lost: Callable[[], None] | None = None,
    ) -> None:
        self.config = config
        self.counters = LinkCounters()
        self._rng = rng
        self._sleep = sleep
        self._on_session_lost = on_session_lost
        self._group = asyncio.TaskGroup()
        self._maintainer: asyncio.Task[None] | None = None
        self._connection: Connection | None = None
        self._leftovers: deque[Burst] = deque()  # of the connection before; at most one waits while reconnecting
        self._arrived = asyncio.Event()
        self._taken = asyncio.Event()
        self._up = asyncio.Event()  # connected, or given up
        self._receiving = True
        self._reading = False
        self._session_present = False
        self._number = 0
        self._state = "not started"
        self._given_up: LinkTakenOver | None = None
        self._silent_closes = 0

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        self._maintainer = self._group.create_task(self._maintain(), name=f"link {self.config.client_id}")
        return self

    async def __aexit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        self.stop_receiving()
        if self._maintainer is not None:
            self._maintainer.cancel()
        connection = self._connection
        if connection is not None and connection.alive:
            connection.end(LinkLost("the link is closed"), mqtt5.DisconnectReasonCode.NORMAL_DISCONNECTION)
            await asyncio.wait({connection.lost}, timeout=_CLOSE_TIMEOUT_S)
            connection.end(LinkLost("the link is closed"))
        self._state = "closed"
        if kind is None or issubclass(kind, asyncio.CancelledError):
            await self._group.__aexit__(kind, exc, trace)
        else:
            await self._group.__aexit__(None, None, None)  # the caller's own error goes on as it is, in no group

    @property
    def connected(self) -> bool:
        """Whether the broker has greeted us and, in a new session, granted every subscription."""
        return self._up.is_set() and self._connection is not None and self._connection.alive

    @property
    def state(self) -> str:
        """`connected`, or in words why not."""
        return self._state

    @property
    def session_present(self) -> bool:
        """Whether the broker still had our session at the last connection."""
        return self._session_present

    async def wait_connected(self, timeout: float) -> None:
        """Wait until connected, at most `timeout`. [s]

        Raises
        ------
        LinkLost
            Not connected in time; the message says why.
        LinkRefused
            The link has given up, since another client took its session over.
        """
        try:
            async with asyncio.timeout(timeout):
                while not self.connected:
                    await self._up.wait()
                    if self._given_up is not None:
                        raise self._given_up
                    if not self.connected:
                        await asyncio.sleep(0)
        except TimeoutError as exc:
            raise LinkLost(f"no connection after {timeout:g} s: {self._state}") from exc

    async def bursts(self) -> AsyncIterator[Burst]:
        """Give everything that has arrived since the last time, as it comes; end after `stop_receiving`.

        One reader: a second one is a RuntimeError.
        """
        if self._reading:
            raise RuntimeError("the link has a reader already")
        self._reading = True
        try:
            while True:
                burst = self._take()
                if burst is not None:
                    self.counters.bursts += 1
                    self.counters.received += len(burst.payloads)
                    yield burst
                elif not self._receiving:
                    return
                else:
                    self._arrived.clear()
                    await self._arrived.wait()
        finally:
            self._reading = False

    def acknowledge(self, burst: Burst) -> bool:
        """Send the burst's acknowledgements if its connection still lives; else drop them and give False."""
        connection = self._connection
        count = len(burst.acks) // 4
        if connection is not None and connection.number == burst.connection and connection.acknowledge(burst.acks):
            self.counters.acks_sent += count
            return True
        self.counters.acks_dropped += count
        return False

    async def publish(
        self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False, message_expiry_s: int | None = None
    ) -> None:
        """Send a message.

        With QoS 1, return when the broker has acknowledged it; with QoS 0, when it is written. A reader of `bursts` that
        awaits a QoS 1 publish may wait for its own unread bursts: publish from another task.

        Raises
        ------
        LinkLost
            Not connected, or the connection ended or stayed silent before the acknowledgement. It may have arrived: send
            again by an identity of your own.
        LinkRefused
            The broker refused the message.
        """
        connection = self._connection
        if connection is None or not connection.alive:
            raise LinkLost(f"not connected: {self._state}")
        try:
            async with asyncio.timeout(self.config.publish_timeout_s):
                await connection.publish(topic, payload, qos=qos, retain=retain, message_expiry_s=message_expiry_s)
        except TimeoutError as exc:
            raise LinkLost(f"no acknowledgement within {self.config.publish_timeout_s:g} s") from exc
        self.counters.published += 1

    async def wait_caught_up(self) -> bool:
        """Wait until everything that the broker held for us when this was called is acknowledged, and so on disk.

        Gives False where that cannot be told: not connected, too much on the way, or no answer within publish_timeout_s.
        """
        connection = self._connection
        if connection is None or not self.connected or self._leftovers:
            return False
        try:
            async with asyncio.timeout(self.config.publish_timeout_s):
                return await connection.wait_caught_up(self.config.broker_inflight)
        except (TimeoutError, LinkLost, LinkRefused):
            return False

    def stop_receiving(self) -> None:
        """Take nothing more: what has arrived is still given, what comes after is left to the broker.

        Publishing and acknowledging go on until the context ends.
        """
        if not self._receiving:
            return
        self._receiving = False
        if self._connection is not None:
            self._keep_leftovers(self._connection)
            self._connection.inbox.refuse()
        self._arrived.set()

    def _take(self) -> Burst | None:
        if self._leftovers:
            burst = self._leftovers.popleft()
            self._taken.set()
            return burst
        return self._connection.take() if self._connection is not None else None

    def _keep_leftovers(self, connection: Connection) -> None:
        """Keep what is unread: QoS 1 comes again, but not from a broker that died with it."""
        burst = connection.take()
        if burst is not None:
            self._leftovers.append(burst)
            self._taken.clear()
            self._arrived.set()

    async def _maintain(self) -> None:
        attempt = 0
        loop = asyncio.get_running_loop()
        while True:
            began_s = loop.time()
            try:
                await self._connect_and_watch()
            except LinkTakenOver as exc:
                self._stand_aside(exc)
                if self._silent_closes < _TAKEN_OVER_CLOSES:
                    return
                await self._sleep(self.config.takeover_hold_s)
                self._given_up, self._silent_closes = None, 0
                self._up.clear()
            except (LinkLost, LinkRefused) as exc:
                if loop.time() - began_s > self.config.backoff_max_s:
                    attempt = 0
                attempt += 1
                await self._back_off(attempt, exc)

    async def _connect_and_watch(self) -> None:
        """Live through one connection; always ends by raising why it ended."""
        while self._leftovers:
            self._state = "waiting until what arrived before is read"
            self._taken.clear()
            await self._taken.wait()
        connection, answer = await self._connect()
        loop = asyncio.get_running_loop()
        greeted_s = loop.time()
        keep_alive_s = answer.server_keep_alive or self.config.keep_alive_s
        watcher = asyncio.create_task(connection.watch(keep_alive_s), name="link keepalive")
        try:
            await self._on_greeted(connection, session_present=answer.session_present)
            await watcher
        except LinkRefused as exc:
            connection.end(exc, mqtt5.DisconnectReasonCode.NORMAL_DISCONNECTION)
            raise
        finally:
            watcher.cancel()
        young = loop.time() - greeted_s < _TAKEN_OVER_YOUNG_S
        self._silent_closes = self._silent_closes + 1 if young and connection.closed_silently else 0
        if self._silent_closes >= _TAKEN_OVER_CLOSES:
            raise LinkTakenOver
        raise connection.reason

    async def _connect(self) -> tuple[Connection, mqtt5.ConnAckPacket]:
        """Make a connection and greet the broker, within connect_timeout_s."""
        config = self.config
        address = f"{config.host}:{config.port}"
        self._state = f"connecting to {address}"
        self._number += 1
        connection = self._new_connection()
        try:
            async with asyncio.timeout(config.connect_timeout_s):
                try:
                    await asyncio.get_running_loop().create_connection(
                        lambda: connection, config.host, config.port, ssl=config.tls
                    )
                except OSError as exc:
                    self._silent_closes = 0  # the broker itself is away
                    raise LinkLost(f"cannot reach {address}: {exc}") from exc
                self._connection = connection
                return connection, await connection.open(self._greeting())
        except TimeoutError as exc:
            connection.end(LinkLost("the broker does not answer"))
            raise LinkLost(f"no answer from {address} within {config.connect_timeout_s:g} s") from exc
        except GatewayError as exc:
            connection.end(LinkLost(str(exc)))
            raise

    def _new_connection(self) -> Connection:
        config = self.config
        inbox = Inbox(
            connection=self._number,
            read_bytes=config.read_bytes,
            max_packet_size=config.max_packet_size,
            burst_bytes=config.burst_bytes,
            burst_messages=config.burst_messages,
        )
        if not self._receiving:
            inbox.refuse()
        connection = Connection(
            number=self._number,
            inbox=inbox,
            max_inflight=config.max_inflight,
            on_arrival=self._arrived.set,
            on_lost=lambda: self._on_lost(connection),
        )
        return connection

    def _greeting(self) -> mqtt5.ConnectPacket:
        config = self.config
        return mqtt5.ConnectPacket(
            config.client_id,
            username=config.username,
            password=config.password.encode(),
            clean_start=False,
            keep_alive=config.keep_alive_s,
            session_expiry_interval=config.session_expiry_s,
            receive_max=config.receive_max,
            max_packet_size=config.max_packet_size,
        )

    async def _on_greeted(self, connection: Connection, *, session_present: bool) -> None:
        """Subscribe, then count as connected."""
        self.counters.connections += 1
        self.counters.sessions_made += not session_present
        if self.counters.connections > 1 and not session_present:
            self.counters.sessions_lost += 1
            logger.warning(
                "link %s: the broker lost our session and what was queued in it",
                self.config.client_id,
                extra={"action": "session_lost"},
            )
            if self._on_session_lost is not None:
                self._on_session_lost()
        self._session_present = session_present
        self._state = "subscribing"
        if session_present:
            # It holds the subscriptions, and the broker's word on them may come after a queue that nobody reads yet.
            self._on_up()
        if self.config.subscriptions:
            await connection.subscribe(self.config.subscriptions, retained=self.config.retained_on_reconnect)
        if not session_present:
            self._on_up()

    def _on_up(self) -> None:
        self._state = "connected"
        self._up.set()
        logger.info("link %s: connected", self.config.client_id, extra={"action": "link_connected"})

    def _on_lost(self, connection: Connection) -> None:
        self._up.clear()
        self._keep_leftovers(connection)
        if isinstance(connection.reason, MalformedPacket):
            self.counters.malformed += 1

    def _stand_aside(self, exc: LinkTakenOver) -> None:
        self._given_up = exc
        self._state = f"session taken over: another client uses the id {self.config.client_id}; stop it, then restart"
        self._up.set()
        logger.error("link %s: %s", self.config.client_id, self._state, extra={"action": "link_taken_over"})

    async def _back_off(self, attempt: int, exc: LinkLost | LinkRefused) -> None:
        config = self.config
        wait_s = backoff_s(attempt, min_s=config.backoff_min_s, max_s=config.backoff_max_s, rng=self._rng)
        self._state = f"{'refused: ' if isinstance(exc, LinkRefused) else ''}{exc}; next try in {wait_s:.1f} s"
        level = logging.WARNING if attempt == 1 else logging.DEBUG
        logger.log(level, "link %s: %s", config.client_id, self._state, extra={"action": "link_lost"})
        with contextlib.suppress(TimeoutError):
            await self._sleep(wait_s)
