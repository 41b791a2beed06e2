# SPDX-License-Identifier: Apache-2.0
"""The words for reasons, and that every one has a worked case."""

from __future__ import annotations

import numpy as np
import pytest

import rules
from rules import Reason, names
from rules.reasons import gather
from tests.unit.rules.tables import FEEDING_CASES, IRRIGATION_CASES, TIMER_CASES

KEPT = [
    "dry",
    "latched",
    "wet-enough",
    "outside-hours",
    "soaking",
    "budget-spent",
    "budget-clipped",
    "max-run-clipped",
    "below-useful-run",
    "meal-due",
    "no-meal-due",
    "meal-missed",
    "low-oxygen",
    "oxygen-reduced",
    "oxygen-unknown",
    "ration-clipped",
    "grams-day-spent",
    "meal-gap",
    "no-reading",
    "stale-reading",
    "disabled",
    "offline",
    "busy",
    "unsettled",
    "invalid-parameter",
    "invalid-state",
    "interlock",
    "run-due",
    "no-run-due",
    "run-missed",
    "carried",
    "season-out",
]


def test_reason_bits_are_what_kept_decisions_say() -> None:
    assert [names(1 << bit) for bit in range(len(Reason))] == [(name,) for name in KEPT]


def test_reasons_each_have_a_worked_case() -> None:
    shown = {
        name for case in (*IRRIGATION_CASES.values(), *FEEDING_CASES.values(), *TIMER_CASES.values()) for name in case.reasons
    }
    assert shown | {"interlock"} == {name for reason in Reason for name in names(reason)}


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (0, ()),
        (Reason.OUTSIDE_HOURS | Reason.DRY, ("dry", "outside-hours")),
        (np.int64(Reason.BUSY), ("busy",)),
        (1 << 62 | 1, ("dry", "bit-62")),
    ],
)
def test_names_of_a_word_are_in_order_of_bits(flags: int | np.integer, expected: tuple[str, ...]) -> None:
    assert names(flags) == expected


def test_gather_of_masks_joins_their_bits() -> None:
    word = gather(3, (Reason.DRY, np.array([True, True, False])), (Reason.BUSY, np.array([False, True, False])))
    assert word.dtype == np.int64
    assert word.tolist() == [Reason.DRY, Reason.DRY | Reason.BUSY, 0]


def test_rules_package_exports_are_sorted_and_present() -> None:
    assert rules.__all__ == sorted(rules.__all__)
    assert all(hasattr(rules, name) for name in rules.__all__)
