# SPDX-License-Identifier: Apache-2.0
"""What people put off, and what becomes of what was planned meanwhile."""

from __future__ import annotations

from typing import Any

import pytest

from control import ledger, registry, schedules, suspending, suspensions
from control.access import Grant, Principal, Scope
from control.audit import Trail, list_entries
from control.database import Database
from control.errors import Conflict, Invalid, NotAllowed, NotFound
from control.records import Suspension
from control.sentences import act_sentence, decision_sentence
from control.suspensions import On, parse_on
from tests.unit.control.stage import BED, POND, Pilot, at, prepare

TRAIL = Trail("Sari", "person", 0)
SITE = On("site", "pilot")
RUN: dict[str, Any] = {"type": "timer", "starts": [{"time": "05:30", "litres": 60.0}], "litres_day": 300.0}
MEAL: dict[str, Any] = {"type": "feeding", "meals": [{"time": "05:30", "grams": 100.0}], "grams_day": 500.0}
WATER: dict[str, Any] = {"type": "irrigation", "low": 0.22, "high": 0.30, "litres_day": 200.0}
MINUTE, HOUR = 60_000, 3_600_000


def put_off(house: Pilot, kind: Any, on: On, **given: Any) -> Suspension:
    with house.database.session() as session:
        return suspending.suspend(session, kind, on, now_ms=house.clock.now_ms(), trail=TRAIL, **given)[0]


def skip(house: Pilot, zone: str = BED) -> tuple[Suspension, bool]:
    with house.database.session() as session:
        return suspending.skip_next(session, On("zone", zone), now_ms=house.clock.now_ms(), trail=TRAIL)


def resume(house: Pilot, suspension: Suspension) -> Suspension:
    with house.database.session() as session:
        return suspending.end_suspension(session, suspension.id, now_ms=house.clock.now_ms(), trail=TRAIL)


def shown(house: Pilot, suspension: Suspension) -> Suspension:
    with house.database.reader() as session:
        return suspensions.get_suspension(session, suspension.id)


def ledger_of(house: Pilot, zone: str = BED) -> list[tuple[str, str | None]]:
    return [(act.state, act.reason) for act in house.acts(zone)]


async def test_pause_with_an_end_holds_a_run_and_lets_it_begin_late(pilot: Database) -> None:
    house = prepare(pilot, "05:25", (BED, RUN))
    await house.online("garden")
    paused = put_off(house, "pause", On("zone", BED), until_ms=at("05:40"), note="selang bocor")
    await house.minute(14)
    assert ledger_of(house) == []
    (held, *_) = house.decisions(BED)
    assert held.reasons == ("run-due", "paused")
    assert decision_sentence(held, "id") == "Tidak menyiram: dijeda oleh Sari sampai 05.40."
    await house.minute(2)
    assert [act.planned_ms for act in house.acts(BED)] == [at("05:30")]
    assert house.commands()[-1]["amount"]["litres"] == 60
    assert (shown(house, paused).ending, shown(house, paused).ended_ms) == ("over", at("05:40"))
    assert [name for name, _ in house.told].count("suspension") == 1


async def test_pause_beyond_the_grace_of_a_run_keeps_it_as_skipped_with_what_held_it(pilot: Database) -> None:
    house = prepare(pilot, "05:25", (BED, RUN), (POND, MEAL))
    await house.online("garden")
    await house.online("pond")
    paused = put_off(house, "pause", SITE)
    await house.minute(40)
    assert ledger_of(house) == ledger_of(house, POND) == [("skipped", "missed")]
    with house.database.reader() as session:
        (step,) = ledger.list_transitions(session, house.acts(BED)[0].id)
    assert step.cause == "missed: paused"
    assert resume(house, paused).ending == "resumed"
    await house.minute(5)
    assert len(ledger_of(house)) == 1
    with pytest.raises(Conflict, match="over already"):
        resume(house, paused)


@pytest.mark.parametrize("missed", ["once", "carry"])
async def test_pause_is_no_outage_and_nothing_of_it_is_made_up_for(pilot: Database, missed: str) -> None:
    house = prepare(pilot, "05:25", (BED, {**RUN, "missed": missed, "late_s": 600}))
    await house.online("garden")
    paused = put_off(house, "pause", On("zone", BED))
    await house.minute(30)
    resume(house, paused)
    await house.minute(2)
    await house.clock.advance(23 * 3600)
    await house.minute(60)
    assert ledger_of(house)[-1] == ("skipped", "missed")
    assert [act.litres for act in house.acts(BED) if act.state != "skipped"] == [60.0]


