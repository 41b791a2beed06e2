# SPDX-License-Identifier: Apache-2.0
"""The report of a day: each planned moment with its end and its reason, and what has no row told loudly."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import delete

from control import schedules
from control.audit import Trail
from control.database import Database
from control.errors import Invalid, NotFound
from control.models import ActRow, TransitionRow
from control.reports import DayReport, day_report
from tests.unit.control.stage import BED, POND, Pilot, at, prepare

TIMES = ("05:30", "06:00", "06:30")


def timer(*times: str, **more: Any) -> dict[str, Any]:
    return {"type": "timer", "starts": [{"time": time, "litres": 20.0} for time in times], "litres_day": 200.0, **more}


def report(house: Pilot, day: date | None = None) -> DayReport:
    with house.database.reader() as session:
        return day_report(session, "pilot", day=day, now_ms=house.clock.now_ms())


async def finish(house: Pilot, litres: float = 20.0) -> None:
    command = house.commands()[-1]
    ack = {"id": command["id"], "n": command["n"], "state": "done", "result": {"seconds": litres * 5, "litres": litres}}
    await house.say("garden", "ack", ack)


def told(found: DayReport) -> list[tuple[int, str, str | None]]:
    return [(row.at_ms, row.state, row.reason) for row in found.rows]


async def test_day_report_shows_each_planned_moment_with_its_end_and_reason(pilot: Database) -> None:
    house = prepare(pilot, "05:29", (BED, timer(*TIMES, "23:00", late_s=300)))
    await house.online("garden")
    await house.minute(2)
    await finish(house, 19.5)
    await house.say("garden", "status", {"online": False})
    await house.minute(35)  # 06:00 passes without the device
    await house.online("garden")
    await house.minute(26)
    found = report(house)
    assert told(found) == [
        (at("05:30"), "done", None),
        (at("06:00"), "skipped", "offline"),
        (at("06:30"), "sent", None),
        (at("23:00"), "ahead", None),
    ]
    assert (found.totals.planned, found.totals.done, found.totals.without_row) == (4, 1, 0)
    assert (found.totals.not_done, found.totals.open) == ({"skipped: offline": 1}, {"sent": 1, "ahead": 1})
    assert found.totals.litres == pytest.approx(19.5)
    assert found.rows[1].sentence["en"] == "Watering 20 L: skipped (missed); the device is not connected."
    assert found.rows[1].sentence["id"].startswith("Penyiraman 20 L: dilewati")


async def test_day_report_of_what_waits_says_what_holds_it(pilot: Database) -> None:
    house = prepare(pilot, "05:29", (BED, timer("05:30")))
    await house.minute(5)
    [row] = report(house).rows
    assert (row.state, row.reason) == ("waiting", "offline")
    assert row.sentence["en"] == "Watering 20 L: waits: the device is not connected."


async def test_day_report_before_the_controller_looked_says_that_it_waits_and_not_why(pilot: Database) -> None:
    house = prepare(pilot, "05:20", (BED, timer("05:30")))
    await house.minute()
    await house.clock.advance(3600)  # nobody looks
    [row] = report(house).rows
    assert (row.state, row.reason) == ("waiting", None)


async def test_day_report_of_a_moment_that_the_ledger_lost_tells_it(pilot: Database) -> None:
    house = prepare(pilot, "05:29", (BED, timer("05:30", "06:00", late_s=300)))
    await house.minute(50)
    assert report(house).totals.without_row == 0
    with pilot.session() as session:
        session.execute(delete(TransitionRow))
        session.execute(delete(ActRow).where(ActRow.planned_ms == at("05:30")))
    found = report(house)
    assert [row.state for row in found.rows] == ["without-row", "skipped"]
    assert (found.totals.planned, found.totals.without_row) == (2, 1)


async def test_day_report_counts_each_version_of_a_schedule_for_its_own_time(pilot: Database) -> None:
    house = prepare(pilot, "05:29", (BED, timer("05:30", "06:00", "12:00")))
    await house.online("garden")
    await house.minute(2)
    await finish(house)
    with pilot.session() as session:
        [schedule], _ = schedules.list_schedules(session, zone_key=BED)
        new = timer("05:45", "05:50", "07:00")
        schedules.change_schedule(session, schedule.id, definition=new, now_ms=at("05:47"))
    await house.clock.advance(16 * 60)
    await house.minute(5)
    await finish(house)
    await house.minute(70)
    found = report(house)
    assert [(row.at_ms, row.version) for row in found.rows] == [(at("05:30"), 1), (at("05:50"), 2), (at("07:00"), 2)]
    assert found.totals.without_row == 0


async def test_day_report_shows_what_people_and_boards_did_beside_the_calendar(pilot: Database) -> None:
    house = prepare(pilot, "05:29", (BED, timer("05:30")))
    await house.online("garden")
    await house.minute(2)
    await finish(house)
    await house.minute()
    await house.controller.request_act(BED, "irrigate", seconds=10, actor="Sari")
    await house.clock.advance(1)
    now_ms = house.clock.now_ms()
    local = {"id": "local-1-1", "state": "done", "action": "irrigate", "zone": 1, "ts": now_ms, "result": {"litres": 3.0}}
    await house.say("garden", "ack", local)
    found = report(house)
    assert [row.sort for row in found.rows] == ["calendar", "hand", "board"]
    assert (found.totals.planned, found.totals.others) == (1, {"hand": 1, "board": 1})


async def test_day_report_of_a_bed_by_its_probe_shows_the_beginning_of_each_window(pilot: Database) -> None:
    hours = [["05:30", "06:00"], ["17:00", "18:00"]]
    definition = {"type": "irrigation", "low": 0.2, "high": 0.3, "litres_day": 200.0, "hours": hours}
    house = prepare(pilot, "05:29", (BED, definition))
    await house.online("garden")
    house.latest.values[(("pilot", "garden", 1), "soil_moisture")] = 0.25
    await house.minute(3)
    found = report(house)
    assert told(found) == [(at("05:30"), "quiet", "wet-enough"), (at("17:00"), "ahead", None)]
    assert found.totals.not_done == {"quiet: wet-enough": 1}


async def test_day_report_of_a_bed_by_its_probe_in_the_middle_of_a_window_says_that_the_rule_asked(pilot: Database) -> None:
    definition = {"type": "irrigation", "low": 0.2, "high": 0.3, "litres_day": 200.0}
    house = prepare(pilot, "05:29", (BED, definition))
    await house.online("garden")
    await house.minute(2)
    assert [row.sort for row in report(house).rows] == ["rule"]


async def test_day_report_counts_a_test_of_valves_as_asked_for_by_hand(pilot: Database) -> None:
    house = prepare(pilot, "05:29")
    await house.online("garden")
    trail = Trail("ani", "person", house.clock.now_ms())
    await house.controller.valves.begin("pilot", actor="ani", trail=trail)
    await house.minute(2)
    assert [row.sort for row in report(house).rows] == ["hand"]


async def test_day_report_of_meals_names_the_oxygen_that_held_one(pilot: Database) -> None:
    feeding = {"type": "feeding", "meals": [{"time": "07:00", "grams": 250.0}], "grams_day": 1000.0, "late_s": 300}
    house = prepare(pilot, "06:59", (POND, feeding))
    await house.online("pond")
    house.latest.values[(("pilot", "pond", 1), "dissolved_oxygen")] = 2.5
    await house.minute(10)
    [row] = report(house).rows
    assert (row.state, row.reason) == ("skipped", "low-oxygen")
    assert row.sentence["en"] == "Feeding 250 g: skipped (missed); dissolved oxygen is 2.5 mg/L, the limit 3."


async def test_day_report_of_another_day_and_of_no_such_site(pilot: Database) -> None:
    house = prepare(
        pilot, "05:29", (BED, timer("05:30") | {"starts": [{"time": "05:30", "litres": 20.0, "first": "2026-11-23"}]})
    )
    await house.minute()
    assert told(report(house)) == []
    tomorrow = report(house, date(2026, 11, 23))
    assert [row.state for row in tomorrow.rows] == ["ahead"]
    with pytest.raises(Invalid):
        report(house, date(2026, 11, 22) + timedelta(days=15))
    with pilot.reader() as session, pytest.raises(NotFound):
        day_report(session, "nowhere", now_ms=house.clock.now_ms())
