# SPDX-License-Identifier: Apache-2.0
"""Tests of valves: one after the other, each an act, going on after a crash, ended by any stop."""

from __future__ import annotations

import pytest

from control import budgets, registry, resources, valve_tests
from control.audit import Trail
from control.database import Database
from control.errors import Conflict, NotFound
from control.records import Act, ZoneParameters, ZoneSpec
from control.resources import ResourceDetails
from control.valve_tests import ValveTest
from tests.unit.control.stage import BED, POND, Pilot, prepare

TRAIL = Trail("ani", "person", 0)
YARD = [f"pilot:yard:{number}" for number in (1, 2)]
RESULT = {"seconds": 10.0, "litres": 2.0}


@pytest.fixture
async def stage(pilot: Database) -> Pilot:
    bed = ZoneParameters(area_m2=4.0, root_depth_m=0.3, flow_l_min=12.0, max_seconds=900, litres_day=400.0)
    unknown = ZoneParameters(max_seconds=5)
    with pilot.session() as session:
        specs = [ZoneSpec(1, "Bed", "bed", bed), ZoneSpec(2, "New", "bed", unknown), ZoneSpec(3, "Mast", "point")]
        registry.create_device(session, "pilot", "yard", "irrigation-controller", "Yard", specs, "$7$", now_ms=0)
    made = prepare(pilot, "05:00")
    for device in ("garden", "yard"):
        await made.online(device)
    return made


async def begin(stage: Pilot, key: str = "pilot", idempotency_key: str | None = None) -> ValveTest:
    return await stage.controller.valves.begin(key, actor="ani", idempotency_key=idempotency_key, trail=TRAIL)


def looked(stage: Pilot, test: ValveTest) -> tuple[ValveTest, list[tuple[str, Act | None]]]:
    with stage.database.reader() as session:
        return valve_tests.get_test(session, test.id), valve_tests.acts_of_test(session, test)


def states(stage: Pilot, test: ValveTest) -> list[str | None]:
    return [None if act is None else act.state for _, act in looked(stage, test)[1]]


async def finish(stage: Pilot, number: int) -> None:
    """Let the device do the last command that it was given."""
    await stage.controller.send_due()
    command = [one for one in stage.commands() if one["action"] == "irrigate"][number]
    device = "garden" if number == 0 else "yard"
    await stage.say(device, "ack", {"id": command["id"], "n": command["n"], "state": "done", "result": RESULT})


async def test_each_valve_is_opened_in_turn_and_its_result_is_kept(stage: Pilot) -> None:
    test = await begin(stage)
    assert [zone for zone, _ in looked(stage, test)[1]] == [BED, *YARD]
    for number in range(3):
        assert states(stage, test) == [*["done"] * number, "planned", *[None] * (2 - number)]
        await finish(stage, number)
    kept, valves = looked(stage, test)

    assert (kept.state, states(stage, test)) == ("done", ["done"] * 3)
    assert [(act.seconds, act.litres, act.max_seconds, act.result_litres) for _, act in valves if act] == [
        (10.0, 2.0, 11, 2.0),
        (10.0, 2.0, 11, 2.0),
        (5.0, None, 5, 2.0),
    ]
    assert {act.origin for _, act in valves if act} == {f"test:{test.id}"}


async def test_a_test_goes_on_after_a_crash_and_plans_no_valve_twice(stage: Pilot) -> None:
    test = await begin(stage, "pilot:yard")
    stage.restart(stage.database)
    await stage.minute()
    assert states(stage, test) == ["sent", None]
    [command] = stage.commands()
    await stage.say("yard", "ack", {"id": command["id"], "n": command["n"], "state": "done", "result": RESULT})
    stage.restart(stage.database)
    await stage.minute()
    assert states(stage, test) == ["done", "sent"]


async def test_a_valve_whose_device_is_away_is_left_out_and_the_next_one_tested(stage: Pilot) -> None:
    await stage.say("garden", "status", {"online": False})
    test = await begin(stage)
    _, [(_, first), (_, second), _] = looked(stage, test)

    assert first is not None
    assert (first.state, first.reason) == ("skipped", "offline")
    assert second is not None
    assert second.state == "planned"


async def test_a_valve_without_a_word_does_not_keep_the_others_waiting_for_ever(stage: Pilot) -> None:
    test = await begin(stage)
    await stage.minute(2)

    assert states(stage, test)[:2] == ["unknown", "sent"]


async def test_a_test_is_refused_while_something_runs_or_where_there_is_no_bed(stage: Pilot) -> None:
    await stage.controller.request_act(BED, "irrigate", seconds=60, actor="ani")
    with pytest.raises(Conflict, match="under way in zone"):
        await begin(stage)
    with pytest.raises(Conflict, match="no bed"):
        await begin(stage, "pilot:pond")
    with pytest.raises(NotFound):
        await begin(stage, "nowhere")
    await begin(stage, "pilot:yard")
    with pytest.raises(Conflict, match="under way"):
        await begin(stage, "pilot:yard")


async def test_a_test_is_refused_where_the_month_does_not_hold_all_of_it(stage: Pilot) -> None:
    with stage.database.session() as session:
        budgets.set_budget(session, "city:agency", [3.0] * 12, trail=TRAIL)
    with pytest.raises(Conflict, match="this month"):
        await begin(stage)


