# SPDX-License-Identifier: Apache-2.0
"""Leaks: flow at a meter although every valve of its device is shut.

A meter may be of one valve or of all of a device, and nobody says which: so only a time in which none of its valves is open,
and none was within the last minute, tells of a leak. Invariant: one reading tells nothing; the next one has to say the same.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["LEAST_L_MIN", "UNDER_WAY", "LeakWatch", "MeterReadings", "flowing_shut"]

LEAST_L_MIN: Final = 0.2  # a smaller flow may be the meter's own [L min-1]
UNDER_WAY: Final = 2**62  # no reading is as late as this
DRAIN_MS: Final = 60_000  # after a valve shuts, its pipe empties [ms]

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class MeterReadings:
    """The newest readings of zones, each of shape (n,).

    Attributes
    ----------
    device : ndarray of int64
        Which zones are of one device: the same number.
    flow, valve : ndarray
        Flow [L min-1] and whether the valve is open, as 0 and 1; NaN where never measured.
    flow_ms : ndarray of int64
        When the flow was read. [ms since the Unix epoch]
    quiet_since_ms : ndarray of int64
        Since when nothing was under way at the device by the ledger; `UNDER_WAY` where something is. [ms]
    """

    device: NDArray[np.int64]
    flow: NDArray[np.float64]
    valve: NDArray[np.float64]
    flow_ms: NDArray[np.int64]
    quiet_since_ms: NDArray[np.int64]


def flowing_shut(seen: MeterReadings) -> tuple[Flags, Flags]:
    """Return which zones' meters flow though all is shut, and of which nothing can be told; each of shape (n,)."""
    if not len(seen.device):
        return np.zeros(0, np.bool_), np.zeros(0, np.bool_)
    said_open = np.bincount(seen.device, weights=seen.valve > 0.0) > 0
    measured = ~np.isnan(seen.flow)
    # A reading of the flow from before a valve was shut says nothing of now.
    fresh = measured & (seen.flow_ms >= seen.quiet_since_ms + DRAIN_MS)
    telling = fresh & ~said_open[seen.device]
    return telling & (seen.flow >= LEAST_L_MIN), ~telling


class LeakWatch:
    """Tell leaks by two readings in a row; used from one thread at a time."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}  # zones that flowed while shut -> time of the first such reading

    def look(self, keys: Sequence[str], seen: MeterReadings, leaking: Collection[str]) -> dict[str, float | None]:
        """Return zones that have begun to leak, with how much, and (None) those that have stopped.

        Parameters
        ----------
        keys : sequence of str, length n
            The zones that `seen` is of.
        leaking : collection of str
            Those known to leak.
        """
        flows, unsure = flowing_shut(seen)
        changed: dict[str, float | None] = {}
        before, self._seen = self._seen, {}
        for row in np.flatnonzero(flows | unsure).tolist():
            key = keys[row]
            if not flows[row]:
                if key in before:
                    self._seen[key] = before[key]
                continue
            at_ms = int(seen.flow_ms[row])
            self._seen[key] = before.get(key, at_ms)
            if key not in leaking and at_ms > self._seen[key]:
                changed[key] = float(seen.flow[row])
        if leaking:
            dry = ~(flows | unsure)
            changed |= {keys[row]: None for row in np.flatnonzero(dry).tolist() if keys[row] in leaking}
        return changed
