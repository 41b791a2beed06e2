# SPDX-License-Identifier: Apache-2.0
"""Bring the platform's own words into the journal: what statuses tell, lost sessions, records to be replayed.

Invariants: hearing a status never waits for the journal; a status that waits is replaced by the next of that boot, and
after a crash it comes again, for the broker retains it. A replay is appended under an id of its own, so asking twice is
one replay.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import Final, Literal, Protocol

from gateway.clock import Clock
from gateway.messages import Status
from gateway.topics import Address
from ingest.bursts import StoredBurst
from ingest.errors import Unavailable
from ingest.judge import Judge, Judged, Outcome
from ingest.own_words import find_status, replay_burst, status_burst
from ingest.quarantine import QuarantinedRecord

__all__ = ["MAX_WAITING", "REPLAY_S", "Announcements", "Append", "ReplayOutcome"]

logger = logging.getLogger(__name__)

MAX_WAITING: Final = 20_000  # statuses that wait for the journal; past it the oldest goes, which the broker retains
MAX_TOLD: Final = 1_000  # statuses in one burst
REPLAY_S: Final = 10.0  # longest wait for what comes of a replay, on the wall [s]

ReplayOutcome = Outcome | Literal["waiting"]


class Append(Protocol):
    """Appends a burst to the journal and has it decided about in its turn."""

    async def __call__(self, stored: StoredBurst, burst_id: str | None = None, *, patient: bool = True) -> tuple[int, bool]:
        """Return its position, and whether it is new there; not patient, raise JournalError where it is not taken at once."""


class Announcements:
    """The platform's own words on their way to the journal."""

    def __init__(self, append: Append, judge: Judge, clock: Clock) -> None:
        self._append = append
        self._judge = judge
        self._clock = clock
        self._statuses: dict[tuple[Address, int | None], Status] = {}
        self._told: dict[Address, Status] = {}
        self._arrived = asyncio.Event()
        self._replays: dict[int, asyncio.Future[Outcome]] = {}

    def hear(self, messages: Iterable[tuple[str, bytes]]) -> None:
        """Take note of what devices say of their numbers, given any messages of theirs as (topic, payload)."""
        for topic, payload in messages:
            found = find_status(topic, payload)
            if found is None or self._told.get(found[0]) == found[1]:
                continue
            address, status = found
            self._statuses.pop((address, status.boot), None)
            self._statuses[address, status.boot] = status
            if len(self._statuses) > MAX_WAITING:
                del self._statuses[next(iter(self._statuses))]
            self._arrived.set()

    async def run(self) -> None:
        """Append what was heard, until cancelled."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._statuses:
                keys = list(self._statuses)[:MAX_TOLD]
                told = [(key[0], self._statuses.pop(key)) for key in keys]
                await self._append(status_burst(self._clock.now_ms(), told))
                self._told.update(told)
                while len(self._told) > MAX_WAITING:
                    del self._told[next(iter(self._told))]

    async def replay(self, record: QuarantinedRecord) -> ReplayOutcome | None:
        """Have a quarantined record decided about anew, and wait for what comes of it.

        Returns
        -------
        str or None
            "waiting": it is in the journal, and is decided about when its turn comes. None: it was replayed before;
            whether it is still in quarantine says how that ended.

        Raises
        ------
        JournalError
            The journal does not take it now.
        """
        burst_id = f"replay-{record.id}-{record.replays}"
        try:
            async with asyncio.timeout(REPLAY_S):
                position, fresh = await self._append(replay_burst(record), burst_id, patient=False)
        except TimeoutError as exc:
            raise Unavailable("the journal takes nothing at present; /readyz says why") from exc
        if not fresh and position <= self._judge.position:
            return None
        outcome = self._replays.setdefault(position, asyncio.get_running_loop().create_future())
        done, _ = await asyncio.wait({outcome}, timeout=REPLAY_S)
        self._replays.pop(position, None)
        return outcome.result() if done else "waiting"

    def settle(self, judged: Judged) -> None:
        """Tell those who wait for a replay what came of it."""
        for position, outcome in judged.outcomes.items():
            waiting = self._replays.get(position)
            if waiting is not None and not waiting.done():
                waiting.set_result(outcome)
