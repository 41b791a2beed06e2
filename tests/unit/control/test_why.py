# SPDX-License-Identifier: Apache-2.0
"""Why: acts and quiet moments, in one sentence and with what was seen."""

from __future__ import annotations

from typing import Any

import pytest

from control import schedules
from control.database import Database
from control.errors import Invalid, NotFound
from control.models import ActRow
from control.settling import Settlement
from control.why import ActWhy, ZoneWhy, why_act, why_zone
from tests.unit.control.stage import BED, POND, Pilot, at, prepare

WATER: dict[str, Any] = {
    "type": "irrigation",
    "low": 0.24,
    "high": 0.30,
    "hours": [["05:30", "08:00"], ["16:00", "18:00"]],
    "max_seconds": 600,
    "litres_day": 200,
}
FEED: dict[str, Any] = {"type": "feeding", "meals": [{"time": "07:00", "grams": 250}], "grams_day": 1000, "late_s": 600}
TIMER: dict[str, Any] = {"type": "timer", "starts": [{"time": "07:00", "litres": 60}], "litres_day": 200, "late_s": 600}
MOISTURE = ("pilot", "garden", 1), "soil_moisture"
DAY_MS = 86_400_000


def zone(house: Pilot, key: str, ms: int | None = None) -> ZoneWhy:
    now_ms = house.clock.now_ms()
    with house.database.reader() as session:
        return why_zone(session, key, now_ms if ms is None else ms, now_ms)


def act(house: Pilot, key: str) -> ActWhy:
    with house.database.reader() as session:
        return why_act(session, key, house.clock.now_ms())


async def test_quiet_beginning_of_a_window_says_why_with_what_was_seen_and_its_age(pilot: Database) -> None:
    house = prepare(pilot, "05:00", (BED, WATER))
    house.latest.values[MOISTURE] = 0.33
    await house.online("garden")
    await house.minute(20)
    house.latest.values[MOISTURE] = 0.31
    await house.minute(40)
    found = zone(house, BED, at("05:30"))
    assert found.sentence == {
        "id": "Bed tidak disiram pukul 05:30: tanah masih cukup basah (31 %, batas 24 %).",
        "en": "Bed was not watered at 05:30: the soil is still moist enough (31%, limit 24%).",
    }
    assert found.ground is not None
    assert found.act is None
    [seen] = [one for one in found.ground.inputs if one.name == "soil_moisture"]
    assert (seen.value, seen.unit, seen.age_s) == (0.31, "m3/m3", 30.0)
    assert (found.ground.thresholds["low"], found.ground.calendar) == (0.24, {"allowed": True})
    before = zone(house, BED, at("05:20"))
    assert before.sentence["en"] == (
        "Bed was not watered at 05:20: the soil is still moist enough (33%, limit 24%) (since 05:00)."
    )


async def test_each_beginning_of_a_window_leaves_a_decision_though_it_says_the_same_as_before(pilot: Database) -> None:
    house = prepare(pilot, "05:00", (BED, WATER))
    house.latest.values[MOISTURE] = 0.33
    await house.online("garden")
    await house.minute(60)
    assert [decision.at_ms for decision in house.decisions(BED)] == [at("05:30"), at("05:00")]
    await house.clock.advance(11 * 3_600)  # an outage of eleven hours goes over the beginning of the other
    await house.controller.tick()
    assert house.decisions(BED)[0].at_ms == house.clock.now_ms()


async def test_act_that_was_done_says_how_much_where_when_and_why(pilot: Database) -> None:
    house = prepare(pilot, "05:30", (BED, WATER))
    await house.online("garden")
    await house.minute()
    [command] = house.commands()
    await house.say("garden", "ack", {"id": command["id"], "n": 1, "state": "running"})
    await house.minute(2)
    assert (
        zone(house, BED).sentence["id"].startswith("Penyiraman 120 L di Bed pukul 05:30 sedang berjalan: kelembapan tanah 16 %")
    )
    await house.say("garden", "ack", {"id": command["id"], "n": 1, "state": "done", "result": {"seconds": 600, "litres": 118}})
    found = act(house, command["id"])
    assert found.sentence == {
        "id": "Penyiraman 118 L di Bed pukul 05:30 selesai: "
        "kelembapan tanah 16 %, di bawah batas 24 %; dibatasi lama jalan terpanjang.",
        "en": "Watering 118 L of Bed at 05:30: done; soil moisture is 16%, below 24%; cut to the longest run.",
    }
    assert [step.state for step in found.steps] == ["planned", "sent", "running", "done"]
    assert found.ground is not None
    assert found.ground.decision.act_id == command["id"]


async def test_meal_that_was_left_out_says_what_held_it_at_its_moment_and_on_another_day(pilot: Database) -> None:
    house = prepare(pilot, "07:00", (POND, FEED))
    house.latest.values[("pilot", "pond", 1), "dissolved_oxygen"] = 1.8
    await house.online("pond")
    await house.minute(15)
    found = zone(house, POND, at("07:00"))
    assert found.act is not None
    assert (found.act.act.state, found.ground is not None) == ("skipped", True)
    assert found.sentence["id"] == (
        "Pemberian pakan 250 g di Pond pukul 07:00 dilewati: terlewat; oksigen terlarut 1,8 mg/L, batas 3."
    )
    await house.clock.advance(DAY_MS / 1000)
    assert "of Pond at 07:00 on 22 November: skipped; missed; " in act(house, found.act.act.id).sentence["en"]
    assert zone(house, POND, at("06:59")).sentence["id"] == "Pond: belum ada catatan 22 November pukul 06:59."
    assert zone(house, POND, at("06:00")).sentence == {
        "id": "Pond: tidak ada jadwal yang berlaku 22 November pukul 06:00.",
        "en": "Pond: no schedule was in force at 06:00 on 22 November.",
    }


