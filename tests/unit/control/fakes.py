# SPDX-License-Identifier: Apache-2.0
"""Latest values that a test sets, in the place of those that were measured."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gateway.clock import SteppedClock

__all__ = ["FixedLatest"]


class FixedLatest:
    """Latest values that a test sets."""

    def __init__(self, clock: SteppedClock) -> None:
        self.clock = clock
        self.values: dict[tuple[tuple[str, str, int], str], float] = {}
        self.age_s = 30.0

    def gather(self, keys: Sequence[tuple[str, str, int]], quantity: str) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        values = np.array([self.values.get((key, quantity), np.nan) for key in keys])
        ts_ms = np.where(np.isnan(values), -1, self.clock.now_ms() - round(self.age_s * 1000))
        return values, ts_ms.astype(np.int64)
