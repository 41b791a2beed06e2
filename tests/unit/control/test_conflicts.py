# SPDX-License-Identifier: Apache-2.0
"""What conflicts in a schedule, before it is saved."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from control.conflicts import Conflicting, find_conflicts
from control.definitions import parse_definition
from control.records import Schedule, Zone, ZoneParameters
from control.sentences import conflict_sentence
from control.sentences.conflicts import CONFLICTS
from control.starts import Whereabouts
from tests.unit.control.stage import at

SITE = Whereabouts(ZoneInfo("Asia/Makassar"), -1.27, 116.83)
BED = Zone("s:d:1", "s", "d", 1, "", "bed", ZoneParameters(area_m2=4, root_depth_m=0.3, flow_l_min=12.0, max_seconds=900))
POND = Zone("s:p:1", "s", "p", 1, "", "pond", ZoneParameters(grams_per_s=5.0, max_seconds=300, grams_day=1000.0))
TIMER: dict[str, Any] = {"type": "timer", "starts": [{"time": "05:30", "litres": 60.0}], "litres_day": 300.0}
MEALS: dict[str, Any] = {
    "type": "feeding",
    "meals": [{"time": "07:00", "grams": 250.0}, {"time": "16:00", "grams": 250.0}],
    "grams_day": 1000.0,
}
IRRIGATION: dict[str, Any] = {"type": "irrigation", "low": 0.2, "high": 0.3, "litres_day": 100.0}
SHARES: dict[str, Any] = {**MEALS, "ration_g": 800.0}
MONDAYS = {"type": "weekly", "weekdays": ["mo"]}
NEW_YEAR = {"type": "rrule", "rrule": "FREQ=YEARLY;BYMONTH=1;BYMONTHDAY=1", "counted_from": "2026-01-01"}


def found(definition: dict[str, Any], zone: Zone | None = None, where: Whereabouts = SITE, **given: Any) -> list[Conflicting]:
    parsed = parse_definition(definition)
    zone = zone or (POND if parsed.type == "feeding" else BED)
    return find_conflicts(parsed, zone, where, **{"now_ms": at("12:00"), **given})


def said(conflicts: list[Conflicting]) -> list[tuple[str, str, str]]:
    return [(one.code, one.severity, one.field) for one in conflicts]


@pytest.mark.parametrize("definition", [TIMER, MEALS, IRRIGATION, {**TIMER, "starts": [{"time": "sunset", "seconds": 60}]}])
def test_find_conflicts_of_a_sound_schedule_finds_none(definition: dict[str, Any]) -> None:
    assert found(definition) == []


@pytest.mark.parametrize(
    ("definition", "expected"),
    [
        (
            {**TIMER, "starts": [{"time": "05:30", "litres": 9.0}, {"time": "05:30", "litres": 9.0, "days": MONDAYS}]},
            ("same-moment", "error", "definition.starts.1.time"),
        ),
        (
            {**MEALS, "meals": [{"time": "07:00", "grams": 9.0}, {"time": "08:00", "grams": 9.0}]},
            ("meals-too-close", "error", "definition.meals.1.time"),
        ),
        (
            {**MEALS, "min_gap_s": 3600, "meals": [{"time": "07:00", "grams": 50.0}, {"time": "08:00", "grams": 9.0}]},
            ("meal-waits", "warning", "definition.meals.1.time"),
        ),
        ({**TIMER, "hours": [["07:00", "09:00"]]}, ("outside-hours", "error", "definition.starts.0.time")),
        ({**TIMER, "closed": [["05:00", "06:00"]], "late_s": 1800}, ("waits-for-hours", "warning", "definition.starts.0.time")),
        ({**TIMER, "closed": [["05:00", "06:00"]], "missed": "skip"}, ("outside-hours", "error", "definition.starts.0.time")),
        ({**MEALS, "hours": [["06:00", "12:00"]]}, ("outside-hours", "error", "definition.meals.1.time")),
        (
            {**TIMER, "starts": [{"time": "sunset", "litres": 9.0}], "hours": [["17:00", "18:05"]], "missed": "skip"},
            ("outside-hours", "warning", "definition.starts.0.time"),
        ),
        ({**TIMER, "litres_day": 50.0}, ("litres-day-exceeded", "warning", "definition.litres_day")),
        ({**TIMER, "season": [1.0] * 11 + [6 / 1.25]}, None),
        (
            {**TIMER, "season": [1.0, 5.0, *[1.0] * 10], "litres_day": 250.0},
            ("litres-day-exceeded", "warning", "definition.litres_day"),
        ),
        ({**MEALS, "grams_day": 499.0}, ("grams-day-exceeded", "warning", "definition.grams_day")),
        (
            {**TIMER, "starts": [{"time": "05:30", "seconds": 700}], "max_seconds": 600},
            ("run-too-long", "error", "definition.starts.0.seconds"),
        ),
        ({**TIMER, "starts": [{"time": "05:30", "seconds": 1000}]}, ("run-too-long", "warning", "definition.starts.0.seconds")),
        ({**TIMER, "starts": [{"time": "05:30", "seconds": 1000}], "max_seconds": 600, "cycle_s": 300}, None),
        (
            {**TIMER, "starts": [{"time": "05:30", "seconds": 2400}], "litres_day": 490.0, "cycle_s": 60},
            ("run-too-long", "error", "definition.starts.0.seconds"),
        ),
        ({**TIMER, "starts": [{"time": "05:30", "litres": 200.0}]}, ("run-too-long", "warning", "definition.starts.0.time")),
        (
            {**TIMER, "starts": [{"time": "05:30", "litres": 9.0, "last": "2026-11-01"}]},
            ("never-comes", "warning", "definition.starts.0.days"),
        ),
        (
            {**TIMER, "starts": [{"time": "05:30", "litres": 9.0, "holidays": "only"}]},
            ("never-comes", "warning", "definition.starts.0.days"),
        ),
        ({**TIMER, "last": "2026-11-01"}, ("never-comes", "warning", "definition.starts.0.days")),
        (
            {**SHARES, "meals": [{"time": "07:00", "share": 0.6}, {"time": "16:00", "share": 0.5}]},
            ("ration-exceeded", "error", "definition.meals"),
        ),
    ],
)
def test_find_conflicts_names_what_is_wrong_by_its_field(
    definition: dict[str, Any], expected: tuple[str, str, str] | None
) -> None:
    assert said(found(definition)) == ([] if expected is None else [expected])


def test_find_conflicts_of_shares_on_different_days_adds_up_each_day_alone() -> None:
    tuesdays = {"type": "weekly", "weekdays": ["tu"]}
    meals = [{"time": "07:00", "share": 0.9, "days": MONDAYS}, {"time": "07:00", "share": 0.9, "days": tuesdays}]
    assert found({**SHARES, "meals": meals}) == []


def test_find_conflicts_looks_a_year_ahead_for_what_meets_once_in_it() -> None:
    starts = [{"time": "05:30", "litres": 9.0, "days": {"type": "odd"}}, {"time": "05:30", "litres": 9.0, "days": NEW_YEAR}]
    (one,) = found({**TIMER, "starts": starts})
    assert (one.code, one.field) == ("same-moment", "definition.starts.1.time")
    assert one.at_ms == at("05:30") + (date(2027, 1, 1) - date(2026, 11, 22)).days * 86_400_000


def test_find_conflicts_of_a_schedule_that_begins_later_looks_from_there() -> None:
    later = {**TIMER, "first": "2028-03-01", "starts": [{"time": "05:30", "litres": 9.0}], "hours": [["07:00", "08:00"]]}
    (one,) = found(later)
    assert (one.code, one.at_ms) == ("outside-hours", at("05:30") + (date(2028, 3, 1) - date(2026, 11, 22)).days * 86_400_000)


def test_find_conflicts_of_two_starts_that_a_change_of_clocks_brings_together_only_warns() -> None:
    berlin = Whereabouts(ZoneInfo("Europe/Berlin"))
    # On the 28th of March 2027 it is 03:30 when it would have been 02:30.
    starts = [{"time": "02:30", "litres": 9.0, "days": {"type": "even"}}, {"time": "03:30", "litres": 9.0}]
    assert said(found({**TIMER, "starts": starts}, where=berlin)) == [("same-moment", "warning", "definition.starts.1.time")]


def test_find_conflicts_without_a_position_refuses_what_goes_by_the_sun() -> None:
    by_sun = {**TIMER, "starts": [{"time": "sunrise", "litres": 9.0}]}
    nowhere = Whereabouts(ZoneInfo("Asia/Makassar"))
    assert said(found(by_sun, where=nowhere)) == [("no-position", "error", "definition.starts.0.time")]


def test_find_conflicts_with_a_zone_that_is_not_complete_warns_of_each_gap() -> None:
    bare = Zone("s:d:1", "s", "d", 1, "", "bed", ZoneParameters(max_seconds=5))
    fields = ["zone.area_m2", "zone.root_depth_m", "zone.flow_l_min", "definition.min_seconds"]
    assert [(one.field, one.severity) for one in found(IRRIGATION, bare)] == [(name, "warning") for name in fields]


def test_find_conflicts_beside_an_enabled_schedule_is_an_error_that_names_it() -> None:
    other = Schedule("01KAQZ7J5RT0M3Q4W1D0V6B3NM", "s:d:1", "timer", 1, True, {}, 0, 0)
    (one,) = found(TIMER, others=[other])
    assert (one.code, one.severity, one.numbers) == ("other-schedule", "error", {"schedule": other.id})


def test_conflict_sentences_give_their_numbers_in_one_order_in_both_languages() -> None:
    for indonesian, english in CONFLICTS.values():
        assert re.findall(r"\{.*?\}", indonesian) == re.findall(r"\{.*?\}", english)
        assert indonesian != english


def test_conflict_sentence_says_what_and_by_how_much() -> None:
    (one,) = found({**MEALS, "meals": [{"time": "07:00", "grams": 9.0}, {"time": "08:00", "grams": 9.0}]})
    assert conflict_sentence(one, "en") == (
        "the meal at 08:00 is only 60 min after the one before, the least gap is 90 min; it would be missed"
    )
    assert conflict_sentence(one, "id").startswith("jam pakan 08:00 hanya 60 menit setelah")


def test_conflicts_page_lists_every_code() -> None:
    page = (Path(__file__).parents[3] / "docs" / "schedules.md").read_text("utf-8")
    assert [code for code in CONFLICTS if f"`{code}`" not in page] == []
