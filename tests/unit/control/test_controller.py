# SPDX-License-Identifier: Apache-2.0
"""The controller, minute by minute on a stepped clock, without a broker."""

from __future__ import annotations

from typing import Any

import pytest

from control import ledger, registry, schedules
from control.database import Database, open_database
from control.errors import Conflict, Invalid, NotFound
from control.sentences import sentences
from tests.unit.control.stage import BED, POND, at, prepare

WATER: dict[str, Any] = {
    "type": "irrigation",
    "low": 0.22,
    "high": 0.30,
    "hours": [["05:00", "08:00"], ["16:00", "18:00"]],
    "max_seconds": 600,
    "litres_day": 200,
}
FEED: dict[str, Any] = {
    "type": "feeding",
    "meals": [{"time": "07:00", "grams": 250}, {"time": "12:00", "grams": 300}],
    "grams_day": 1000,
}


async def test_dry_bed_is_watered_and_settled_with_its_reasons(pilot: Database) -> None:
    house = prepare(pilot, "05:00", (BED, WATER))
    await house.online("garden")
    await house.minute()
    [command] = house.commands()
    # (0.30 - 0.16) x 0.3 m x 4 m2 = 168 L, of which 600 s at 12 L/min give 120 L.
    assert (command["action"], command["zone"], command["n"]) == ("irrigate", 1, 1)
    assert command["amount"] == {"seconds": 600, "litres": 120}
    assert command["max_seconds"] == 600
    assert command["expires"] == at("05:00") + 300_000
    await house.say("garden", "ack", {"id": command["id"], "n": 1, "state": "accepted"})
    await house.minute(9)
    result = {"seconds": 600, "litres": 118.0}
    await house.say("garden", "ack", {"id": command["id"], "n": 1, "state": "done", "result": result})
    house.latest.values[("pilot", "garden", 1), "soil_moisture"] = 0.26
    await house.minute()
    [act] = house.acts(BED)
    assert (act.state, act.result_litres, act.actor) == ("done", 118.0, "controller")
    found = house.decisions(BED)
    assert [decision.acted for decision in found] == [False, False, True]
    assert found[2].act_id == act.id
    assert "dry" in found[2].reasons
    assert found[2].inputs["soil_moisture"] == 0.16
    assert {"busy", "soaking"} <= set(found[1].reasons) | set(found[0].reasons)
    assert sentences(found[2])["id"].startswith("Menyiram 120 L selama 10 menit: kelembapan tanah 16 %")
    assert [data["state"] for name, data in house.told if name == "act"] == ["planned", "sent", "accepted", "done"]


async def test_tick_again_in_the_same_minute_after_a_restart_plans_no_second_act(pilot: Database, url: str) -> None:
    house = prepare(pilot, "05:00", (BED, WATER))
    await house.online("garden")
    await house.clock.advance(60)
    await house.controller.tick()
    pilot.close()
    again = open_database(url)
    house.restart(again)
    await house.controller.tick()
    await house.controller.send_due()
    assert len(house.acts(BED)) == 1
    assert [command["n"] for command in house.commands()] == [1]
    again.close()


async def test_rejected_act_is_not_planned_again_before_the_soil_had_its_time(pilot: Database) -> None:
    house = prepare(pilot, "05:00", (BED, WATER))
    await house.online("garden")
    await house.minute()
    await house.say("garden", "ack", {"id": house.commands()[0]["id"], "n": 1, "state": "rejected", "reason": "busy"})
    await house.minute(9)
    assert len(house.acts(BED)) == 1
    await house.minute(2)
    assert len(house.acts(BED)) == 2
    assert house.commands()[-1]["n"] == 2


async def test_bed_outside_its_hours_or_without_a_fresh_reading_is_left_and_decided_once(pilot: Database) -> None:
    house = prepare(pilot, "07:58", (BED, WATER))
    await house.online("garden")
    house.latest.age_s = 3600.0
    await house.minute(2)
    house.latest.age_s = 30.0
    await house.minute(10)
    assert house.acts() == []
    found = house.decisions(BED)
    assert [set(decision.reasons) >= {name} for decision, name in zip(found, ("outside-hours", "stale-reading"), strict=True)]
    assert len(found) == 2


