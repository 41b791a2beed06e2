# SPDX-License-Identifier: Apache-2.0
"""Clocks: the wall's, one that runs faster, and one that is stepped by hand.

Invariant: time is UTC, in milliseconds since the Unix epoch; it never comes from anywhere but a clock passed in.
Under a scaled clock the platform and its virtual devices share one origin, kept in a file, so that time goes on after a kill.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import json
import os
import time
from pathlib import Path
from typing import Protocol

__all__ = ["Clock", "ScaledClock", "SteppedClock", "WallClock", "load_clock", "read_clock", "save_clock"]


class Clock(Protocol):
    """Tell the time and wait by it."""

    @property
    def speed(self) -> float:
        """Seconds of this clock in one second on the wall."""

    def now_ms(self) -> int:
        """Return the time. [ms since the Unix epoch, UTC]"""

    async def sleep(self, seconds: float) -> None:
        """Wait for that long on this clock. [s]"""


class ScaledClock:
    """A clock that runs `speed` times as fast as the wall, from a fixed origin.

    Parameters
    ----------
    wall_ms, origin_ms : int
        When the wall's clock showed `wall_ms`, this one showed `origin_ms`. [ms since the Unix epoch]
    speed : float
        Seconds of this clock in one second on the wall; above 0.
    """

    def __init__(self, wall_ms: int, origin_ms: int, speed: float) -> None:
        if not 0 < speed < float("inf"):
            raise ValueError(f"speed is {speed}; it must be a number above 0")
        self._wall_ms = wall_ms
        self._origin_ms = origin_ms
        self._speed = speed

    @property
    def speed(self) -> float:
        return self._speed

    def now_ms(self) -> int:
        return self._origin_ms + int((time.time() * 1000 - self._wall_ms) * self._speed)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(seconds, 0.0) / self._speed)


class WallClock(ScaledClock):
    """The machine's own clock."""

    def __init__(self) -> None:
        super().__init__(0, 0, 1.0)


class SteppedClock:
    """A clock that stands still until it is told to go on; sleepers wake in the order of their time."""

    def __init__(self, start_ms: int) -> None:
        self._now_ms = start_ms
        self._order = itertools.count()
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []

    @property
    def speed(self) -> float:
        return 1.0

    def now_ms(self) -> int:
        return self._now_ms

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now_ms + round(seconds * 1000), next(self._order), future))
        await future

    async def advance(self, seconds: float) -> None:
        """Go on by `seconds`, waking every sleeper at its own time. [s]"""
        end = self._now_ms + round(seconds * 1000)
        while self._sleepers and self._sleepers[0][0] <= end:
            self._now_ms, _, future = heapq.heappop(self._sleepers)
            if not future.done():
                future.set_result(None)
            # A woken task may sleep again before `end`: let it run first.
            for _ in range(8):
                await asyncio.sleep(0)
        self._now_ms = end


def load_clock(path: Path, *, speed: float, start_ms: int | None = None) -> ScaledClock:
    """Return the clock kept at `path`, going on from where it was; a first one starts at `start_ms`.

    A change of speed keeps the time and changes the pace from now on.

    Parameters
    ----------
    speed : float
        Wanted pace; 1 for the wall's own.
    start_ms : int or None
        Time at the first start; None for the wall's. [ms since the Unix epoch]
    """
    clock = read_clock(path)
    if clock is None:
        if speed == 1 and start_ms is None:
            return WallClock()
        wall_ms = time.time_ns() // 1_000_000
        clock = ScaledClock(wall_ms, wall_ms if start_ms is None else start_ms, speed)
    elif clock.speed == speed:
        return clock
    else:
        clock = ScaledClock(time.time_ns() // 1_000_000, clock.now_ms(), speed)
    save_clock(path, clock)
    # Read back, so that everybody who reads the file has exactly this clock.
    return read_clock(path) or clock


def read_clock(path: Path) -> ScaledClock | None:
    """Return the clock kept at `path`, or None where there is none."""
    try:
        kept = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return None
    return ScaledClock(int(kept["wall_ms"]), int(kept["origin_ms"]), float(kept["speed"]))


def save_clock(path: Path, clock: ScaledClock) -> None:
    """Keep the clock's origin at `path`, whole or not at all."""
    wall_ms = time.time_ns() // 1_000_000
    text = json.dumps({"wall_ms": wall_ms, "origin_ms": clock.now_ms(), "speed": clock.speed})
    draft = path.with_suffix(".tmp")
    with draft.open("w", encoding="utf-8") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
