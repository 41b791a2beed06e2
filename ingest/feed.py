# SPDX-License-Identifier: Apache-2.0
"""What happens, told live to whoever listens: the source of server-sent events and of the demo's lines.

Events are kept once for all: a listener is a place among them, so that telling an event costs the same for one listener as
for a thousand. Invariant: a slow listener costs nobody else anything; what it misses is counted and told to it.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count, islice
from typing import Any, Final

__all__ = ["MAX_EACH", "MAX_PENDING", "MAX_SUBSCRIBERS", "Event", "LiveFeed", "Subscription", "TooManySubscribers"]

MAX_PENDING: Final = 1_000  # events waiting for one listener; past it the oldest is passed over and counted
MAX_SUBSCRIBERS: Final = 1_000
MAX_EACH: Final = 500  # of these one caller's: nobody alone can shut out the rest
KEPT: Final = 2_000  # past events that a returning listener is still told
RETURN_S: Final = 60.0  # so long after the last listener left, events are made as if it were still there [s]


class TooManySubscribers(Exception):
    """As many listeners as are allowed are there already; close one and try again."""


@dataclass(slots=True)
class Event:
    """Something that happened. `number` rises by one an event, so that a listener can tell where it was.

    Attributes
    ----------
    zone, device, site : str or None
        Keys of what it is about.
    written : bytes
        The event as it is sent, once somebody has written it: the same bytes do for every listener.
    """

    number: int
    name: str
    data: Mapping[str, Any]
    zone: str | None = field(init=False)
    device: str | None = field(init=False)
    site: str | None = field(init=False)
    written: bytes = field(init=False, default=b"")

    def __post_init__(self) -> None:
        self.zone = self.data.get("zone")
        self.device = self.data.get("device") or (None if self.zone is None else self.zone.rpartition(":")[0])
        self.site = self.data.get("site") if self.device is None else self.device.partition(":")[0]


class LiveFeed:
    """Tell events to all listeners, which are all of one event loop; events come from any thread.

    Parameters
    ----------
    start : int
        Number below that of the first event. A service gives one that rises with each of its starts, so that a listener
        from before the last one is known as such.
    monotonic : callable
        Returns a time that only goes forward. [s]
    """

    def __init__(self, start: int = 0, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._lock = threading.Lock()
        self._start = self._number = start
        self._past: deque[Event] = deque(maxlen=KEPT)
        self._monotonic = monotonic
        self._left_s = -RETURN_S
        self._subscriptions: set[Subscription] = set()
        self._whose: Counter[str] = Counter()
        self._waiting: dict[asyncio.Future[None], None] = {}
        self._turns = count()

    @property
    def active(self) -> bool:
        """Whether anybody listens, or may come back; a busy source need not make events for nobody."""
        return bool(self._subscriptions) or self._monotonic() - self._left_s < RETURN_S

    @property
    def listeners(self) -> int:
        """How many listen now."""
        return len(self._subscriptions)

    def publish(self, name: str, data: Mapping[str, Any]) -> None:
        """Tell an event to whoever listens now."""
        with self._lock:
            self._number += 1
            self._past.append(Event(self._number, name, data))
            waiting, self._waiting = self._waiting, {}
        if waiting:
            next(iter(waiting)).get_loop().call_soon_threadsafe(_wake, waiting)

    @asynccontextmanager
    async def subscribe(self, after: int | None = None, whose: str = "") -> AsyncIterator[Subscription]:
        """Listen until the context ends.

        Parameters
        ----------
        after : int or None
            Number of the last event that the listener has: those since then come first, and what is no longer kept of
            them counts as missed. None begins with what happens from now on.
        whose : str
            Who listens; "" is Tirta itself.

        Raises
        ------
        TooManySubscribers
            `MAX_SUBSCRIBERS` listen already, or `MAX_EACH` of this caller.
        """
        with self._lock:
            if len(self._subscriptions) >= MAX_SUBSCRIBERS or (whose and self._whose[whose] >= MAX_EACH):
                raise TooManySubscribers
            self._whose[whose] += 1
            subscription = self._subscription(after)
            self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            with self._lock:
                self._subscriptions.discard(subscription)
                self._whose -= Counter((whose,))  # forgets who has none left
                if not self._subscriptions:
                    self._left_s = self._monotonic()

    def _subscription(self, after: int | None) -> Subscription:
        if after is None or after >= self._number:
            return Subscription(self, self._number, next(self._turns))
        if after >= self._start:
            return Subscription(self, after, next(self._turns))
        # What happened before this start is not known: at least one event is said to be missing.
        return Subscription(self, self._number - len(self._past), next(self._turns), missed=1)

    def _since(self, place: int, most: int) -> tuple[list[Event], int]:
        """Return the first `most` events behind a place that are not passed over, and how many are."""
        with self._lock:
            behind = self._number - place
            kept = min(behind, MAX_PENDING, len(self._past))
            first = len(self._past) - kept
            if kept > len(self._past) // 2:
                return list(islice(self._past, first, first + most)), behind - kept
            newest = list(islice(reversed(self._past), kept))  # what is new stands at the end: the way there is short
            newest.reverse()
            return newest[:most], behind - kept

    def _wait_beyond(self, place: int, waiter: asyncio.Future[None]) -> bool:
        """Have a future set when an event comes behind a place; False if one is there already."""
        with self._lock:
            if self._number > place:
                return False
            self._waiting[waiter] = None
            return True

    def _wait_no_longer(self, waiter: asyncio.Future[None]) -> None:
        with self._lock:
            self._waiting.pop(waiter, None)


class Subscription:
    """One listener's place among the events.

    Attributes
    ----------
    turn : int
        The how manieth listener this is, since the start.
    missed : int
        Events that were passed over before it read them.
    """

    def __init__(self, feed: LiveFeed, place: int, turn: int, missed: int = 0) -> None:
        self._feed = feed
        self._place = place
        self.turn = turn
        self.missed = missed

    async def take(self, timeout: float, most: int = MAX_PENDING) -> list[Event]:
        """Return the next events in their order, up to `most`; none when none came for `timeout` seconds (on the wall)."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._feed._wait_beyond(self._place, waiter):
            try:
                async with asyncio.timeout(timeout):
                    await waiter
            except TimeoutError:
                return []
            finally:
                self._feed._wait_no_longer(waiter)
        events, passed = self._feed._since(self._place, most)
        self.missed += passed
        self._place += passed + len(events)
        return events

    async def next(self, timeout: float) -> Event | None:
        """Return the next event, or None when none came for `timeout` seconds (on the wall)."""
        events = await self.take(timeout, 1)
        return events[0] if events else None


def _wake(waiting: Mapping[asyncio.Future[None], None]) -> None:
    for waiter in waiting:
        if not waiter.done():
            waiter.set_result(None)
