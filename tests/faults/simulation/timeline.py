# SPDX-License-Identifier: Apache-2.0
"""The one clock and the one order of events of a simulated world.

Invariant: what happens follows from the seed alone. Everything noted goes into a hash; ids, which nobody can guess, are
noted by the order in which they first appear.
"""

from __future__ import annotations

import hashlib
import heapq
import itertools
import random
import re
from collections import deque
from collections.abc import Callable
from typing import Final

__all__ = ["SECOND_US", "Timeline"]

SECOND_US: Final = 1_000_000
_ID: Final = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
_REMEMBERED: Final = 400  # notes kept in words, for whoever looks into a failure


class Timeline:
    """Do things at their time, those of one instant in the order in which they were asked for."""

    def __init__(self, seed: int, start_ms: int, *, steady: bool = False) -> None:
        self.steady = steady
        self.random = random.Random(seed)
        self.now_us = start_ms * 1000
        self.notes: deque[str] = deque(maxlen=_REMEMBERED)
        self._order = itertools.count()
        self._waiting: list[tuple[int, int, Callable[[], None]]] = []
        self._hash = hashlib.sha256()
        self._names: dict[str, str] = {}

    @property
    def now_ms(self) -> int:
        """True time. [ms since the Unix epoch]"""
        return self.now_us // 1000

    @property
    def hash(self) -> str:
        """The hash of everything noted."""
        return self._hash.hexdigest()

    def at(self, us: int, call: Callable[[], None]) -> None:
        """Do something at an instant, or as soon as can be where that has passed."""
        heapq.heappush(self._waiting, (max(us, self.now_us), next(self._order), call))

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        """Do something after a while. [s]"""
        self.at(self.now_us + round(seconds * SECOND_US), call)

    def between(self, least_s: float, most_s: float) -> float:
        """Leave a length of time to chance; where all is steady it is the least. [s]"""
        return least_s if self.steady else self.random.uniform(least_s, most_s)

    def run(self, seconds: float) -> None:
        """Let time pass. [s]"""
        end_us = self.now_us + round(seconds * SECOND_US)
        while self._waiting and self._waiting[0][0] <= end_us:
            self.now_us, _, call = heapq.heappop(self._waiting)
            call()
        self.now_us = end_us

    def run_until(self, done: Callable[[], bool], limit_s: float, each_s: float = 1.0) -> bool:
        """Let time pass until something holds, which is looked at each so often; False where it does not in time."""
        end_us = self.now_us + round(limit_s * SECOND_US)
        while not done():
            if self.now_us >= end_us:
                return False
            self.run(each_s)
        return True

    def note(self, *what: object) -> None:
        """Note what happens."""
        text = f"{self.now_us} " + _ID.sub(self._name, " ".join(map(str, what)))
        self._hash.update(text.encode() + b"\n")
        self.notes.append(text)

    def _name(self, found: re.Match[str]) -> str:
        return self._names.setdefault(found[0], f"id-{len(self._names)}")
