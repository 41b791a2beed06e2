# SPDX-License-Identifier: Apache-2.0
"""Watch whether the broker still holds all it acknowledged to devices, and note in the journal when it may not.

Two signs: it greets us without the session it had, or one of our own died with more in memory than on disk (`BrokerSave`).
Invariants: a loss is noted once and before what came after it; its window begins no later than the first thing lost, for
it begins where all was seen to be here, or with what was in the queues that came back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from gateway.broker_save import BrokerLoss, BrokerSave
from gateway.clock import Clock
from gateway.link import Link
from ingest.bursts import StoredBurst
from ingest.gaps import SessionLosses
from ingest.own_words import session_lost_burst

__all__ = ["LOOK_S", "SessionWatch"]

LOOK_S: Final = 1.0  # between two looks, on the wall [s]


class SessionWatch:
    """What is known of the broker's memory.

    Parameters
    ----------
    link : Link
        To the broker.
    sessions : SessionLosses
        Where `good_ms` is kept.
    put : callable
        Appends a burst to the journal.
    expected : bool
        Whether the broker must have a session of ours at the first connection.
    broker : BrokerSave, optional
        Of a broker of our own.
    """

    def __init__(
        self,
        link: Link,
        sessions: SessionLosses,
        clock: Clock,
        put: Callable[[StoredBurst], Awaitable[object]],
        *,
        expected: bool,
        broker: BrokerSave | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._link = link
        self._sessions = sessions
        self._clock = clock
        self._put = put
        self._expected = expected
        self._broker = broker
        self._sleep = sleep
        self._noted = 0
        self._noted_death: BrokerLoss | None = None

    async def run(self) -> None:
        """Note a loss also while nothing comes, and until when nothing is missing; until cancelled."""
        while True:
            await self._sleep(LOOK_S)
            await self.note()
            at_ms = self._clock.now_ms()
            if await self._link.wait_caught_up() and not self._is_lost:
                self._sessions.good_ms = at_ms

    async def note(self) -> None:
        """Say in the journal what was lost; to be called before what comes after is put there."""
        if not self._link.connected or not self._is_lost:
            return  # what was read before goes first, and only when it greets us the broker shows what it remembers
        death = self._death
        at_ms = self._clock.now_ms()
        since_ms = self._since_ms(at_ms, death)
        self._noted, self._noted_death = self._missed, death or self._noted_death
        await self._put(session_lost_burst(at_ms, since_ms))
        if death is not None and self._broker is not None:
            self._broker.settle(death)

    @property
    def _missed(self) -> int:
        """How often the broker had no session that should have been there."""
        counters = self._link.counters
        return counters.sessions_made if self._expected else counters.sessions_lost

    @property
    def _death(self) -> BrokerLoss | None:
        death = self._broker.loss if self._broker is not None else None
        return None if death == self._noted_death else death

    @property
    def _is_lost(self) -> bool:
        return self._death is not None or self._missed > self._noted

    def _since_ms(self, at_ms: int, death: BrokerLoss | None) -> int | None:
        since_ms = self._sessions.good_ms
        age_s = self._broker.age_s(death) if self._broker is not None and death is not None else None
        if age_s is not None and self._link.session_present:
            since_ms = max(since_ms, at_ms - int(age_s * 1000 * self._clock.speed) - 1)
        return since_ms or None
