# SPDX-License-Identifier: Apache-2.0
"""Tell new records from ones that came before, and know what is missing.

Each device numbers its records (boot, seq). An array of the highest number seen decides the common case, in one go for a
burst; only what does not simply follow is looked at one by one. Devices that do not number are told by (zone, ts).
Invariants: a number is new once, also when nobody waits for it any more; what never came is held as ranges, and what of it
was given up is counted as lost, so that missing and lost together are what the device numbered and nobody has.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ingest.boots import BootState, DeviceState
from ingest.store.batch import CLOCK_SERVER, NOT_GIVEN, Rows

__all__ = ["MAX_BOOTS", "MAX_RANGES", "MAX_RECENT", "GapTotals", "Sequences"]

MAX_RANGES: Final = 65_536  # missing ranges kept of a device; past it the oldest counts as lost and then as come
MAX_BOOTS: Final = 256  # boots kept of a device; of an older one nothing is known any more
MAX_RECENT: Final = 4_096  # times kept of a zone whose device does not number its records


@dataclass(frozen=True, slots=True)
class GapTotals:
    """Of all devices: ranges that wait, how many numbers they hold, and how many are lost."""

    gaps: int
    missing: int
    lost: int


class Sequences:
    """What came of every device; indexed by device number. Thread-safe: what it gives away are copies."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._boot = np.full(64, NOT_GIVEN, np.int64)
        self._high = np.full(64, NOT_GIVEN, np.int64)
        self._states: dict[int, DeviceState] = {}
        self._changed: set[int] = set()
        self.duplicates = 0

    def take(self, rows: Rows, at_ms: int = 0) -> NDArray[np.bool_]:
        """Note that these rows came; return which are new, shape (n,). What they leave out is missing since `at_ms`."""
        with self._lock:
            return self._take(rows, at_ms)

    def _take(self, rows: Rows, at_ms: int) -> NDArray[np.bool_]:
        new = np.ones(len(rows), np.bool_)
        if not len(rows):
            return new
        self._grow(int(rows.device.max()) + 1)
        numbered = (rows.boot >= 0) & (rows.seq >= 0)
        if numbered.all():
            self._take_numbered(rows, np.arange(len(rows)), new, at_ms)
        else:
            self._take_numbered(rows, np.flatnonzero(numbered), new, at_ms)
            self._take_by_time(rows, np.flatnonzero(~numbered & (rows.flags & CLOCK_SERVER == 0)), new)
        self.duplicates += int(len(new) - np.count_nonzero(new))
        return new

    def _take_numbered(self, rows: Rows, at: NDArray[np.intp], new: NDArray[np.bool_], at_ms: int) -> None:
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
            new[order[i]] = self._take_one(int(device[i]), int(boot[i]), int(seq[i]), at_ms)

    def take_one(self, device: int, boot: int, seq: int, at_ms: int = 0) -> bool:
        """Note that one numbered record came; tell whether it is new."""
        with self._lock:
            return self._take_one(device, boot, seq, at_ms)

    def _take_one(self, device: int, boot: int, seq: int, at_ms: int) -> bool:
        state, part = self._boot_state(device, boot)
        if part is None:
            return True  # of a boot so old that nothing is known of it
        ranges = len(part.missing)
        new = part.take(seq, at_ms)
        if new and seq < part.floor:
            state.lost -= 1
        self._keep(device, state, boot, part, grown=len(part.missing) > ranges)
        return new

    def hold(self, device: int, boot: int, seq: int, at_ms: int = 0) -> None:
        """Note that one numbered record came that goes to quarantine; one that came before stays what it was."""
        with self._lock:
            state, part = self._boot_state(device, boot)
            if part is None or not self._take_one(device, boot, seq, at_ms):
                return
            part.hold(seq)
            if sum(len(kept.held) for kept in state.boots.values()) > MAX_RANGES:
                oldest = min(number for number, kept in state.boots.items() if kept.held)
                state.boots[oldest].held.pop(0)  # it can be replayed no longer

    def take_held(self, rows: Rows, at_ms: int = 0) -> NDArray[np.bool_]:
        """Note that these rows came again, out of quarantine; new is also what was only held there, shape (n,)."""
        with self._lock:
            released = np.zeros(len(rows), np.bool_)
            for i in np.flatnonzero((rows.boot >= 0) & (rows.seq >= 0)).tolist():
                state = self._states.get(int(rows.device[i]))
                part = state.boots.get(int(rows.boot[i])) if state is not None else None
                if part is not None and part.release(int(rows.seq[i])):
                    released[i] = True
                    self._changed.add(int(rows.device[i]))
            new = self._take(rows, at_ms) | released
            self.duplicates -= int(np.count_nonzero(released))  # for they had come, and were no duplicates
            return new

    def note_boot(self, device: int, boot: int) -> None:
        """Note that a device has begun this boot; of one that never numbered a record nothing is noted."""
        with self._lock:
            if device in self._states and self._states[device].boots:
                self._boot_state(device, boot)
                self._changed.add(device)

    def end_boot(self, device: int, boot: int, seq: int, at_ms: int = 0) -> None:
        """Note that `seq` was the last number of a boot that is over: what has not come of it is missing."""
        with self._lock:
            state, part = self._boot_state(device, boot)
            if part is not None:
                part.end_at(seq, at_ms)
                self._keep(device, state, boot, part, grown=True)

    def _keep(self, device: int, state: DeviceState, boot: int, part: BootState, *, grown: bool) -> None:
        """Write back what changed of a boot and hold the bound of ranges."""
        if grown and sum(len(kept.missing) for kept in state.boots.values()) > MAX_RANGES:
            oldest = min(number for number, kept in state.boots.items() if kept.missing)
            state.lost += state.boots[oldest].forget_oldest()
        if boot == self._boot[device]:
            self._high[device] = part.high
        self._changed.add(device)

    def _boot_state(self, device: int, boot: int) -> tuple[DeviceState, BootState | None]:
        """Return a device's state and its boot's, made where it is new; None for one older than all that are kept."""
        self._grow(device + 1)
        state = self._state(device)
        boots = state.boots
        if boot not in boots:
            boots[boot] = BootState()
            if len(boots) > MAX_BOOTS:
                state.lost += boots.pop(min(boots)).waiting
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
            return self._state(device).copy() if device in self._states else None

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
            return [(device, self._state(device).copy()) for device in sorted(changed)]

    def mark_changed(self, devices: Iterable[int]) -> None:
        """Have these given by `take_changed` again: what it gave was not kept."""
        with self._lock:
            self._changed.update(devices)

    def give_up(self, device: int, boot: int, seq: int, at_ms: int = 0) -> int:
        """Wait no longer for what lies before (boot, seq): the device holds nothing older. Return how many more are lost."""
        with self._lock:
            state, part = self._boot_state(device, boot)
            lost = sum(kept.give_up(kept.high + 1, at_ms) for number, kept in state.boots.items() if number < boot)
            if part is not None:
                lost += part.give_up(seq, at_ms)
                self._keep(device, state, boot, part, grown=True)
            state.lost += lost
            self._changed.add(device)
            return lost

    def totals(self) -> GapTotals:
        """Return what is missing of all devices together."""
        with self._lock:
            gaps = missing = lost = 0
            for state in self._states.values():
                lost += state.lost
                for part in state.boots.values():
                    if part.missing:
                        waited = part.waited_for
                        gaps += len(waited)
                        missing += sum(end - start for start, end in waited)
            return GapTotals(gaps, missing, lost)

    def contiguous(self, device: int, boot: int) -> int:
        """Return the number up to which nothing of a boot is waited for; -1 when the first is, or nothing is known."""
        with self._lock:
            known = self._state(device).boots.get(boot) if device in self._states else None
            return NOT_GIVEN if known is None else known.contiguous