async def test_offline_device_gets_nothing_and_a_request_by_hand_waits_for_it(pilot: Database) -> None:
    house = prepare(pilot, "05:00", (BED, WATER))
    await house.minute()
    act = await house.controller.request_act(BED, "irrigate", seconds=60, actor="ani")
    await house.controller.send_due()
    assert house.commands() == []
    assert house.acts(BED)[0].state == "held"
    await house.online("garden", n=41)
    await house.controller.send_due()
    [command] = house.commands()
    assert (command["id"], command["n"], command["amount"]) == (act.id, 42, {"seconds": 60, "litres": 12})


async def test_held_act_expires_when_its_device_does_not_come(pilot: Database) -> None:
    house = prepare(pilot, "05:00")
    await house.controller.request_act(BED, "irrigate", litres=10, actor="ani")
    await house.minute(6)
    assert [act.state for act in house.acts()] == ["expired"]
    assert {command["action"] for command in house.commands()} == {"ping"}


async def test_lost_link_sends_the_same_id_and_number_again(pilot: Database) -> None:
    house = prepare(pilot, "05:00", (BED, WATER))
    await house.online("garden")
    await house.controller.send_due()
    house.lost = True
    await house.minute()
    assert not await house.controller.send_due()
    house.lost = False
    assert await house.controller.send_due()
    assert await house.controller.send_due()
    commands = house.commands()
    assert len(commands) == 3
    assert len({(command["id"], command["n"], command["expires"]) for command in commands}) == 1


async def test_unconnected_broker_leaves_acts_planned(pilot: Database) -> None:
    house = prepare(pilot, "05:00", (BED, WATER))
    await house.online("garden")
    house.connected = False
    await house.minute(7)
    assert [act.state for act in house.acts(BED)][-1] == "expired"
    assert house.published == []


async def test_unanswered_command_is_sent_again_each_minute_and_then_unknown_until_the_status_tells(
    pilot: Database,
) -> None:
    house = prepare(pilot, "05:00", (BED, WATER))
    await house.online("garden")
    await house.minute(7)
    commands = [command for command in house.commands() if command["action"] == "irrigate"]
    assert len({command["id"] for command in commands}) == 1
    assert len(commands) == 6
    assert [command["action"] for command in house.commands()].count("ping") == 1
    [act] = house.acts(BED)
    assert act.state == "unknown"
    assert "unsettled" in house.decisions(BED)[0].reasons
    with pytest.raises(Conflict, match="not known"):
        await house.controller.request_act(BED, "irrigate", seconds=10, actor="ani")
    await house.online("garden", n=1, ledger=[{"id": act.id, "state": "done"}])
    assert house.acts(BED)[0].state == "done"


async def test_second_act_of_a_device_waits_for_the_word_on_the_first(pilot: Database) -> None:
    with pilot.session() as session:
        registry.create_device(
            session,
            "pilot",
            "two",
            "irrigation-controller",
            "Two beds",
            [
                registry.ZoneSpec(k, f"Bed {k}", "bed", registry.ZoneParameters(area_m2=1.0, root_depth_m=0.3, flow_l_min=10.0))
                for k in (1, 2)
            ],
            "$7$",
            now_ms=0,
        )
    house = prepare(pilot, "05:00")
    await house.online("two")
    first = await house.controller.request_act("pilot:two:1", "irrigate", seconds=60, actor="ani")
    await house.clock.advance(0.001)
    second = await house.controller.request_act("pilot:two:2", "irrigate", seconds=60, actor="ani")
    await house.controller.send_due()
    await house.controller.send_due()
    assert [command["id"] for command in house.commands()] == [first.id]
    await house.say("two", "ack", {"id": first.id, "n": 1, "state": "accepted"})
    await house.controller.send_due()
    assert [(command["id"], command["n"]) for command in house.commands()] == [(first.id, 1), (second.id, 2)]


async def test_pond_gets_its_meal_once_at_its_time(pilot: Database) -> None:
    house = prepare(pilot, "06:59", (POND, FEED))
    await house.online("pond")
    await house.minute(2)
    [command] = house.commands()
    assert (command["action"], command["amount"], command["max_seconds"]) == ("feed", {"grams": 250}, 55)
    await house.say("pond", "ack", {"id": command["id"], "n": 1, "state": "done", "result": {"grams": 249}})
    await house.minute(20)
    [act] = house.acts(POND)
    assert (act.state, act.planned_ms, act.result_grams) == ("done", at("07:00"), 249)
    assert [decision.acted for decision in house.decisions(POND)] == [False, True, False]


