# SPDX-License-Identifier: Apache-2.0
"""The server's process: the product's own controller on a database file, a link to the model broker, a client's requests.

Invariant: the product's code is run as it is. Only the pool of connections outlives a process, for speed: what a dead one
had not committed is rolled back, and nothing else is in it. What stands here around it does what `tirta.service` does: it
acknowledges what devices say when the controller has returned, connects again, and starts anew on what is on disk.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection as SqlConnection
from sqlalchemy import Engine, event
from sqlalchemy.orm import Session

from control.controller import Controller, ControllerConfig, LatestValues
from control.database import Database
from control.errors import DatabaseUnavailable
from gateway.errors import LinkLost
from tests.faults.simulation.broker import Broker, Connection, Delivered
from tests.faults.simulation.loop import ProcessLoop
from tests.faults.simulation.points import Points
from tests.faults.simulation.timeline import Timeline

__all__ = ["Server", "ServerClock", "watched_commits"]

CLIENT = "tirta-control"
CHANNELS = ("+/status", "+/ack", "+/reported")
_CONNECT_S = (0.02, 0.5)
_PUBLISH_S = 10.0  # without an answer of the broker for so long, a message counts as not sent [s]
_QUIET = ControllerConfig(telemetry_s=3600)  # measurements play no part where this is used


class ServerClock:
    """The wall's clock of the server: true time and how far it is wrong."""

    def __init__(self, timeline: Timeline) -> None:
        self.wrong_ms = 0
        self._timeline = timeline

    @property
    def speed(self) -> float:
        """As fast as the wall."""
        return 1.0

    def now_ms(self) -> int:
        """Return what it shows. [ms since the Unix epoch]"""
        return self._timeline.now_ms + self.wrong_ms

    async def sleep(self, seconds: float) -> None:
        """Wait; setting a clock does not shorten it. [s]"""
        await asyncio.sleep(max(seconds, 0.0))


class Server:
    """Start, kill, start again.

    Attributes
    ----------
    alive : bool
        Whether there is a process.
    contact_us : int
        When the process was last connected to the broker. [us]
    """

    def __init__(
        self,
        timeline: Timeline,
        broker: Broker,
        database: Database,
        points: Points,
        latest: Callable[[ServerClock], LatestValues],
    ) -> None:
        self.alive = False
        self.contact_us = 0
        self.kills = 0
        self.errors: list[str] = []
        self.clock = ServerClock(timeline)
        self.controller: Controller | None = None
        self._timeline = timeline
        self._broker = broker
        self._database = database
        self._points = points
        self._latest = latest
        self._loop: ProcessLoop | None = None
        self._link: Connection | None = None
        self._arrived: asyncio.Event | None = None
        self._inbox: list[tuple[Connection, Delivered]] = []

    @property
    def connected(self) -> bool:
        """Whether the process lives and the broker has greeted it."""
        return self.alive and self._link is not None and self._link.open

    def start(self) -> None:
        """Start a process on what is on disk."""
        self.put_away()
        self._timeline.note("server starts")
        self.alive = True
        self._loop = ProcessLoop(self._timeline, self._points)
        self._inbox, self._arrived, self._link = [], asyncio.Event(), None
        self.controller = Controller(
            self._database, self._latest(self.clock), self._publish, self.clock, self, _QUIET, connected=lambda: self.connected
        )
        self._loop.create_task(self._main(self.controller))
        self._timeline.after(self._timeline.between(*_CONNECT_S), self._connect)

    def kill(self) -> None:
        """End the process as kill -9 does."""
        if not self.alive:
            return
        self._timeline.note("server killed")
        self.alive, self.kills = False, self.kills + 1
        if self._loop is not None:
            self.errors += self._loop.errors
            self._loop.alive = False
        if self._link is not None:
            self._link.cut()

    def lose_link(self) -> None:
        """Cut the connection to the broker; the process makes another."""
        if self._link is not None:
            self._link.cut()
            self._timeline.after(self._timeline.between(*_CONNECT_S), self._connect)

    def end(self) -> None:
        """Put all away."""
        self.kill()
        self.put_away()

    @property
    def found_errors(self) -> list[str]:
        """What nobody caught, of every process."""
        return self.errors + (self._loop.errors if self.alive and self._loop is not None else [])

    def call(self, work: Callable[[Controller], Awaitable[Any]], answered: Callable[[Any], None]) -> None:
        """Have the process do something for a client, which gets the answer or the error, or nothing where it dies."""
        if not self.alive or self._loop is None or self.controller is None:
            return
        controller = self.controller

        async def serve() -> None:
            try:
                found = await work(controller)
            except Exception as exc:  # noqa: BLE001 - the client judges it
                found = exc
            self._points.reached("send the client's answer")
            self._timeline.after(self._timeline.between(0.001, 0.02), lambda: answered(found))

        self._loop.create_task(serve())

    def publish(self, name: str, data: Mapping[str, Any]) -> None:
        """Be told of an event: noted, and heard by nobody."""
        if name == "act":
            self._timeline.note("act", data["id"], data["state"])

    async def _main(self, controller: Controller) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(controller.run())
            group.create_task(self._hear(controller))

    async def _hear(self, controller: Controller) -> None:
        assert self._arrived is not None
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            burst, self._inbox = self._inbox, []
            while burst:
                try:
                    await controller.on_messages((one.topic, one.payload, one.retained) for _, one in burst)
                except DatabaseUnavailable:
                    await asyncio.sleep(1.0)
                else:
                    break
            self._points.reached("send acknowledgements")
            for connection, one in burst:
                if connection.open:
                    connection.acknowledge(one.number)
            self._points.reached("send acknowledged")

    async def _publish(
        self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False, message_expiry_s: int | None = None
    ) -> None:
        link = self._link
        if link is None or not link.open:
            raise LinkLost
        what = topic.rpartition("/")[2]
        future = asyncio.get_running_loop().create_future()
        self._points.reached(f"send {what}: before")
        self._timeline.note("publish", topic, payload.decode())
        link.publish(topic, payload, lambda: future.done() or future.set_result(None), retain=retain, expiry_s=message_expiry_s)
        self._points.reached(f"send {what}: on its way")
        try:
            async with asyncio.timeout(_PUBLISH_S):
                await future
        except TimeoutError as exc:
            raise LinkLost from exc
        self._points.reached(f"send {what}: confirmed")

    def _connect(self) -> None:
        if self.alive and not self.connected:
            self.contact_us = self._timeline.now_us

            def deliver(message: Delivered) -> None:
                if self.alive and self._arrived is not None:
                    self._inbox.append((link, message))
                    self._arrived.set()

            link = self._link = self._broker.connect(CLIENT, CHANNELS, deliver)
            if self.controller is not None:
                self.controller.wake()

    def put_away(self) -> None:
        """Put away what is left of a process that is gone."""
        if self._loop is not None:
            self._loop.bury()
        self.controller = None


@contextmanager
def watched_commits(points: Points, timeline: Timeline, keep: Callable[[], None] | None = None) -> Iterator[None]:
    """Make each commit of a control database two points, for as long as the context lasts; `keep` is called before each."""

    def before(connection: SqlConnection) -> None:
        if connection.get_execution_options().get("tirta_write"):
            points.reached("commit: before")
            if keep is not None:
                keep()

    def after(session: Session) -> None:
        if session.get_bind().get_execution_options().get("tirta_write"):
            timeline.note("commit")
            points.reached("commit: after")

    event.listen(Engine, "commit", before)
    event.listen(Session, "after_commit", after)
    try:
        yield
    finally:
        event.remove(Engine, "commit", before)
        event.remove(Session, "after_commit", after)
