# SPDX-License-Identifier: Apache-2.0
"""What people ask of the controller: acts, stops, settlements, tests of valves.

Invariant: what is asked for is committed before it is told or sent; a stop wakes a loop of its own.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import TypeVar

from sqlalchemy.orm import Session

from control import ledger, requests, stops
from control.access import Principal, Scope
from control.audit import Trail
from control.budgets import Standing, WaterBook
from control.counters import ControllerCounters
from control.database import Database, write_in_thread
from control.records import Act
from control.settling import Settlement
from control.valves import Valves
from gateway.clock import Clock

__all__ = ["ByHand"]

Answer = TypeVar("Answer")


class ByHand(ABC):
    """The part of the controller that people steer.

    Attributes
    ----------
    valves : Valves
        Tests of valves.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self.counters = ControllerCounters()
        self.valves = Valves(database, clock, moved=self._moved, stopped=self._stopped)
        self._database = database
        self._clock = clock
        self._book = WaterBook()
        self._wake = asyncio.Event()
        self._urgent = asyncio.Event()

    @abstractmethod
    def tell(self, acts: Iterable[Act]) -> None:
        """Tell listeners of acts that are new or changed their state, when that is committed."""

    def wake(self) -> None:
        """Look for something to send now: the registry was changed, or the broker is back."""
        self._wake.set()

    async def request_act(
        self,
        zone_key: str,
        action: str,
        *,
        seconds: float | None = None,
        litres: float | None = None,
        grams: float | None = None,
        actor: str,
        idempotency_key: str | None = None,
        override: str | None = None,
        trail: Trail | None = None,
    ) -> Act:
        """Plan an act asked for by hand, and send it; see `control.requests.request_act` for what is refused."""
        now_ms = self._clock.now_ms()
        trail = trail or Trail(actor, "local", now_ms)
        act, new = await self._write(
            lambda session: requests.request_act(
                session,
                zone_key,
                action,
                seconds=seconds,
                litres=litres,
                grams=grams,
                actor=actor,
                idempotency_key=idempotency_key,
                override=override,
                book=self._book,
                now_ms=now_ms,
                trail=trail,
            )
        )
        if new:
            self.counters.acts_planned += 1
            self.tell([act])
            self._wake.set()
        return act

    async def stop(self, key: str, *, actor: str, idempotency_key: str | None = None, trail: Trail | None = None) -> Act:
        """Stop a zone, "{site}:{device}:{zone}", or a device, "{site}:{device}": what waits is cancelled, the rest told."""
        now_ms = self._clock.now_ms()
        trail = trail or Trail(actor, "local", now_ms)
        stopped = await self._write(
            lambda session: stops.request_stop(
                session, key, actor=actor, idempotency_key=idempotency_key, now_ms=now_ms, trail=trail
            )
        )
        self._stopped(stopped)
        return stopped.stops[0]

    async def stop_all(
        self,
        scope: Scope,
        *,
        actor: str,
        pause_min: int | None = None,
        idempotency_key: str | None = None,
        trail: Trail | None = None,
        seen_by: Principal | None = None,
    ) -> stops.Stopped:
        """Stop every device in a site, an agency or a city; see `control.stops.stop_all`."""
        now_ms = self._clock.now_ms()
        trail = trail or Trail(actor, "local", now_ms)
        stopped = await self._write(
            lambda session: stops.stop_all(
                session,
                scope,
                actor=actor,
                pause_min=pause_min,
                idempotency_key=idempotency_key,
                now_ms=now_ms,
                trail=trail,
                seen_by=seen_by,
            )
        )
        self._stopped(stopped)
        return stopped

    def _moved(self, acts: Iterable[Act]) -> None:
        self.tell(acts)
        self._wake.set()

    def _stopped(self, stopped: stops.Stopped) -> None:
        if stopped.new:
            self._urgent.set()  # the loop of stops goes first, and wakes the other one
            self.tell([*stopped.cancelled, *stopped.stops])

    async def stop_act(self, act_id: str, *, actor: str, trail: Trail | None = None) -> Act:
        """Stop one act: withdrawn where it waits, released where its end is unknown, else its zone is stopped.

        Returns the act as it now stands; one that is over is a Conflict.
        """
        now_ms = self._clock.now_ms()
        act = await asyncio.to_thread(self._read_act, act_id)
        if act.state in ("sent", "accepted", "running") and act.action != "stop":
            await self.stop(act.zone_key or act.device_key, actor=actor, trail=trail)
            return await asyncio.to_thread(self._read_act, act_id)
        trail = trail or Trail(actor, "local", now_ms)
        act = await self._write(lambda session: requests.withdraw_act(session, act_id, actor=actor, now_ms=now_ms, trail=trail))
        self.tell([act])
        self._wake.set()
        return act

    async def settle_act(self, act_id: str, seen: Settlement, *, actor: str, trail: Trail | None = None) -> Act:
        """End an act of unknown end as a person saw it; see `control.settling.settle_by_hand` for what is refused."""
        now_ms = self._clock.now_ms()
        trail = trail or Trail(actor, "local", now_ms)
        act = await self._write(
            lambda session: requests.settle_act(session, act_id, seen, actor=actor, now_ms=now_ms, trail=trail)
        )
        self.tell([act])
        self._wake.set()
        return act

    def standing(self, session: Session, agency: str) -> Standing:
        """Return how an agency stands with its water this month."""
        return self._book.standings(session, self._clock.now_ms(), [agency], keep=False)[agency]

    async def _write(self, work: Callable[[Session], Answer]) -> Answer:
        return await write_in_thread(self._database, work)

    def _read_act(self, act_id: str) -> Act:
        with self._database.reader() as session:
            return ledger.get_act(session, act_id)
