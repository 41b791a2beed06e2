# SPDX-License-Identifier: Apache-2.0
"""What happens, told live to whoever listens: the source of server-sent events and of the demo's lines.

Invariant: a slow listener costs nobody else anything; what it misses is counted and told to it.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["MAX_EACH", "MAX_PENDING", "MAX_SUBSCRIBERS", "Event", "LiveFeed", "Subscription", "TooManySubscribers"]

MAX_PENDING: Final = 1_000  # events waiting for one listener; past it the oldest is dropped and counted
MAX_SUBSCRIBERS: Final = 1_000
MAX_EACH: Final = 500  # of these one caller's: nobody alone can shut out the rest
KEPT: Final = 2_000  # past events that a returning listener is still told
RETURN_S: Final = 60.0  # so long after the last listener left, events are made as if it were still there [s]


class TooManySubscribers(Exception):
    """As many listeners as are allowed are there already; close one and try again."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened. `number` rises by one an event, so that a listener can tell where it was."""

    number: int
    name: str
    data: Mapping[str, Any]


class Subscription:
    """One listener's events, in order."""

    def __init__(self, past: Iterable[Event] = (), missed: int = 0) -> None:
        self._loop = asyncio.get_running_loop()
        past = list(past)
        self._pending: deque[Event] = deque(past, maxlen=MAX_PENDING)
        self._ready = asyncio.Event()
        self.missed = missed + max(len(past) - MAX_PENDING, 0)

    def put(self, event: Event) -> None:
        """Hand over an event, from any thread."""
        if len(self._pending) == MAX_PENDING:
            self.missed += 1
        self._pending.append(event)
        self._loop.call_soon_threadsafe(self._ready.set)

    async def next(self, timeout: float) -> Event | None:
        """Return the next event, or None when none came for `timeout` seconds (on the wall)."""
        if not self._pending:
            self._ready.clear()
            try:
                await asyncio.wait_for(self._ready.wait(), timeout)
            except TimeoutError:
                return None
        return self._pending.popleft() if self._pending else None


class LiveFeed:
    """Tell events to all listeners. Thread-safe.

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
            event = Event(self._number, name, data)
            self._past.append(event)
            for subscription in self._subscriptions:
                subscription.put(event)

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
            return Subscription()
        past = [event for event in self._past if event.number > after]
        # What happened before this start is not known: at least one event is said to be missing.
        first = past[0].number if past else self._number + 1
        return Subscription(past, 1 if after < self._start else first - after - 1)
