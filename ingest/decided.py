# SPDX-License-Identifier: Apache-2.0
"""What was decided before a crash and no checkpoint tells: it holds, whatever was registered or mended since.

A burst behind the checkpoint is decided about again, perhaps by another registry or catalogue than the first time. Two
things on disk tell how it went then: the quarantine knows what was rejected of it, and a store that has passed it holds all
the rest. Invariant: what is in quarantine stays there, and what a store has never gets there, so that a replay neither
finds a record taken that nobody has, nor stores one twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ingest.decode import DecodedBurst, Reject, mark_rejects, rejected_places
from ingest.store.batch import Rows

__all__ = ["DecidedAgain", "decide_as_before", "keep_rows", "places_within"]


@dataclass(frozen=True, slots=True)
class DecidedAgain:
    """A burst, as it was decided about.

    Attributes
    ----------
    decoded : DecodedBurst
        What is taken of it, and what is rejected for the first time.
    known : tuple of Reject
        Rejected as before, by numbers that are read now.
    withheld : tuple of Rows
        Would be taken now, and is in quarantine.
    stored : tuple of Reject
        Would be rejected now, and is in a store.
    marks : ndarray, shape (n,)
        Of all that was rejected before, see `mark_rejects`.
    """

    decoded: DecodedBurst
    known: tuple[Reject, ...]
    withheld: tuple[Rows, ...]
    stored: tuple[Reject, ...]
    marks: NDArray[np.int64]


def decide_as_before(
    decoded: DecodedBurst, payloads: Sequence[bytes], rejected: NDArray[np.int64], *, has_store: bool
) -> DecidedAgain:
    """Split what a burst decodes to by what is known of it.

    Parameters
    ----------
    rejected : ndarray, shape (n,)
        Marks of what was rejected before.
    has_store : bool
        Whether a store has all that was not.
    """
    marks = set(rejected.tolist())
    known: list[Reject] = []
    stored: list[Reject] = []
    fresh: list[Reject] = []
    for reject, mark in zip(decoded.rejects, mark_rejects(decoded.rejects).tolist(), strict=True):
        if mark in marks or mark & ~0xFFFF in marks:  # itself, or its whole payload
            known.append(reject)
        else:
            (stored if has_store else fresh).append(reject)
    inside = [places_within(payloads, rejected, rows.place) for rows in decoded.rows]
    withheld = [keep_rows(rows, at) for rows, at in zip(decoded.rows, inside, strict=True) if at.any()]
    kept = [rows if not at.any() else keep_rows(rows, ~at) for rows, at in zip(decoded.rows, inside, strict=True)]
    left = replace(decoded, rows=tuple(rows for rows in kept if len(rows)), rejects=tuple(fresh))
    return DecidedAgain(left, tuple(known), tuple(withheld), tuple(stored), rejected)


def places_within(payloads: Sequence[bytes], marks: NDArray[np.int64], places: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell which of these places belong to records that were rejected, shape as `places`."""
    if not len(marks):
        return np.zeros(len(places), np.bool_)
    starts, ends = rejected_places(payloads, marks)
    at = np.searchsorted(starts, places, "right") - 1
    return (at >= 0) & (places < ends[at])


def keep_rows(rows: Rows, keep: NDArray[np.bool_]) -> Rows:
    """Return the rows where `keep` is true, shape (n,)."""
    columns = {name: getattr(rows, name)[keep] for name in ("device", "zone", "ts_ms", "boot", "seq", "place", "flags")}
    return Rows(kind=rows.kind, values={name: column[keep] for name, column in rows.values.items()}, **columns)
