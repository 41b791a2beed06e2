# SPDX-License-Identifier: Apache-2.0
"""A preview against what the controller then does, minute by minute, with devices that do as they are told."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import update

from control import budgets, forecasts, ledger, registry, resources, schedules, suspending
from control.audit import Trail
from control.database import Database
from control.forecasts import ForecastEntry
from control.ids import new_id
from control.models import ActRow
from control.preview import Preview, Wanted
from control.preview_difference import compare
from control.preview_run import Foreshown
from control.records import Act, ZoneParameters, ZoneSpec
from control.sentences.previews import assumptions
from control.suspensions import On
from tests.unit.control.foreseen import DAY, FEEDING, TIMER, TRAIL, in_force, look, stage
from tests.unit.control.stage import BED, POND, Pilot, at

MINUTES = 330  # from 05:00 to 10:30


@pytest.fixture
def sort() -> str:
    """Return the one sort of database that is enough here: a preview is always made on SQLite."""
    return "sqlite"


def lasts_s(amount: dict[str, Any]) -> float:
    """Return how long a device is at it: the pilot's feeder gives 5 g a second. [s]"""
    seconds: float = amount["seconds"] if "seconds" in amount else amount["grams"] / 5.0
    return seconds


class Board:
    """Devices that begin what they are told at once, and end it when its time is over."""

    def __init__(self, pilot: Pilot) -> None:
        self.pilot = pilot
        self.said = 0
        self.under_way: dict[str, dict[str, Any]] = {}

    async def minutes(self, minutes: int) -> None:
        for _ in range(minutes):
            await self.pilot.clock.advance(60)
            await self.end()
            await self.pilot.controller.tick()
            await self.pilot.controller.send_due()
            await self.begin()

    async def begin(self) -> None:
        now_ms = self.pilot.clock.now_ms()
        new = [one for one in self.pilot.published[self.said :] if one[0].endswith("/command")]
        self.said = len(self.pilot.published)
        for topic, command, _ in new:
            if command["action"] in ("irrigate", "feed"):
                device = topic.split("/")[3]
                self.under_way[command["id"]] = {"device": device, "command": command, "begun": now_ms}
                await self.word(device, command, "running", now_ms)
                await self.pilot.controller.send_due()
                await self.begin()

    async def end(self) -> None:
        for key, one in list(self.under_way.items()):
            ended_ms = one["begun"] + round(lasts_s(one["command"]["amount"]) * 1000)
            if ended_ms <= self.pilot.clock.now_ms():
                del self.under_way[key]
                await self.word(one["device"], one["command"], "done", ended_ms, one["command"]["amount"])

    async def word(self, device: str, command: dict[str, Any], state: str, ts: int, result: Any = None) -> None:
        said = {"id": command["id"], "n": command["n"], "state": state, "ts": ts}
        await self.pilot.say(device, "ack", {**said, "result": result} if result else said)


def done(acts: list[Act] | tuple[Foreshown, ...]) -> list[tuple[object, ...]]:
    """Return what of acts is compared, in one order."""
    plain = [one.act if isinstance(one, Foreshown) else one for one in acts]
    return sorted(
        (
            act.id,
            act.state,
            act.planned_ms,
            act.begun_ms,
            act.ended_ms if act.state == "done" else None,
            None if act.seconds is None else round(act.seconds, 3),
            None if act.litres is None else round(act.litres, 3),
            None if act.grams is None else round(act.grams, 3),
        )
        for act in plain
    )


async def and_then(pilot: Pilot) -> list[Act]:
    """Let the day pass, and return what was planned in it."""
    await Board(pilot).minutes(MINUTES)
    with pilot.database.reader() as session:
        return ledger.list_acts(session, limit=1000)[0]


def foreseen_by_then(foreseen: Preview) -> tuple[Foreshown, ...]:
    """Return what of a preview is over by then."""
    return tuple(one for one in foreseen.acts if one.act.planned_ms < at("10:00"))


@pytest.mark.parametrize(
    ("zone", "definition"), [(BED, TIMER), (POND, FEEDING), (BED, {**TIMER, "missed": "carry", "closed": []})]
)
async def test_preview_of_what_is_in_force_is_what_the_controller_then_does(
    pilot: Database, zone: str, definition: dict[str, Any]
) -> None:
    there = await stage(pilot, (zone, definition))
    foreseen = look(there, Wanted(zone, in_force(pilot, zone)), days=1)
    acts = await and_then(there)

    assert foreseen.saved
    assert done(acts) == done(foreseen_by_then(foreseen))
    assert {act.state for act in acts} >= {"done"}
    assert len(acts) == 3


@pytest.mark.parametrize("missed", ["late", "once", "carry"])
async def test_preview_of_what_is_paused_and_skipped_is_what_the_controller_then_does(pilot: Database, missed: str) -> None:
    pond = {**FEEDING, "closed": [["07:50", "08:05"]]}
    there = await stage(pilot, (BED, {**TIMER, "missed": missed, "closed": []}), (POND, pond))
    now_ms = there.clock.now_ms()
    with pilot.session() as session:
        suspending.suspend(session, "rain-delay", On("site", "pilot"), until_ms=at("07:50"), now_ms=now_ms, trail=TRAIL)
        suspending.skip_next(session, On("zone", POND), now_ms=now_ms, trail=TRAIL)
    foreseen = {zone: foreseen_by_then(look(there, Wanted(zone, in_force(pilot, zone)), days=1)) for zone in (BED, POND)}
    acts = await and_then(there)

    for zone, then in foreseen.items():
        assert done([act for act in acts if act.zone_key == zone]) == done(then)
    assert {act.reason for act in acts if act.zone_key == POND} == {None, "skipped-once"}
    assert "skipped" in {act.state for act in acts if act.zone_key == BED}


