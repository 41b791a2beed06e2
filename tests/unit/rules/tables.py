# SPDX-License-Identifier: Apache-2.0
"""Tables of one row or many for the tests of the rules, and one worked case for every reason.

The bed lacks 0.10 x 0.3 m x 2 m2 = 60 L, at 12 L/min a run of 300 s; the pond's meal is 200 g, at 4 g/s 50 s.
"""

from __future__ import annotations

import math
from typing import NamedTuple, TypeAlias

import numpy as np
from hypothesis import strategies as st

from rules import Plan, Reason, feeding, irrigation, timer

__all__ = ["BED", "FEEDING_CASES", "IRRIGATION_CASES", "NOW_S", "POND", "Case", "Row", "beds", "feed"]
__all__ += ["TIMED", "TIMER_CASES", "run_timer", "timed", "timer_inputs"]
__all__ += ["feed_inputs", "ponds", "same_bits", "water", "water_inputs"]

NOW_S = 1_763_770_800.0

Row: TypeAlias = dict[str, float | bool]

BED: Row = {
    "soil_moisture": 0.20,
    "age_s": 60.0,
    "litres_today": 0.0,
    "busy": False,
    "unsettled": False,
    "online": True,
    "since_last_s": math.inf,
    "latched": False,
    "held": 0,
    "enabled": True,
    "low": 0.22,
    "high": 0.30,
    "root_depth": 0.3,
    "area": 2.0,
    "flow": 12.0,
    "max_seconds": 900.0,
    "min_seconds": 20.0,
    "litres_day": 400.0,
    "soak_s": 1_800.0,
    "stale_s": 3_600.0,
    "allowed": True,
}
POND: Row = {
    "dissolved_oxygen": 6.5,
    "age_s": 60.0,
    "grams_today": 0.0,
    "busy": False,
    "unsettled": False,
    "online": True,
    "since_last_s": math.inf,
    "held": 0,
    "enabled": True,
    "oxygen_stop": 3.0,
    "oxygen_reduce": 5.0,
    "grams_day": 1_000.0,
    "max_meal": 300.0,
    "min_gap_s": 3_600.0,
    "stale_s": 3_600.0,
    "cautious_fraction": 0.5,
    "grams_per_second": 4.0,
    "max_seconds": 120.0,
    "due": True,
    "allowed": True,
    "grams": 200.0,
    "late_s": 0.0,
    "grace_s": 600.0,
}
TIMED: Row = {
    "litres_today": 0.0,
    "carried": 0.0,
    "busy": False,
    "unsettled": False,
    "online": True,
    "held": 0,
    "enabled": True,
    "flow": 12.0,
    "season": 1.0,
    "litres_day": 400.0,
    "max_seconds": 900.0,
    "min_seconds": 20.0,
    "due": True,
    "allowed": True,
    "soaking": False,
    "litres": 60.0,
    "seconds": math.nan,
    "late_s": 0.0,
    "grace_s": 600.0,
}


class Case(NamedTuple):
    """How a row differs from `BED` or `POND`, the reasons expected, and the litres or grams given."""

    changes: Row
    reasons: tuple[str, ...]
    amount: float


