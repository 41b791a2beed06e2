# SPDX-License-Identifier: Apache-2.0
"""Sequences against a model that keeps every number it ever saw in a set."""

from __future__ import annotations

import threading
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest import sequences as module
from ingest.boots import GapRange
from ingest.sequences import MAX_BOOTS, MAX_RECENT, GapTotals, Sequences
from tests.unit.ingest.fleet import NOW_MS, rows_of

numbers = st.integers(0, 12)
record = st.tuples(st.integers(0, 2), st.integers(0, 3), numbers)
step = st.one_of(
    st.tuples(st.just("take"), st.lists(record, max_size=12)),
    st.tuples(st.just("run"), st.tuples(st.integers(0, 2), st.integers(0, 3), numbers, st.integers(1, 6))),
    st.tuples(st.just("one"), record),
    st.tuples(st.just("give up"), record),
    st.tuples(st.just("hold"), record),
    st.tuples(st.just("again"), record),
    st.tuples(st.just("end"), record),
    st.tuples(st.just("restart"), st.none()),
)


class Model:
    """What came, as plain sets."""

    def __init__(self) -> None:
        self.came: set[tuple[int, int, int]] = set()
        self.high: dict[tuple[int, int], int] = {}
        self.floor: dict[tuple[int, int], int] = {}
        self.held: set[tuple[int, int, int]] = set()
        self.ended: set[tuple[int, int]] = set()

    def take(self, item: tuple[int, int, int]) -> bool:
        new = item not in self.came
        self.came.add(item)
        device, boot, seq = item
        self.high[device, boot] = max(self.high.get((device, boot), -1), seq)
        return new

    def hold(self, item: tuple[int, int, int]) -> None:
        if self.take(item):
            self.held.add(item)

    def take_held(self, item: tuple[int, int, int]) -> bool:
        held = item in self.held
        self.held.discard(item)
        return self.take(item) or held

    def end(self, device: int, boot: int, seq: int) -> None:
        self.high[device, boot] = max(self.high.get((device, boot), -1), seq)
        self.ended.add((device, boot))

    def give_up(self, device: int, boot: int, seq: int) -> None:
        self.high.setdefault((device, boot), -1)
        for known in [b for d, b in self.high if d == device and b <= boot]:
            below = seq if known == boot else self.high[device, known] + 1
            self.floor[device, known] = max(self.floor.get((device, known), 0), below)
            self.high[device, known] = max(self.high[device, known], below - 1)

    def absent(self, device: int, boot: int) -> list[int]:
        return [seq for seq in range(self.high[device, boot] + 1) if (device, boot, seq) not in self.came]

    def lost(self, device: int) -> int:
        own = [(d, b) for d, b in self.high if d == device]
        return sum(seq < self.floor.get(key, 0) for key in own for seq in self.absent(*key))

    def waited_for(self, device: int, boot: int) -> list[int]:
        return [seq for seq in self.absent(device, boot) if seq >= self.floor.get((device, boot), 0)]


def spread(ranges: Iterable[tuple[int, ...]]) -> list[int]:
    return [seq for start, end, *_ in ranges for seq in range(start, end)]


def check(found: Sequences, model: Model) -> None:
    for device, boot in model.high:
        state = found.state(device)
        assert state is not None
        part = state.boots[boot]
        assert part.high == model.high[device, boot]
        assert spread(part.missing) == model.absent(device, boot)
        assert spread(part.waited_for) == model.waited_for(device, boot)
        assert spread(part.held) == sorted(seq for d, b, seq in model.held if (d, b) == (device, boot))
        assert all(a[1] < b[0] for a, b in zip(part.held, part.held[1:], strict=False))
        assert part.ended == ((device, boot) in model.ended)
        shown = [gap for gap in state.gaps if gap.boot == boot]
        assert spread((gap.start, gap.end) for gap in shown if not gap.lost) == model.waited_for(device, boot)
        assert spread((gap.start, gap.end) for gap in shown) == model.absent(device, boot)
        assert all(a[1] < b[0] for a, b in zip(part.missing, part.missing[1:], strict=False) if b[0] != a[1])
        waited = model.waited_for(device, boot)
        assert found.contiguous(device, boot) == (waited[0] - 1 if waited else part.high)
        assert state.lost == model.lost(device)
    totals = found.totals()
    assert totals.missing == sum(len(model.waited_for(*key)) for key in model.high)
    assert totals.lost == sum(model.lost(device) for device in range(3))


