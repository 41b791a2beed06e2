# SPDX-License-Identifier: Apache-2.0
"""Feeding by planned meals: worked cases, oxygen, and what no input may bring about."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules import Reason, names
from tests.unit.rules.tables import FEEDING_CASES, POND, Case, Row, feed, ponds

NUMBERS = [name for name, value in POND.items() if isinstance(value, float)]
NO_OXYGEN = {"dissolved_oxygen", "age_s"}  # NaN here calls for caution, and not for a full stop


@pytest.mark.parametrize("case", FEEDING_CASES.values(), ids=FEEDING_CASES.keys())
def test_evaluate_in_a_worked_case_gives_its_grams_and_reasons(case: Case) -> None:
    plan = feed(case.changes)
    assert set(names(plan.reasons[0])) == set(case.reasons)
    assert plan.grams.item() == pytest.approx(case.amount, rel=1e-12)
    assert plan.act.item() == (case.amount > 0.0)


def test_evaluate_of_a_due_meal_runs_the_feeder_as_long_as_it_takes() -> None:
    plan = feed({})
    assert plan.seconds.item() == 50.0
    assert plan.max_seconds.item() == pytest.approx(55.0)
    assert plan.litres.item() == 0.0
    assert not plan.latched.item()


def test_evaluate_of_a_clipped_meal_sends_no_stop_beyond_the_limit() -> None:
    plan = feed({"max_seconds": 30.0}, {"grams_today": 920.0})
    assert plan.max_seconds.tolist() == pytest.approx([30.0, 20.0])


@pytest.mark.parametrize(
    ("oxygen", "share"), [(2.9, 0.0), (3.0, 0.0), (3.5, 0.25), (4.0, 0.5), (4.5, 0.75), (5.0, 1.0), (9.0, 1.0)]
)
def test_evaluate_between_the_oxygen_levels_scales_the_meal(oxygen: float, share: float) -> None:
    assert feed({"dissolved_oxygen": oxygen}).grams.item() == pytest.approx(200.0 * share)


def test_evaluate_of_a_withheld_meal_feeds_when_oxygen_returns_within_grace() -> None:
    gasping = {"dissolved_oxygen": 2.0, "late_s": 120.0}
    plan = feed(gasping, gasping | {"dissolved_oxygen": 6.0}, gasping | {"dissolved_oxygen": 6.0, "late_s": 900.0})
    assert plan.act.tolist() == [False, True, False]
    assert plan.withheld.tolist() == [True, False, True]


@pytest.mark.parametrize("case", FEEDING_CASES.values(), ids=FEEDING_CASES.keys())
def test_evaluate_marks_as_withheld_each_due_meal_not_given(case: Case) -> None:
    plan = feed(case.changes)
    row = POND | case.changes
    assert plan.withheld.item() == (row["due"] and not row["late_s"] < 0.0 and case.amount == 0.0)


def test_evaluate_between_meals_says_what_is_wrong_with_parameters_beforehand() -> None:
    plan = feed({"due": False, "max_meal": math.nan}, {"due": False, "grams": math.nan})
    assert [names(word) for word in plan.reasons] == [("invalid-parameter",), ("no-meal-due",)]


def test_evaluate_with_a_broken_clock_never_feeds() -> None:
    plan = feed({}, now=math.nan)
    assert not plan.act.item()
    assert names(plan.reasons[0]) == ("meal-due", "invalid-state")


@pytest.mark.parametrize("name", [name for name in NUMBERS if name not in NO_OXYGEN])
def test_evaluate_with_nan_in_a_column_never_feeds_and_says_why(name: str) -> None:
    plan = feed({name: math.nan})
    assert not plan.act.item()
    assert {"invalid-parameter", "invalid-state", "meal-missed"} & set(names(plan.reasons[0]))


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("oxygen_stop", -1.0),
        ("oxygen_reduce", math.inf),
        ("grams_day", -1.0),
        ("grams_day", math.inf),
        ("max_meal", 0.0),
        ("min_gap_s", -1.0),
        ("stale_s", 0.0),
        ("cautious_fraction", 1.1),
        ("cautious_fraction", -0.1),
        ("grams_per_second", 0.0),
        ("max_seconds", math.inf),
        ("grams", 0.0),
        ("grams", math.inf),
        ("grace_s", -1.0),
    ],
)
def test_evaluate_with_a_parameter_out_of_range_says_invalid(name: str, bad: float) -> None:
    assert names(feed({name: bad}).reasons[0]) == ("invalid-parameter",)


@settings(deadline=None)
@given(ponds())
def test_evaluate_without_a_fresh_reading_never_gives_more_than_with_it(row: Row) -> None:
    plan = feed(row | {"age_s": 0.0}, row | {"age_s": 9_999.0}, row | {"dissolved_oxygen": math.nan})
    fresh, stale, lost = plan.grams
    assert stale <= lost <= row["cautious_fraction"] * row["grams"]
    assert math.isnan(row["dissolved_oxygen"]) or stale <= fresh


@settings(deadline=None)
@given(st.lists(ponds(), min_size=1, max_size=8))
def test_evaluate_of_sober_ponds_stays_within_meal_and_day(rows: list[Row]) -> None:
    plan = feed(*rows)
    for row, act, seconds, grams, stop in zip(rows, plan.act, plan.seconds, plan.grams, plan.max_seconds, strict=True):
        if act:
            assert row["due"]
            assert 0.0 <= row["late_s"] <= POND["grace_s"]
            assert row["since_last_s"] >= row["min_gap_s"]
            assert 0.0 < seconds <= stop <= row["max_seconds"]
            assert grams <= min(row["grams"], row["max_meal"], row["grams_day"] - row["grams_today"])
            assert not row["dissolved_oxygen"] <= row["oxygen_stop"]
            assert grams == pytest.approx(seconds * row["grams_per_second"], rel=1e-9)
        else:
            assert (seconds, grams, stop) == (0.0, 0.0, 0.0)
    assert not (plan.reasons & Reason.INTERLOCK).any()


@settings(deadline=None)
@given(st.lists(ponds(wild=True), min_size=1, max_size=4), st.floats())
def test_evaluate_of_anything_feeds_only_finite_amounts_with_a_reason(rows: list[Row], now: float) -> None:
    plan = feed(*rows, now=now)
    assert (plan.reasons != 0).all()
    for row, act, seconds, grams in zip(rows, plan.act, plan.seconds, plan.grams, strict=True):
        assert math.isfinite(seconds)
        assert math.isfinite(grams)
        if act:
            assert all(row[name] for name in ("enabled", "due", "online"))
            assert not any(row[name] for name in ("busy", "unsettled"))
            assert not any(math.isnan(row[name]) for name in NUMBERS if name not in NO_OXYGEN)
            assert math.isfinite(now)
            assert 0.0 < seconds <= row["max_seconds"]
            assert 0.0 < grams <= min(row["max_meal"], row["grams_day"] - row["grams_today"])
    assert not plan.latched.any()
