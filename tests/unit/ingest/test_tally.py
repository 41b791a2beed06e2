# SPDX-License-Identifier: Apache-2.0
"""How many records stand before a position: exact where it is known, and bounded."""

from __future__ import annotations

from ingest.tally import MAX_POSITIONS, Tally


def counted(*checkpoints: int, forget_below: int = 1) -> Tally:
    """A tally with two records a position, noted before these positions."""
    tally = Tally()
    for position in range(1, max(checkpoints)):
        tally.add(2)
        if position + 1 in checkpoints:
            tally.note(position + 1, forget_below)
    return tally


def test_before_is_known_of_the_first_position_and_of_checkpoints_alone() -> None:
    tally = counted(4, 9)
    assert [tally.before(position) for position in (0, 1, 4, 5, 9, 10)] == [0, 0, 6, None, 16, None]


def test_floor_is_the_last_position_that_is_known() -> None:
    tally = counted(4, 9)
    assert [tally.floor(position) for position in (1, 3, 4, 8, 9, 100)] == [1, 1, 4, 4, 9, 9]


def test_note_forgets_what_nobody_needs_and_keeps_the_beginning_of_the_journal() -> None:
    tally = counted(4, 9, forget_below=4)
    assert (tally.floor(3), tally.before(4)) == (0, 6)
    assert tally.before(1) == 0


def test_note_of_many_positions_keeps_the_first_and_no_more_than_the_bound() -> None:
    tally = counted(*range(2, 5 * MAX_POSITIONS))
    known = [position for position in range(1, 5 * MAX_POSITIONS) if tally.floor(position) == position]
    assert (known[0], known[-1], len(known) <= MAX_POSITIONS) == (1, 5 * MAX_POSITIONS - 1, True)
    assert all(tally.before(position) == 2 * (position - 1) for position in known)


def test_load_of_what_dump_gave_is_the_same_and_goes_on() -> None:
    tally = counted(4, 9)
    again = Tally.load(tally.dump(), 8)
    again.add(1)
    again.note(10, 1)
    assert (again.records, again.before(9), again.before(10), again.floor(5)) == (17, 16, 17, 4)


def test_load_of_a_folder_without_one_knows_nothing_of_what_lies_before() -> None:
    tally = Tally.load(None, 70)
    tally.add(5)
    tally.note(73, 1)
    assert [tally.before(position) for position in (1, 70, 71, 73)] == [None, None, 0, 5]
