# SPDX-License-Identifier: Apache-2.0
"""Beds watered by the clock, minute by minute: what is due, what was missed, and what is made up."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from sqlalchemy import func, select

from control import ledger, registry, schedules
from control.database import Database
from control.errors import Conflict
from control.models import ActRow, ZoneRow
from tests.unit.control.stage import BED, POND, Pilot, at, prepare

DAY_S = 86_400


def timer(missed: str = "late", **more: Any) -> dict[str, Any]:
    definition = {"type": "timer", "starts": [{"time": "05:30", "litres": 60.0}], "litres_day": 200.0, "missed": missed}
    return definition | more


async def finish(house: Pilot, litres: float) -> None:
    """Let the device do what it was told last."""
    command = house.commands()[-1]
    ack = {"id": command["id"], "n": command["n"], "state": "done", "result": {"seconds": litres * 5, "litres": litres}}
    await house.say("garden", "ack", ack)


async def sleep_over(house: Pilot, days: float) -> None:
    """Let time pass without a controller."""
    await house.clock.advance(days * DAY_S)
    house.restart(house.database)


def ledger_of(house: Pilot) -> Counter[tuple[str, str | None]]:
    return Counter((act.state, act.reason) for act in house.acts(BED))


async def test_timer_waters_once_at_its_time(pilot: Database) -> None:
    house = prepare(pilot, "05:28", (BED, timer()))
    await house.online("garden")
    await house.minute(2)
    assert house.commands() == []
    await house.minute(1)
    [command] = house.commands()
    assert (command["action"], command["amount"]) == ("irrigate", {"litres": 60, "seconds": 300})
    assert command["max_seconds"] == 330
    await finish(house, 60.0)
    await house.minute(30)
    [act] = house.acts(BED)
    assert (act.planned_ms, act.state) == (at("05:30"), "done")
    [acted] = [decision for decision in house.decisions(BED) if decision.acted]
    assert (acted.act_id, acted.reasons) == (act.id, ("run-due",))


async def test_timer_by_seconds_follows_the_season(pilot: Database) -> None:
    season = [1.0] * 10 + [0.5, 1.0]
    house = prepare(pilot, "05:30", (BED, timer(starts=[{"time": "05:30", "seconds": 200}], season=season)))
    await house.online("garden")
    await house.minute()
    assert house.commands()[0]["amount"] == {"litres": 20, "seconds": 100}


async def test_timer_follows_days_and_closed_hours(pilot: Database) -> None:
    weekly = {"time": "05:30", "litres": 60.0, "days": {"type": "weekly", "weekdays": ["mo"]}}
    noon = {"time": "12:00", "litres": 30.0}
    house = prepare(pilot, "05:29", (BED, timer(starts=[weekly, noon], closed=[["11:00", "12:10"]])))
    await house.online("garden")
    await house.minute(60 * 24)  # the 22nd of November 2026 is a Sunday
    first = house.acts(BED)[-1]
    assert (first.planned_ms, first.issued_ms) == (at("12:00"), at("12:10"))
    await house.say("garden", "ack", {"id": first.id, "n": 1, "state": "done", "result": {"litres": 30.0}})
    await house.minute(2)
    assert house.commands()[-1]["amount"]["litres"] == 60


@pytest.mark.parametrize(
    ("missed", "late_s", "expected"),
    [
        ("skip", 1800, {("skipped", "missed"): 1}),
        ("late", 1800, {("done", None): 1}),
        ("late", 300, {("skipped", "missed"): 1}),
        ("once", 0, {("done", None): 1}),
        ("carry", 1800, {("skipped", "missed"): 1}),
    ],
)
async def test_timer_of_a_device_that_was_away_for_ten_minutes_follows_its_policy(
    pilot: Database, missed: str, late_s: int, expected: dict[tuple[str, str | None], int]
) -> None:
    house = prepare(pilot, "05:30", (BED, timer(missed, late_s=late_s)))
    await house.minute(10)
    await house.online("garden")
    await house.minute()
    if house.commands():
        await finish(house, 60.0)
    await house.minute(40)
    assert ledger_of(house) == expected


@pytest.mark.parametrize(
    ("missed", "skipped", "litres"),
    [("skip", 3, [60.0]), ("late", 3, [60.0]), ("once", 2, [60.0, 60.0]), ("carry", 3, [180.0])],
)
async def test_timer_after_an_outage_of_three_days_accounts_for_each_run(
    pilot: Database, missed: str, skipped: int, litres: list[float]
) -> None:
    house = prepare(pilot, "05:00", (BED, timer(missed)))
    await house.online("garden")
    await house.minute()
    await sleep_over(house, 3.0)  # now it is five o'clock, three days on
    await house.online("garden")
    for _ in range(60):
        before = len(house.commands())
        await house.minute()
        if len(house.commands()) > before:
            await finish(house, house.commands()[-1]["amount"]["litres"])
    given = [command["amount"]["litres"] for command in house.commands()]
    assert given == litres
    assert ledger_of(house) == {("skipped", "missed"): skipped, ("done", None): len(litres)}
    assert len({act.planned_ms for act in house.acts(BED)}) == skipped + len(litres)


async def test_timer_after_an_outage_of_weeks_accounts_for_each_of_its_many_runs(pilot: Database) -> None:
    starts = [{"time": f"{half // 2:02}:{half % 2 * 3}0", "litres": 2.0} for half in range(48)]
    house = prepare(pilot, "05:15", (BED, timer(starts=starts)))
    await house.online("garden")
    await house.minute()
    await sleep_over(house, 20.0)
    await house.minute()
    with pilot.reader() as session:
        of_moments = select(func.count(ActRow.planned_ms.distinct()), func.count(ActRow.id))
        assert session.execute(of_moments).one() == (48 * 20, 48 * 20)


async def test_timer_carries_what_did_not_fit_on_and_no_more_than_a_day(pilot: Database) -> None:
    house = prepare(pilot, "05:00", (BED, timer("carry", max_seconds=600)))
    await house.online("garden")
    await house.minute()
    await sleep_over(house, 10.0)
    await house.online("garden")
    await house.minute(31)
    assert house.commands()[-1]["amount"] == {"litres": 120, "seconds": 600}  # the longest run; 60 of 200 carried
    await finish(house, 120.0)
    await house.minute(60 * 24 - 31)
    await house.online("garden")
    await house.minute(31)
    assert house.commands()[-1]["amount"] == {"litres": 120, "seconds": 600}  # 60 of the 140 that were left, and its own
    assert len(house.acts(BED)) == 12


async def test_timer_of_once_makes_up_for_nothing_from_before_it_was_written(pilot: Database) -> None:
    house = prepare(pilot, "06:00", (BED, timer("once")))
    await house.online("garden")
    await house.minute(30)
    assert house.acts(BED) == []


async def test_meals_follow_the_days_of_a_calendar(pilot: Database) -> None:
    meals = [
        {"time": "07:00", "grams": 250.0, "days": {"type": "odd"}},
        {"time": "07:00", "grams": 100.0, "days": {"type": "even"}},
    ]
    house = prepare(pilot, "06:59", (POND, {"type": "feeding", "meals": meals, "grams_day": 1000.0}))
    await house.online("pond")
    await house.minute(2)
    assert [command["amount"]["grams"] for command in house.commands()] == [100]


async def test_timer_that_makes_up_once_keeps_a_row_of_each_run_that_was_not_made_up(pilot: Database) -> None:
    starts = [{"time": time, "litres": 20.0} for time in ("05:30", "06:00", "06:30")]
    house = prepare(pilot, "05:29", (BED, timer("once", starts=starts)))
    await house.minute(70)  # the device is away all the time
    await house.online("garden")
    await house.minute(2)
    assert [(act.planned_ms, act.state) for act in house.acts(BED)] == [
        (at("06:30"), "sent"),
        (at("06:00"), "skipped"),
        (at("05:30"), "skipped"),
    ]


@pytest.mark.parametrize("how", ["change", "disable", "delete", "revoke"])
async def test_timer_whose_schedule_ends_while_a_run_waits_keeps_a_row_of_it(pilot: Database, how: str) -> None:
    house = prepare(pilot, "05:29", (BED, timer()))
    await house.minute(5)  # the device is away
    assert house.acts(BED) == []
    now_ms = house.clock.now_ms()
    with pilot.session() as session:
        [schedule], _ = schedules.list_schedules(session, zone_key=BED)
        if how == "change":
            schedules.change_schedule(session, schedule.id, definition=timer(litres_day=90.0), now_ms=now_ms)
        elif how == "disable":
            schedules.change_schedule(session, schedule.id, enabled=False, now_ms=now_ms)
        elif how == "delete":
            schedules.delete_schedule(session, schedule.id, now_ms=now_ms)
        else:
            registry.revoke_device(session, "pilot:garden", now_ms=now_ms)
    [act] = house.acts(BED)
    assert (act.planned_ms, act.version, act.state, act.reason) == (at("05:30"), 1, "skipped", "schedule-changed")
    await house.minute(60)
    assert len(house.acts(BED)) == 1


async def test_timer_changed_after_its_run_began_keeps_no_second_row(pilot: Database) -> None:
    house = prepare(pilot, "05:29", (BED, timer()))
    await house.online("garden")
    await house.minute(3)
    with pilot.session() as session:
        [schedule], _ = schedules.list_schedules(session, zone_key=BED)
        schedules.change_schedule(session, schedule.id, definition=timer(litres_day=90.0), now_ms=house.clock.now_ms())
    assert ledger_of(house) == {("sent", None): 1}


async def test_timer_of_a_zone_whose_flow_is_not_known_keeps_a_row_of_each_run_with_that_reason(pilot: Database) -> None:
    house = prepare(pilot, "05:29", (BED, timer(late_s=300)))
    with pilot.session() as session:
        session.get_one(ZoneRow, BED).flow_l_min = None
    await house.online("garden")
    await house.minute(10)
    [act] = house.acts(BED)
    assert (act.planned_ms, act.state, act.reason) == (at("05:30"), "skipped", "missed")
    with pilot.reader() as session:
        [step] = ledger.list_transitions(session, act.id)
    assert step.cause == "missed: invalid-parameter"


async def test_once_made_up_days_later_counts_for_the_day_on_which_it_ran(pilot: Database) -> None:
    weekly = {"type": "weekly", "weekdays": ["su"]}
    starts = [{"time": "05:30", "litres": 60.0, "days": weekly}]
    house = prepare(pilot, "05:28", (BED, timer("once", starts=starts, litres_day=100.0)))
    await sleep_over(house, 3)
    await house.online("garden")
    await house.minute(2)
    await finish(house, 60.0)
    [act] = house.acts(BED)
    assert (act.planned_ms, act.state) == (at("05:30"), "done")
    with pytest.raises(Conflict, match="40 L are left"):
        await house.controller.request_act(BED, "irrigate", litres=60.0, actor="ani")


async def test_first_tick_ever_keeps_a_row_of_each_moment_that_came_before_it(pilot: Database) -> None:
    starts = [{"time": time, "litres": 20.0} for time in ("05:30", "06:30")]
    house = prepare(pilot, "05:00", (BED, timer("skip", starts=starts)))
    await sleep_over(house, 0.25)
    await house.minute()
    assert ledger_of(house) == {("skipped", "missed"): 2}
