# SPDX-License-Identifier: Apache-2.0
"""When each device was last heard, and when its clock was last found wrong: by time of receipt, as arrays.

Invariant: what a device itself says of the time counts for nothing here.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ingest.decode import DecodedBurst

__all__ = ["WRONG_TIMES", "LastHeard"]

WRONG_TIMES: Final = frozenset({"ts-ahead", "ts-behind"})  # codes of records whose time cannot be
_TIMES: Final = 3  # so many such records make a wrong clock; one alone may be a slip


class LastHeard:
    """Times by number of the device (`DeviceTable`); 0 where nothing was heard since the start. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._heard_ms = np.zeros(16, np.int64)
        self._wrong_ms = np.zeros((16, _TIMES), np.int64)  # the newest first

    def note(self, bursts: Iterable[DecodedBurst]) -> None:
        """Take in bursts that were decided about."""
        with self._lock:
            for burst in bursts:
                for rows in burst.rows:
                    if len(rows):
                        self._reach(int(rows.device.max()))
                        self._heard_ms[rows.device] = burst.received_ms
                for reject in burst.rejects:
                    if reject.device is not None:
                        self._reach(reject.device)
                        self._heard_ms[reject.device] = burst.received_ms
                        if reject.code in WRONG_TIMES:
                            times = self._wrong_ms[reject.device]
                            times[1:], times[0] = times[:-1].copy(), burst.received_ms

    def _reach(self, index: int) -> None:
        if index >= len(self._heard_ms):
            more = max(index + 1, 2 * len(self._heard_ms)) - len(self._heard_ms)
            self._heard_ms = np.concatenate([self._heard_ms, np.zeros(more, np.int64)])
            self._wrong_ms = np.vstack([self._wrong_ms, np.zeros((more, _TIMES), np.int64)])

    def heard(self, devices: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return when these devices were last heard, shape (n,). [ms since the Unix epoch; 0 for not yet]"""
        with self._lock:
            return _at(self._heard_ms, devices)

    def wrong_since(self, devices: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return when the third last record with an impossible time came of these devices, shape (n,); see `heard`."""
        with self._lock:
            return _at(self._wrong_ms[:, -1], devices)


def _at(times_ms: NDArray[np.int64], devices: NDArray[np.int64]) -> NDArray[np.int64]:
    found = np.zeros(len(devices), np.int64)
    known = (devices >= 0) & (devices < len(times_ms))
    found[known] = times_ms[devices[known]]
    return found
