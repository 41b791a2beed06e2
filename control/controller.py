# SPDX-License-Identifier: Apache-2.0
"""The controller: once a minute of site time it asks the rules, and it carries acts to devices and their words back.

Two loops, and messages from outside. The tick decides and commits; the sender hands over what is committed, so no tick
waits for the network; messages are settled before their caller acknowledges them. Invariant: an act is committed, then
sent, then settled; all work on the database happens in threads, one writer at a time.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from sqlalchemy.orm import Session

from control import configs
from control.budgets import Standing
from control.by_hand import ByHand
from control.counters import ControllerCounters
from control.database import Database
from control.decisions import prune_decisions
from control.errors import DatabaseUnavailable
from control.evaluation import LatestValues
from control.events import act_event, decision_event, suspension_event
from control.messages import Heard, hear
from control.models import ControllerRow
from control.pending import Pending
from control.plots import PlotCache
from control.records import Act, Device
from control.registry import get_device
from control.sending import Publish, Sender
from control.ticking import MINUTE_MS, TickResult, run_tick
from control.valve_tests import advance_tests
from gateway.clock import Clock
from gateway.topics import Address

__all__ = ["Controller", "ControllerConfig", "ControllerCounters", "Feed", "LatestValues", "Publish"]

logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")

LEAST_WAIT_S = 0.1  # however much is due by the clock alone, it is looked at no more often [s]
HOUR_MS = 3_600_000
DAY_MS = 86_400_000


class Feed(Protocol):
    """Tells listeners what happens; from any thread."""

    def publish(self, name: str, data: Mapping[str, Any]) -> None:
        """Tell an event."""


@dataclass(frozen=True, slots=True)
class ControllerConfig:
    """How the controller works.

    Attributes
    ----------
    stale_s : float
        A reading older than this is not acted on. [s]
    telemetry_s : int
        How often devices are told to measure. [s]
    decision_days : int
        Decisions are kept this long. [d]
    parallel : int
        Messages on their way to the broker at a time.
    retry_wall_s : float
        After a failure to send, the wait on the wall until the next try, unless something calls for one before. [s]
    """

    stale_s: float = 900.0
    telemetry_s: int = 60
    decision_days: int = 90
    parallel: int = 64
    retry_wall_s: float = 1.0


class Controller(ByHand):
    """Water and feed, and keep the ledger of it.

    Attributes
    ----------
    trouble : str or None
        Why the control database did not take the last time; None when it did.
    water : mapping or None
        How the agencies that have a budget of water stood at the last tick; None before the first.

    Parameters
    ----------
    latest : LatestValues
        The newest measured values.
    publish : Publish
        Sends to devices.
    feed : Feed
        Is told the events "act", "decision" and "device".
    connected : callable
        Whether the broker can be reached: what cannot be sent is not marked as handed over.
    """

    def __init__(
        self,
        database: Database,
        latest: LatestValues,
        publish: Publish,
        clock: Clock,
        feed: Feed,
        config: ControllerConfig | None = None,
        *,
        connected: Callable[[], bool] = lambda: True,
    ) -> None:
        super().__init__(database, clock)
        self._latest = latest
        self._feed = feed
        self._config = config or ControllerConfig()
        self._plots = PlotCache()
        self._pending = Pending()
        self.water: Mapping[str, Standing] | None = None
        self._sender = Sender(
            database,
            publish,
            clock,
            self.counters,
            connected=connected,
            tell=self.tell,
            parallel=self._config.parallel,
            telemetry_s=self._config.telemetry_s,
        )
        self._hour = -1
        self.trouble: str | None = None

    async def run(self) -> None:
        """Tick and send until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._tick_loop(), name="control-tick")
            group.create_task(self._send_loop(), name="control-send")
            group.create_task(self._stop_loop(), name="control-stop")

    async def tick(self) -> TickResult:
        """Decide for the minute of now, and commit it; the sender is woken to send."""
        now_ms, begun = self._clock.now_ms(), time.perf_counter()
        try:
            result = await self._write(lambda session: self._tick(session, now_ms))
        except BaseException:
            self._forget()  # what was read and counted in a transaction that came to nothing
            raise
        self.water = result.water
        self.counters.ticks += 1
        self.counters.tick_ms = (time.perf_counter() - begun) * 1000
        self.counters.zones = result.zones
        self.counters.decisions += len(result.decisions)
        self.counters.acts_planned += sum(act.state == "planned" for act in result.acts)
        for decision in result.decisions:
            self._feed.publish("decision", decision_event(decision))
        for suspension in result.suspensions:
            self._feed.publish("suspension", suspension_event(suspension))
        self.tell(result.acts)
        if any(act.state == "unknown" for act in result.acts):
            self._sender.ping_soon()
        self._wake.set()
        return result

    async def send_due(self) -> bool:
        """Send what is due now; False where something could not be sent and has to be tried again."""
        return await self._sender.send_due()

    async def on_message(self, topic: str, payload: bytes, retained: bool = False) -> None:
        """Take one message of a device; see `on_messages`."""
        await self.on_messages([(topic, payload, retained)])

    async def on_messages(self, messages: Iterable[tuple[str, bytes, bool]]) -> None:
        """Take messages of devices (status, ack, reported); when this returns, what they say is on disk.

        Parameters
        ----------
        messages : iterable of (topic, payload, retained)

        Raises
        ------
        DatabaseUnavailable
            Nothing was kept: do not acknowledge, hand them in again.
        """
        taken, now_ms = list(messages), self._clock.now_ms()
        heard: Heard = await self._write(lambda session: hear(session, taken, now_ms))
        self.counters.messages += len(taken)
        self.counters.messages_malformed += heard.malformed
        self.counters.messages_ignored += heard.ignored
        self.tell(heard.acts)
        for event in heard.devices:
            self._feed.publish("device", event)
        self._sender.send_again(heard.came_online)
        if any(act.state == "held" and act.reason == "replayed" for act in heard.acts):
            self._sender.ping_soon()
        self._wake.set()

    def device_config(self, session: Session, key: str) -> configs.DeviceConfig:
        """Return a device's configuration as it is wanted, beside what the device says is in force."""
        return configs.device_config(session, key, self._clock.now_ms(), self._config.telemetry_s)

    async def ping(self, key: str) -> None:
        """Ask a device, "{site}:{device}", for its status, which comes as a message."""
        device = await asyncio.to_thread(self._read_device, key)
        await self._sender.ping(Address(device.site, device.name))

    def tell(self, acts: Iterable[Act]) -> None:
        """Tell listeners of acts that are new or changed their state, when that is committed."""
        told = list(acts)
        # The acts of a day that is over may still change what it came to.
        self._book.forget(act.planned_ms if act.begun_ms is None else act.begun_ms for act in told if act.action == "irrigate")
        for act in told:
            self.counters.acts_unknown += act.state == "unknown"
            self._feed.publish("act", act_event(act))

    async def _tick_loop(self) -> None:
        await self._wait_out_the_minute()
        while True:
            try:
                await self.tick()
                self._recovered("tick")
            except DatabaseUnavailable as exc:
                self.counters.ticks_failed += 1
                self._failed("tick", exc)
            now_ms = self._clock.now_ms()
            await self._clock.sleep((MINUTE_MS - now_ms % MINUTE_MS) / 1000)

    async def _wait_out_the_minute(self) -> None:
        """Wait where a process before this one has decided for the minute of now: what is decided is the same without it."""
        try:
            last_ms = await asyncio.to_thread(self._read_last_tick)
        except DatabaseUnavailable:
            return
        now_ms = self._clock.now_ms()
        if last_ms is not None and last_ms // MINUTE_MS == now_ms // MINUTE_MS:
            await self._clock.sleep((MINUTE_MS - now_ms % MINUTE_MS) / 1000)

    async def _send_loop(self) -> None:
        while True:
            await self._wait()
            self._wake.clear()
            try:
                well = await self._sender.send_due()
            except DatabaseUnavailable as exc:
                self._failed("send", exc)
                well = False
            if well:
                self._recovered("send")
            if not well:
                await asyncio.sleep(self._config.retry_wall_s)
                self._wake.set()

    async def _stop_loop(self) -> None:
        """Hand stops over at once, past whatever is being sent; what is not sent here, the other loop tries again."""
        while True:
            await self._urgent.wait()
            self._urgent.clear()
            try:
                well = await self._sender.send_stops()
            except DatabaseUnavailable as exc:
                self._failed("send", exc)
                well = False
            if not well:
                await asyncio.sleep(self._config.retry_wall_s)
            self._wake.set()

    async def _wait(self) -> None:
        """Wait until something, or the clock, calls for sending."""
        due_ms = self._sender.due_ms
        if due_ms is None or self._wake.is_set():
            await self._wake.wait()
            return
        left_s = max((due_ms - self._clock.now_ms()) / 1000, LEAST_WAIT_S)
        waits = [asyncio.ensure_future(self._clock.sleep(left_s)), asyncio.ensure_future(self._wake.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waits:
                one.cancel()

    def _tick(self, session: Session, now_ms: int) -> TickResult:
        if now_ms // HOUR_MS != self._hour:
            self._hour = now_ms // HOUR_MS
            configs.mark_offsets(session, now_ms)
            prune_decisions(session, now_ms - self._config.decision_days * DAY_MS)
        stale_s = self._config.stale_s
        result = run_tick(session, self._latest, self._plots, self._pending, self._book, now_ms=now_ms, stale_s=stale_s)
        result.acts += advance_tests(session, now_ms)
        return result

    def _forget(self) -> None:
        self._plots, self._pending, self._hour = PlotCache(), Pending(), -1
        self._book.forget()

    def _read_last_tick(self) -> int | None:
        with self._database.reader() as session:
            state = session.get(ControllerRow, 1)
            return None if state is None else state.last_tick_ms

    def _read_device(self, key: str) -> Device:
        with self._database.reader() as session:
            return get_device(session, key)

    def _failed(self, what: str, exc: DatabaseUnavailable) -> None:
        self._book.forget()  # what was counted in a transaction that came to nothing
        level = logging.DEBUG if self.trouble else logging.WARNING
        logger.log(level, "control %s failed, tried again: %s", what, exc, extra={"action": f"{what}_failed"})
        self.trouble = str(exc)

    def _recovered(self, what: str) -> None:
        if self.trouble:
            logger.info("control %s works again", what, extra={"action": f"{what}_recovered"})
            self.trouble = None
