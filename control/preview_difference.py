# SPDX-License-Identifier: Apache-2.0
"""What differs between two previews: which acts come, go, move, or give more or less, and what each day gets.

Pure. Acts of one zone planned for one moment are the same; of the rest those of one local day are paired in their order, and
then have moved. What is left out in both is no difference.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import zip_longest
from typing import Final, Literal
from zoneinfo import ZoneInfo

from control.calendars import local_date
from control.preview_run import Foreshown

__all__ = ["Change", "Day", "Difference", "compare"]

NOTICED: Final = 0.005  # share of an amount from which it counts as another one [1]

Difference = Literal["added", "removed", "moved", "amount"]


@dataclass(frozen=True, slots=True)
class Change:
    """One act that differs; `before` is None for one that is added, `after` for one that is removed."""

    kind: Difference
    before: Foreshown | None
    after: Foreshown | None


@dataclass(frozen=True, slots=True)
class Day:
    """What a zone gets on a day of its site, before and after. [L], [g]"""

    day: date
    litres_before: float
    litres: float
    grams_before: float
    grams: float


def compare(
    before: Sequence[Foreshown], after: Sequence[Foreshown], zone_key: str, zone: ZoneInfo
) -> tuple[list[Change], list[Day]]:
    """Return what differs in all zones, in order of time, and the days of one."""
    left, right = _by_moment(before), _by_moment(after)
    changes = [
        change for key in sorted(left.keys() & right.keys(), key=lambda key: key[1]) for change in _same(left[key], right[key])
    ]
    changes += _moved(
        [left[key] for key in left.keys() - right.keys()], [right[key] for key in right.keys() - left.keys()], zone
    )
    return sorted(changes, key=_when), _days(before, after, zone_key, zone)


def _by_moment(acts: Iterable[Foreshown]) -> Mapping[tuple[str, int, int], Foreshown]:
    """Return what runs, by its zone and moment, and its number where several are of one moment."""
    found: dict[tuple[str, int, int], Foreshown] = {}
    for one in acts:
        if one.runs:
            key, number = (one.act.zone_key or "", one.act.planned_ms), 0
            while (*key, number) in found:
                number += 1
            found[*key, number] = one
    return found


def _same(before: Foreshown, after: Foreshown) -> Iterator[Change]:
    if before.act.begun_ms != after.act.begun_ms:
        yield Change("moved", before, after)
    elif any(_differs(*pair) for pair in zip(_amount(before), _amount(after), strict=True)):
        yield Change("amount", before, after)


def _moved(gone: Iterable[Foreshown], come: Iterable[Foreshown], zone: ZoneInfo) -> Iterator[Change]:
    groups: dict[tuple[str, date], tuple[list[Foreshown], list[Foreshown]]] = defaultdict(lambda: ([], []))
    for place, acts in enumerate((gone, come)):
        for one in sorted(acts, key=lambda one: one.act.planned_ms):
            groups[one.act.zone_key or "", local_date(zone, one.act.planned_ms)][place].append(one)
    for befores, afters in groups.values():
        for before, after in zip_longest(befores, afters):
            yield Change("added" if before is None else "removed" if after is None else "moved", before, after)


def _days(before: Iterable[Foreshown], after: Iterable[Foreshown], zone_key: str, zone: ZoneInfo) -> list[Day]:
    given: dict[date, list[float]] = defaultdict(lambda: [0.0] * 4)
    for place, acts in enumerate((before, after)):
        for one in acts:
            if one.runs and one.act.zone_key == zone_key:
                day = given[local_date(zone, one.act.begun_ms or one.act.planned_ms)]
                litres, grams = _amount(one)
                day[place] += litres
                day[2 + place] += grams
    return [Day(day, *amounts) for day, amounts in sorted(given.items())]


def _amount(one: Foreshown) -> tuple[float, float]:
    return one.act.litres or 0.0, one.act.grams or 0.0


def _differs(one: float, other: float) -> bool:
    return abs(one - other) > NOTICED * max(one, other)


def _when(change: Change) -> tuple[int, str]:
    one = change.after or change.before
    assert one is not None
    return one.act.begun_ms or one.act.planned_ms, one.act.zone_key or ""
