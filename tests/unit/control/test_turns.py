# SPDX-License-Identifier: Apache-2.0
"""Beds that share a pump, minute by minute: who waits for whom, who never fits, and what is left out with its reason."""

from __future__ import annotations

import pytest

from control import budgets
from control.audit import Trail
from control.database import Database
from control.errors import Conflict
from control.turns import check_room
from tests.unit.control.rows import BEDS, FLOW, grow, timer
from tests.unit.control.stage import BED


def allow(database: Database, litres: float) -> None:
    with database.session() as session:
        budgets.set_budget(session, "city:agency", [litres] * 12, trail=Trail("sari", "local", 0))


async def test_runs_on_a_pump_for_one_go_one_after_another_by_priority_and_name(pilot: Database) -> None:
    field = grow(pilot, "05:29", {BEDS[0]: timer(), BEDS[1]: timer(), BEDS[2]: timer(priority=3)})
    await field.house.online("rows")
    await field.minute(40)
    assert [field.begun(zone) for zone in BEDS[:3]] == [["05:40"], ["05:50"], ["05:30"]]
    assert {act.state for act in field.house.acts()} == {"done"}
    waiting = [one for one in field.house.decisions(BEDS[1]) if "queued" in one.reasons]
    assert [(one.inputs["resource"], one.inputs["resource_title"]) for one in waiting] == [("pilot:pump", "North pump")]


async def test_a_run_that_does_not_get_its_turn_in_time_is_left_out_with_the_reason(pilot: Database) -> None:
    brief = timer(wait_s=600, late_s=600)
    field = grow(pilot, "05:29", dict.fromkeys(BEDS[:3], brief))
    await field.house.online("rows")
    await field.minute(30)
    assert [field.ended(zone) for zone in BEDS[:3]] == [
        [("done", None, 1)],
        [("done", None, 1)],
        [("skipped", "no-room-in-window", 1)],
    ]
    last = field.house.decisions(BEDS[2])[1]
    assert ("no-room-in-window" in last.reasons, last.inputs["resource_title"]) == (True, "North pump")


async def test_a_run_waits_longer_for_its_turn_than_for_its_device(pilot: Database) -> None:
    field = grow(pilot, "05:29", dict.fromkeys(BEDS[:5], timer(missed="skip")))
    await field.house.online("rows")
    await field.minute(60)
    assert [field.begun(zone) for zone in BEDS[:5]] == [["05:30"], ["05:40"], ["05:50"], ["06:00"], ["06:10"]]


async def test_a_run_that_waits_is_tried_no_longer_when_its_hours_are_over(pilot: Database) -> None:
    morning = timer(hours=[["05:00", "05:45"]], wait_s=1800)
    field = grow(pilot, "05:29", dict.fromkeys(BEDS[:3], morning))
    await field.house.online("rows")
    await field.minute(40)
    assert [field.begun(zone) for zone in BEDS[:3]] == [["05:30"], ["05:40"], []]
    assert field.ended(BEDS[2]) == [("skipped", "no-room-in-window", 1)]


async def test_a_bed_that_takes_more_than_the_pump_gives_is_left_out_at_once(pilot: Database) -> None:
    field = grow(pilot, "05:29", {BEDS[0]: timer()}, max_zones=None, max_flow_l_min=10.0)
    await field.house.online("rows")
    await field.minute(3)
    assert field.ended(BEDS[0]) == [("skipped", "flow-above-resource", 1)]
    decision = next(one for one in field.house.decisions(BEDS[0]) if one.act_id)
    assert decision.inputs["resource_flow"] == 10.0


async def test_a_bed_by_soil_moisture_waits_for_its_turn_too(pilot: Database) -> None:
    by_probe = {"type": "irrigation", "low": 0.22, "high": 0.3, "litres_day": 200.0}
    field = grow(pilot, "05:29", {BEDS[0]: timer(), BEDS[1]: by_probe})
    field.house.latest.values[("pilot", "rows", 2), "soil_moisture"] = 0.25
    await field.house.online("rows")
    await field.minute(3)
    field.house.latest.values[("pilot", "rows", 2), "soil_moisture"] = 0.16
    await field.minute(12)
    assert (field.begun(BEDS[0]), field.begun(BEDS[1])) == (["05:30"], ["05:40"])
    assert {act.state for act in field.house.acts(BEDS[1])} <= {"running", "done"}