async def test_why_zone_at_a_planned_moment_tells_of_its_act_though_the_tick_came_a_moment_later(pilot: Database) -> None:
    house = prepare(pilot, "07:00", (POND, FEED), (BED, WATER))
    house.latest.values[MOISTURE] = 0.33
    await house.online("pond")
    await house.online("garden")
    await house.clock.advance(60.3)
    await house.controller.tick()
    found = zone(house, POND, at("07:00"))
    assert found.act is not None
    assert found.sentence["en"] == "Feeding 250 g of Pond at 07:00: planned; a meal is due."
    assert zone(house, BED, at("07:00")).sentence["en"].endswith("at 07:00: the soil is still moist enough (33%, limit 24%).")


async def test_why_zone_after_its_schedule_was_changed_has_the_numbers_of_the_new_one_and_of_none_says_so(
    pilot: Database,
) -> None:
    house = prepare(pilot, "05:30", (BED, WATER))
    house.latest.values[MOISTURE] = 0.33
    await house.online("garden")
    await house.minute(5)
    with pilot.session() as session:
        [schedule] = schedules.list_schedules(session)[0]
        schedules.change_schedule(session, schedule.id, definition={**WATER, "low": 0.28}, now_ms=house.clock.now_ms())
    await house.minute(5)
    assert "(33%, limit 28%)" in zone(house, BED).sentence["en"]
    assert len(house.decisions(BED)) == 2
    with pilot.session() as session:
        schedules.change_schedule(session, schedule.id, enabled=False, now_ms=house.clock.now_ms())
    await house.minute(2)
    found = zone(house, BED)
    assert (found.sentence["en"], found.ground) == ("Bed: no schedule was in force at 05:41.", None)
    assert "(33%, limit 28%)" in zone(house, BED, at("05:38")).sentence["en"]


async def test_act_by_hand_says_who_asked_and_what_a_person_saw(pilot: Database) -> None:
    house = prepare(pilot, "05:00")
    await house.online("garden")
    wanted = await house.controller.request_act(BED, "irrigate", seconds=60, actor="ani")
    await house.controller.send_due()
    assert act(house, wanted.id).sentence["en"] == ("Watering 12 L of Bed at 04:59: sent to the device; asked for by ani.")
    await house.minute(7)
    await house.controller.settle_act(wanted.id, Settlement("failed", "dry as before"), actor="budi")
    assert act(house, wanted.id).sentence == {
        "id": "Penyiraman 0 L di Bed pukul 04:59 gagal: menurut budi: dry as before; diminta oleh ani.",
        "en": "Watering 0 L of Bed at 04:59: failed; as budi saw: dry as before; asked for by ani.",
    }


async def test_acts_that_were_withdrawn_replaced_or_done_at_the_board_say_so(pilot: Database) -> None:
    house = prepare(pilot, "07:00", (BED, {**TIMER, "late_s": 7200}))
    house.connected = False
    await house.online("garden")
    await house.minute()
    [waiting] = house.acts(BED)
    with pilot.session() as session:
        [schedule] = schedules.list_schedules(session)[0]
        schedules.change_schedule(session, schedule.id, definition=TIMER, now_ms=house.clock.now_ms())
    assert (
        act(house, waiting.id).sentence["en"].startswith("Watering 60 L of Bed at 07:00: superseded; its schedule was changed")
    )
    wanted = await house.controller.request_act(BED, "irrigate", seconds=60, actor="ani")
    await house.controller.stop(BED, actor="budi")
    assert act(house, wanted.id).sentence["id"].endswith("dibatalkan: oleh budi; diminta oleh ani.")
    local = {"id": "local-1-1", "state": "done", "action": "irrigate", "zone": 1, "result": {"litres": 5}}
    await house.say("garden", "ack", local)
    [board] = [one for one in house.acts(BED) if one.origin == "device"]
    assert act(house, board.id).sentence["en"] == "Watering 5 L of Bed at 07:00: done; done at the board."


async def test_stop_of_a_whole_device_is_told_with_the_devices_name(pilot: Database) -> None:
    house = prepare(pilot, "05:00")
    stop = await house.controller.stop("pilot:garden", actor="ani")
    assert act(house, stop.id).sentence["id"] == "Penghentian di Garden pukul 04:59 direncanakan: diminta oleh ani."


async def test_act_that_was_judged_says_whether_it_had_its_effect(pilot: Database) -> None:
    house = prepare(pilot, "07:00")
    local = {"id": "local-1-1", "state": "done", "action": "irrigate", "zone": 1, "result": {"litres": 5}}
    await house.say("garden", "ack", local)
    [board] = house.acts(BED)
    with pilot.session() as session:
        row = session.get_one(ActRow, board.id)
        row.verdict, row.proof = "proved", {"measured_l": 5.0, "expected_l": 5.2}
    told = act(house, board.id).sentence
    assert told["en"].endswith(": done; done at the board. Proved: 5 L of 5 L flowed.")
    assert told["id"].endswith(" Terbukti: 5 L dari 5 L mengalir.")


def test_why_zone_of_the_future_or_of_no_zone_is_refused(pilot: Database) -> None:
    house = prepare(pilot, "05:00")
    for at_ms in (-62_135_647_200_000, -1):  # the first of which is of no year in the site's time zone
        with pytest.raises(Invalid, match="of these years"), pilot.reader() as session:
            why_zone(session, BED, at_ms, at("05:00"))
    with pytest.raises(Invalid, match="at"):
        zone(house, BED, house.clock.now_ms() + 1)
    with pytest.raises(NotFound):
        zone(house, "pilot:garden:9")
