# SPDX-License-Identifier: Apache-2.0
"""Watering by soil moisture: worked cases, hysteresis, and what no input may bring about."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules import Reason, names
from tests.unit.rules.tables import BED, IRRIGATION_CASES, Case, Row, beds, water

NUMBERS = [name for name, value in BED.items() if isinstance(value, float)]
PARAMETERS = ["low", "high", "root_depth", "area", "flow", "max_seconds", "min_seconds", "litres_day", "soak_s"]


@pytest.mark.parametrize("case", IRRIGATION_CASES.values(), ids=IRRIGATION_CASES.keys())
def test_evaluate_in_a_worked_case_gives_its_litres_and_reasons(case: Case) -> None:
    plan = water(case.changes)
    assert names(plan.reasons[0]) == case.reasons
    assert plan.litres.item() == pytest.approx(case.amount, rel=1e-12)
    assert plan.act.item() == (case.amount > 0.0)


def test_evaluate_of_a_dry_bed_gives_what_the_root_zone_lacks() -> None:
    plan = water({})
    assert plan.litres.item() == pytest.approx(60.0)
    assert plan.seconds.item() == pytest.approx(300.0)
    assert plan.max_seconds.item() == pytest.approx(330.0)
    assert plan.grams.item() == 0.0


def test_evaluate_of_a_clipped_run_sends_no_stop_beyond_the_limit() -> None:
    by_run, by_budget = {"max_seconds": 120.0}, {"litres_today": 370.0}
    plan = water(by_run, by_budget)
    assert plan.seconds.tolist() == pytest.approx([120.0, 150.0])
    assert plan.max_seconds.tolist() == pytest.approx([120.0, 150.0])


def test_evaluate_over_a_drying_and_filling_bed_switches_at_the_thresholds_alone() -> None:
    latched = False
    acted = []
    for soil_moisture in (0.26, 0.23, 0.219, 0.23, 0.26, 0.29, 0.30, 0.26, 0.22, 0.21):
        plan = water({"soil_moisture": soil_moisture, "latched": latched, "min_seconds": 0.0})
        latched = plan.latched.item()
        acted.append(plan.act.item())
    assert acted == [False, False, True, True, True, True, False, False, False, True]


def test_evaluate_of_a_bed_lacking_less_than_a_useful_run_calls_it_full() -> None:
    nearly = {"soil_moisture": 0.2995, "latched": True}
    plan = water(nearly, nearly | {"min_seconds": 0.0})
    assert plan.latched.tolist() == [False, True]
    assert [names(word) for word in plan.reasons] == [("wet-enough",), ("latched",)]


def test_evaluate_of_a_small_dry_bed_waits_until_a_run_is_useful() -> None:
    pot = {"area": 0.05, "low": 0.22}
    plan = water(pot | {"soil_moisture": 0.21}, pot | {"soil_moisture": 0.01})
    assert plan.act.tolist() == [False, True]
    assert names(plan.reasons[0]) == ("dry", "below-useful-run")


@pytest.mark.parametrize("unknown", [{"soil_moisture": math.nan}, {"age_s": math.nan}, {"low": math.nan}])
@pytest.mark.parametrize("latched", [False, True])
def test_evaluate_without_a_usable_reading_keeps_the_latch(unknown: dict[str, float], latched: bool) -> None:
    plan = water(unknown | {"latched": latched})
    assert plan.latched.item() == latched
    assert not plan.act.item()


def test_evaluate_of_a_held_bed_keeps_filling_afterwards() -> None:
    plan = water({"soil_moisture": 0.25, "latched": True, "allowed": False})
    assert plan.latched.item()
    assert names(plan.reasons[0]) == ("latched", "outside-hours")


def test_evaluate_of_a_soaked_bed_needs_a_reading_from_after_the_soak() -> None:
    plan = water({"since_last_s": 1_860.0, "age_s": 60.0}, {"since_last_s": 1_860.0, "age_s": 61.0})
    assert plan.act.tolist() == [True, False]


@pytest.mark.parametrize("now", [math.nan, math.inf])
def test_evaluate_with_a_broken_clock_never_acts(now: float) -> None:
    plan = water({}, now=now)
    assert not plan.act.item()
    assert names(plan.reasons[0]) == ("dry", "invalid-state")


@pytest.mark.parametrize("name", NUMBERS)
def test_evaluate_with_nan_in_a_column_never_acts_and_says_why(name: str) -> None:
    plan = water({name: math.nan})
    assert not plan.act.item()
    blamed = {"invalid-parameter", "invalid-state", "no-reading", "stale-reading"}
    assert blamed & set(names(plan.reasons[0]))


@pytest.mark.parametrize("name", [*PARAMETERS, "stale_s"])
@pytest.mark.parametrize("bad", [-1.0, math.inf, -math.inf])
def test_evaluate_with_a_parameter_out_of_range_says_invalid(name: str, bad: float) -> None:
    assert names(water({name: bad}).reasons[0]) == ("invalid-parameter",)


@pytest.mark.parametrize("name", ["root_depth", "area", "flow", "max_seconds", "stale_s"])
def test_evaluate_with_a_parameter_of_nothing_says_invalid(name: str) -> None:
    assert names(water({name: 0.0, "min_seconds": 0.0}).reasons[0]) == ("invalid-parameter",)


@settings(deadline=None)
@given(st.lists(beds(), min_size=1, max_size=8))
def test_evaluate_of_sober_beds_stays_within_run_and_budget(rows: list[Row]) -> None:
    plan = water(*rows)
    columns = (plan.act, plan.seconds, plan.litres, plan.max_seconds)
    for row, act, seconds, litres, stop in zip(rows, *columns, strict=True):
        if act:
            assert row["min_seconds"] <= seconds <= stop <= row["max_seconds"]
            assert litres <= row["litres_day"] - row["litres_today"]
            assert litres == pytest.approx(seconds * row["flow"] / 60.0, rel=1e-9)
            assert stop * row["flow"] / 60.0 <= (row["litres_day"] - row["litres_today"]) * (1.0 + 1e-12)
            after = row["soil_moisture"] + litres / (row["root_depth"] * row["area"] * 1_000.0)
            assert after <= row["high"] + 1e-12
        else:
            assert (seconds, litres, stop) == (0.0, 0.0, 0.0)
    assert not (plan.reasons & Reason.INTERLOCK).any()


@settings(deadline=None)
@given(beds())
def test_evaluate_of_a_sober_bed_moves_the_latch_by_hysteresis(row: Row) -> None:
    plan = water(row)
    theta, known = row["soil_moisture"], abs(row["age_s"]) <= BED["stale_s"] and not math.isnan(row["soil_moisture"])
    if not known:
        assert plan.latched.item() == row["latched"]
    elif theta < row["low"]:
        assert plan.latched.item()
    elif theta >= row["high"]:
        assert not plan.latched.item()
    else:
        assert row["latched"] or not plan.latched.item()


@settings(deadline=None)
@given(st.lists(beds(wild=True), min_size=1, max_size=4), st.floats())
def test_evaluate_of_anything_acts_only_on_finite_amounts_with_a_reason(rows: list[Row], now: float) -> None:
    plan = water(*rows, now=now)
    assert (plan.reasons != 0).all()
    for row, act, seconds, litres in zip(rows, plan.act, plan.seconds, plan.litres, strict=True):
        assert math.isfinite(seconds)
        assert math.isfinite(litres)
        if act:
            assert all(row[name] for name in ("enabled", "allowed", "online"))
            assert not any(row[name] for name in ("busy", "unsettled"))
            assert not any(math.isnan(row[name]) for name in NUMBERS)
            assert math.isfinite(now)
            assert 0.0 < seconds <= row["max_seconds"]
            assert 0.0 < litres <= row["litres_day"] - row["litres_today"]
    assert not plan.withheld.any()


def test_evaluate_of_no_zones_returns_an_empty_plan() -> None:
    plan = water()
    assert plan.act.shape == (0,)
    assert plan.reasons.dtype == np.int64