IRRIGATION_CASES = {
    "dry": Case({}, ("dry",), 60.0),
    "filling": Case({"soil_moisture": 0.25, "latched": True}, ("latched",), 30.0),
    "wet": Case({"soil_moisture": 0.25}, ("wet-enough",), 0.0),
    "filled": Case({"soil_moisture": 0.30, "latched": True}, ("wet-enough",), 0.0),
    "night": Case({"allowed": False}, ("dry", "outside-hours"), 0.0),
    "watered just now": Case({"since_last_s": 600.0}, ("dry", "soaking"), 0.0),
    "read before the water arrived": Case({"since_last_s": 2_000.0, "age_s": 500.0}, ("dry", "soaking"), 0.0),
    "nothing left today": Case({"litres_today": 400.0}, ("dry", "budget-spent"), 0.0),
    "little left today": Case({"litres_today": 370.0}, ("dry", "budget-clipped"), 30.0),
    "a long run": Case({"max_seconds": 120.0}, ("dry", "max-run-clipped"), 24.0),
    "a long run and less left than lacks": Case(
        {"max_seconds": 120.0, "litres_today": 370.0}, ("dry", "max-run-clipped"), 24.0
    ),
    "a drop left today": Case({"litres_today": 399.0}, ("dry", "budget-clipped", "below-useful-run"), 0.0),
    "never read": Case({"soil_moisture": math.nan}, ("no-reading",), 0.0),
    "an impossible reading": Case({"soil_moisture": 1.2}, ("no-reading",), 0.0),
    "an old reading": Case({"age_s": 3_601.0}, ("stale-reading",), 0.0),
    "a reading from ahead": Case({"age_s": -3_601.0}, ("stale-reading",), 0.0),
    "gone silent": Case({"age_s": math.inf, "online": False}, ("stale-reading", "offline"), 0.0),
    "switched off": Case({"enabled": False}, ("disabled",), 0.0),
    "not connected": Case({"online": False}, ("dry", "offline"), 0.0),
    "acting": Case({"busy": True}, ("dry", "busy"), 0.0),
    "an unknown act": Case({"unsettled": True}, ("dry", "unsettled"), 0.0),
    "thresholds crossed": Case({"low": 0.31}, ("invalid-parameter",), 0.0),
    "a useful run beyond the longest": Case({"min_seconds": 901.0}, ("invalid-parameter",), 0.0),
    "a lost count": Case({"litres_today": math.nan}, ("dry", "invalid-state"), 0.0),
    "a count without end": Case({"litres_today": math.inf}, ("dry", "budget-spent", "invalid-state"), 0.0),
    "paused": Case({"held": Reason.PAUSED}, ("dry", "paused"), 0.0),
    "paused and wet": Case({"held": Reason.PAUSED, "soil_moisture": 0.25}, ("wet-enough",), 0.0),
    "out of its dates": Case({"held": Reason.OUTSIDE_DATES}, ("dry", "outside-dates"), 0.0),
    "the month spent": Case({"held": Reason.MONTH_SPENT}, ("dry", "month-spent"), 0.0),
    "valves tested": Case({"held": Reason.VALVE_TEST}, ("dry", "valve-test"), 0.0),
    "after rain": Case({"held": Reason.RAIN_DELAY, "online": False}, ("dry", "offline", "rain-delay"), 0.0),
    "before rain": Case({"held": Reason.RAIN_EXPECTED}, ("dry", "rain-expected"), 0.0),
    "rained on": Case({"held": Reason.RAIN_FALLEN, "latched": True}, ("dry", "rain-fallen"), 0.0),
    "a count below nothing": Case({"litres_today": -500.0}, ("dry", "invalid-state"), 0.0),
}