async def test_a_pump_rests_between_two_runs(pilot: Database) -> None:
    field = grow(pilot, "05:29", dict.fromkeys(BEDS[:2], timer()), min_rest_s=300)
    await field.house.online("rows")
    await field.minute(30)
    assert [field.begun(zone) for zone in BEDS[:2]] == [["05:30"], ["05:45"]]


async def test_what_nobody_knows_the_end_of_is_served_until_its_device_has_stopped(pilot: Database) -> None:
    field = grow(pilot, "05:29", {BEDS[0]: timer(), BEDS[1]: timer("05:35")})
    await field.house.online("rows")
    await field.minute(2)
    field.silent = True
    await field.minute(14)
    assert field.house.acts(BEDS[0])[0].state == "unknown"
    assert field.begun(BEDS[1]) == []  # it may begin until 05:35, and stops by itself 660 s later
    await field.minute(4)
    assert field.begun(BEDS[1]) == ["05:46"]


async def test_what_waits_for_its_turn_takes_nothing_of_the_month(pilot: Database) -> None:
    field = grow(pilot, "05:29", {BEDS[0]: timer(priority=3), BEDS[1]: timer(priority=2), BED: timer()})
    allow(pilot, 150.0)
    for device in ("rows", "garden"):
        await field.house.online(device)
    await field.minute(2)
    acts = {act.zone_key: act for act in field.house.acts()}
    assert (acts[BEDS[0]].litres, acts[BED].litres) == (pytest.approx(120.0), pytest.approx(30.0))
    assert BEDS[1] not in acts
    assert "queued" in field.house.decisions(BEDS[1])[0].reasons
    assert "month-clipped" in field.house.decisions(BED)[0].reasons


async def test_what_the_month_does_not_hold_takes_no_turn_from_others(pilot: Database) -> None:
    brief = timer(litres=12.0)
    field = grow(pilot, "05:29", {BEDS[0]: timer(priority=3, min_seconds=120, late_s=600), BEDS[1]: brief})
    allow(pilot, 12.0)  # 60 s of flow
    await field.house.online("rows")
    await field.minute(15)
    assert (field.begun(BEDS[0]), field.begun(BEDS[1])) == ([], ["05:30"])
    held = [one.reasons for one in field.house.decisions(BEDS[0]) if "month-spent" in one.reasons]
    assert held == [("run-due", "month-spent")]
    assert field.ended(BEDS[0]) == [("skipped", "missed", 1)]


async def test_a_new_start_decides_as_before(pilot: Database) -> None:
    field = grow(pilot, "05:29", dict.fromkeys(BEDS[:3], timer()))
    await field.house.online("rows")
    for _ in range(40):
        await field.minute()
        field.house.restart(field.house.database)
    assert [field.begun(zone) for zone in BEDS[:3]] == [["05:30"], ["05:40"], ["05:50"]]


async def test_check_room_names_what_a_pump_serves(pilot: Database) -> None:
    field = grow(pilot, "05:29", {BEDS[0]: timer()}, min_rest_s=600)
    await field.house.online("rows")
    with pilot.reader() as session:
        check_room(session, BEDS[1], FLOW, field.house.clock.now_ms())
        check_room(session, "pilot:garden:1", 1e5, field.house.clock.now_ms())
    await field.minute(2)
    with pilot.reader() as session, pytest.raises(Conflict, match="North pump has no room now, it serves pilot:rows:1"):
        check_room(session, BEDS[1], FLOW, field.house.clock.now_ms())
    await field.minute(13)
    with pilot.reader() as session, pytest.raises(Conflict, match="North pump has to rest for 420 s more"):
        check_room(session, BEDS[1], FLOW, field.house.clock.now_ms())


async def test_check_room_refuses_what_a_pump_never_gives(pilot: Database) -> None:
    field = grow(pilot, "05:29", {}, max_flow_l_min=10.0)
    with pilot.reader() as session, pytest.raises(Conflict, match="gives at most 10 L/min"):
        check_room(session, BEDS[1], FLOW, field.house.clock.now_ms())