async def test_rain_delay_holds_watering_and_feeds_the_fish(pilot: Database) -> None:
    house = prepare(pilot, "05:25", (BED, WATER), (POND, MEAL))
    await house.online("garden")
    await house.online("pond")
    put_off(house, "rain-delay", SITE, until_ms=at("05:25") + 24 * HOUR)
    await house.minute(10)
    assert ledger_of(house) == []
    assert {command["action"] for command in house.commands()} == {"feed"}
    (held, *_) = house.decisions(BED)
    assert "rain-delay" in held.reasons
    assert decision_sentence(held, "en") == "Not watering: put off because of rain by Sari until 2026-11-23 05:25."


async def test_pause_cancels_what_waits_and_leaves_what_is_under_way(pilot: Database) -> None:
    house = prepare(pilot, "05:29", (BED, RUN), (POND, MEAL))
    await house.online("garden")
    await house.online("pond")
    house.connected = False
    await house.minute(2)
    assert [state for state, _ in ledger_of(house)] in (["planned"], ["held"])
    with house.database.session() as session:
        made, cancelled = suspending.suspend(session, "pause", On("zone", BED), now_ms=house.clock.now_ms(), trail=TRAIL)
    assert [(act.state, act.reason) for act in cancelled] == [("cancelled", "paused")]
    assert act_sentence(cancelled[0], "id") == "Penyiraman 60 L: dibatalkan (zonanya dijeda)."
    assert made.on == f"zone:{BED}"
    house.connected = True
    await house.minute(3)
    assert {command["action"] for command in house.commands()} == {"feed"}
    put_off(house, "pause", On("zone", POND))
    assert [state for state, _ in ledger_of(house, POND)] == ["sent"]
    resume(house, made)
    await house.minute(40)
    assert ledger_of(house) == [("cancelled", "paused")]


async def test_pause_of_a_place_that_is_paused_takes_the_place_of_the_one_before(pilot: Database) -> None:
    house = prepare(pilot, "05:25", (BED, RUN))
    first = put_off(house, "pause", SITE)
    second = put_off(house, "pause", SITE, until_ms=at("06:00"))
    with house.database.reader() as session:
        assert suspensions.list_suspensions(session, is_open=True)[0] == [second]
    assert shown(house, first).ending == "replaced"


async def test_pause_by_hand_still_runs_what_a_person_asks_for(pilot: Database) -> None:
    house = prepare(pilot, "05:25", (BED, RUN))
    await house.online("garden")
    put_off(house, "pause", On("zone", BED))
    await house.controller.request_act(BED, "irrigate", litres=5.0, actor="Budi")
    await house.minute(1)
    assert house.commands()[-1]["amount"]["litres"] == 5


async def test_skip_next_leaves_out_exactly_the_next_moment_and_says_who(pilot: Database) -> None:
    twice = {**RUN, "starts": [{"time": "05:30", "litres": 60.0}, {"time": "05:50", "litres": 20.0}]}
    house = prepare(pilot, "05:25", (BED, twice))
    await house.online("garden")
    made, new = skip(house)
    assert (made.kind, made.until_ms, new) == ("skip", at("05:30"), True)
    assert skip(house) == (made, False)
    await house.minute(26)
    assert ledger_of(house) == [("sent", None), ("skipped", "skipped-once")]
    skipped = house.acts(BED)[-1]
    assert (skipped.planned_ms, skipped.actor) == (at("05:30"), "Sari")
    told = [decision_sentence(each, "id") for each in house.decisions(BED)]
    assert "Tidak menyiram: dilewati sekali oleh Sari." in told
    assert shown(house, made).ending == "over"


async def test_skip_that_is_undone_in_time_skips_nothing(pilot: Database) -> None:
    house = prepare(pilot, "05:25", (POND, MEAL))
    await house.online("pond")
    made, _ = skip(house, POND)
    await house.minute(2)
    assert resume(house, made).ending == "resumed"
    await house.minute(5)
    assert ledger_of(house, POND) == [("sent", None)]


async def test_skip_of_a_moment_that_came_while_tirta_was_down_is_kept_as_skipped(pilot: Database) -> None:
    house = prepare(pilot, "05:25", (BED, {**RUN, "missed": "carry"}))
    await house.online("garden")
    await house.minute(1)
    skip(house)
    await house.clock.advance(3 * 3600)
    house.restart(house.database)
    await house.minute(2)
    await house.clock.advance(21 * 3600)
    await house.minute(10)
    assert ledger_of(house)[-1] == ("skipped", "skipped-once")
    assert house.acts(BED)[0].litres == 60.0


async def test_skip_takes_a_moment_that_waits_to_begin(pilot: Database) -> None:
    house = prepare(pilot, "05:25", (BED, RUN))
    await house.minute(10)
    made, _ = skip(house)
    assert made.until_ms == at("05:30")
    await house.minute(1)
    assert ledger_of(house) == [("skipped", "skipped-once")]