@given(st.lists(step, max_size=30))
def test_sequences_after_any_arrivals_know_what_a_set_knows(steps: list[tuple[str, object]]) -> None:
    found, model = Sequences(), Model()
    for name, what in steps:
        if name == "take":
            assert found.take(rows_of(*what)).tolist() == [model.take(item) for item in what]  # type: ignore[misc, attr-defined]
        elif name == "run":
            device, boot, start, count = what  # type: ignore[misc]
            items = [(device, boot, seq) for seq in range(start, start + count)]
            assert found.take(rows_of(*items)).tolist() == [model.take(item) for item in items]
        elif name == "one":
            assert found.take_one(*what) == model.take(what)  # type: ignore[misc, arg-type]
        elif name == "give up":
            before = model.lost(what[0])  # type: ignore[index]
            model.give_up(*what)  # type: ignore[misc]
            assert found.give_up(*what) == model.lost(what[0]) - before  # type: ignore[misc, index]
        elif name == "hold":
            found.hold(*what)  # type: ignore[misc]
            model.hold(what)  # type: ignore[arg-type]
        elif name == "again":
            assert found.take_held(rows_of(what)).tolist() == [model.take_held(what)]  # type: ignore[arg-type]
        elif name == "end":
            found.end_boot(*what)  # type: ignore[misc]
            model.end(*what)  # type: ignore[misc]
        else:
            kept = [(device, found.state(device)) for device in range(3)]
            found = Sequences()
            for device, state in kept:
                if state is not None:
                    found.restore(device, state)
        check(found, model)


def test_take_of_records_that_follow_is_new_and_leaves_nothing_missing() -> None:
    found = Sequences()
    for start in (0, 100, 200):
        assert found.take(rows_of(*[(d, 5, seq) for seq in range(start, start + 100) for d in (0, 70)])).all()
    assert found.contiguous(0, 5) == found.contiguous(70, 5) == 299
    assert found.duplicates == 0


def test_take_one_of_a_number_given_up_that_comes_all_the_same_is_new_and_no_longer_lost() -> None:
    found = Sequences()
    found.take_one(0, 1, 0)
    found.take_one(0, 1, 5)
    assert found.give_up(0, 1, 5) == 4
    assert found.take_one(0, 1, 3) is True
    assert found.take_one(0, 1, 3) is False
    state = found.state(0)
    assert state is not None
    assert state.lost == 3


def test_give_up_of_a_boot_never_heard_of_lets_stored_begin_behind_it() -> None:
    found = Sequences()
    assert found.give_up(0, 7, 500) == 500
    found.take_one(0, 7, 500)
    assert found.contiguous(0, 7) == 500


def test_contiguous_of_what_is_not_known_is_not_given() -> None:
    assert Sequences().contiguous(3, 1) == -1


def test_take_by_time_tells_records_without_numbers_by_zone_and_time() -> None:
    found = Sequences()
    anonymous = (0, None, None)
    assert found.take(rows_of(anonymous, anonymous)).tolist() == [True, False]
    assert found.take(rows_of(anonymous, zone=2)).tolist() == [True]
    assert found.take(rows_of((1, 3, None), (1, None, 4))).tolist() == [True, False]
    assert found.take(rows_of(anonymous, (0, 1, 0), ts_ms=NOW_MS + 1)).tolist() == [True, True]


def test_take_of_records_without_number_and_time_is_always_new() -> None:
    found = Sequences()
    assert found.take(rows_of((0, None, None), (0, None, None), ts_ms=None)).all()


