# SPDX-License-Identifier: Apache-2.0
"""What to do now, and why: the answer of every rule.

A row that does not act has zero in every amount, and every row has at least one reason.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rules.columns import Flags, Numbers

__all__ = ["Plan"]


@dataclass(frozen=True, slots=True)
class Plan:
    """Decisions of one tick, one row a zone or pond.

    Attributes
    ----------
    act : ndarray of bool, shape (n,)
        Whether to act now.
    seconds : ndarray, shape (n,)
        How long the act is expected to run; it ends then, or with its amount, whichever is first. [s]
    litres : ndarray, shape (n,)
        Water to give; 0 for ponds. [L]
    grams : ndarray, shape (n,)
        Feed to give; 0 for beds. [g]
    max_seconds : ndarray, shape (n,)
        When the device has to end the act by itself, whatever else fails; not below `seconds`. [s]
    reasons : ndarray of int64, shape (n,)
        Bits of `Reason`.
    latched : ndarray of bool, shape (n,)
        Still filling to the upper threshold: to be handed in again with the next tick's state; False for ponds.
    withheld : ndarray of bool, shape (n,)
        A planned moment fell due, or the rule asked for an act that the interlocks refused, and nothing is done.
        Watering by soil moisture has no planned moments, so a bed that merely waits is not withheld.
    """

    act: Flags
    seconds: Numbers
    litres: Numbers
    grams: Numbers
    max_seconds: Numbers
    reasons: NDArray[np.int64]
    latched: Flags
    withheld: Flags
