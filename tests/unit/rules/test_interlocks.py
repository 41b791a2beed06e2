# SPDX-License-Identifier: Apache-2.0
"""The interlocks hold against a rule that is wrong in every way."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules import Plan, Reason, names
from rules.interlocks import apply

ASKED = {"seconds": 300.0, "litres": 60.0, "grams": 0.0, "max_seconds": 330.0}
LIMITS = {"max_seconds": 900.0, "max_litres": 400.0, "max_grams": 0.0}
FREE = {"enabled": True, "online": True, "busy": False, "unsettled": False, "held": 0}


def passed(
    asked: dict[str, float] | None = None,
    limits: dict[str, float] | None = None,
    free: dict[str, int] | None = None,
    *,
    act: bool = True,
    withheld: bool = False,
) -> Plan:
    plan = Plan(
        act=np.array([act]),
        **{name: np.array([value]) for name, value in (ASKED | (asked or {})).items()},
        reasons=np.array([Reason.DRY], dtype=np.int64),
        latched=np.array([True]),
        withheld=np.array([withheld]),
    )
    return apply(
        plan,
        **{name: np.array([value]) for name, value in (LIMITS | (limits or {})).items()},
        **{name: np.array([value]) for name, value in (FREE | (free or {})).items()},
    )


def amounts(plan: Plan) -> tuple[float, float, float, float]:
    return plan.seconds.item(), plan.litres.item(), plan.grams.item(), plan.max_seconds.item()


def test_apply_to_a_sound_act_changes_nothing() -> None:
    plan = passed()
    assert plan.act.item()
    assert amounts(plan) == (300.0, 60.0, 0.0, 330.0)
    assert names(plan.reasons[0]) == ("dry",)
    assert plan.latched.item()
    assert not plan.withheld.item()


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"max_seconds": 120.0}, (120.0, 60.0, 0.0, 120.0)),
        ({"max_seconds": 310.0}, (300.0, 60.0, 0.0, 310.0)),
        ({"max_litres": 10.0}, (300.0, 10.0, 0.0, 330.0)),
    ],
)
def test_apply_above_a_limit_cuts_to_it_and_says_so(
    limits: dict[str, float], expected: tuple[float, float, float, float]
) -> None:
    plan = passed(limits=limits)
    assert amounts(plan) == expected
    assert names(plan.reasons[0]) == ("dry", "interlock")


def test_apply_to_grams_above_the_limit_cuts_to_it() -> None:
    plan = passed({"litres": 0.0, "grams": 500.0}, {"max_grams": 300.0})
    assert amounts(plan) == (300.0, 0.0, 300.0, 330.0)


def test_apply_to_a_device_stop_below_the_run_shortens_the_run() -> None:
    assert amounts(passed({"max_seconds": 200.0})) == (200.0, 60.0, 0.0, 200.0)


@pytest.mark.parametrize(
    ("free", "reason"),
    [
        ({"enabled": False}, "disabled"),
        ({"online": False}, "offline"),
        ({"busy": True}, "busy"),
        ({"unsettled": True}, "unsettled"),
    ],
)
def test_apply_where_nothing_may_act_refuses_and_withholds(free: dict[str, bool], reason: str) -> None:
    plan = passed(free=free)
    assert not plan.act.item()
    assert amounts(plan) == (0.0, 0.0, 0.0, 0.0)
    assert names(plan.reasons[0]) == ("dry", reason, "interlock")
    assert plan.withheld.item()


def test_apply_to_a_held_zone_refuses_and_names_every_bit_that_holds_it() -> None:
    plan = passed(free={"held": Reason.PAUSED | Reason.RAIN_DELAY | (1 << 62)})
    assert not plan.act.item()
    assert amounts(plan) == (0.0, 0.0, 0.0, 0.0)
    assert names(plan.reasons[0]) == ("dry", "interlock", "paused", "rain-delay", "bit-62")
    assert plan.withheld.item()


@pytest.mark.parametrize("bad", [math.nan, -1.0, -math.inf])
@pytest.mark.parametrize("name", ["seconds", "litres", "grams", "max_seconds"])
def test_apply_to_a_bad_amount_never_acts(name: str, bad: float) -> None:
    plan = passed({name: bad})
    assert not plan.act.item()
    assert amounts(plan) == (0.0, 0.0, 0.0, 0.0)
    assert names(plan.reasons[0]) == ("dry", "interlock")


@pytest.mark.parametrize("bad", [math.nan, -1.0, math.inf, -math.inf])
@pytest.mark.parametrize("name", ["max_seconds", "max_litres", "max_grams"])
def test_apply_with_a_bad_limit_never_acts(name: str, bad: float) -> None:
    assert not passed(limits={name: bad}).act.item()


def test_apply_to_an_infinite_amount_never_acts() -> None:
    assert not passed({"litres": math.inf}).act.item()
    assert not passed({"litres": math.inf, "grams": -math.inf}).act.item()


def test_apply_to_absurd_amounts_neither_acts_nor_warns() -> None:
    assert not passed({"litres": -1e308, "grams": -1e308}).act.item()
    assert not passed({"litres": 1e308, "grams": 1e308}, {"max_litres": 1e308, "max_grams": 1e308}).act.item()


def test_apply_to_an_act_of_nothing_never_acts() -> None:
    assert not passed({"litres": 0.0}).act.item()
    assert not passed({"seconds": 0.0}).act.item()


def test_apply_to_a_row_that_does_not_act_keeps_its_reasons_and_clears_amounts() -> None:
    plan = passed(free={"busy": True}, act=False, withheld=True)
    assert amounts(plan) == (0.0, 0.0, 0.0, 0.0)
    assert names(plan.reasons[0]) == ("dry",)
    assert plan.withheld.item()


def test_apply_to_a_plan_returns_columns_of_its_own() -> None:
    none = np.zeros(1)
    flags, bits = np.array([False]), np.zeros(1, dtype=np.int64)
    given_plan = Plan(flags, none, none, none, none, bits, flags, flags)
    plan = apply(
        given_plan,
        enabled=flags,
        online=flags,
        busy=flags,
        unsettled=flags,
        held=bits,
        max_seconds=none,
        max_litres=none,
        max_grams=none,
    )
    for name in Plan.__slots__:
        assert not np.shares_memory(getattr(plan, name), getattr(given_plan, name))


ANY = st.floats(allow_nan=True, allow_infinity=True)


@settings(deadline=None)
@given(
    st.tuples(ANY, ANY, ANY, ANY),
    st.tuples(ANY, ANY, ANY),
    st.tuples(*[st.booleans()] * 4, st.sampled_from([0, 0, 1 << 32, 1 << 62]), st.booleans()),
)
def test_apply_to_anything_stays_within_the_limits(
    asked: tuple[float, ...], limits: tuple[float, ...], free: tuple[int, ...]
) -> None:
    plan = passed(
        dict(zip(ASKED, asked, strict=True)),
        dict(zip(LIMITS, limits, strict=True)),
        dict(zip(FREE, free[:5], strict=True)),
        act=bool(free[5]),
    )
    seconds, litres, grams, stop = amounts(plan)
    if plan.act.item():
        assert free == (True, True, False, False, 0, True)
        assert 0.0 < seconds <= stop <= limits[0]
        assert 0.0 <= litres <= limits[1]
        assert 0.0 <= grams <= limits[2]
        assert litres + grams > 0.0
    else:
        assert amounts(plan) == (0.0, 0.0, 0.0, 0.0)