FEEDING_CASES = {
    "a meal": Case({}, ("meal-due",), 200.0),
    "between meals": Case({"due": False}, ("no-meal-due",), 0.0),
    "planned but not yet": Case({"late_s": -1.0}, ("no-meal-due",), 0.0),
    "late within grace": Case({"late_s": 600.0}, ("meal-due",), 200.0),
    "too late": Case({"late_s": 601.0}, ("meal-missed",), 0.0),
    "nobody knows how late": Case({"late_s": math.nan}, ("meal-missed",), 0.0),
    "gasping": Case({"dissolved_oxygen": 3.0}, ("meal-due", "low-oxygen"), 0.0),
    "short of oxygen": Case({"dissolved_oxygen": 3.5}, ("meal-due", "oxygen-reduced"), 50.0),
    "plenty, just": Case({"dissolved_oxygen": 5.0}, ("meal-due",), 200.0),
    "one level, reached": Case({"oxygen_stop": 5.0, "dissolved_oxygen": 5.0}, ("meal-due", "low-oxygen"), 0.0),
    "one level, passed": Case({"oxygen_stop": 5.0, "dissolved_oxygen": 5.1}, ("meal-due",), 200.0),
    "no probe": Case({"dissolved_oxygen": math.nan}, ("meal-due", "oxygen-unknown", "no-reading"), 100.0),
    "no probe, withhold": Case(
        {"dissolved_oxygen": math.nan, "cautious_fraction": 0.0},
        ("meal-due", "oxygen-unknown", "no-reading"),
        0.0,
    ),
    "an old reading": Case({"age_s": 7_200.0}, ("meal-due", "oxygen-unknown", "stale-reading"), 100.0),
    "low when last read": Case(
        {"age_s": 7_200.0, "dissolved_oxygen": 2.0},
        ("meal-due", "low-oxygen", "oxygen-unknown", "stale-reading"),
        0.0,
    ),
    "a large meal": Case({"grams": 450.0}, ("meal-due", "ration-clipped"), 300.0),
    "a large meal, little oxygen": Case(
        {"grams": 450.0, "dissolved_oxygen": 4.0}, ("meal-due", "oxygen-reduced", "ration-clipped"), 150.0
    ),
    "little left today": Case({"grams_today": 920.0}, ("meal-due", "ration-clipped"), 80.0),
    "nothing left today": Case({"grams_today": 1_000.0}, ("meal-due", "grams-day-spent"), 0.0),
    "a crumb left today": Case({"grams_today": 999.9}, ("meal-due", "ration-clipped", "below-useful-run"), 0.0),
    "a slow feeder": Case({"max_seconds": 30.0}, ("max-run-clipped", "meal-due"), 120.0),
    "fed long enough ago": Case({"since_last_s": 3_600.0}, ("meal-due",), 200.0),
    "fed just now": Case({"since_last_s": 3_599.0}, ("meal-due", "meal-gap"), 0.0),
    "switched off": Case({"enabled": False}, ("disabled",), 0.0),
    "not connected": Case({"online": False}, ("meal-due", "offline"), 0.0),
    "acting": Case({"busy": True}, ("meal-due", "busy"), 0.0),
    "an unknown act": Case({"unsettled": True}, ("meal-due", "unsettled"), 0.0),
    "paused": Case({"held": Reason.PAUSED}, ("meal-due", "paused"), 0.0),
    "jammed before": Case({"held": Reason.DISPROVED}, ("meal-due", "disproved"), 0.0),
    "before the allowed hours": Case({"allowed": False}, ("outside-hours", "meal-due"), 0.0),
    "paused between meals": Case({"held": Reason.PAUSED, "due": False}, ("no-meal-due",), 0.0),
    "levels crossed": Case({"oxygen_stop": 5.5}, ("invalid-parameter",), 0.0),
    "no amount planned": Case({"grams": math.nan}, ("invalid-parameter",), 0.0),
    "no end of grace": Case({"grace_s": math.inf}, ("invalid-parameter",), 0.0),
    "a lost count": Case({"grams_today": math.nan}, ("meal-due", "invalid-state"), 0.0),
    "a lost time": Case({"since_last_s": math.nan}, ("meal-due", "invalid-state"), 0.0),
}