async def test_a_valve_that_a_budget_does_not_hold_by_its_turn_is_left_out(stage: Pilot) -> None:
    test = await begin(stage, "pilot:yard")
    with stage.database.session() as session:
        budgets.set_budget(session, "city:agency", [0.0] * 12, trail=TRAIL)
    await stage.controller.stop("pilot:pond", actor="ani")
    second = await begin_after(stage, test)

    assert second == "done"


async def begin_after(stage: Pilot, test: ValveTest) -> str:
    """Let the first valve be done, and return how the test stands."""
    await stage.controller.send_due()
    command = next(one for one in stage.commands() if one["action"] == "irrigate")
    await stage.say("yard", "ack", {"id": command["id"], "n": command["n"], "state": "done", "result": RESULT})
    kept, valves = looked(stage, test)
    assert [act.reason for _, act in valves if act is not None and act.state == "skipped"] in ([], ["month-spent"])
    return "done" if all(act is not None for _, act in valves) else kept.state


async def beside_a_run(stage: Pilot) -> ValveTest:
    """Begin a test at the yard, whose first valve shares a pump for one zone with a bed that is being watered."""
    with stage.database.session() as session:
        details = ResourceDetails(max_zones=1, zones=(BED, YARD[0]))
        resources.create_resource(session, "pilot", "pump", "North pump", details, trail=TRAIL)
    await stage.controller.request_act(BED, "irrigate", seconds=840, actor="ani")
    await stage.controller.send_due()
    [command] = stage.commands()
    await stage.say("garden", "ack", {"id": command["id"], "n": command["n"], "state": "running"})
    return await begin(stage, "pilot:yard")


async def test_a_valve_waits_for_room_on_its_pump_and_is_opened_when_there_is(stage: Pilot) -> None:
    test = await beside_a_run(stage)
    await stage.minute(8)
    assert (looked(stage, test)[0].state, states(stage, test)) == ("running", [None, None])
    command = stage.commands()[0]
    await stage.say("garden", "ack", {"id": command["id"], "n": command["n"], "state": "done", "result": RESULT})
    await stage.minute()

    assert states(stage, test) == ["sent", None]


async def test_a_valve_that_finds_no_room_in_time_is_left_out_with_the_reason_and_the_next_one_tested(stage: Pilot) -> None:
    test = await beside_a_run(stage)
    await stage.minute(10)
    first, second = [act for _, act in looked(stage, test)[1]]

    assert first is not None
    assert second is not None
    assert (first.state, first.reason, second.state) == ("skipped", "no-room-in-window", "sent")


async def test_behind_a_valve_that_waited_in_vain_no_other_waits_again(stage: Pilot) -> None:
    test = await beside_a_run(stage)
    with stage.database.session() as session:
        resources.change_resource(session, "pilot:pump", details={"zones": (BED, *YARD)}, trail=TRAIL)
    await stage.minute(10)

    assert [act.reason for _, act in looked(stage, test)[1] if act] == ["no-room-in-window"] * 2
    assert looked(stage, test)[0].state == "done"


async def test_a_valve_that_takes_more_than_its_pump_gives_is_left_out_at_once(stage: Pilot) -> None:
    with stage.database.session() as session:
        details = ResourceDetails(max_flow_l_min=10.0, zones=(YARD[0],))
        resources.create_resource(session, "pilot", "pump", "North pump", details, trail=TRAIL)
    test = await begin(stage, "pilot:yard")
    [(_, first), _] = looked(stage, test)[1]

    assert first is not None
    assert (first.state, first.reason) == ("skipped", "flow-above-resource")
    assert states(stage, test)[1] == "planned"


async def test_one_key_begins_one_test(stage: Pilot) -> None:
    first, again = [await begin(stage, "pilot", "a") for _ in range(2)]

    assert first.id == again.id
    assert states(stage, first) == ["planned", None, None]


@pytest.mark.parametrize("what", [BED, "pilot:garden", "pilot:yard", "test"])
async def test_any_stop_of_one_of_its_devices_ends_a_test(stage: Pilot, what: str) -> None:
    test = await begin(stage)
    await stage.controller.send_due()
    if what == "test":
        await stage.controller.valves.stop(test.id, actor="budi", trail=TRAIL)
    else:
        await stage.controller.stop(what, actor="budi")
    kept, _ = looked(stage, test)

    assert (kept.state, kept.stopped_by) == ("stopped", "budi")
    if what == "test":
        await stage.controller.send_due()
        assert [one["action"] for one in stage.commands()] == ["irrigate", "stop"]
        with pytest.raises(Conflict):
            await stage.controller.valves.stop(test.id, actor="budi", trail=TRAIL)
    await stage.minute(3)
    assert states(stage, test)[1:] == [None, None]


async def test_a_stop_elsewhere_leaves_a_test_alone(stage: Pilot) -> None:
    test = await begin(stage)
    await stage.controller.stop(POND, actor="budi")

    assert looked(stage, test)[0].state == "running"


async def test_meanwhile_nothing_is_watered_there_by_plan(stage: Pilot) -> None:
    from control import schedules

    with stage.database.session() as session:
        definition = {"type": "irrigation", "low": 0.22, "high": 0.30, "litres_day": 400.0}
        schedules.create_schedule(session, BED, definition, now_ms=stage.clock.now_ms())
    await begin(stage, "pilot")
    await finish(stage, 0)
    await stage.minute()

    assert "valve-test" in stage.decisions(BED)[0].reasons
    assert [act.zone_key for act in stage.acts(BED)] == [BED]
