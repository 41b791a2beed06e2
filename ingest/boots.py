# SPDX-License-Identifier: Apache-2.0
"""What came of one boot of a device, and of one device: numbers as ranges.

Invariants: `missing` holds exactly the numbers up to `high` that never came; `held` exactly those that came and wait in
quarantine, of which nothing was stored. Ranges are half-open, [start, end), and ascend.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from dataclasses import dataclass, field, replace

__all__ = ["BootState", "DeviceState", "GapRange"]

_ABOVE_ALL = 2**64  # past every number, to search ranges by their start


@dataclass(frozen=True, slots=True)
class GapRange:
    """Numbers [start, end) of a boot that never came.

    Attributes
    ----------
    since_ms : int
        Time of receipt of what showed that they are missing. [ms since the Unix epoch]
    lost : bool
        Nobody waits for them any more.
    """

    boot: int
    start: int
    end: int
    since_ms: int
    lost: bool


@dataclass(slots=True)
class BootState:
    """What came of one boot.

    Attributes
    ----------
    high : int
        The highest number that came, was given up, or was told to be the boot's last.
    missing : list
        Ranges (start, end, since_ms) up to it that never came.
    floor : int
        Below it nothing is waited for; what comes from there all the same is new, and no longer lost.
    ended : bool
        The device has told this boot's last number, so nothing can be missing unseen behind `high`.
    held : list
        Ranges (start, end) that came and were put into quarantine.
    """

    high: int = -1
    missing: list[tuple[int, int, int]] = field(default_factory=list)
    floor: int = 0
    ended: bool = False
    held: list[tuple[int, int]] = field(default_factory=list)

    def take(self, seq: int, at_ms: int) -> bool:
        """Note that `seq` came; tell whether it is new."""
        if seq > self.high:
            self._reach(seq, at_ms)
            self.high = seq
            return True
        at = bisect_right(self.missing, (seq, _ABOVE_ALL)) - 1
        if at < 0 or not self.missing[at][0] <= seq < self.missing[at][1]:
            return False
        start, end, since_ms = self.missing[at]
        self.missing[at : at + 1] = [(first, past, since_ms) for first, past in ((start, seq), (seq + 1, end)) if first < past]
        return True

    def _reach(self, seq: int, at_ms: int) -> None:
        if seq > self.high + 1:
            self.missing.append((self.high + 1, seq, at_ms))

    def end_at(self, seq: int, at_ms: int) -> None:
        """Note that `seq` was the boot's last number: what has not come up to it is missing."""
        if seq > self.high:
            self._reach(seq + 1, at_ms)
            self.high = seq
        self.ended = True

    def give_up(self, below: int, at_ms: int) -> int:
        """Wait no longer for numbers below `below`; return how many more are lost by that."""
        if below > self.high + 1:
            self._reach(below, at_ms)
            self.high = below - 1
        floor = self.floor
        self.floor = max(floor, below)
        return sum(max(min(end, below) - max(start, floor), 0) for start, end, _ in self.missing)

    def forget_oldest(self) -> int:
        """Forget the oldest missing range, which then counts as come; return how many are lost by that."""
        start, end, _ = self.missing.pop(0)
        return max(end - max(start, self.floor), 0)

    def hold(self, seq: int) -> None:
        """Note that `seq` waits in quarantine."""
        at = bisect_right(self.held, (seq, _ABOVE_ALL))
        before = self.held[at - 1] if at else None
        after = self.held[at] if at < len(self.held) else None
        if before is not None and seq < before[1]:
            return
        start, end, first, past = seq, seq + 1, at, at
        if before is not None and before[1] == seq:
            start, first = before[0], at - 1
        if after is not None and after[0] == end:
            end, past = after[1], at + 1
        self.held[first:past] = [(start, end)]

    def release(self, seq: int) -> bool:
        """Take `seq` out of what waits in quarantine; tell whether it was there."""
        at = bisect_right(self.held, (seq, _ABOVE_ALL)) - 1
        if at < 0 or not self.held[at][0] <= seq < self.held[at][1]:
            return False
        start, end = self.held[at]
        self.held[at : at + 1] = [part for part in ((start, seq), (seq + 1, end)) if part[0] < part[1]]
        return True

    @property
    def waited_for(self) -> list[tuple[int, int]]:
        """The missing ranges [start, end) that may still come."""
        return [(max(start, self.floor), end) for start, end, _ in self.missing if end > self.floor]

    @property
    def waiting(self) -> int:
        """How many numbers may still come."""
        return sum(end - start for start, end in self.waited_for)

    @property
    def contiguous(self) -> int:
        """The highest number up to which everything came or is given up; -1 when the first is waited for."""
        first = next((max(start, self.floor) for start, end, _ in self.missing if end > self.floor), None)
        return self.high if first is None else first - 1

    def gaps(self, boot: int) -> list[GapRange]:
        """Return what is missing of this boot, cut where what is lost ends."""
        found = []
        for start, end, since_ms in self.missing:
            cut = min(max(start, self.floor), end)
            parts = ((start, cut, True), (cut, end, False))
            found += [GapRange(boot, first, past, since_ms, lost) for first, past, lost in parts if first < past]
        return found

    def copy(self) -> BootState:
        """Return a copy that nobody else changes."""
        return replace(self, missing=list(self.missing), held=list(self.held))


@dataclass(slots=True)
class DeviceState:
    """What came of one device.

    Attributes
    ----------
    boots : dict
        Boot number to its state; the current one's `high` is kept in the array of `Sequences` and written back when needed.
    lost : int
        Numbers given up for good.
    recent : dict
        Zone to the last times of measurement of records without numbers. [ms since the Unix epoch]
    """

    boots: dict[int, BootState] = field(default_factory=dict)
    lost: int = 0
    recent: dict[int, OrderedDict[int, None]] = field(default_factory=dict)

    @property
    def waiting(self) -> int:
        """How many numbers are missing and may still come."""
        return sum(part.waiting for part in self.boots.values())

    @property
    def gaps(self) -> list[GapRange]:
        """What is missing, by boot and number."""
        return [gap for boot in sorted(self.boots) for gap in self.boots[boot].gaps(boot)]

    @property
    def ends_unknown(self) -> list[int]:
        """Boots that are over and whose last number the device never told: what was lost at their end cannot be seen."""
        newest = max(self.boots, default=0)
        return sorted(boot for boot, part in self.boots.items() if boot < newest and not part.ended)

    def copy(self) -> DeviceState:
        """Return a copy that nobody else changes."""
        boots = {boot: part.copy() for boot, part in self.boots.items()}
        return DeviceState(boots, self.lost, {zone: times.copy() for zone, times in self.recent.items()})