TIMER_CASES = {
    "a run": Case({}, ("run-due",), 60.0),
    "a run by time": Case({"litres": math.nan, "seconds": 120.0}, ("run-due",), 24.0),
    "between runs": Case({"due": False}, ("no-run-due",), 0.0),
    "planned but not yet": Case({"late_s": -1.0}, ("no-run-due",), 0.0),
    "between two cycles": Case({"due": False, "soaking": True}, ("soaking",), 0.0),
    "late within grace": Case({"late_s": 600.0}, ("run-due",), 60.0),
    "too late": Case({"late_s": 601.0}, ("run-missed",), 0.0),
    "nobody knows how late": Case({"late_s": math.nan}, ("run-missed",), 0.0),
    "a wet month": Case({"season": 0.5}, ("run-due",), 30.0),
    "a month without": Case({"season": 0.0}, ("run-due", "season-out"), 0.0),
    "a month without, but something is carried": Case(
        {"season": 0.0, "carried": 10.0}, ("run-due", "season-out", "carried"), 10.0
    ),
    "something carried": Case({"carried": 40.0}, ("run-due", "carried"), 100.0),
    "much carried": Case({"carried": 500.0}, ("run-due", "carried", "max-run-clipped"), 180.0),
    "night": Case({"allowed": False}, ("run-due", "outside-hours"), 0.0),
    "nothing left today": Case({"litres_today": 400.0}, ("run-due", "budget-spent"), 0.0),
    "little left today": Case({"litres_today": 370.0}, ("run-due", "budget-clipped"), 30.0),
    "a drop left today": Case({"litres_today": 399.0}, ("run-due", "budget-clipped", "below-useful-run"), 0.0),
    "a long run": Case({"max_seconds": 120.0}, ("run-due", "max-run-clipped"), 24.0),
    "switched off": Case({"enabled": False}, ("disabled",), 0.0),
    "not connected": Case({"online": False}, ("run-due", "offline"), 0.0),
    "acting": Case({"busy": True}, ("run-due", "busy"), 0.0),
    "an unknown act": Case({"unsettled": True}, ("run-due", "unsettled"), 0.0),
    "paused in rain": Case({"held": Reason.PAUSED | Reason.RAIN_DELAY}, ("run-due", "paused", "rain-delay"), 0.0),
    "left out once": Case({"held": Reason.SKIPPED_ONCE}, ("run-due", "skipped-once"), 0.0),
    "left out too late": Case({"held": Reason.SKIPPED_ONCE, "late_s": 601.0}, ("run-missed",), 0.0),
    "no flow known": Case({"flow": math.nan}, ("invalid-parameter",), 0.0),
    "no amount planned": Case({"litres": math.nan}, ("invalid-parameter",), 0.0),
    "no end of grace": Case({"grace_s": math.inf}, ("invalid-parameter",), 0.0),
    "a lost count": Case({"litres_today": math.nan}, ("run-due", "invalid-state"), 0.0),
}


# Beds and ponds as they may be met, each branch of the rules within reach.
BED_RANGES = {
    "soil_moisture": st.floats(0.0, 0.4) | st.just(math.nan),
    "age_s": st.floats(-60.0, 4_500.0),
    "litres_today": st.floats(0.0, 500.0),
    "since_last_s": st.floats(0.0, 86_400.0) | st.just(math.inf),
    "low": st.floats(0.05, 0.25),
    "high": st.floats(0.25, 0.5),
    "root_depth": st.floats(0.05, 1.0),
    "area": st.floats(0.1, 100.0),
    "flow": st.floats(0.5, 60.0),
    "max_seconds": st.floats(60.0, 3_600.0),
    "min_seconds": st.floats(0.0, 60.0),
    "litres_day": st.floats(0.0, 800.0),
    "soak_s": st.floats(0.0, 3_600.0),
}
POND_RANGES = {
    "dissolved_oxygen": st.floats(0.0, 15.0) | st.just(math.nan),
    "age_s": st.floats(-60.0, 7_200.0),
    "grams_today": st.floats(0.0, 1_000.0),
    "since_last_s": st.floats(0.0, 86_400.0) | st.just(math.inf),
    "oxygen_stop": st.floats(1.0, 4.0),
    "oxygen_reduce": st.floats(4.0, 8.0),
    "grams_day": st.floats(0.0, 2_000.0),
    "max_meal": st.floats(1.0, 1_000.0),
    "min_gap_s": st.floats(0.0, 7_200.0),
    "cautious_fraction": st.floats(0.0, 1.0),
    "grams_per_second": st.floats(0.1, 50.0),
    "max_seconds": st.floats(1.0, 600.0),
    "grams": st.floats(1.0, 1_500.0),
    "late_s": st.floats(-60.0, 900.0),
}
TIMED_RANGES = {
    "litres_today": st.floats(0.0, 500.0),
    "carried": st.floats(0.0, 200.0),
    "flow": st.floats(0.5, 60.0),
    "season": st.floats(0.0, 2.0),
    "litres_day": st.floats(0.0, 800.0),
    "max_seconds": st.floats(60.0, 3_600.0),
    "min_seconds": st.floats(0.0, 60.0),
    "litres": st.floats(0.0, 500.0) | st.just(math.nan),
    "seconds": st.floats(0.0, 3_600.0),
    "late_s": st.floats(-60.0, 900.0),
}


