# SPDX-License-Identifier: Apache-2.0
"""The tail: contiguous, bounded, and None to whom it holds nothing for any longer."""

from __future__ import annotations

import threading

from ingest.decode import DecodedBurst
from ingest.tail import DecodedTail
from tests.unit.ingest.fleet import NOW_MS, rows_of


def decoded(position: int, rows: int = 1) -> DecodedBurst:
    return DecodedBurst(position, NOW_MS, (rows_of(*[(0, 1, i) for i in range(rows)]),), ())


def read(tail: DecodedTail, position: int, max_rows: int = 1000, wait: float = 0.0) -> list[int] | None:
    found = tail.read_from(position, max_rows, wait)
    return None if found is None else [burst.position for burst in found]


def test_read_from_gives_what_was_appended_from_there_on() -> None:
    tail = DecodedTail(5)
    tail.append([decoded(i) for i in range(5, 9)])
    assert read(tail, 5) == [5, 6, 7, 8]
    assert read(tail, 7) == [7, 8]
    assert read(tail, 9) == []
    assert tail.end == 9


def test_read_from_stops_when_enough_rows_are_there() -> None:
    tail = DecodedTail(1)
    tail.append([decoded(i, rows=10) for i in range(1, 6)])
    assert read(tail, 1, max_rows=20) == [1, 2]
    assert read(tail, 3, max_rows=1) == [3]


def test_append_past_the_bound_lets_the_oldest_go() -> None:
    tail = DecodedTail(1, max_rows=50)
    tail.append([decoded(i, rows=9) for i in range(1, 11)])
    assert read(tail, 1) is None
    assert read(tail, 6) == [6, 7, 8, 9, 10]


def test_append_of_one_burst_over_the_bound_is_held_all_the_same() -> None:
    tail = DecodedTail(1, max_rows=5)
    tail.append([decoded(1, rows=100)])
    assert read(tail, 1) == [1]


def test_read_from_before_the_start_is_not_held() -> None:
    tail = DecodedTail(5)
    assert read(tail, 3) is None
    tail.append([decoded(5)])
    assert read(tail, 3) is None


def test_append_behind_a_hole_begins_anew() -> None:
    tail = DecodedTail(1)
    tail.append([decoded(1), decoded(2)])
    tail.append([decoded(10), decoded(11)])
    assert read(tail, 1) is None
    assert read(tail, 3) is None
    assert read(tail, 10) == [10, 11]
    assert tail.end == 12


def test_read_from_waits_until_something_comes_or_it_is_closed() -> None:
    tail = DecodedTail(1)
    found: list[list[int] | None] = []
    for finish in (lambda: tail.append([decoded(1)]), tail.close):
        reader = threading.Thread(target=lambda position: found.append(read(tail, position, wait=30.0)), args=(tail.end,))
        reader.start()
        finish()
        reader.join(20)
    assert found == [[1], []]
    assert tail.closed


def test_append_past_the_number_of_bursts_lets_the_oldest_go_however_few_rows_they_hold() -> None:
    tail = DecodedTail(1, max_bursts=3)
    tail.append([decoded(i, rows=0) for i in range(1, 11)])
    assert read(tail, 7) is None
    assert read(tail, 8) == [8, 9, 10]


def test_note_taken_lets_go_what_every_reader_has() -> None:
    tail = DecodedTail(1)
    tail.note_taken("swift", 0)
    tail.note_taken("slow", 0)
    tail.append([decoded(i) for i in range(1, 6)])
    tail.note_taken("swift", 5)
    assert read(tail, 1) == [1, 2, 3, 4, 5]
    tail.note_taken("slow", 3)
    assert read(tail, 3) is None
    assert read(tail, 4) == [4, 5]
    tail.note_taken("slow", 5)
    assert read(tail, 5) is None
    assert read(tail, 6) == []
    tail.append([decoded(6)])
    assert read(tail, 6) == [6]


def test_note_taken_of_a_reader_that_went_back_holds_what_comes_for_it() -> None:
    tail = DecodedTail(1)
    tail.append([decoded(i) for i in range(1, 6)])
    tail.note_taken("store", 5)
    tail.note_taken("store", 2)
    tail.append([decoded(6)])
    assert read(tail, 3) is None
    assert read(tail, 6) == [6]
