# SPDX-License-Identifier: Apache-2.0
"""Runs in cycles, minute by minute, and rows of beds to which anything happens."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from sqlalchemy import select

from control import schedules
from control.cycles import withdraw_rest
from control.database import Database
from control.models import ActRow
from control.records import Act
from control.sentences import act_sentence
from tests.unit.control.rows import BEDS, Rows, grow, timer
from tests.unit.control.stage import at

DAY_MS = 86_400_000


@pytest.fixture
def sort() -> str:
    """On SQLite alone: what is asked of the database is asked in test_turns too, on both."""
    return "sqlite"


async def test_a_long_run_goes_in_cycles_and_lets_others_in_while_it_soaks(pilot: Database) -> None:
    cycled = timer(litres=144.0, cycle_s=300, cycle_soak_s=600)  # 720 s in three
    field = grow(pilot, "05:29", {BEDS[0]: cycled, BEDS[1]: timer()})
    await field.house.online("rows")
    await field.minute(50)
    assert (field.begun(BEDS[0]), field.begun(BEDS[1])) == (["05:30", "05:44", "05:58"], ["05:34"])
    acts = sorted(field.house.acts(BEDS[0]), key=lambda act: act.id)
    assert [(act.part, act.parts, act.litres, act.max_seconds, act.state) for act in acts] == [
        (1, 3, 48.0, 264, "done"),
        (2, 3, 48.0, 264, "done"),
        (3, 3, 48.0, 264, "done"),
    ]
    assert {act.planned_ms for act in acts} == {at("05:30")}
    assert act_sentence(acts[1], "en") == "Watering 48 L, cycle 2 of 3: done."
    assert any(one.reasons == ("soaking",) for one in field.house.decisions(BEDS[0]))


async def test_a_run_in_cycles_goes_on_after_a_crash_between_them(pilot: Database) -> None:
    field = grow(pilot, "05:29", {BEDS[0]: timer(cycle_s=300, cycle_soak_s=600)})
    await field.house.online("rows")
    await field.minute(9)
    field.house.restart(field.house.database)
    await field.minute(30)
    assert field.ended(BEDS[0]) == [("done", None, 1), ("done", None, 2)]


@pytest.mark.parametrize(
    ("missed", "given", "ends"),
    [
        ("skip", 60.0, [("done", None, 1), ("skipped", "missed", 2), ("skipped", "missed", 3)]),
        ("carry", 60.0, [("done", None, 1), ("skipped", "missed", 2), ("skipped", "missed", 3)]),
        ("late", 60.0, [("done", None, 1), ("skipped", "missed", 2), ("skipped", "missed", 3)]),
        ("once", 180.0, [("done", None, 1), ("done", None, 2), ("done", None, 3)]),
    ],
)
async def test_after_an_outage_in_the_middle_of_a_run_the_rest_is_concluded_by_its_policy(
    pilot: Database, missed: str, given: float, ends: list[tuple[str, str | None, int]]
) -> None:
    field = grow(pilot, "05:29", {BEDS[0]: timer(litres=180.0, cycle_s=300, cycle_soak_s=600, missed=missed)})
    await field.house.online("rows")
    await field.minute(8)
    await field.house.clock.advance(2 * 3600)
    field.house.restart(field.house.database)
    await field.minute(40)
    assert field.ended(BEDS[0]) == ends
    assert sum(act.result_litres or 0.0 for act in field.house.acts(BEDS[0])) == given
    if missed == "carry":
        await field.house.clock.advance((at("05:29") + DAY_MS - field.house.clock.now_ms()) / 1000)
        await field.minute(2)
        assert {act.parts for act in field.house.acts(BEDS[0]) if act.planned_ms > at("12:00")} == {5}  # 180 L, and 120 L


async def test_a_person_who_stops_a_run_stops_all_its_cycles(pilot: Database) -> None:
    field = grow(pilot, "05:29", {BEDS[0]: timer(litres=180.0, cycle_s=300, cycle_soak_s=600)})
    await field.house.online("rows")
    await field.minute(8)
    await field.house.controller.stop(BEDS[0], actor="sari")
    await field.minute(60)
    assert field.ended(BEDS[0])[:1] == [("done", None, 1)]
    rest = [act for act in field.house.acts(BEDS[0]) if act.part > 1]
    assert sorted((act.state, act.actor, act.part) for act in rest) == [("cancelled", "sari", 2), ("cancelled", "sari", 3)]
    assert field.begun(BEDS[0]) == ["05:30"]


@pytest.mark.parametrize(
    ("state", "reason", "cause"),
    [("failed", "no-flow", "not-continued"), ("done", "stopped", "not-continued"), ("rejected", "busy", "not-continued")],
)
async def test_a_run_does_not_go_on_after_its_device_could_not_or_was_stopped_at_the_board(
    pilot: Database, state: str, reason: str, cause: str
) -> None:
    field = grow(pilot, "05:29", {BEDS[0]: timer(cycle_s=300, cycle_soak_s=300)})
    await field.house.online("rows")
    await field.house.minute(2)
    [command] = field.house.commands()
    await field.ack(command, state, field.house.clock.now_ms(), reason)
    await field.house.minute(30)
    assert field.ended(BEDS[0]) == [(state, reason, 1), ("skipped", cause, 2)]


async def test_a_run_does_not_go_on_after_its_schedule_was_changed(pilot: Database) -> None:
    field = grow(pilot, "05:29", {BEDS[0]: timer(cycle_s=300, cycle_soak_s=600)})
    await field.house.online("rows")
    await field.minute(8)
    with pilot.session() as session:
        [schedule] = schedules.list_schedules(session, zone_key=BEDS[0])[0]
        schedules.change_schedule(session, schedule.id, enabled=False, now_ms=field.house.clock.now_ms())
    await field.minute(2)
    assert field.ended(BEDS[0]) == [("done", None, 1), ("skipped", "schedule-changed", 2)]


async def test_the_day_s_water_counts_every_cycle(pilot: Database) -> None:
    field = grow(pilot, "05:29", {BEDS[0]: timer(litres=180.0, litres_day=130.0, cycle_s=300, cycle_soak_s=60)})
    await field.house.online("rows")
    await field.minute(120)
    assert sum(act.result_litres or 0.0 for act in field.house.acts(BEDS[0])) == pytest.approx(130.0, abs=0.01)


async def test_a_run_whose_cycles_do_not_fit_its_hours_is_left_out_with_the_reason(pilot: Database) -> None:
    short = timer(litres=180.0, cycle_s=300, cycle_soak_s=1200, hours=[["05:00", "06:10"]])
    field = grow(pilot, "05:29", {BEDS[0]: short})
    await field.house.online("rows")
    await field.minute(5)
    assert field.ended(BEDS[0]) == [("skipped", "window-too-short", 1)]


async def test_what_comes_due_while_a_run_goes_on_waits_for_it(pilot: Database) -> None:
    starts = [{"time": "05:30", "litres": 120.0}, {"time": "05:40", "litres": 12.0}]
    field = grow(pilot, "05:29", {BEDS[0]: timer(starts=starts, cycle_s=300, cycle_soak_s=900)})
    await field.house.online("rows")
    await field.minute(60)
    assert [(act.part, act.parts) for act in sorted(field.house.acts(BEDS[0]), key=lambda act: act.id)] == [
        (1, 2),
        (2, 2),
        (1, 1),
    ]
    assert field.begun(BEDS[0]) == ["05:30", "05:50", "05:55"]


def test_withdraw_rest_of_nothing_withdraws_nothing(pilot: Database) -> None:
    with pilot.session() as session:
        assert withdraw_rest(session, select(ActRow), "sari", at("05:30")) == []


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_happens_a_pump_serves_no_more_than_it_may_and_each_run_is_accounted_for(
    pilot: Database, seed: int
) -> None:
    dice = random.Random(seed)
    pump = dice.choice([{"max_zones": 2}, {"max_zones": None, "max_flow_l_min": 30.0}, {"min_rest_s": 120}])
    wanted = {
        zone: timer(
            dice.choice(["05:30", "05:35", "05:50"]),
            dice.choice([36.0, 90.0, 144.0]),
            cycle_s=dice.choice([0, 180, 300]),
            cycle_soak_s=dice.choice([120, 600]),
            missed=dice.choice(["late", "skip", "once", "carry"]),
            wait_s=dice.choice([600, 7200]),
            priority=dice.randrange(3),
        )
        for zone in BEDS
    }
    field = grow(pilot, "05:29", wanted, **pump)
    await field.house.online("rows")
    for _ in range(150):
        await field.minute()
        chance = dice.random()
        if chance < 0.02:
            await field.house.clock.advance(dice.choice([120, 900, 3000]))  # nobody ticks
            field.house.restart(field.house.database)
            await field.finish()
        elif chance < 0.04:
            await field.house.say("rows", "status", {"online": False})
        elif chance < 0.08:
            await field.house.online("rows", n=len(field.seen))
    most = pump.get("max_zones", 1) or 2
    for begin, _, _ in field.seen:
        assert len({zone for start, end, zone in field.seen if start <= begin < end}) <= most
    _check_accounts(field)


def _check_accounts(field: Rows) -> None:
    for zone in BEDS:
        runs: dict[int, list[Act]] = {}
        for act in field.house.acts(zone):
            runs.setdefault(act.planned_ms, []).append(act)
        assert len(runs) == 1, "one run was planned"
        [acts] = runs.values()
        assert Counter(act.part for act in acts) == Counter(range(1, acts[0].parts + 1)) or any(
            act.state not in ("done", "skipped", "expired") for act in acts
        )
        assert all(act.reason for act in acts if act.state == "skipped")