def beds(*, wild: bool = False) -> st.SearchStrategy[Row]:
    """Draw changes to `BED`; wild ones put anything a float can hold in up to three columns."""
    return _rows(BED, BED_RANGES, wild=wild)


def ponds(*, wild: bool = False) -> st.SearchStrategy[Row]:
    """Draw changes to `POND`; wild ones put anything a float can hold in up to three columns."""
    return _rows(POND, POND_RANGES, wild=wild)


def timed(*, wild: bool = False) -> st.SearchStrategy[Row]:
    """Draw changes to `TIMED`; wild ones put anything a float can hold in up to three columns."""
    return _rows(TIMED, TIMED_RANGES, wild=wild)


def _rows(base: Row, ranges: dict[str, st.SearchStrategy[float]], *, wild: bool) -> st.SearchStrategy[Row]:
    # Mostly the flags that let a row act, or hardly one would.
    flags = {name: value for name, value in base.items() if isinstance(value, bool)}
    mostly = {name: st.sampled_from([value] * 9 + [not value]) for name, value in flags.items()}
    sober = st.fixed_dictionaries(ranges | mostly)
    if not wild:
        return sober.map(lambda row: base | row)
    numbers = [name for name, value in base.items() if isinstance(value, float)]
    anything = st.dictionaries(st.sampled_from(numbers), st.floats(), max_size=3)
    return st.tuples(sober, anything).map(lambda drawn: base | drawn[0] | drawn[1])


def water_inputs(
    *rows: Row,
) -> tuple[irrigation.IrrigationState, irrigation.IrrigationParams, irrigation.IrrigationCalendar]:
    """Build the three tables; each row says how it differs from `BED`."""
    column = {name: np.array([(BED | row)[name] for row in rows], dtype=type(value)) for name, value in BED.items()}
    return (
        irrigation.IrrigationState(**{name: column[name] for name in irrigation.IrrigationState.__slots__}),
        irrigation.IrrigationParams(**{name: column[name] for name in irrigation.IrrigationParams.__slots__}),
        irrigation.IrrigationCalendar(allowed=column["allowed"]),
    )


def feed_inputs(
    *rows: Row,
) -> tuple[feeding.FeedingState, feeding.FeedingParams, feeding.FeedingCalendar]:
    """Build the three tables; each row says how it differs from `POND`."""
    column = {name: np.array([(POND | row)[name] for row in rows], dtype=type(value)) for name, value in POND.items()}
    return (
        feeding.FeedingState(**{name: column[name] for name in feeding.FeedingState.__slots__}),
        feeding.FeedingParams(**{name: column[name] for name in feeding.FeedingParams.__slots__}),
        feeding.FeedingCalendar(**{name: column[name] for name in feeding.FeedingCalendar.__slots__}),
    )


def timer_inputs(*rows: Row) -> tuple[timer.TimerState, timer.TimerParams, timer.TimerCalendar]:
    """Build the three tables; each row says how it differs from `TIMED`."""
    column = {name: np.array([(TIMED | row)[name] for row in rows], dtype=type(value)) for name, value in TIMED.items()}
    return (
        timer.TimerState(**{name: column[name] for name in timer.TimerState.__slots__}),
        timer.TimerParams(**{name: column[name] for name in timer.TimerParams.__slots__}),
        timer.TimerCalendar(**{name: column[name] for name in timer.TimerCalendar.__slots__}),
    )


def run_timer(*rows: Row, now: float = NOW_S) -> Plan:
    """Decide for beds that are watered by the clock."""
    return timer.evaluate(*timer_inputs(*rows), now)


def water(*rows: Row, now: float = NOW_S) -> Plan:
    """Decide for beds."""
    return irrigation.evaluate(*water_inputs(*rows), now)


def feed(*rows: Row, now: float = NOW_S) -> Plan:
    """Decide for ponds."""
    return feeding.evaluate(*feed_inputs(*rows), now)


def same_bits(one: Plan, other: Plan) -> bool:
    """Tell whether two plans agree to the last bit."""
    return all(getattr(one, name).tobytes() == getattr(other, name).tobytes() for name in Plan.__slots__)
