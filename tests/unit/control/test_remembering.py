# SPDX-License-Identifier: Apache-2.0
"""What the controller remembers from tick to tick changes nothing: one that forgets everything each minute does the same."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from control import controller, registry, schedules, ticking
from control.database import Database, open_database
from control.errors import DatabaseUnavailable
from control.records import ZoneParameters, ZoneSpec
from control.sites import SiteDetails
from tests.servers.sqlite import fresh_sqlite
from tests.unit.control.stage import Pilot, at

SITE = "pilot"
BED, POND = ZoneParameters(4.0, 0.3, 12.0, None, 900, 400.0, 1.0), ZoneParameters(grams_per_s=5.0, grams_day=1000.0)
STARTS = [{"time": "05:30", "litres": 40.0}, {"time": "06:10", "seconds": 120}, {"time": "sunset-01:00", "litres": 10.0}]
HOURS = [["05:00", "06:20"], ["16:00", "18:30"]]
SCHEDULES: dict[str, dict[str, Any]] = {
    "a:1": {"type": "timer", "starts": STARTS, "litres_day": 200.0, "late_s": 1200},
    "a:2": {"type": "timer", "starts": STARTS, "litres_day": 60.0, "missed": "once"},
    "b:1": {"type": "timer", "starts": STARTS, "litres_day": 200.0, "missed": "carry", "hours": HOURS},
    "b:2": {"type": "timer", "starts": STARTS[:1], "litres_day": 200.0, "missed": "skip"},
    "c:1": {"type": "irrigation", "low": 0.22, "high": 0.30, "litres_day": 150},
    "d:1": {"type": "feeding", "meals": [{"time": "06:00", "grams": 200}, {"time": "08:00", "grams": 200}], "grams_day": 300},
}


def houses(folder: Path) -> list[Pilot]:
    """Return two that are alike to the last id."""
    database = open_database(fresh_sqlite(folder))
    with database.session() as session:
        registry.create_site(session, SITE, "Pilot", "Asia/Makassar", SiteDetails(position=(116.8, -1.2)), now_ms=at("04:00"))
        for name in "abcd":
            kind, sort, own = ("pond-feeder", "pond", POND) if name == "d" else ("irrigation-controller", "bed", BED)
            zones = [ZoneSpec(number, f"Zone {number}", sort, own) for number in (1, 2)]
            registry.create_device(session, SITE, name, kind, name, zones, "$7$", now_ms=at("04:00"))
        for zone, definition in SCHEDULES.items():
            schedules.create_schedule(session, f"{SITE}:{zone}", definition, now_ms=at("04:00"))
    database.close()
    [file] = folder.glob("*.db")
    shutil.copy(file, folder / "copy.db")
    return [Pilot(open_database(f"sqlite:///{each}"), at("05:00")) for each in (file, folder / "copy.db")]


def happen(database: Database, event: str, chance: random.Random, now_ms: int) -> None:
    """Let a person change something."""
    with database.session() as session:
        if event == "schedule":
            zone = chance.choice(sorted(SCHEDULES))
            [found], _ = schedules.list_schedules(session, zone_key=f"{SITE}:{zone}")
            amount = "grams_day" if zone == "d:1" else "litres_day"
            definition = {**found.definition, amount: chance.choice((50, 300, 500))}
            schedules.change_schedule(session, found.id, definition=definition, now_ms=now_ms)
        elif event == "zone":
            changed = ZoneParameters(4.0, 0.3, chance.choice((6.0, 12.0)), None, 900, 400.0, 1.0)
            registry.change_zone(session, f"{SITE}:{chance.choice('ab')}:1", parameters=changed)


async def come_to_nothing(one: Pilot) -> None:
    """Let a tick fail at its very end, so that nothing of it is kept."""

    def fail(*args: Any, **more: Any) -> None:
        ticking.run_tick(*args, **more)
        raise DatabaseUnavailable("gone while committing")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(controller, "run_tick", fail)
        with pytest.raises(DatabaseUnavailable):
            await one.controller.tick()


async def live(one: Pilot, seed: int, *, forgetful: bool) -> list[Any]:
    """Go through half a day of mishaps, and return the ledger and the decisions."""
    chance = random.Random(seed)
    for name in "abcd":
        await one.online(name)
    answered = 0
    for _ in range(120):
        if forgetful:
            one.restart(one.database)
        one.latest.values = {
            ((SITE, "c", 1), "soil_moisture"): chance.choice((0.15, 0.25, 0.31)),
            ((SITE, "d", 1), "dissolved_oxygen"): chance.choice((2.0, 6.0, 6.0)),
        }
        device, roll = chance.choice("abcd"), chance.random()
        if roll < 0.08:
            await one.say(device, "status", {"online": False})
        elif roll < 0.2:
            await one.online(device)
        elif roll < 0.25:
            happen(one.database, chance.choice(("schedule", "zone")), chance, one.clock.now_ms())
        if chance.random() < 0.15:
            await come_to_nothing(one)
        await one.minute()
        commands = [(topic, word) for topic, word, _ in one.published if topic.endswith("/command") and "n" in word]
        for topic, word in commands[answered:]:
            if chance.random() < 0.8:
                ack = {"id": word["id"], "n": word["n"], "state": chance.choice(("done", "done", "failed", "accepted"))}
                await one.controller.on_message(topic.replace("/command", "/ack"), json.dumps(ack).encode(), False)
        answered = len(commands)
        if chance.random() < 0.05:  # the controller is away, or a clock is put forward
            await one.clock.advance(chance.choice((600, 3600)))
    acts = [(act.id, act.state, act.reason, act.litres, act.seconds, act.grams, act.issued_ms) for act in one.acts()]
    said = [
        (each.zone_key, each.at_ms, each.acted, each.reasons, sorted(each.inputs.items()), each.act_id)
        for zone in SCHEDULES
        for each in one.decisions(f"{SITE}:{zone}")
    ]
    one.database.close()
    return [acts, said]


@pytest.mark.parametrize("seed", [1, 2])
async def test_controller_that_forgets_everything_each_minute_decides_the_same(tmp_path: Path, seed: int) -> None:
    first, second = houses(tmp_path)
    remembering = await live(first, seed, forgetful=False)
    forgetful = await live(second, seed, forgetful=True)
    assert len(remembering[0]) > 10
    assert {state for _, state, *_ in remembering[0]} >= {"done", "skipped"}
    assert remembering == forgetful