def test_take_by_time_forgets_the_oldest_past_its_bound() -> None:
    found = Sequences()
    for i in range(MAX_RECENT + 1):
        found.take(rows_of((0, None, None), ts_ms=NOW_MS + i))
    state = found.state(0)
    assert state is not None
    assert len(state.recent[1]) == MAX_RECENT
    assert found.take(rows_of((0, None, None), ts_ms=NOW_MS + MAX_RECENT)).tolist() == [False]
    assert found.take(rows_of((0, None, None))).tolist() == [True]


def test_take_one_of_more_boots_than_are_kept_forgets_the_oldest() -> None:
    found = Sequences()
    for boot in range(MAX_BOOTS + 5):
        found.take_one(0, boot, 0)
    state = found.state(0)
    assert state is not None
    assert (len(state.boots), min(state.boots), state.lost) == (MAX_BOOTS, 5, 0)
    assert found.take_one(0, 2, 0) is True
    assert len(state.boots) == MAX_BOOTS


def test_take_one_of_a_boot_that_puts_out_one_with_gaps_counts_them_as_lost() -> None:
    found = Sequences()
    found.take_one(0, 0, 7)
    for boot in range(1, MAX_BOOTS + 1):
        found.take_one(0, boot, 0)
    assert (found.totals().missing, found.totals().lost) == (0, 7)


def test_gaps_say_since_when_and_which_ends_are_not_known() -> None:
    found = Sequences()
    found.take(rows_of((0, 1, 0), (0, 1, 4)), NOW_MS)
    found.take(rows_of((0, 2, 1)), NOW_MS + 1)
    found.end_boot(0, 2, 3, NOW_MS + 2)
    found.note_boot(0, 3)
    found.note_boot(1, 3)
    state = found.state(0)
    assert state is not None
    assert state.gaps == [
        GapRange(1, 1, 4, NOW_MS, lost=False),
        GapRange(2, 0, 1, NOW_MS + 1, lost=False),
        GapRange(2, 2, 4, NOW_MS + 2, lost=False),
    ]
    assert (state.waiting, state.ends_unknown) == (6, [1])
    assert found.state(1) is None  # it never numbered a record
    assert found.give_up(0, 2, 1, NOW_MS + 3) == 4
    state = found.state(0)
    assert state is not None
    assert [(gap.boot, gap.start, gap.lost) for gap in state.gaps] == [(1, 1, True), (2, 0, True), (2, 2, False)]
    assert found.totals() == GapTotals(1, 2, 4)


def test_take_one_past_the_bound_of_ranges_counts_the_oldest_as_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_RANGES", 3)
    found = Sequences()
    for boot, seqs in ((1, (2, 4)), (2, (1, 3, 5))):
        for seq in seqs:
            found.take_one(0, boot, seq)
    state = found.state(0)
    assert state is not None
    assert sum(len(part.missing) for part in state.boots.values()) == 3
    assert state.lost == 3  # numbers 0 and 1 of boot 1, then 3 of it
    assert state.boots[1].missing == []


def test_take_changed_gives_each_changed_device_once_and_again_when_marked() -> None:
    found = Sequences()
    found.take(rows_of((0, 1, 0), (2, 1, 0)))
    changed = found.take_changed()
    assert [device for device, _ in changed] == [0, 2]
    assert changed[0][1].boots[1].high == 0
    assert found.take_changed() == []
    found.mark_changed([2])
    assert [device for device, _ in found.take_changed()] == [2]


def test_take_one_while_others_ask_how_far_it_is_forgets_nothing() -> None:
    found = Sequences()
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            found.contiguous(0, 1)
            found.state(0)

    askers = [threading.Thread(target=ask) for _ in range(2)]
    for asker in askers:
        asker.start()
    try:
        news = [found.take_one(0, 1, seq) for seq in range(0, 4000, 2)]
        again = [found.take_one(0, 1, seq) for seq in range(0, 4000, 2)]
    finally:
        stop.set()
        for asker in askers:
            asker.join()
    assert all(news)
    assert not any(again)