async def test_preview_of_a_change_is_what_the_controller_does_after_it_is_saved(pilot: Database) -> None:
    there = await stage(pilot, (BED, TIMER), (POND, FEEDING))
    key, wanted = in_force(pilot, BED), {**TIMER, "starts": [{"time": "06:30", "litres": 50.0}]}
    foreseen = look(there, Wanted(BED, key, wanted), days=1)
    with pilot.session() as session:
        schedules.change_schedule(session, key, definition=wanted, now_ms=there.clock.now_ms())
    acts = await and_then(there)

    assert foreseen.schedule is not None
    assert (foreseen.saved, foreseen.schedule.version) == (False, 2)
    assert done([act for act in acts if act.zone_key == BED]) == done(foreseen_by_then(foreseen))
    changes, days = compare(foreseen.before, foreseen.acts, BED, foreseen.timezone)
    assert [change.kind for change in changes] == ["moved", "removed"]
    assert [(day.litres_before, day.litres) for day in days] == [(180.0, 50.0)]


@pytest.mark.parametrize(
    ("more", "count"), [({}, 3), ({"cycle_s": 120, "cycle_soak_s": 600}, 9), ({"wait_s": 240, "late_s": 0}, 3)]
)
async def test_preview_of_beds_on_one_pump_queues_them_as_the_controller_does(
    pilot: Database, more: dict[str, Any], count: int
) -> None:
    bed = ZoneParameters(area_m2=4.0, root_depth_m=0.3, flow_l_min=12.0, max_seconds=900, litres_day=400.0)
    with pilot.session() as session:
        registry.create_device(
            session, "pilot", "row", "irrigation-controller", "Row",
            [ZoneSpec(1, "A", "bed", bed), ZoneSpec(2, "B", "bed", bed)], "$7$", now_ms=at("04:00"),
        )  # fmt: skip
        shared = resources.ResourceDetails(max_zones=1, min_rest_s=90, zones=(BED, "pilot:row:1", "pilot:row:2"))
        resources.create_resource(session, "pilot", "pump", "Pump", shared, trail=Trail("t", "local", at("04:00")))
    run = {"type": "timer", "starts": [{"time": "06:00", "litres": 60.0}], "litres_day": 200.0} | more
    there = await stage(pilot, (BED, run), ("pilot:row:1", run), ("pilot:row:2", run))
    await there.online("row")
    foreseen = look(there, Wanted(BED, in_force(pilot, BED)), days=1)
    acts = await and_then(there)

    assert set(foreseen.ground.zones) == {BED, "pilot:row:1", "pilot:row:2"}
    assert done(acts) == done(foreseen_by_then(foreseen))
    assert len(acts) == count


async def test_preview_of_a_run_that_rain_takes_says_so_and_shows_what_it_counts_on(pilot: Database) -> None:
    there = await stage(pilot, (BED, {**TIMER, "rain_skip": {"mm": 5.0}}))
    entry = ForecastEntry(at("05:00"), at("05:00") + DAY, 40.0, 0.9)
    with pilot.session() as session:
        forecasts.keep_forecast(session, "pilot", "BMKG", at("04:00"), [entry], now_ms=at("04:30"), trail=TRAIL)
    foreseen = look(there, Wanted(BED, in_force(pilot, BED)), days=1)
    acts = await and_then(there)

    assert done(acts) == done(foreseen_by_then(foreseen))
    assert {one.act.state for one in foreseen.acts} == {"skipped"}
    assert "rain-expected" in (foreseen.acts[1].why or pytest.fail("no reason")).reasons
    assert [code for code, _ in assumptions(foreseen)] == ["forecast", "devices-obey"]


async def test_preview_within_what_the_whole_agency_has_left_is_what_the_controller_then_does(pilot: Database) -> None:
    there = await stage(pilot, (BED, TIMER))
    with pilot.session() as session:
        key = registry.get_site(session, "pilot").agency
        budgets.set_budget(session, key, (500.0,) * 12, trail=Trail("Sari", "person", 0))
        order = ledger.Order(
            "pilot:pond", None, "irrigate", "manual", 0, "Sari", at("04:00"), at("04:00"), at("04:00"), litres=400.0
        )  # fmt: skip
        act, _ = ledger.plan_act(session, new_id(at("04:00")), order)
        session.execute(
            update(ActRow).where(ActRow.id == act.id).values(state="done", begun_ms=at("04:00"), ended_ms=at("04:30"))
        )
    foreseen = look(there, Wanted(BED, in_force(pilot, BED)), days=1)
    acts = [act for act in await and_then(there) if act.zone_key == BED]

    assert done(acts) == done(foreseen_by_then(foreseen))
    assert [(one.runs, one.act.litres) for one in foreseen_by_then(foreseen)] == [(True, 60.0), (True, 40.0), (False, 60.0)]
