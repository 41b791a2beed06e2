# SPDX-License-Identifier: Apache-2.0
"""What is missing, for who asks: gaps of a device, and the times in which the broker may have lost what nobody numbered.

Invariant: a lost session is counted once, in the journal's order, with everything between the last time at which nothing
was missing and its discovery; the newest are kept, all are counted.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

from gateway.topics import Address
from ingest.boots import DeviceState
from ingest.devices import DeviceTable
from ingest.sequences import Sequences

__all__ = ["MAX_WINDOWS", "DeviceGaps", "GapBook", "LostSession", "SessionLosses"]

MAX_WINDOWS: Final = 100  # lost sessions kept


@dataclass(frozen=True, slots=True)
class LostSession:
    """A time [start, end) of which the broker may have lost what it had acknowledged. [ms since the Unix epoch]"""

    start_ms: int
    end_ms: int


class SessionLosses:
    """Lost sessions; one thread writes, any may read.

    Attributes
    ----------
    count : int
        All there were.
    heard_ms : int
        When the last telemetry was received; the start of a window where no better one is told. [ms since the Unix epoch]
    good_ms : int
        What the broker acknowledged until then is in the journal, all of it; 0 where that was never seen. Not of the journal
        but of the link, and set by who watches that. [ms since the Unix epoch]
    windows : tuple of LostSession
        The newest.
    """

    def __init__(self) -> None:
        self.count = 0
        self.heard_ms = 0
        self.good_ms = 0
        self.windows: tuple[LostSession, ...] = ()

    def add(self, at_ms: int, since_ms: int | None = None) -> None:
        """Note that something may be missing of what was acknowledged until `at_ms`; without `since_ms` since the last heard.

        Every loss comes by here, once, and again when the journal is decided about again after a crash.
        """
        self.count += 1
        start_ms = min(since_ms or self.heard_ms or at_ms, at_ms)
        self.windows = (*self.windows, LostSession(start_ms, at_ms))[-MAX_WINDOWS:]

    def dump(self) -> str:
        """Return everything as text."""
        windows = [(window.start_ms, window.end_ms) for window in self.windows]
        kept = {"count": self.count, "heard_ms": self.heard_ms, "good_ms": self.good_ms, "windows": windows}
        return json.dumps(kept, separators=(",", ":"))

    def load(self, text: str) -> None:
        """Take everything from such a text."""
        kept = json.loads(text)
        self.count, self.heard_ms = kept["count"], kept["heard_ms"]
        self.good_ms = kept.get("good_ms", 0)
        self.windows = tuple(LostSession(start, end) for start, end in kept["windows"])


@dataclass(frozen=True, slots=True)
class DeviceGaps:
    """What is missing of one device; `state` is None when nothing ever came of it."""

    state: DeviceState | None
    sessions: tuple[LostSession, ...]


@dataclass(frozen=True, slots=True)
class GapBook:
    """Where to ask what is missing."""

    devices: DeviceTable
    sequences: Sequences
    sessions: SessionLosses

    def of(self, address: Address) -> DeviceGaps:
        """Return what is missing of a device."""
        index = self.devices.index(address)
        return DeviceGaps(None if index is None else self.sequences.state(index), self.sessions.windows)
