# SPDX-License-Identifier: Apache-2.0
"""The states of an act, and every step there is between them.

Invariant: `STEPS` is the whole truth; nothing changes an act's state but `control.ledger`, by this table. What a device
says of an act wins over what the platform had concluded without it.
"""

from __future__ import annotations

from typing import Final

__all__ = ["ENDED", "FIRST", "OPEN", "STATES", "STEPS", "WORDS", "may_step"]

# What a device may say of an act; the last four end it.
WORDS: Final = frozenset({"accepted", "running", "done", "failed", "rejected", "indeterminate"})
_LAST_WORDS: Final = WORDS - {"accepted", "running"}

# States in which an act first stands: planned here, left out at once, or told by a device that did it by itself.
FIRST: Final = frozenset({"planned", "skipped"}) | WORDS

# `planned` takes every word of the device: after a restore from a backup the platform may have forgotten that it sent it.
STEPS: Final[dict[str, frozenset[str]]] = {
    "planned": WORDS | {"held", "sent", "skipped", "cancelled", "superseded", "expired"},
    "held": WORDS | {"sent", "cancelled", "superseded", "expired"},
    "sent": WORDS | {"expired", "unknown"},
    "accepted": _LAST_WORDS | {"running", "expired", "unknown"},
    "running": _LAST_WORDS | {"unknown"},
    "unknown": WORDS | {"expired", "cancelled"},
    "expired": WORDS,
    "skipped": WORDS,
    "cancelled": WORDS,
    "superseded": WORDS,
    "done": frozenset(),
    "failed": frozenset(),
    "rejected": frozenset(),
    "indeterminate": frozenset(),
}

STATES: Final = tuple(STEPS)
OPEN: Final = ("planned", "held", "sent", "accepted", "running", "unknown")  # still to be settled
ENDED: Final = frozenset(STATES) - frozenset(OPEN)


def may_step(before: str | None, after: str) -> bool:
    """Tell whether an act may go from `before` (None: it is new) to `after`."""
    return after in (FIRST if before is None else STEPS[before])