async def test_meal_waits_for_oxygen_within_its_grace(pilot: Database) -> None:
    house = prepare(pilot, "07:00", (POND, FEED))
    house.latest.values[("pilot", "pond", 1), "dissolved_oxygen"] = 2.5
    await house.online("pond")
    await house.minute(10)
    assert house.acts(POND) == []
    assert [set(d.reasons) >= {"meal-due", "low-oxygen"} for d in house.decisions(POND)] == [True]
    house.latest.values[("pilot", "pond", 1), "dissolved_oxygen"] = 3.5
    await house.minute()
    [act] = house.acts(POND)
    assert (act.grams, act.planned_ms, act.issued_ms) == (125.0, at("07:00"), at("07:10"))


async def test_meal_withheld_beyond_its_grace_is_skipped_with_the_cause_and_never_made_up(pilot: Database) -> None:
    house = prepare(pilot, "07:00", (POND, FEED))
    house.latest.values[("pilot", "pond", 1), "dissolved_oxygen"] = 2.5
    await house.online("pond")
    await house.minute(17)
    house.latest.values[("pilot", "pond", 1), "dissolved_oxygen"] = 6.0
    await house.minute(30)
    [act] = house.acts(POND)
    with pilot.reader() as session:
        [step] = ledger.list_transitions(session, act.id)
    assert (act.state, act.reason, act.planned_ms) == ("skipped", "missed", at("07:00"))
    assert step.cause == "missed: low-oxygen"
    assert house.commands() == []


async def test_pause_of_two_days_accounts_for_every_meal(pilot: Database) -> None:
    house = prepare(pilot, "06:00", (POND, FEED))
    await house.online("pond")
    await house.minute()
    await house.clock.advance(2 * 86_400 + 6 * 3_600 + 5 * 60)  # until 12:05 two days later
    await house.controller.tick()
    states = sorted((act.planned_ms, act.state) for act in house.acts(POND))
    day = 86_400_000
    assert states == [
        (at("07:00"), "skipped"),
        (at("12:00"), "skipped"),
        (at("07:00") + day, "skipped"),
        (at("12:00") + day, "skipped"),
        (at("07:00") + 2 * day, "skipped"),
        (at("12:00") + 2 * day, "planned"),
    ]
    await house.controller.tick()
    assert len(house.acts(POND)) == 6


async def test_new_version_of_a_schedule_neither_repeats_nor_misses_a_meal_of_before(pilot: Database) -> None:
    house = prepare(pilot, "07:00", (POND, FEED))
    await house.online("pond")
    await house.minute()
    await house.say("pond", "ack", {"id": house.commands()[0]["id"], "n": 1, "state": "done", "result": {"grams": 250}})
    with pilot.session() as session:
        [schedule] = schedules.list_schedules(session)[0]
        schedules.change_schedule(session, schedule.id, definition={**FEED, "min_gap_s": 0}, now_ms=house.clock.now_ms())
    await house.minute(20)
    assert len(house.acts(POND)) == 1


async def test_feed_by_hand_and_at_the_board_counts_against_the_day(pilot: Database) -> None:
    house = prepare(pilot, "06:50", (POND, {**FEED, "grams_day": 300, "min_gap_s": 0}))
    await house.online("pond")
    local = {"id": "local-1-1", "state": "done", "action": "feed", "zone": 1, "result": {"grams": 150}}
    await house.say("pond", "ack", local)
    with pytest.raises(Conflict, match="150 g are left"):
        await house.controller.request_act(POND, "feed", grams=200, actor="ani")
    act = await house.controller.request_act(POND, "feed", grams=100, actor="ani")
    await house.controller.send_due()
    await house.say("pond", "ack", {"id": act.id, "n": 1, "state": "done", "result": {"grams": 100}})
    await house.minute(11)
    planned = [act for act in house.acts(POND) if act.actor == "controller"]
    assert [act.grams for act in planned] == [50.0]
    assert "ration-clipped" in house.decisions(POND)[0].reasons


