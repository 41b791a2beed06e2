# SPDX-License-Identifier: Apache-2.0
"""Hours, dates, seasons and rations of schedules, as the controller follows them."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from control.agenda import Agenda
from control.calendars import in_hours
from control.database import Database
from control.definitions import TimerDefinition, parse_definition
from control.errors import Invalid
from control.plots import Plot
from control.records import Zone, ZoneParameters
from control.sentences import decision_sentence
from control.starts import Whereabouts
from tests.unit.control.stage import BED, POND, prepare

WATER: dict[str, Any] = {"type": "irrigation", "low": 0.22, "high": 0.30, "litres_day": 200.0}
MEALS: dict[str, Any] = {
    "type": "feeding",
    "ration_g": 400.0,
    "grams_day": 500.0,
    "meals": [{"time": "07:00", "share": 0.25}, {"time": "16:00", "share": 0.75}],
}
RUN: dict[str, Any] = {"type": "timer", "starts": [{"time": "05:30", "litres": 60.0}], "litres_day": 300.0}
HOUR_MS = 3_600_000


def planned(definition: dict[str, Any], zone: str, start: str, end: str) -> list[str]:
    """Return the planned moments between two local times, as local times."""
    parsed, there = parse_definition(definition), ZoneInfo(zone)
    bed = Zone("s:d:1", "s", "d", 1, "", "bed", ZoneParameters())
    plot = Plot(bed, Whereabouts(there), True, "s", 1, 0, parsed, None)
    from_ms, upto_ms = (int(datetime.fromisoformat(text).replace(tzinfo=there).timestamp() * 1000) for text in (start, end))
    found = Agenda().due(plot, from_ms, upto_ms)
    return [f"{datetime.fromtimestamp(due.planned_ms / 1000, UTC).astimezone(there):%Y-%m-%d %H:%M}" for due in found]


async def test_meal_by_share_gives_its_part_of_the_days_ration(pilot: Database) -> None:
    house = prepare(pilot, "06:59", (POND, MEALS))
    await house.online("pond")
    await house.minute(2)
    assert [command["amount"] for command in house.commands()] == [{"grams": 100}]


async def test_meal_outside_its_hours_waits_for_them(pilot: Database) -> None:
    house = prepare(pilot, "06:59", (POND, {**MEALS, "closed": [["06:30", "07:10"]]}))
    await house.online("pond")
    await house.minute(10)
    assert house.commands() == []
    (held, *_) = house.decisions(POND)
    assert held.reasons == ("outside-hours", "meal-due")
    assert decision_sentence(held, "id") == "Tidak memberi pakan: di luar jam yang diizinkan."
    await house.minute(2)
    assert len(house.commands()) == 1


async def test_bed_outside_the_dates_of_its_schedule_is_left_dry_with_the_reason(pilot: Database) -> None:
    house = prepare(pilot, "23:55", (BED, {**WATER, "first": "2026-11-23"}))
    await house.online("garden")
    await house.minute(4)
    assert house.commands() == []
    (held, *_) = house.decisions(BED)
    assert held.reasons == ("dry", "outside-dates")
    await house.minute(4)
    assert len(house.acts(BED)) == 1


@pytest.mark.parametrize(("factor", "litres"), [(0.0, None), (0.25, 50), (2.0, 120)])
async def test_season_of_a_bed_scales_its_water_of_the_day(pilot: Database, factor: float, litres: int | None) -> None:
    house = prepare(pilot, "05:30", (BED, {**WATER, "season": [1.0] * 10 + [factor, 1.0]}))
    await house.online("garden")
    await house.minute(2)
    assert [command["amount"]["litres"] for command in house.commands()[:1]] == ([] if litres is None else [litres])
    if litres is None:
        assert decision_sentence(house.decisions(BED)[0], "en") == "Not watering: this month is not watered."


def test_dates_of_a_schedule_bound_its_starts_leap_day_included() -> None:
    dated = {**RUN, "first": "2028-02-28", "last": "2028-03-01"}
    assert planned(dated, "Asia/Makassar", "2028-02-01", "2028-04-01") == [
        "2028-02-28 05:30",
        "2028-02-29 05:30",
        "2028-03-01 05:30",
    ]
    assert planned({**RUN, "last": "2027-02-28"}, "Asia/Makassar", "2027-02-28", "2027-03-02") == ["2027-02-28 05:30"]


def test_starts_and_hours_follow_the_clock_over_a_change_of_the_zones_offset() -> None:
    assert planned(RUN, "Europe/Berlin", "2027-03-27T12:00", "2027-03-29T12:00") == ["2027-03-28 05:30", "2027-03-29 05:30"]
    early = {**RUN, "starts": [{"time": "02:30", "litres": 5.0}]}
    assert planned(early, "Europe/Berlin", "2027-03-27T12:00", "2027-03-29T12:00") == ["2027-03-28 03:30", "2027-03-29 02:30"]
    assert len(planned(early, "Europe/Berlin", "2027-10-30T12:00", "2027-11-01T12:00")) == 2
    # On the 28th of March 2027 it is one o'clock in Greenwich when 02:00 becomes 03:00 in Berlin.
    berlin, change = ZoneInfo("Europe/Berlin"), int(datetime(2027, 3, 28, 1, tzinfo=UTC).timestamp() * 1000)
    assert not in_hours([("02:00", "03:00")], berlin, change)
    assert in_hours([("03:00", "04:00")], berlin, change)
    assert in_hours([("22:00", "05:00")], berlin, change - HOUR_MS)


def test_in_force_counts_first_and_last_dates_in() -> None:
    bounded = parse_definition({**RUN, "first": "2028-02-29", "last": "2028-02-29"})
    assert isinstance(bounded, TimerDefinition)
    assert [bounded.in_force(date(2028, month, day)) for month, day in ((2, 28), (2, 29), (3, 1))] == [False, True, False]


@pytest.mark.parametrize(
    ("definition", "detail"),
    [
        ({**RUN, "first": "2027-01-02", "last": "2027-01-01"}, "last must not be before first"),
        ({**RUN, "hours": [["05:00", "07:00"]], "closed": [["04:00", "08:00"]]}, "closed leaves nothing of hours"),
        ({**RUN, "closed": [["00:00", "12:00"], ["12:00", "24:00"]]}, "closed leaves nothing of hours"),
        ({**MEALS, "ration_g": None}, "say ration_g"),
        ({**MEALS, "ration_g": 600.0}, "ration_g must not be above grams_day"),
        ({**MEALS, "meals": [{"time": "07:00", "grams": 5.0}]}, "no meal takes a share"),
        ({**MEALS, "meals": [{"time": "07:00", "grams": 5.0, "share": 0.5}]}, "say grams or share"),
        ({**MEALS, "meals": [{"time": "07:00"}]}, "say grams or share"),
        ({**MEALS, "meals": [{"time": "07:00", "share": 1.5}]}, "less than or equal to 1"),
    ],
)
def test_parse_definition_that_contradicts_itself_says_how(definition: dict[str, Any], detail: str) -> None:
    with pytest.raises(Invalid, match=detail):
        parse_definition(definition)


def test_parse_definition_with_closed_hours_over_midnight_leaves_what_is_left() -> None:
    assert parse_definition({**RUN, "hours": [["20:00", "06:00"]], "closed": [["22:00", "05:00"]]})
