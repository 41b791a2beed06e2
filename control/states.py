# SPDX-License-Identifier: Apache-2.0
"""The states of an act, what each means, and every step there is between them.

Invariant: `STEPS` is the whole truth, and docs/acts.md is drawn from it; nothing changes an act's state but `control.ledger`,
by this table. What a device says of an act wins over what was concluded without it, by the clock or by a person.
"""

from __future__ import annotations

from typing import Final

__all__ = ["ENDED", "FIRST", "HELD_FOR", "OPEN", "SETTLED", "STATES", "STEPS", "WORDS", "may_correct", "may_step"]

# What a device may say of an act; the last four end it.
WORDS: Final = frozenset({"accepted", "running", "done", "failed", "rejected", "indeterminate"})
_LAST_WORDS: Final = WORDS - {"accepted", "running"}

STATES: Final[dict[str, str]] = {
    "planned": "in the ledger, committed, and not handed over",
    "held": "waits to be handed over: `reason` says for what",
    "sent": "handed over; from here on nobody can say that it was not",
    "accepted": "the device has taken it",
    "running": "it has begun",
    "unknown": "handed over and no word 5 s after it expired, or begun and no end 60 s after its `max_seconds`; it holds its "
    "zone, counts as given, and is settled by the device's word or by a person",
    "done": "it ended; the result says what was truly done, `reason` whether it ended early",
    "failed": "the device could not: `reason` says why",
    "rejected": "the device refused it",
    "indeterminate": "begun, and its end will never be known: the device restarted in the middle, or knows of it no more; "
    "counts as given",
    "expired": "never handed over before it expired, or refused for having expired",
    "skipped": "a planned moment that was left out: `reason` says why",
    "cancelled": "withdrawn before it was handed over, or let go of while it was unknown",
    "superseded": "a new version of its schedule took its place, or the schedule ended, before it was handed over",
}

# States in which an act first stands: planned here, left out at once, or told by a device that did it by itself.
FIRST: Final = frozenset({"planned", "skipped"}) | WORDS

# `planned` takes every word of the device: after a restore from a backup the platform may have forgotten that it sent it.
STEPS: Final[dict[str, frozenset[str]]] = {
    "planned": WORDS | {"held", "sent", "skipped", "cancelled", "superseded", "expired"},
    "held": WORDS | {"sent", "skipped", "cancelled", "superseded", "expired"},
    "sent": WORDS | {"held", "expired", "unknown"},
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

OPEN: Final = ("planned", "held", "sent", "accepted", "running", "unknown")  # still to be settled
ENDED: Final = frozenset(STATES) - frozenset(OPEN)

# How a person who has looked may settle an act of unknown end.
SETTLED: Final = ("done", "failed", "indeterminate")

# What an act is held for, as its reason.
HELD_FOR: Final[dict[str, str]] = {
    "not-connected": "the device is not connected",
    "unsettled": "the end of an earlier act in the zone is not known",
    "replayed": "the device has used its number; the next one follows when the device has told its last",
}


def may_step(before: str | None, after: str) -> bool:
    """Tell whether an act may go from `before` (None: it is new) to `after`."""
    return after in (FIRST if before is None else STEPS[before])


def may_correct(before: str, after: str) -> bool:
    """Tell whether a device's word may take the place of an end in which the device had no word, as a person's."""
    # `expired` is its word too: it refused the act for having come too late.
    return before in _LAST_WORDS and after in WORDS | {"expired"} and before != after