@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("action", {"zone_key": BED, "action": "feed", "grams": 5}),
        ("action", {"zone_key": BED, "action": "dance"}),
        ("litres", {"zone_key": BED, "action": "irrigate"}),
        ("grams", {"zone_key": BED, "action": "irrigate", "grams": 5}),
        ("seconds", {"zone_key": BED, "action": "irrigate", "seconds": 601}),
        ("seconds", {"zone_key": BED, "action": "irrigate", "seconds": -1}),
        ("seconds", {"zone_key": BED, "action": "irrigate", "seconds": float("nan")}),
        ("litres", {"zone_key": BED, "action": "irrigate", "litres": 201}),
        ("litres", {"zone_key": BED, "action": "irrigate", "litres": 150}),
        ("grams", {"zone_key": POND, "action": "feed", "grams": 1e300}),
        ("seconds", {"zone_key": POND, "action": "aerate"}),
        ("idempotency_key", {"zone_key": BED, "action": "irrigate", "seconds": 5, "idempotency_key": "\ud800"}),
    ],
)
async def test_request_act_with_a_bad_field_names_it(pilot: Database, field: str, arguments: dict[str, Any]) -> None:
    house = prepare(pilot, "05:00", (BED, WATER))
    with pytest.raises(Invalid) as caught:
        await house.controller.request_act(actor="ani", **arguments)
    assert caught.value.field == field
    assert house.acts() == []


async def test_request_act_with_the_same_key_makes_one_act(pilot: Database) -> None:
    house = prepare(pilot, "05:00")
    first = await house.controller.request_act(BED, "irrigate", seconds=60, actor="ani", idempotency_key="k1")
    again = await house.controller.request_act(BED, "irrigate", seconds=60, actor="ani", idempotency_key="k1")
    assert again.id == first.id
    with pytest.raises(Conflict, match="Idempotency-Key"):
        await house.controller.request_act(BED, "irrigate", seconds=61, actor="ani", idempotency_key="k1")
    with pytest.raises(Conflict, match="under way"):
        await house.controller.request_act(BED, "irrigate", seconds=60, actor="ani", idempotency_key="k2")


async def test_stop_cancels_what_waits_and_tells_the_device_at_once(pilot: Database) -> None:
    house = prepare(pilot, "05:00")
    waiting = await house.controller.request_act(BED, "irrigate", seconds=60, actor="ani")
    stop = await house.controller.stop(BED, actor="ani")
    await house.controller.send_due()
    [command] = house.commands()
    assert (command["id"], command["action"], command["zone"]) == (stop.id, "stop", 1)
    assert not {"n", "amount", "max_seconds"} & command.keys()
    await house.say("garden", "ack", {"id": stop.id, "state": "done"})
    assert {act.id: act.state for act in house.acts()} == {waiting.id: "cancelled", stop.id: "done"}
    await house.controller.stop("pilot:garden", actor="ani")
    await house.controller.send_due()
    assert "zone" not in house.commands()[-1]
    with pytest.raises(NotFound):
        await house.controller.stop("pilot:none", actor="ani")


async def test_stop_act_withdraws_stops_or_refuses_by_its_state(pilot: Database) -> None:
    house = prepare(pilot, "05:00")
    waiting = await house.controller.request_act(BED, "irrigate", seconds=60, actor="ani")
    assert (await house.controller.stop_act(waiting.id, actor="ani")).state == "cancelled"
    with pytest.raises(Conflict, match="over"):
        await house.controller.stop_act(waiting.id, actor="ani")
    await house.online("garden")
    running = await house.controller.request_act(BED, "irrigate", seconds=60, actor="ani")
    await house.controller.send_due()
    assert (await house.controller.stop_act(running.id, actor="ani")).state == "sent"
    await house.controller.send_due()
    assert [command["action"] for command in house.commands()] == ["irrigate", "stop"]


async def test_configuration_is_published_retained_and_again_when_limits_change(pilot: Database) -> None:
    house = prepare(pilot, "05:00")
    await house.controller.send_due()
    configs = {topic: message for topic, message, retained in house.published if retained}
    garden = configs["tirta/v1/pilot/garden/config"]
    assert (garden["version"], garden["utc_offset_min"]) == (1, 480)
    assert garden["zones"] == {"1": {"max_seconds": 900, "litres_day": 400, "grams_day": None}}
    assert configs["tirta/v1/pilot/pond/config"]["zones"]["1"]["grams_day"] == 1000
    await house.minute(3)
    assert len(house.published) == 2
    with pilot.session() as session:
        zone = registry.get_zone(session, BED)
        parameters = registry.ZoneParameters(area_m2=4.0, root_depth_m=0.3, flow_l_min=12.0, litres_day=99.0)
        registry.change_zone(session, zone.key, parameters=parameters)
    house.lost = True
    assert not await house.controller.send_due()
    house.lost = False
    await house.controller.send_due()
    topic, message, retained = house.published[-1]
    assert (topic, message["version"], message["zones"]["1"]["litres_day"], retained) == (
        "tirta/v1/pilot/garden/config",
        2,
        99,
        True,
    )
    await house.say("garden", "reported", {**message, "refused": {}}, retained=True)
    with pilot.reader() as session:
        device = registry.get_device(session, "pilot:garden")
    assert (device.config_version, (device.reported or {})["version"]) == (2, 2)