async def test_skip_of_a_moment_that_is_planned_no_more_is_over_and_skips_nothing(pilot: Database) -> None:
    house = prepare(pilot, "05:25", (BED, RUN))
    await house.online("garden")
    made, _ = skip(house)
    with house.database.session() as session:
        (schedule,) = schedules.list_schedules(session, zone_key=BED)[0]
        moved = {**RUN, "starts": [{"time": "05:40", "litres": 60.0}]}
        schedules.change_schedule(session, schedule.id, definition=moved, now_ms=house.clock.now_ms())
    await house.minute(20)
    assert ledger_of(house) == [("sent", None)]
    assert shown(house, made).ending == "over"


def test_skip_of_a_zone_without_planned_moments_is_a_conflict(pilot: Database) -> None:
    house = prepare(pilot, "05:25", (BED, WATER))
    with pytest.raises(Conflict, match="pause it instead"):
        skip(house)
    with pytest.raises(Conflict, match="pause it instead"):
        skip(house, POND)


@pytest.mark.parametrize(
    ("kind", "on", "given", "field"),
    [
        ("pause", SITE, {"until_ms": at("05:00")}, "until"),
        ("pause", SITE, {"until_ms": at("05:30") + 401 * 24 * HOUR}, "until"),
        ("rain-delay", SITE, {}, "until"),
        ("rain-delay", SITE, {"until_ms": at("05:30") + 15 * 24 * HOUR}, "until"),
        ("pause", SITE, {"note": "x" * 301}, "note"),
        ("pause", SITE, {"note": "a\x00b"}, "note"),
    ],
)
def test_suspend_with_something_wrong_names_the_field(
    pilot: Database, kind: Any, on: On, given: dict[str, Any], field: str
) -> None:
    house = prepare(pilot, "05:30")
    with pytest.raises(Invalid) as caught:
        put_off(house, kind, on, **given)
    assert caught.value.field == field


@pytest.mark.parametrize("text", ["", "zone", "zone:", "pilot", "planet:earth", "site:a\x00b"])
def test_parse_on_of_what_names_nothing_is_invalid(text: str) -> None:
    with pytest.raises(Invalid):
        parse_on(text)


@pytest.mark.parametrize("on", [On("zone", "pilot:garden:9"), On("site", "nowhere"), On("agency", "a:b"), On("city", "x")])
def test_suspend_of_what_is_not_there_is_not_found(pilot: Database, on: On) -> None:
    with pytest.raises(NotFound):
        put_off(prepare(pilot, "05:30"), "pause", on)


def test_suspend_above_ones_own_place_is_refused_and_seen_from_below(pilot: Database) -> None:
    house = prepare(pilot, "05:30")
    with house.database.session() as session:
        agency = registry.get_site(session, "pilot").agency
        local = Principal("Budi", "person", ((Grant("operator", Scope("site", "pilot")),),))
        for on in (On("agency", agency), On("city", agency.partition(":")[0])):
            with pytest.raises(NotAllowed):
                suspending.suspend(session, "pause", on, now_ms=at("05:30"), trail=TRAIL, seen_by=local)
            made, _ = suspending.suspend(session, "pause", on, now_ms=at("05:30"), trail=TRAIL)
            assert suspensions.get_suspension(session, made.id, seen_by=local) == made
            with pytest.raises(NotAllowed):
                suspending.end_suspension(session, made.id, now_ms=at("05:30"), trail=TRAIL, seen_by=local)
        stranger = Principal("Eka", "person", ((Grant("operator", Scope("site", "elsewhere")),),))
        assert suspensions.list_suspensions(session, seen_by=stranger) == ([], None)
        with pytest.raises(NotFound):
            suspensions.get_suspension(session, made.id, seen_by=stranger)


def test_suspend_and_resume_are_in_the_audit_trail_with_who_and_why(pilot: Database) -> None:
    house = prepare(pilot, "05:30", (BED, RUN))
    resume(house, put_off(house, "pause", On("zone", BED), note="selang bocor"))
    resume(house, skip(house)[0])
    with house.database.reader() as session:
        entries, _ = list_entries(session, target=f"zone:{BED}")
    assert [(entry.action, entry.actor, entry.site) for entry in reversed(entries)] == [
        ("suspension.pause", "Sari", "pilot"),
        ("suspension.resume", "Sari", "pilot"),
        ("suspension.skip", "Sari", "pilot"),
        ("suspension.resume", "Sari", "pilot"),
    ]
    assert entries[-1].after is not None
    assert entries[-1].after["note"] == "selang bocor"
