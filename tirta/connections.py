# SPDX-License-Identifier: Apache-2.0
"""Connections over HTTP that ask nothing: the server lets them stay for ever, and they would use up its places.

Invariant: who asks finds a place. A connection without a request is closed after a while, whatever it trickles in; where
too many wait, the one that waits longest makes room; a body comes in time or not at all. What is being answered, a stream
of events too, is left alone.
"""

from __future__ import annotations

import asyncio
import resource
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

__all__ = ["CONNECTIONS_MAX", "Connection", "Patience", "raise_file_limit"]

CONNECTIONS_MAX: Final = 1_500  # with what is being answered; past it the answer is 503
FILES: Final = 8_192  # that one process may have open: connections, databases, the broker's links


@dataclass(slots=True)
class Patience:
    """How long a server waits for its connections, and those that it waits for.

    Attributes
    ----------
    head_s : float
        For the whole head of a request, from when nothing is left to answer. [s]
    body_s : float
        For the whole body, from its head. [s]
    waiting : int
        Connections without a request at a time.
    """

    head_s: float = 15.0
    body_s: float = 60.0
    waiting: int = 400
    _waiting: OrderedDict[Connection, None] = field(default_factory=OrderedDict)

    def enter(self, connection: Connection) -> None:
        """Wait for a connection's next request; the one that waits longest makes room."""
        self._waiting[connection] = None
        while len(self._waiting) > self.waiting:
            self._waiting.popitem(last=False)[0].transport.abort()

    def leave(self, connection: Connection) -> None:
        """Wait no longer: it asks, or has gone."""
        self._waiting.pop(connection, None)


class Connection(H11Protocol):
    """One connection, for which the server is not patient for ever."""

    def __init__(self, patience: Patience, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._patience = patience
        self._deadline: asyncio.TimerHandle | None = None
        self._asked = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._patience.leave(self)
        self._disarm()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        """Take what has come; with the head of a request its body has its own time."""
        before = self.cycle
        super().handle_events()
        if self.cycle is not before and not self.cycle.response_complete:
            self._asked = True
            self._patience.leave(self)
            self._arm(self._patience.body_s)

    def on_response_complete(self) -> None:
        """Wait for the next request, where there is none already."""
        answered = self.cycle
        super().on_response_complete()
        if self.cycle is answered and not self.transport.is_closing():
            self._wait()

    def _wait(self) -> None:
        self._asked = False
        self._patience.enter(self)
        self._arm(self._patience.head_s)

    def _arm(self, delay_s: float) -> None:
        self._disarm()
        self._deadline = self.loop.call_later(delay_s, self._late)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _late(self) -> None:
        # DONE is a request that has come whole: what is left is ours to do.
        if not (self._asked and self.conn.their_state is h11.DONE):
            self.transport.abort()


def raise_file_limit() -> None:
    """Let this process have `FILES` files open, as far as the system allows; a connection is one."""
    with suppress(OSError, ValueError):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
        if soft != resource.RLIM_INFINITY and soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
