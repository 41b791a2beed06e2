# SPDX-License-Identifier: Apache-2.0
"""Watering by the clock: worked cases, the season, what is carried, and what no input may bring about."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given

from rules import names
from tests.unit.rules.tables import TIMED, TIMER_CASES, Case, Row, run_timer, same_bits, timed


@pytest.mark.parametrize("case", TIMER_CASES.values(), ids=TIMER_CASES.keys())
def test_evaluate_in_a_worked_case_gives_its_litres_and_reasons(case: Case) -> None:
    plan = run_timer(case.changes)
    assert set(names(plan.reasons[0])) == set(case.reasons)
    assert plan.litres.item() == pytest.approx(case.amount, rel=1e-12)
    assert plan.act.item() == (case.amount > 0.0)
    row = TIMED | case.changes
    assert plan.withheld.item() == (row["due"] and not row["late_s"] < 0.0 and case.amount == 0.0)


def test_evaluate_of_a_run_says_how_long_and_when_the_device_stops_by_itself() -> None:
    plan = run_timer({}, {"max_seconds": 310.0}, {"litres_today": 380.0})
    assert plan.seconds.tolist() == [300.0, 300.0, 100.0]
    assert plan.max_seconds.tolist() == pytest.approx([330.0, 310.0, 100.0])


@pytest.mark.parametrize("name", [name for name, value in TIMED.items() if isinstance(value, float) and name != "seconds"])
def test_evaluate_with_nan_in_a_column_never_waters_and_says_why(name: str) -> None:
    plan = run_timer({name: math.nan})
    assert not plan.act.item()
    assert {"invalid-parameter", "invalid-state", "run-missed"} & set(names(plan.reasons[0]))


def test_evaluate_with_a_broken_clock_never_waters() -> None:
    assert not run_timer({}, now=math.nan).act.item()


@given(row=timed(wild=True))
def test_evaluate_of_anything_keeps_the_day_s_water_and_the_longest_run(row: Row) -> None:
    plan = run_timer(row)
    full = TIMED | row
    assert plan.reasons[0]
    if plan.act[0]:
        assert full["due"]
        assert full["allowed"]
        assert 0.0 < plan.litres[0] <= full["litres_day"] - full["litres_today"]
        assert plan.seconds[0] <= plan.max_seconds[0] <= full["max_seconds"]
        assert plan.litres[0] <= full["max_seconds"] * full["flow"] / 60.0 * (1 + 1e-12)
        assert "interlock" not in names(plan.reasons[0])
    else:
        assert (plan.litres[0], plan.seconds[0], plan.max_seconds[0]) == (0.0, 0.0, 0.0)


@given(row=timed())
def test_evaluate_with_more_carried_never_gives_less(row: Row) -> None:
    less, more = run_timer(row | {"carried": 5.0}, row | {"carried": 50.0}).litres
    assert more >= less


@given(row=timed(wild=True))
def test_evaluate_of_a_row_is_the_same_alone_and_among_others(row: Row) -> None:
    alone, among = run_timer(row), run_timer(*[{}] * 5, row, *[{"due": False}] * 3)
    assert same_bits(alone, type(alone)(*[np.ascontiguousarray(getattr(among, name)[5:6]) for name in type(among).__slots__]))
