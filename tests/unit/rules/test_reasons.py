# SPDX-License-Identifier: Apache-2.0
"""The words for reasons, and that every one has a worked case."""

from __future__ import annotations

import numpy as np
import pytest

import rules
from rules import Reason, names
from rules.reasons import gather
from tests.unit.rules.tables import FEEDING_CASES, IRRIGATION_CASES, TIMER_CASES

KEPT = {
    0: "dry",
    1: "latched",
    2: "wet-enough",
    3: "outside-hours",
    4: "soaking",
    5: "budget-spent",
    6: "budget-clipped",
    7: "max-run-clipped",
    8: "below-useful-run",
    9: "meal-due",
    10: "no-meal-due",
    11: "meal-missed",
    12: "low-oxygen",
    13: "oxygen-reduced",
    14: "oxygen-unknown",
    15: "ration-clipped",
    16: "grams-day-spent",
    17: "meal-gap",
    18: "no-reading",
    19: "stale-reading",
    20: "disabled",
    21: "offline",
    22: "busy",
    23: "unsettled",
    24: "invalid-parameter",
    25: "invalid-state",
    26: "interlock",
    27: "run-due",
    28: "no-run-due",
    29: "run-missed",
    30: "carried",
    31: "season-out",
    32: "paused",
    33: "rain-delay",
    34: "skipped-once",
    35: "outside-dates",
    37: "queued",
    38: "no-room-in-window",
    39: "flow-above-resource",
    40: "window-too-short",
    44: "disproved",
    46: "rain-expected",
    47: "rain-fallen",
    41: "month-spent",
    42: "month-clipped",
    43: "valve-test",
}


def test_reason_bits_are_what_kept_decisions_say() -> None:
    assert {bit: names(1 << bit) for bit in KEPT} == {bit: (name,) for bit, name in KEPT.items()}
    assert sum(1 << bit for bit in KEPT) == sum(Reason)


def test_reasons_each_have_a_worked_case() -> None:
    shown = {
        name for case in (*IRRIGATION_CASES.values(), *FEEDING_CASES.values(), *TIMER_CASES.values()) for name in case.reasons
    }
    pumps = {"queued", "no-room-in-window", "flow-above-resource", "window-too-short"}  # that zones share: no rule knows them
    assert shown | pumps | {"interlock", "month-clipped"} == {name for reason in Reason for name in names(reason)}


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
