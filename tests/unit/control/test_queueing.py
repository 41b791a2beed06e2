# SPDX-License-Identifier: Apache-2.0
"""Runs on shared pumps, against what an onlooker counts moment by moment."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from control.queueing import Line, Placed, Resource, Run, Wish, admit, cycles_of, too_much, unroll

MINUTE = 60_000
PUMP = {"pump": Resource(max_flow_l_min=30.0, max_zones=2)}
ONE = {"pump": Resource(max_zones=1)}


def wish(
    key: str,
    *minutes: float,
    ready: float = 0,
    patience: float = 180,
    flow: float = 12.0,
    soak: float = 0,
    priority: int = 0,
    hours: Sequence[tuple[float, float]] = (),
    needs: tuple[str, ...] = ("pump",),
) -> Wish:
    open_ms = tuple((int(start * MINUTE), int(end * MINUTE)) for start, end in hours)
    cycles = tuple(int(each * MINUTE) for each in minutes or (10,))
    run = Run(key, int(ready * MINUTE), flow, needs, priority)
    return Wish(run, int(ready * MINUTE), int(patience * MINUTE), cycles, int(soak * MINUTE), open_ms)


def minutes(placed: Placed) -> list[tuple[float, float]]:
    return [(start / MINUTE, end / MINUTE) for start, end in placed.spans]


def lines(resources: Mapping[str, Resource]) -> dict[str, Line]:
    return {name: Line(resource) for name, resource in resources.items()}


def test_admit_lets_those_begin_that_have_room_in_the_order_of_their_planned_times() -> None:
    runs = [Run("c", 0, 5.0, ("pump",)), Run("b", 0, 5.0, ("pump",), priority=1), Run("a", 1, 5.0, ("pump",))]
    assert admit(runs, lines(PUMP), 1) == {"a": "pump"}


def test_admit_lets_nobody_overtake_on_what_a_larger_run_waits_for() -> None:
    free = lines(PUMP | {"main": Resource(max_zones=1)})
    free["pump"].begin(20.0)
    large, small = Run("a", 0, 25.0, ("pump", "main")), Run("b", 1, 5.0, ("pump",))
    elsewhere = Run("c", 2, 5.0, ("main",))
    assert admit([elsewhere, small, large], free, 3) == {"a": "pump", "b": "pump", "c": "main"}


def test_admit_lets_others_by_whom_nothing_of_theirs_is_waited_for() -> None:
    free = lines(ONE | {"main": Resource(max_zones=1)})
    free["pump"].begin(5.0)
    behind = Run("b", 1, 5.0, ("pump", "main"))  # waits for its turn on the pump, not for the main
    assert admit([Run("a", 0, 5.0, ("pump",)), behind, Run("c", 2, 5.0, ("main",))], free, 3) == {"a": "pump", "b": "pump"}


def test_admit_rests_a_pump_that_stood_still_and_not_one_that_runs() -> None:
    pump = Line(Resource(min_rest_s=300), stopped_ms=0)
    assert admit([Run("a", 0, 5.0, ("pump",))], {"pump": pump}, 299_999) == {"a": "pump"}
    assert admit([Run("a", 0, 5.0, ("pump",))], {"pump": pump}, 300_000) == {}
    assert admit([Run("b", 0, 5.0, ("pump",))], {"pump": pump}, 300_001) == {}


def test_admit_gives_a_run_of_unknown_flow_the_pump_alone() -> None:
    assert admit([Run("a", 0, 5.0, ("pump",)), Run("b", 1, math.nan, ("pump",))], lines(PUMP), 1) == {"b": "pump"}
    assert admit([Run("a", 0, math.nan, ("pump",)), Run("b", 1, 5.0, ("pump",))], lines(PUMP), 1) == {"b": "pump"}


def test_admit_takes_sums_of_flows_as_people_write_them() -> None:
    tenths = {"pump": Resource(max_flow_l_min=0.3)}
    assert admit([Run(str(number), 0, 0.1, ("pump",)) for number in range(3)], lines(tenths), 0) == {}


def test_too_much_names_the_resource_on_which_a_run_never_fits() -> None:
    assert too_much(Run("a", 0, 30.1, ("well", "pump")), PUMP) == "pump"
    assert too_much(Run("a", 0, 30.0, ("pump",)), PUMP) is None
    assert too_much(Run("a", 0, math.nan, ("pump",)), PUMP) is None


def test_cycles_of_makes_no_short_last_one_and_not_too_many() -> None:
    assert [cycles_of(1200, cycle) for cycle in (0, 600, 500, 1200, 3600)] == [1, 2, 3, 1, 1]
    assert cycles_of(86_400, 1) == 24


def test_unroll_gives_runs_that_share_nothing_their_own_time() -> None:
    found = unroll([wish("a"), wish("b"), wish("c")], {})
    assert [minutes(found[key]) for key in "abc"] == [[(0, 10)]] * 3


def test_unroll_puts_the_third_behind_the_first_two_where_two_zones_may_run() -> None:
    found = unroll([wish("a", 10), wish("b", 20), wish("c", 5)], PUMP)
    assert [minutes(found[key]) for key in "abc"] == [[(0, 10)], [(0, 20)], [(10, 15)]]


def test_unroll_soaks_between_cycles_and_lets_others_in_meanwhile() -> None:
    found = unroll([wish("a", 10, 10, soak=15), wish("b", 15)], ONE)
    assert minutes(found["a"]) == [(0, 10), (25, 35)]
    assert minutes(found["b"]) == [(10, 25)]


def test_unroll_begins_where_something_under_way_ends_and_the_pump_has_rested() -> None:
    taken = [((0, 90_000), 10.0, ("pump",))]
    found = unroll([wish("a")], {"pump": Resource(max_zones=1, min_rest_s=120)}, taken)
    assert minutes(found["a"]) == [(4, 14)]  # at rest from 1:30 to 3:30, and looked at on whole minutes


def test_unroll_tells_what_was_waited_for_in_vain() -> None:
    found = unroll([wish("a", 60), wish("b", 10, patience=30), wish("c", 10, flow=31.0)], PUMP | ONE)
    assert (found["b"].spans, found["b"].resource, found["b"].complete) == ([], "pump", False)
    assert found["c"].resource is None  # one zone at a time, whatever its flow
    assert unroll([wish("c", 10, flow=31.0)], PUMP)["c"].resource == "pump"


def test_unroll_begins_within_hours_alone() -> None:
    found = unroll([wish("a", 10, hours=[(30, 40), (60, 90)]), wish("b", 10, hours=[(30, 40), (60, 90)])], ONE)
    assert [minutes(found[key]) for key in "ab"] == [[(30, 40)], [(60, 70)]]


wishes = st.lists(
    st.builds(
        lambda number, ready, flow, cycles, soak, priority, needs: wish(
            f"z{number}", *cycles, ready=ready, flow=flow, soak=soak, priority=priority, needs=needs
        ),
        st.integers(0, 99),
        st.integers(0, 60),
        st.sampled_from([2.0, 7.5, 12.0, 29.9]),
        st.lists(st.integers(1, 20), min_size=1, max_size=4),
        st.integers(0, 15),
        st.integers(0, 2),
        st.sampled_from([("pump",), ("pump", "main"), ("main",), ()]),
    ),
    max_size=12,
    unique_by=lambda one: one.run.key,
)
grounds = st.builds(
    lambda flow, zones, rest: {"pump": Resource(flow, zones, rest), "main": Resource(max_zones=2)},
    st.sampled_from([30.0, 45.0, math.inf]),
    st.sampled_from([1, 3, math.inf]),
    st.sampled_from([0, 120]),
)


@given(wishes, grounds)
def test_unroll_never_serves_more_than_a_resource_may_and_lets_it_rest(
    wished: list[Wish], resources: Mapping[str, Resource]
) -> None:
    found = unroll(wished, resources)
    for name, resource in resources.items():
        served = [
            (span, one.run.flow_l_min) for one in wished if name in one.run.resources for span in found[one.run.key].spans
        ]
        for (start, _), _ in served:
            now = [flow for span, flow in served if span[0] <= start < span[1]]
            assert len(now) <= resource.max_zones
            assert sum(now) <= resource.max_flow_l_min + 1e-6
        standing = sorted((start, end) for (start, end), _ in served)
        latest = 0
        for (_, end), (start, _) in pairwise(standing):
            latest = max(latest, end)
            assert start < latest or start - latest >= resource.min_rest_s * 1000


@given(wishes, grounds, st.randoms(use_true_random=False))
def test_unroll_gives_the_same_whatever_the_order(
    wished: list[Wish], resources: Mapping[str, Resource], random: object
) -> None:
    mixed = sorted(wished, key=lambda _: random.random())  # type: ignore[attr-defined]
    assert unroll(mixed, resources) == unroll(wished, resources)


@given(wishes, grounds)
def test_unroll_soaks_for_as_long_as_it_must_and_loses_no_cycle_to_others_cycles(
    wished: list[Wish], resources: Mapping[str, Resource]
) -> None:
    for one in wished:
        placed = unroll(wished, resources)[one.run.key]
        assert [end - start for start, end in placed.spans] == list(one.cycles_ms[: len(placed.spans)])
        assert all(second[0] - first[1] >= one.soak_ms for first, second in pairwise(placed.spans))
