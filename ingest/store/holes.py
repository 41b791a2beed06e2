# SPDX-License-Identifier: Apache-2.0
"""What a store never got: positions that were gone from the journal when it came to them.

It happens to a store that is left out of the settings for so long that the journal is trimmed without it, to one that joins
later, and to one whose file was lost. The store keeps its holes with its cursor, for they are missing in it and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

__all__ = ["HOLES_MAX", "Hole", "describe_holes", "with_hole"]

HOLES_MAX: Final = 100  # kept; past it the oldest two are told as one


@dataclass(frozen=True, slots=True)
class Hole:
    """Positions within [start, end) of the journal that a store never got.

    Attributes
    ----------
    positions : int
        How many; fewer than lie within where two holes are told as one.
    records : int or None
        New records that stood there; None where that is not known.
    start_ms, end_ms : int or None
        When the last thing before and the first thing after were received; None where that is not known. [ms]
    """

    start: int
    end: int
    positions: int
    records: int | None
    start_ms: int | None
    end_ms: int | None


def with_hole(holes: Iterable[Hole], new: Hole) -> tuple[Hole, ...]:
    """Return the holes with a new one, oldest first, and no more than are kept."""
    found = [*holes, new]
    while len(found) > HOLES_MAX:
        first, second, *rest = found
        known = first.records is not None and second.records is not None
        records = (first.records or 0) + (second.records or 0) if known else None
        both = Hole(first.start, second.end, first.positions + second.positions, records, first.start_ms, second.end_ms)
        found = [both, *rest]
    return tuple(found)


def describe_holes(holes: Iterable[Hole]) -> str:
    """Say what is missing in a store, "" where nothing is."""
    return "; ".join(_describe(hole) for hole in holes)


def _describe(hole: Hole) -> str:
    count = "records that cannot be counted" if hole.records is None else f"{hole.records} records"
    since, until = (None if at is None else datetime.fromtimestamp(at / 1000, UTC) for at in (hole.start_ms, hole.end_ms))
    when = "" if since is None else f" after {since:%Y-%m-%d %H:%M:%S} UTC"
    when += "" if until is None else f"{' and' if when else ''} up to {until:%Y-%m-%d %H:%M:%S} UTC"
    return (
        f"has a hole: {count} received{when} never came to it (journal {hole.start} to {hole.end - 1}, "
        f"{hole.positions} positions); see the runbook"
    )
