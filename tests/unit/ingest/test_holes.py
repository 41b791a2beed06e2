# SPDX-License-Identifier: Apache-2.0
"""What a store never got: told in words, and kept within a bound without losing count."""

from __future__ import annotations

from ingest.store.holes import HOLES_MAX, Hole, describe_holes, with_hole

AT_MS = 1_763_770_800_000  # 2025-11-22 00:20 UTC


def test_with_hole_past_the_bound_tells_the_oldest_two_as_one() -> None:
    holes: tuple[Hole, ...] = ()
    for i in range(HOLES_MAX + 2):
        holes = with_hole(holes, Hole(10 * i, 10 * i + 5, 5, 7, AT_MS + i, AT_MS + i + 1))
    assert len(holes) == HOLES_MAX
    assert holes[0] == Hole(0, 25, 15, 21, AT_MS, AT_MS + 3)
    assert sum(hole.records or 0 for hole in holes) == 7 * (HOLES_MAX + 2)


def test_with_hole_of_unknown_size_makes_the_sum_unknown() -> None:
    holes = tuple(Hole(i, i + 1, 1, None if i == 1 else 3, None, None) for i in range(HOLES_MAX))
    assert with_hole(holes, Hole(900, 901, 1, 3, None, None))[0] == Hole(0, 2, 2, None, None, None)


def test_describe_holes_says_what_is_missing_and_since_when() -> None:
    assert describe_holes(()) == ""
    told = describe_holes([Hole(5, 10, 5, 1200, AT_MS, AT_MS + 60_000)])
    assert told == (
        "has a hole: 1200 records received after 2025-11-22 00:20:00 UTC and up to 2025-11-22 00:21:00 UTC never came to it "
        "(journal 5 to 9, 5 positions); see the runbook"
    )
    assert describe_holes([Hole(1, 2, 1, None, None, AT_MS)]).startswith(
        "has a hole: records that cannot be counted received up to 2025-11-22 00:20:00 UTC never came"
    )
