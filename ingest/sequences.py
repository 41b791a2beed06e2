# SPDX-License-Identifier: Apache-2.0
"""Tell new records from ones that came before, and know what is missing.

Each device numbers its records (boot, seq). An array of the highest number seen decides the common case, in one go for a
burst; only what does not simply follow is looked at one by one. Devices that do not number are told by (zone, ts).
Invariants: a number is new once, also when nobody waits for it any more; `missing` holds exactly the numbers up to the
highest that never came.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ingest.store.batch import CLOCK_SERVER, NOT_GIVEN, Rows

__all__ = ["MAX_BOOTS", "MAX_RANGES", "MAX_RECENT", "BootState", "DeviceState", "Sequences"]

MAX_RANGES: Final = 65_536  # missing ranges kept of a device; past it the oldest counts as lost and then as come
MAX_BOOTS: Final = 256  # boots kept of a device; of an older one nothing is known any more
MAX_RECENT: Final = 4_096  # times kept of a zone whose device does not number its records


@dataclass(slots=True)
class BootState:
    """What came of one boot.

    Attributes
    ----------
    high : int
        The highest number that came or was given up.
    missing : list
        Ranges [start, end) up to it that never came, ascending.
    floor : int
        Below it nothing is waited for; what comes from there all the same is new, and no longer lost.
    """

    high: int = -1
    missing: list[tuple[int, int]] = field(default_factory=list)
    floor: int = 0

    def take(self, seq: int) -> bool:
        """Note that `seq` came; tell whether it is new."""
        if seq > self.high:
            if seq > self.high + 1:
                self.missing.append((self.high + 1, seq))
            self.high = seq
            return True
        at = bisect_right(self.missing, (seq, 2**64)) - 1
        if at < 0 or not self.missing[at][0] <= seq < self.missing[at][1]:
            return False
        start, end = self.missing[at]
        self.missing[at : at + 1] = [part for part in ((start, seq), (seq + 1, end)) if part[0] < part[1]]
        return True

    def give_up(self, below: int) -> int:
        """Wait no longer for numbers below `below`; return how many more are lost by that."""
        if below > self.high + 1:
            self.missing.append((self.high + 1, below))
            self.high = below - 1
        floor = self.floor
        self.floor = max(floor, below)
        return sum(max(min(end, below) - max(start, floor), 0) for start, end in self.missing)

    def forget_oldest(self) -> int:
        """Forget the oldest missing range, which then counts as come; return how many are lost by that."""
        start, end = self.missing.pop(0)
        return max(end - max(start, self.floor), 0)

    @property
    def waited_for(self) -> list[tuple[int, int]]:
        """The missing ranges [start, end) that may still come."""
        return [(max(start, self.floor), end) for start, end in self.missing if end > self.floor]

    @property
    def contiguous(self) -> int:
        """The highest number up to which everything came or is given up; -1 when the first is waited for."""
        first = next((max(start, self.floor) for start, end in self.missing if end > self.floor), None)
        return self.high if first is None else first - 1


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


class Sequences:
    """What came of every device; indexed by device number. Thread-safe: what it gives away are copies."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._boot = np.full(64, NOT_GIVEN, np.int64)
        self._high = np.full(64, NOT_GIVEN, np.int64)
        self._states: dict[int, DeviceState] = {}
        self._changed: set[int] = set()
        self.duplicates = 0

    def take(self, rows: Rows) -> NDArray[np.bool_]:
        """Note that these rows came; return which are new, shape (n,)."""
        with self._lock:
            return self._take(rows)

    def _take(self, rows: Rows) -> NDArray[np.bool_]:
        new = np.ones(len(rows), np.bool_)
        if not len(rows):
            return new
        self._grow(int(rows.device.max()) + 1)
        numbered = (rows.boot >= 0) & (rows.seq >= 0)
        if numbered.all():
            self._take_numbered(rows, np.arange(len(rows)), new)
        else:
            self._take_numbered(rows, np.flatnonzero(numbered), new)
            self._take_by_time(rows, np.flatnonzero(~numbered & (rows.flags & CLOCK_SERVER == 0)), new)
        self.duplicates += int(len(new) - np.count_nonzero(new))
        return new

    def _take_numbered(self, rows: Rows, at: NDArray[np.intp], new: NDArray[np.bool_]) -> None:
        if not len(at):
            return
        order = at[np.argsort(rows.device[at], kind="stable")]
        device, boot, seq = rows.device[order], rows.boot[order], rows.seq[order]
        first = np.ones(len(order), np.bool_)
        first[1:] = device[1:] != device[:-1]
        before_boot, before_seq = np.roll(boot, 1), np.roll(seq, 1)
        before_boot[first], before_seq[first] = self._boot[device[first]], self._high[device[first]]
        follows = (boot == before_boot) & (seq == before_seq + 1)
        last = np.roll(first, -1)
        if follows.all():
            self._high[device[last]] = seq[last]
            self._changed.update(device[last].tolist())
            return
        odd = np.isin(device, device[~follows])
        plain = last & ~odd
        self._high[device[plain]] = seq[plain]
        self._changed.update(device[plain].tolist())
        for i in np.flatnonzero(odd).tolist():
            new[order[i]] = self._take_one(int(device[i]), int(boot[i]), int(seq[i]))

    def take_one(self, device: int, boot: int, seq: int) -> bool:
        """Note that one numbered record came, be it good or in quarantine; tell whether it is new."""
        with self._lock:
            return self._take_one(device, boot, seq)

    def _take_one(self, device: int, boot: int, seq: int) -> bool:
        state, part = self._boot_state(device, boot)
        if part is None:
            return True  # of a boot so old that nothing is known of it
        ranges = len(part.missing)
        new = part.take(seq)
        if new and seq < part.floor:
            state.lost -= 1
        if len(part.missing) > ranges and sum(len(kept.missing) for kept in state.boots.values()) > MAX_RANGES:
            oldest = min(number for number, kept in state.boots.items() if kept.missing)
            state.lost += state.boots[oldest].forget_oldest()
        if boot == self._boot[device]:
            self._high[device] = part.high
        self._changed.add(device)
        return new

    def _boot_state(self, device: int, boot: int) -> tuple[DeviceState, BootState | None]:
        """Return a device's state and its boot's, made where it is new; None for one older than all that are kept."""
        self._grow(device + 1)
        state = self._state(device)
        boots = state.boots
        if boot not in boots:
            boots[boot] = BootState()
            if len(boots) > MAX_BOOTS:
                del boots[min(boots)]
            self._boot[device] = max(boots)
            self._high[device] = boots[max(boots)].high
        return state, boots.get(boot)

    def _take_by_time(self, rows: Rows, at: NDArray[np.intp], new: NDArray[np.bool_]) -> None:
        for i in at.tolist():
            device, zone, ts_ms = int(rows.device[i]), int(rows.zone[i]), int(rows.ts_ms[i])
            recent = self._state(device).recent.setdefault(zone, OrderedDict())
            new[i] = ts_ms not in recent
            recent[ts_ms] = None
            if len(recent) > MAX_RECENT:
                recent.popitem(last=False)
            self._changed.add(device)

    def _grow(self, size: int) -> None:
        if size > len(self._boot):
            more = np.full(max(size, 2 * len(self._boot)) - len(self._boot), NOT_GIVEN, np.int64)
            self._boot = np.concatenate([self._boot, more])
            self._high = np.concatenate([self._high, more])

    def _state(self, device: int) -> DeviceState:
        """Return a device's state with the array's current number written into it."""
        state = self._states.setdefault(device, DeviceState())
        if device < len(self._boot) and self._boot[device] >= 0:
            state.boots[int(self._boot[device])].high = int(self._high[device])
        return state

    def state(self, device: int) -> DeviceState | None:
        """Return what is known of a device, or None."""
        with self._lock:
            return _copy(self._state(device)) if device in self._states else None

    def restore(self, device: int, state: DeviceState) -> None:
        """Put back what a checkpoint held."""
        with self._lock:
            self._grow(device + 1)
            self._states[device] = state
            if state.boots:
                newest = max(state.boots)
                self._boot[device], self._high[device] = newest, state.boots[newest].high

    def take_changed(self) -> list[tuple[int, DeviceState]]:
        """Return the devices that changed since the last call, with their states."""
        with self._lock:
            changed, self._changed = self._changed, set()
            return [(device, _copy(self._state(device))) for device in sorted(changed)]

    def mark_changed(self, devices: Iterable[int]) -> None:
        """Have these given by `take_changed` again: what it gave was not kept."""
        with self._lock:
            self._changed.update(devices)

    def give_up(self, device: int, boot: int, seq: int) -> int:
        """Wait no longer for what lies before (boot, seq): the device holds nothing older. Return how many more are lost."""
        with self._lock:
            state, _ = self._boot_state(device, boot)
            lost = sum(part.give_up(part.high + 1) for number, part in state.boots.items() if number < boot)
            if boot in state.boots:
                lost += state.boots[boot].give_up(seq)
                if boot == self._boot[device]:
                    self._high[device] = state.boots[boot].high
            state.lost += lost
            self._changed.add(device)
            return lost

    def contiguous(self, device: int, boot: int) -> int:
        """Return the number up to which nothing of a boot is waited for; -1 when the first is, or nothing is known."""
        with self._lock:
            known = self._state(device).boots.get(boot) if device in self._states else None
            return NOT_GIVEN if known is None else known.contiguous


def _copy(state: DeviceState) -> DeviceState:
    boots = {boot: replace(part, missing=list(part.missing)) for boot, part in state.boots.items()}
    return DeviceState(boots, state.lost, {zone: times.copy() for zone, times in state.recent.items()})
