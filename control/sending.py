# SPDX-License-Identifier: Apache-2.0
"""Sending: what is committed goes to devices, and is sent again until it is answered or its time is over.

Invariant: a command is marked as handed over, and committed, before it is given to the broker; what could not be given
is given again, the same, so that a crash or a lost connection in between sends twice rather than never.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from sqlalchemy.orm import Session

from control import commands, configs, ledger
from control.commands import Outgoing
from control.counters import ControllerCounters
from control.database import Database, write_in_thread
from control.deadlines import next_deadline
from control.records import Act
from gateway.clock import Clock
from gateway.errors import GatewayError, LinkLost
from gateway.topics import Address

__all__ = ["Publish", "Sender"]

logger = logging.getLogger(__name__)

PING_MS: Final = 50_000  # whoever can settle something is asked for its status this often: with each tick [ms]


class Publish(Protocol):
    """Sends a message at QoS 1 and returns when the broker has it; raises LinkLost when that is not known."""

    async def __call__(
        self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False, message_expiry_s: int | None = None
    ) -> None: ...


@dataclass(slots=True)
class _Due:
    """What is to be sent, what was stepped, and when the clock next calls."""

    outgoing: list[Outgoing] = field(default_factory=list)
    changed: list[Act] = field(default_factory=list)
    settings: list[Outgoing] = field(default_factory=list)
    due_ms: int | None = None


class Sender:
    """Send what is due.

    Parameters
    ----------
    connected : callable
        Whether the broker can be reached: what cannot be sent is not marked as handed over.
    tell : callable
        Is given the acts that were stepped, before they are sent.
    parallel : int
        Messages on their way to the broker at a time.
    telemetry_s : int
        How often devices are told to measure. [s]
    """

    def __init__(
        self,
        database: Database,
        publish: Publish,
        clock: Clock,
        counters: ControllerCounters,
        *,
        connected: Callable[[], bool],
        tell: Callable[[Sequence[Act]], None],
        parallel: int,
        telemetry_s: int,
    ) -> None:
        self._database = database
        self._publish = publish
        self._clock = clock
        self._counters = counters
        self._connected = connected
        self._tell = tell
        self._parallel = parallel
        self._telemetry_s = telemetry_s
        self._again: set[str] = set()
        self._pinged_ms = 0
        self._refused = False
        self._fresh = True  # what was marked as handed over before this process began may never have reached the broker
        self._due_ms: int | None = None

    @property
    def due_ms(self) -> int | None:
        """When the clock alone next calls for sending or concluding something; None for never. [ms since the Unix epoch]"""
        return self._due_ms

    def send_again(self, keys: Collection[str]) -> None:
        """Send what waits for an answer without waiting for it any longer; `keys` are those of devices."""
        self._again |= set(keys)

    def ping_soon(self) -> None:
        """Ask devices with an act of unknown end for their status with what is sent next."""
        self._pinged_ms = 0

    async def ping(self, address: Address) -> None:
        """Ask a device for its status."""
        await self._publish_one(commands.ping(address, self._clock.now_ms()))

    async def send_due(self) -> bool:
        """Conclude what is over by the clock and send what is due now.

        False where something could not be sent and has to be tried again.
        """
        now_ms, again, connected = self._clock.now_ms(), frozenset(self._again), self._connected()
        if not connected and (self._due_ms is None or now_ms < self._due_ms):
            return False
        found = await write_in_thread(self._database, lambda session: self._due(session, now_ms, again, connected))
        self._due_ms = found.due_ms
        self._tell(found.changed)
        if not connected:
            return False
        self._fresh = False
        self._again -= again
        messages = [*found.outgoing, *found.settings]
        if not messages:
            return True
        gate = asyncio.Semaphore(self._parallel)
        sent = await asyncio.gather(*(self._send(one, gate) for one in messages))
        confirmed = [one for one, well in zip(messages, sent, strict=True) if well and one.retain]
        self._again |= {one.act_id for one, well in zip(messages, sent, strict=True) if one.act_id and not well}
        if confirmed:
            await write_in_thread(self._database, lambda session: self._confirm(session, confirmed, now_ms))
        return all(sent)

    async def send_stops(self) -> bool:
        """Send the stops that were not handed over yet, and nothing else; False where one is left to `send_due`."""
        if not self._connected():
            return False
        now_ms = self._clock.now_ms()
        outgoing, changed = await write_in_thread(
            self._database, lambda session: commands.hand_over(session, now_ms, only_stops=True)
        )
        self._tell(changed)
        gate = asyncio.Semaphore(self._parallel)
        sent = await asyncio.gather(*(self._send(one, gate) for one in outgoing))
        self._again |= {one.act_id for one, well in zip(outgoing, sent, strict=True) if not well}
        return all(sent)

    def _due(self, session: Session, now_ms: int, again: frozenset[str], connected: bool) -> _Due:
        found = _Due()
        if self._fresh or (self._due_ms is not None and now_ms >= self._due_ms):
            found.changed = ledger.expire(session, now_ms)
            if any(act.state == "unknown" for act in found.changed):
                self.ping_soon()
        if connected:
            found.outgoing, handed = commands.hand_over(session, now_ms, again, everything=self._fresh)
            found.changed = [*found.changed, *handed]
            if not 0 <= now_ms - self._pinged_ms < PING_MS:
                self._pinged_ms = now_ms
                found.outgoing += commands.due_pings(session, now_ms)
            found.settings = configs.due_configs(session, now_ms, self._telemetry_s)
        found.due_ms = next_deadline(session, now_ms)
        return found

    def _confirm(self, session: Session, confirmed: list[Outgoing], now_ms: int) -> None:
        for one in confirmed:
            configs.confirm_config(session, one, now_ms, self._telemetry_s)

    async def _send(self, one: Outgoing, gate: asyncio.Semaphore) -> bool:
        async with gate:
            try:
                await self._publish_one(one)
            except GatewayError as exc:
                self._counters.sends_failed += 1
                # Not being connected is the link's to tell; a refusal is told once, until something gets through again.
                loud = not isinstance(exc, LinkLost) and not self._refused
                self._refused = self._refused or loud
                level = logging.WARNING if loud else logging.DEBUG
                logger.log(level, "could not send to %s: %s", one.device_key, exc, extra={"action": "send_failed"})
                return False
        self._refused = False
        self._counters.commands_sent += not one.retain
        return True

    async def _publish_one(self, one: Outgoing) -> None:
        expiry = None
        if not one.retain:
            # The broker counts on the wall; it only tidies, the device judges `expires` by itself.
            left_s = (one.expires_ms - self._clock.now_ms()) / 1000 / self._clock.speed
            expiry = max(1, math.ceil(left_s))
        await self._publish(one.topic, one.payload, qos=1, retain=one.retain, message_expiry_s=expiry)
