# SPDX-License-Identifier: Apache-2.0
"""What happens, told live to whoever listens: the source of server-sent events and of the demo's lines.

Invariant: a slow listener costs nobody else anything; what it misses is counted and told to it.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["MAX_PENDING", "MAX_SUBSCRIBERS", "Event", "LiveFeed", "Subscription", "TooManySubscribers"]

MAX_PENDING: Final = 1_000  # events waiting for one listener; past it the oldest is dropped and counted
MAX_SUBSCRIBERS: Final = 100


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

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._pending: deque[Event] = deque(maxlen=MAX_PENDING)
        self._ready = asyncio.Event()
        self.missed = 0

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
    """Tell events to all listeners. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._number = 0
        self._subscriptions: set[Subscription] = set()

    @property
    def active(self) -> bool:
        """Whether anybody listens; a busy source need not make events for nobody."""
        return bool(self._subscriptions)

    def publish(self, name: str, data: Mapping[str, Any]) -> None:
        """Tell an event to whoever listens now."""
        with self._lock:
            self._number += 1
            event = Event(self._number, name, data)
            for subscription in self._subscriptions:
                subscription.put(event)

    @asynccontextmanager
    async def subscribe(self) -> AsyncIterator[Subscription]:
        """Listen until the context ends.

        Raises
        ------
        TooManySubscribers
            `MAX_SUBSCRIBERS` listen already.
        """
        subscription = Subscription()
        with self._lock:
            if len(self._subscriptions) >= MAX_SUBSCRIBERS:
                raise TooManySubscribers
            self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            with self._lock:
                self._subscriptions.discard(subscription)
