# SPDX-License-Identifier: Apache-2.0
"""Which tier answers, what of a range it answers, and when an hour's windows are made."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.store.batch import Batch, Rows
from ingest.store.protocol import HOUR_MS, SeriesQuery
from ingest.store.tiers import DAY_MS, SPANS_MAX, Retention, choose_tier, covered_spans, kept_from_ms, too_old, without
from ingest.store.touched import CROWDED, GRACE_MS, SETTLE_S, Touched, Zone, ZoneHour
from ingest.store.windows import from_rows, merge

MARK = ZoneHour("meter", "pilot", "bed-1", 1, 10)


@dataclass
class Wall:
    now: float = 0.0
    calls: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now


def rows_at(*ts_ms: int, device: int = 0) -> Rows:
    n = len(ts_ms)
    return Rows(
        kind="meter",
        device=np.full(n, device, np.int32),
        zone=np.ones(n, np.uint8),
        ts_ms=np.array(ts_ms, np.int64),
        boot=np.zeros(n, np.int64),
        seq=np.arange(n, dtype=np.int64),
        place=np.zeros(n, np.int64),
        flags=np.zeros(n, np.uint8),
        values={"flow": np.arange(n, dtype=np.float64)},
    )


def names(index: int) -> tuple[str, str]:
    return "pilot", f"bed-{index + 1}"


@pytest.mark.parametrize(
    ("every", "tier"),
    [
        (None, None),
        (1, None),
        (60_000, None),
        (300_000, "5m"),
        (900_000, "5m"),
        (HOUR_MS, "1h"),
        (DAY_MS, "1h"),
        (5_400_000, "5m"),
    ],
)
def test_choose_tier_takes_the_coarsest_whose_windows_fit(every: int | None, tier: str | None) -> None:
    chosen = choose_tier(SeriesQuery("s", "d", 1, ("flow",), 0, 1, every))
    assert (chosen.name if chosen else None) == tier


def test_kept_from_is_a_whole_hour_and_none_for_ever() -> None:
    now = 100 * DAY_MS + 1234
    assert kept_from_ms(Retention(), "raw", now) == 10 * DAY_MS
    assert kept_from_ms(Retention(), "5m", now) == 0
    assert kept_from_ms(Retention(), "1h", now) is None


def test_too_old_and_without_leave_the_rows_that_are_kept() -> None:
    batch = Batch((rows_at(DAY_MS), rows_at(DAY_MS - 1, 5 * DAY_MS, 0, 3 * DAY_MS)), 7)
    rejected = too_old(batch, Retention(raw_days=4), 5 * DAY_MS + 5)
    assert [(row.rows, row.index) for row in rejected] == [(1, 0), (1, 2)]
    left = without(batch, rejected)
    assert [rows.ts_ms.tolist() for rows in left.rows] == [[DAY_MS], [5 * DAY_MS, 3 * DAY_MS]]
    assert left.rows[1].values["flow"].tolist() == [1, 3]
    assert left.upto == 7
    assert too_old(batch, Retention(raw_days=None), 10**12) == ()


@given(
    st.integers(0, 20 * HOUR_MS),
    st.integers(1, 20 * HOUR_MS),
    st.sampled_from([300_000, HOUR_MS]),
    st.sets(st.integers(0, 40), max_size=40),
)
def test_covered_spans_cover_every_instant_and_touched_hours_from_the_rows(
    start: int, length: int, unit: int, touched: set[int]
) -> None:
    end = start + length
    (low, high), spans = covered_spans(start, end, unit, touched, None)
    assert low % unit == 0
    assert (high - low) % unit == 0
    assert all(first < last and start <= first and last <= end for first, last in spans)
    assert all(before[1] < after[0] for before, after in itertools.pairwise(spans))
    assert len(spans) <= SPANS_MAX
    for hour in range(start // HOUR_MS, (end - 1) // HOUR_MS + 1):
        for instant in {max(hour * HOUR_MS, start), min((hour + 1) * HOUR_MS, end) - 1}:
            by_rows = any(first <= instant < last for first, last in spans)
            assert by_rows or (low <= instant < high and instant // HOUR_MS not in touched)


def test_covered_spans_of_what_has_no_rows_any_more_are_whole_windows() -> None:
    assert covered_spans(100, HOUR_MS + 100, HOUR_MS, [0, 1], 5 * HOUR_MS) == ((0, 2 * HOUR_MS), [])


def test_take_turn_waits_for_the_end_of_the_hour_and_for_more_rows() -> None:
    wall = Wall()
    touched = Touched([MARK], wall)
    due = 11 * HOUR_MS + GRACE_MS
    wall.now = SETTLE_S
    assert touched.take_turn(due - 1, 10) is None
    wall.now = SETTLE_S - 0.1
    assert touched.take_turn(due, 10) is None
    wall.now = SETTLE_S
    turn = touched.take_turn(due, 10)
    assert turn is not None
    assert turn.marks() == [MARK]
    assert (len(touched), touched.first_hour) == (0, None)


def test_take_turn_gives_the_oldest_hour_and_no_more_zones_than_wanted() -> None:
    wall = Wall()
    touched = Touched((ZoneHour("meter", "pilot", "bed-1", zone, hour) for hour in (12, 11) for zone in (1, 2, 3)), wall)
    wall.now = SETTLE_S
    turns = [touched.take_turn(20 * HOUR_MS, 2) for _ in range(4)]
    assert [(turn.hour, len(turn.zones)) for turn in turns if turn] == [(11, 2), (11, 1), (12, 2), (12, 1)]


def test_take_turn_of_a_crowd_does_not_wait() -> None:
    touched = Touched((ZoneHour("meter", "pilot", f"bed-{i}", 1, 10) for i in range(CROWDED + 1)), Wall())
    assert touched.take_turn(0, 5) is not None


def test_new_marks_are_those_not_there_yet() -> None:
    touched = Touched([MARK], Wall())
    batch = Batch((rows_at(10 * HOUR_MS, 10 * HOUR_MS + 5, 11 * HOUR_MS), rows_at(10 * HOUR_MS, device=1)), 1)
    new = touched.new_marks(batch, names)
    assert new == [MARK._replace(hour=11), MARK._replace(device="bed-2")]
    touched.add(new)
    assert (touched.new_marks(batch, names), len(touched)) == ([], 3)


def test_new_marks_after_a_turn_has_begun_mark_its_hour_anew() -> None:
    wall = Wall()
    touched = Touched([MARK], wall)
    batch = Batch((rows_at(10 * HOUR_MS),), 1)
    assert touched.new_marks(batch, names) == []
    wall.now = SETTLE_S
    turn = touched.take_turn(20 * HOUR_MS, 1)
    assert turn is not None
    assert turn.zones == (Zone("pilot", "bed-1", 1),)
    assert touched.new_marks(batch, names) == [MARK]


@given(
    st.lists(st.tuples(st.integers(0, 10_000), st.one_of(st.just(float("nan")), st.floats(0, 1e6))), min_size=1, max_size=60)
)
def test_merge_of_merged_windows_is_the_merge_of_rows(records: list[tuple[int, float]]) -> None:
    records.sort(key=lambda record: record[0])
    rows = from_rows(np.array([ts for ts, _ in records], np.int64), {"total": np.array([value for _, value in records])})
    at_once, in_steps = merge(rows, 6_000), merge(merge(rows, 500), 6_000)
    assert at_once.began_ms.tolist() == in_steps.began_ms.tolist()
    assert at_once.ended_ms.tolist() == in_steps.ended_ms.tolist()
    for key, column in at_once.columns.items():
        np.testing.assert_allclose(in_steps.columns[key], column, rtol=1e-9, atol=1e-6)
