# SPDX-License-Identifier: Apache-2.0
"""Schedules and their definitions."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import update

from control import schedules
from control.database import Database
from control.definitions import parse_definition
from control.errors import Conflict, Invalid, NotFound, Stale
from control.models import SiteRow

NOW = 1_795_305_600_000
WATER: dict[str, Any] = {"type": "irrigation", "low": 0.22, "high": 0.30, "hours": [["05:00", "08:00"]], "litres_day": 200}
FEED: dict[str, Any] = {"type": "feeding", "meals": [{"time": "07:00", "grams": 250}], "grams_day": 1000}


def test_create_schedule_fills_in_what_was_left_out(pilot: Database) -> None:
    with pilot.session() as session:
        made = schedules.create_schedule(session, "pilot:pond:1", FEED, now_ms=NOW)
    assert (made.version, made.enabled, made.kind) == (1, True, "feeding")
    assert made.definition["late_s"] == 900
    assert made.definition["cautious_fraction"] == 0.0


def test_create_schedule_beside_an_enabled_one_is_a_conflict(pilot: Database) -> None:
    with pilot.session() as session:
        first = schedules.create_schedule(session, "pilot:garden:1", WATER, now_ms=NOW)
        second = schedules.create_schedule(session, "pilot:garden:1", WATER, enabled=False, now_ms=NOW)
    with pytest.raises(Conflict, match=first.id), pilot.session() as session:
        schedules.create_schedule(session, "pilot:garden:1", WATER, now_ms=NOW)
    with pytest.raises(Conflict, match=first.id), pilot.session() as session:
        schedules.change_schedule(session, second.id, enabled=True, now_ms=NOW)
    with pilot.session() as session:
        schedules.delete_schedule(session, first.id, now_ms=NOW)
        assert schedules.change_schedule(session, second.id, enabled=True, now_ms=NOW).enabled


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("definition.low", {"low": -0.1}),
        ("definition.low", {"low": float("nan")}),
        ("definition", {"low": 0.5}),
        ("definition.hours.0.0", {"hours": [["5:00", "08:00"]]}),
        ("definition.hours.0.1", {"hours": [["05:00", "24:01"]]}),
        ("definition.hours", {"hours": [["05:00", "05:00"]]}),
        ("definition.litres_day", {"litres_day": 10**400}),
        ("definition.low", {"low": "0.2"}),
        ("definition.low", {"low": True}),
        ("definition.hours.0.0", {"hours": [[5, "08:00"]]}),
        ("definition.hours.0", {"hours": ["05:00-08:00"]}),
        ("definition.max_seconds", {"max_seconds": "600"}),
        ("definition.max_seconds", {"max_seconds": 600.5}),
        ("definition.soak_s", {"soak_s": False}),
        ("definition.min_second", {"min_second": 3}),
        ("definition", {"min_seconds": 700}),
        ("definition", {"type": "dancing"}),
        ("definition.type", FEED),
    ],
)
def test_create_schedule_with_a_bad_definition_names_the_field(pilot: Database, field: str, change: dict[str, Any]) -> None:
    definition = change if "meals" in change else {**WATER, **change}
    with pytest.raises(Invalid) as caught, pilot.session() as session:
        schedules.create_schedule(session, "pilot:garden:1", definition, now_ms=NOW)
    assert caught.value.field == field


@pytest.mark.parametrize("grams", ["250", True])
def test_create_schedule_with_a_meal_that_is_no_number_names_it(pilot: Database, grams: object) -> None:
    definition = {**FEED, "meals": [{"time": "07:00", "grams": grams}]}
    with pytest.raises(Invalid) as caught, pilot.session() as session:
        schedules.create_schedule(session, "pilot:pond:1", definition, now_ms=NOW)
    assert caught.value.field == "definition.meals.0.grams"


def test_parse_definition_takes_back_what_was_stored(pilot: Database) -> None:
    with pilot.session() as session:
        water = schedules.create_schedule(session, "pilot:garden:1", WATER, now_ms=NOW)
        feed = schedules.create_schedule(session, "pilot:pond:1", FEED, now_ms=NOW)
    assert parse_definition(water.definition) == parse_definition(WATER)
    assert parse_definition(feed.definition) == parse_definition(FEED)


def test_change_schedule_from_an_older_version_is_stale(pilot: Database) -> None:
    with pilot.session() as session:
        made = schedules.create_schedule(session, "pilot:garden:1", WATER, now_ms=NOW)
        changed = schedules.change_schedule(session, made.id, definition={**WATER, "low": 0.2}, version=1, now_ms=NOW + 1000)
    assert (changed.version, changed.definition["low"], changed.updated_ms) == (2, 0.2, NOW + 1000)
    with pytest.raises(Stale, match="version 2"), pilot.session() as session:
        schedules.change_schedule(session, made.id, enabled=False, version=1, now_ms=NOW)


def test_delete_schedule_leaves_it_in_no_list(pilot: Database) -> None:
    with pilot.session() as session:
        made = schedules.create_schedule(session, "pilot:garden:1", WATER, now_ms=NOW)
        assert schedules.list_schedules(session, zone_key="pilot:garden:1")[0] == [made]
        schedules.delete_schedule(session, made.id, now_ms=NOW)
    with pilot.reader() as session:
        assert schedules.list_schedules(session) == ([], None)
        for key in (made.id, "nonsense", "\x00"):
            with pytest.raises(NotFound):
                schedules.get_schedule(session, key)


def test_create_schedule_by_the_sun_needs_the_position_of_its_site(pilot: Database) -> None:
    by_sun = {"type": "timer", "starts": [{"time": "sunrise", "litres": 5.0}], "litres_day": 50.0}
    with pilot.session() as session, pytest.raises(Invalid, match="position"):
        schedules.create_schedule(session, "pilot:garden:1", by_sun, now_ms=NOW)
    with pilot.session() as session:
        session.execute(update(SiteRow).values(latitude=-1.27, longitude=116.83))
        made = schedules.create_schedule(session, "pilot:garden:1", by_sun, now_ms=NOW)
        assert made.definition["starts"][0]["time"] == "sunrise"
