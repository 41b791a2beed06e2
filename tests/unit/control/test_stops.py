# SPDX-License-Identifier: Apache-2.0
"""Stops of a zone, a device and all of a place: told at once, to whoever could be moving something, and no second time."""

from __future__ import annotations

import asyncio

import pytest

from control import audit, registry, schedules
from control.access import EVERYWHERE, Scope
from control.database import Database
from control.errors import NotFound
from control.records import ZoneSpec
from control.stops import Stopped
from tests.unit.control.stage import BED, POND, Pilot, prepare

GARDEN, PONDS = "pilot:garden", "pilot:pond"


@pytest.fixture
def stage(pilot: Database) -> Pilot:
    with pilot.session() as session:
        point = [ZoneSpec(1, "Mast", "point")]
        registry.create_device(session, "pilot", "mast", "weather-station", "Mast", point, "$7$", now_ms=0)
    return prepare(pilot, "05:00")


async def stop(stage: Pilot, scope: Scope, key: str | None = None) -> Stopped:
    return await stage.controller.stop_all(scope, actor="ani", idempotency_key=key)


@pytest.mark.parametrize(
    "scope", [Scope("site", "pilot"), Scope("agency", "city:agency"), Scope("city", "city"), EVERYWHERE], ids=str
)
async def test_stop_all_tells_every_device_that_waters_or_feeds_also_one_that_seems_away(stage: Pilot, scope: Scope) -> None:
    await stage.online("garden")
    stopped = await stop(stage, scope)
    await stage.controller.send_due()

    assert [act.device_key for act in stopped.stops] == [GARDEN, PONDS]
    assert [(one["action"], "zone" in one) for one in stage.commands()] == [("stop", False)] * 2


async def test_stop_all_withdraws_what_waits_and_leaves_what_runs_to_the_device(stage: Pilot) -> None:
    await stage.online("garden")
    running = await stage.controller.request_act(BED, "irrigate", seconds=60, actor="ani")
    await stage.controller.send_due()
    waiting = await stage.controller.request_act(POND, "feed", grams=10, actor="ani")
    stopped = await stop(stage, Scope("site", "pilot"))

    assert [act.id for act in stopped.cancelled] == [waiting.id]
    states = {act.id: act.state for act in stage.acts()}
    assert (states[running.id], states[waiting.id]) == ("sent", "cancelled")


async def test_stop_all_with_one_key_stops_once(stage: Pilot) -> None:
    first, again, other = [await stop(stage, Scope("site", "pilot"), key) for key in ("a", "a", "b")]

    assert (first.new, again.new, other.new) == (True, False, True)
    assert [act.id for act in first.stops] == [act.id for act in again.stops]
    assert {act.id for act in first.stops}.isdisjoint(act.id for act in other.stops)


async def test_stop_of_a_zone_with_one_key_stops_once_and_elsewhere_again(stage: Pilot) -> None:
    stops = [await stage.controller.stop(key, actor="ani", idempotency_key="a") for key in (BED, BED, GARDEN)]

    assert stops[0].id == stops[1].id
    assert stops[2].id != stops[0].id


async def test_stop_all_with_a_pause_holds_what_is_planned_there_for_so_long(stage: Pilot) -> None:
    with stage.database.session() as session:
        definition = {"type": "irrigation", "low": 0.22, "high": 0.30, "litres_day": 400.0}
        schedules.create_schedule(session, BED, definition, now_ms=stage.clock.now_ms())
    await stage.online("garden")
    await stage.controller.stop_all(Scope("site", "pilot"), actor="ani", pause_min=3)
    await stage.minute(2)
    assert "paused" in stage.decisions(BED)[0].reasons
    await stage.minute(2)
    assert [act.zone_key for act in stage.acts(BED)] == [BED]


async def test_stop_all_is_one_entry_of_the_trail(stage: Pilot) -> None:
    await stop(stage, Scope("site", "pilot"))
    with stage.database.reader() as session:
        [entry] = audit.list_entries(session, action="act.stop-all")[0]

    assert (entry.target, entry.after) == ("site:pilot", {"devices": 2, "cancelled": 0})


async def test_stop_all_of_a_place_that_is_not_there_is_not_found(stage: Pilot) -> None:
    with pytest.raises(NotFound):
        await stop(stage, Scope("site", "nowhere"))


async def test_stops_go_before_what_else_is_to_be_sent(stage: Pilot) -> None:
    await stage.online("garden")
    await stage.controller.request_act(BED, "irrigate", seconds=60, actor="ani")
    await stage.controller.stop(PONDS, actor="ani")
    await stage.controller.send_due()

    assert [one["action"] for one in stage.commands()] == ["stop", "irrigate"]


async def test_stop_goes_out_while_the_broker_is_slow_to_take_something_else(stage: Pilot) -> None:
    begun, taken, held = asyncio.Event(), asyncio.Event(), asyncio.Event()
    publish = stage._publish

    async def slow(topic: str, payload: bytes, **options: object) -> None:
        await publish(topic, payload, **options)  # type: ignore[arg-type]
        if b'"stop"' in payload:
            taken.set()
        elif b'"irrigate"' in payload:
            begun.set()
            await held.wait()

    stage.controller._sender._publish = slow
    await stage.online("garden")
    running = asyncio.create_task(stage.controller.run())
    try:
        await stage.controller.request_act(BED, "irrigate", seconds=60, actor="ani")
        await asyncio.wait_for(begun.wait(), 60)
        await stage.controller.stop(GARDEN, actor="ani")
        await asyncio.wait_for(taken.wait(), 60)
    finally:
        held.set()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    assert [one["action"] for one in stage.commands()] == ["irrigate", "stop"]
