# SPDX-License-Identifier: Apache-2.0
"""Whether somebody keeps this machine's clock: what its kernel says, by adjtimex(2).

The kernel holds the flag for whoever disciplines the clock (chrony, systemd-timesyncd, ntpd), so one question does for all,
also in a container.
"""

from __future__ import annotations

import ctypes
from typing import Final

__all__ = ["clock_synchronised"]

_UNSYNCHRONISED: Final = 0x0040  # STA_UNSYNC of <sys/timex.h>


class _Timex(ctypes.Structure):
    """The head of `struct timex`; the rest is room enough for every architecture."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 512),
    )


def clock_synchronised() -> bool | None:
    """Tell whether the clock is kept; None where the kernel does not say."""
    asked = _Timex(modes=0)  # changes nothing
    try:
        answer = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(asked))
    except (OSError, AttributeError):
        return None
    return None if answer < 0 else not asked.status & _UNSYNCHRONISED