@pytest.mark.parametrize(
    ("topic", "payload", "malformed"),
    [
        ("tirta/v1/pilot/garden/ack", b"{", True),
        ("tirta/v1/pilot/garden/ack", b"\xff\xfe", True),
        ("tirta/v1/pilot/garden/status", b'{"online": 1}', True),
        ("tirta/v1/pilot/garden/reported", b"[]", True),
        ("tirta/v2/pilot/garden/ack", b"{}", True),
        ("tirta/v1/pilot/garden/ack", b'{"id": "01X", "state": "done"}', False),
        ("tirta/v1/pilot/garden/ack", b'{"id": "x\\u0000", "state": "done"}', True),
        ("tirta/v1/pilot/stranger/status", b'{"online": true}', False),
        ("tirta/v1/pilot/garden/telemetry", b"{}", False),
        ("tirta/v1/pilot/garden/status", b"", False),
    ],
)
async def test_message_that_is_no_use_is_counted_and_disturbs_nothing(
    pilot: Database, topic: str, payload: bytes, malformed: bool
) -> None:
    house = prepare(pilot, "05:00")
    good = b'{"online": true, "boot": 3, "fw": "1.4.2"}'
    await house.controller.on_messages([(topic, payload, False), ("tirta/v1/pilot/garden/status", good, False)])
    counters = house.controller.counters
    assert (counters.messages, counters.messages_malformed, counters.messages_ignored) == (2, malformed, not malformed)
    with pilot.reader() as session:
        device = registry.get_device(session, "pilot:garden")
    assert (device.online, device.boot, device.firmware) == (True, 3, "1.4.2")


async def test_words_with_what_no_database_keeps_count_without_it(pilot: Database) -> None:
    house = prepare(pilot, "05:00")
    local = b'{"id": "local-1-1", "state": "failed", "action": "irrigate", "zone": 1, "reason": "no\\u0000-flow"}'
    await house.controller.on_messages(
        [
            ("tirta/v1/pilot/garden/status", b'{"online": true, "fw": "1.4\\u0000.2"}', False),
            ("tirta/v1/pilot/garden/ack", local, False),
            ("tirta/v1/pilot/garden/reported", b'{"version": 3, "refused": {"a\\u0000": "b\\u0000"}}', False),
        ]
    )
    assert house.controller.counters.messages_malformed == 0
    with pilot.reader() as session:
        device = registry.get_device(session, "pilot:garden")
        [act] = ledger.list_acts(session)[0]
    assert (device.firmware, act.reason) == ("1.4.2", "no-flow")
    assert device.reported is not None
    assert device.reported["refused"] == {"a\x00": "b\x00"}


async def test_last_will_shows_the_device_offline(pilot: Database) -> None:
    house = prepare(pilot, "05:00")
    await house.online("garden")
    await house.say("garden", "status", {"online": False})
    with pilot.reader() as session:
        assert not registry.get_device(session, "pilot:garden").online
    assert [data["online"] for name, data in house.told if name == "device"] == [True, False]


async def test_number_goes_on_above_what_the_device_says_also_after_a_restore(pilot: Database) -> None:
    house = prepare(pilot, "05:00")
    await house.online("garden", n=412)
    act = await house.controller.request_act(BED, "irrigate", seconds=60, actor="ani")
    await house.controller.send_due()
    await house.say("garden", "ack", {"id": act.id, "n": 413, "state": "done"})
    await house.online("garden", n=7)
    await house.controller.request_act(BED, "irrigate", seconds=60, actor="ani")
    await house.controller.send_due()
    assert [command["n"] for command in house.commands()] == [413, 414]
