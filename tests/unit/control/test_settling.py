# SPDX-License-Identifier: Apache-2.0
"""Acts of unknown end, numbers that devices know better, and what takes an act's place."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy.orm import Session

from control import ledger, schedules
from control.commands import due_pings, hand_over
from control.database import Database
from control.errors import Conflict, Invalid
from control.ids import new_id
from control.ledger import Order
from control.loads import zone_loads
from control.models import ActRow, DeviceRow
from control.records import Act
from control.settling import Settlement, settle, settle_by_hand, settle_status
from control.states import ENDED, FIRST, HELD_FOR, STATES, STEPS, WORDS, may_correct, may_step
from gateway.messages import Ack, Amount, LedgerEntry, Status
from gateway.topics import Address
from tests.unit.control.stage import BED, POND, at, prepare

NOW = 1_795_305_600_000
GARDEN = Address("pilot", "garden")
ORDER = Order(
    device_key="pilot:garden",
    zone_key=BED,
    action="irrigate",
    origin="manual",
    version=0,
    actor="ani",
    planned_ms=NOW,
    issued_ms=NOW,
    expires_ms=NOW + 300_000,
    seconds=600.0,
    litres=120.0,
    max_seconds=660,
)
LATE = NOW + 400_000
FEED: dict[str, Any] = {"type": "feeding", "meals": [{"time": "07:00", "grams": 250}], "grams_day": 1000}
TIMER: dict[str, Any] = {"type": "timer", "starts": [{"time": "07:00", "litres": 60}], "litres_day": 200}


def plan(database: Database, order: Order = ORDER, *, online: bool = True) -> str:
    key = new_id(order.issued_ms)
    with database.session() as session:
        ledger.plan_act(session, key, order)
        session.get_one(DeviceRow, order.device_key).online = online
    return key


def act_in(session: Session, key: str) -> str:
    return ledger.get_act(session, key).state


def send(database: Database, now_ms: int = NOW) -> list[str]:
    with database.session() as session:
        return [one.act_id for one in hand_over(session, now_ms)[0]]


def unknown(database: Database) -> str:
    key = plan(database)
    send(database)
    with database.session() as session:
        assert [act.state for act in ledger.expire(session, LATE)] == ["unknown"]
    return key


def act(database: Database, key: str) -> Act:
    with database.reader() as session:
        return ledger.get_act(session, key)


def last_step(database: Database, key: str) -> tuple[str | None, str, str, str]:
    with database.reader() as session:
        step = ledger.list_transitions(session, key)[-1]
    return step.before, step.state, step.cause, step.actor


def test_every_state_is_reached_and_every_open_one_can_end() -> None:
    assert set().union(FIRST, *STEPS.values()) == set(STATES) == set(STEPS)
    reached: dict[str, set[str]] = {state: {state} for state in STATES}
    for _ in STATES:
        reached = {state: seen.union(*(STEPS[after] for after in seen)) for state, seen in reached.items()}
    assert all(seen & ENDED for seen in reached.values())


@pytest.mark.parametrize("before", list(STATES))
@pytest.mark.parametrize("after", list(STATES))
def test_may_correct_is_for_a_word_of_the_device_over_an_end_alone(before: str, after: str) -> None:
    corrects = may_correct(before, after)
    assert not corrects or (
        after in {*WORDS, "expired"} and before in ENDED and not may_step(before, after) and before != after
    )


def test_nothing_is_handed_over_to_a_zone_with_an_act_of_unknown_end(pilot: Database) -> None:
    first = unknown(pilot)
    second = plan(pilot, replace(ORDER, issued_ms=LATE, planned_ms=LATE, expires_ms=LATE + 300_000))
    assert send(pilot, LATE) == []
    assert (act(pilot, second).state, act(pilot, second).reason) == ("held", "unsettled")
    assert last_step(pilot, second)[2] == HELD_FOR["unsettled"]
    with pilot.session() as session:
        settle(session, GARDEN, Ack(first, "done", 1), LATE + 1000)
    assert send(pilot, LATE + 1000) == [second]
    assert (act(pilot, second).state, act(pilot, second).reason, act(pilot, second).n) == ("sent", None, 2)


def test_nothing_is_handed_over_between_the_expiry_of_an_unanswered_act_and_its_being_unknown(pilot: Database) -> None:
    plan(pilot)
    send(pilot)
    between = NOW + 300_001
    second = plan(pilot, replace(ORDER, issued_ms=between, planned_ms=between, expires_ms=between + 300_000))
    assert send(pilot, between) == []
    assert act(pilot, second).state == "held"


def test_held_act_that_expires_says_for_what_it_waited(pilot: Database) -> None:
    key = plan(pilot, online=False)
    assert send(pilot) == []
    with pilot.session() as session:
        ledger.expire(session, NOW + 300_001)
    assert (act(pilot, key).state, act(pilot, key).reason) == ("expired", "not-connected")
    assert last_step(pilot, key)[2] == "not handed over before it expired: not-connected"


def test_number_that_the_device_has_used_is_given_up_for_one_above_its_last(pilot: Database) -> None:
    key = plan(pilot)
    second = plan(pilot, replace(ORDER, zone_key=None, issued_ms=NOW + 1))
    assert send(pilot) == [key]
    refused = Ack(key, "rejected", 1, "replayed")
    with pilot.session() as session:
        held = settle(session, GARDEN, refused, NOW + 1000)
        assert settle(session, GARDEN, refused, NOW + 1000) is None, "again it is no news"
    assert held is not None
    assert (held.state, held.reason, held.n) == ("held", "replayed", 1)
    assert send(pilot, NOW + 2000) == [], "nothing gets a number before the device has told its own"
    with pilot.session() as session:
        assert [one.device_key for one in due_pings(session, NOW + 2000)] == ["pilot:garden"]
        settle_status(session, GARDEN, Status(online=True, n=41), NOW + 3000)
    assert send(pilot, NOW + 3000) == [key]
    assert act(pilot, key).n == 42
    with pilot.session() as session:
        assert settle(session, GARDEN, refused, NOW + 4000) is None, "late word on the number that was given up"
        settle(session, GARDEN, Ack(key, "accepted", 42), NOW + 5000)
    assert send(pilot, NOW + 5000) == [second]
    assert act(pilot, second).n == 43


def test_number_that_is_refused_after_the_expiry_ends_the_act(pilot: Database) -> None:
    key = unknown(pilot)
    with pilot.session() as session:
        settle(session, GARDEN, Ack(key, "rejected", 1, "replayed"), LATE + 1)
    assert (act(pilot, key).state, act(pilot, key).reason) == ("rejected", "replayed")


def test_status_of_a_device_that_lost_its_memory_never_says_that_nothing_was_begun(pilot: Database) -> None:
    done = plan(pilot)
    send(pilot)
    with pilot.session() as session:
        settle(session, GARDEN, Ack(done, "done", 1, result=Amount(litres=100.0), ts=NOW), NOW)
    key = plan(pilot, replace(ORDER, issued_ms=NOW + 1))
    send(pilot, NOW + 1)
    with pilot.session() as session:
        ledger.expire(session, LATE)
        settle_status(session, GARDEN, Status(online=True, n=0, ts=LATE), LATE)
    assert (act(pilot, key).state, act(pilot, key).reason) == ("indeterminate", "not-in-ledger")


def test_status_from_before_the_command_that_comes_late_concludes_nothing_of_an_act_that_was_begun(pilot: Database) -> None:
    key = unknown(pilot)
    with pilot.session() as session:
        assert settle_status(session, GARDEN, Status(online=True, n=0, ts=NOW - 60_000), LATE) == []
        assert zone_loads(session, {BED: NOW})[BED].unsettled, "nothing else begins while it may be running"
        assert settle(session, GARDEN, Ack(key, "done", 1), LATE + 1) is not None
    assert act(pilot, key).state == "done"


def test_stop_waits_for_a_status_from_after_its_expiry(pilot: Database) -> None:
    key = plan(pilot, replace(ORDER, action="stop", seconds=None, litres=None, max_seconds=None))
    send(pilot)
    with pilot.session() as session:
        ledger.expire(session, LATE)
        assert settle_status(session, GARDEN, Status(online=True, n=0, ts=NOW), LATE) == []
        settle_status(session, GARDEN, Status(online=True, n=0, ts=LATE), LATE)
    assert act(pilot, key).reason == "no-answer"


def test_stop_that_was_never_answered_waits_for_no_hand_once_the_device_is_back(pilot: Database) -> None:
    key = plan(pilot, replace(ORDER, action="stop", seconds=None, litres=None, max_seconds=None))
    send(pilot)
    with pilot.session() as session:
        ledger.expire(session, LATE)
        settle_status(session, GARDEN, Status(online=True, n=0), LATE)
    assert (act(pilot, key).state, act(pilot, key).reason) == ("indeterminate", "no-answer")
    with pilot.session() as session:
        assert settle(session, GARDEN, Ack(key, "done"), LATE + 1) is not None, "its kept ack still comes"
    assert act(pilot, key).state == "done"


@pytest.mark.parametrize("concluded", ["by a status", "by a person"])
def test_refusal_for_having_expired_wins_over_what_was_concluded_without_the_device(pilot: Database, concluded: str) -> None:
    key = unknown(pilot)
    with pilot.session() as session:
        if concluded == "by a person":
            settle_by_hand(session, key, Settlement("indeterminate", "nobody was there"), "ani", now_ms=LATE)
        else:
            settle_status(session, GARDEN, Status(online=True, n=1, ts=LATE), LATE)
        assert act_in(session, key) == "indeterminate"
        assert settle(session, GARDEN, Ack(key, "rejected", 1, reason="expired"), LATE + 1) is not None
        assert zone_loads(session, {BED: NOW})[BED].litres == 0.0
        assert settle(session, GARDEN, Ack(key, "rejected", 1, reason="expired"), LATE + 2) is None
    assert (act(pilot, key).state, act(pilot, key).reason) == ("expired", "expired")


def test_act_at_the_board_of_unknown_end_is_left_to_the_devices_ack(pilot: Database) -> None:
    running = Ack("local-1-1", "running", ts=NOW, action="irrigate", zone=1)
    with pilot.session() as session:
        settle(session, GARDEN, running, NOW)
        [found] = ledger.expire(session, NOW + 2_000_000)
        assert settle_status(session, GARDEN, Status(online=True, n=0), NOW + 2_000_000) == []
        settle(session, GARDEN, Ack("local-1-1", "indeterminate", action="irrigate", zone=1), NOW + 2_000_001)
    assert act(pilot, found.id).state == "indeterminate"


@pytest.mark.parametrize(
    ("seen", "litres", "counted"),
    [
        (Settlement("done", "the soil is wet"), None, 120.0),
        (Settlement("done", "read the meter", litres=80.0, seconds=400.0), 80.0, 80.0),
        (Settlement("failed", "the soil is dry"), 0.0, 0.0),
        (Settlement("failed", "a puddle of it", litres=5.0), 5.0, 5.0),
        (Settlement("indeterminate", "nobody was there"), None, 120.0),
    ],
)
def test_settle_by_hand_ends_an_unknown_act_as_it_was_seen(
    pilot: Database, seen: Settlement, litres: float | None, counted: float
) -> None:
    key = unknown(pilot)
    with pilot.session() as session:
        ended = settle_by_hand(session, key, seen, "ani", now_ms=LATE + 1)
        load = zone_loads(session, {BED: NOW})[BED]
    assert (ended.state, ended.reason, ended.result_litres, ended.ended_ms) == (seen.state, "seen-by-hand", litres, LATE + 1)
    assert (load.litres, load.unsettled) == (counted, False)
    assert last_step(pilot, key) == ("unknown", seen.state, f"seen: {seen.reason}", "ani")


@pytest.mark.parametrize(
    ("field", "seen"),
    [
        ("state", Settlement("cancelled", "so")),
        ("reason", Settlement("done", "  ")),
        ("grams", Settlement("done", "so", grams=1.0)),
        ("litres", Settlement("done", "so", litres=-1.0)),
        ("litres", Settlement("done", "so", litres=float("nan"))),
        ("seconds", Settlement("done", "so", seconds=1e9)),
    ],
)
def test_settle_by_hand_with_what_does_not_fit_names_the_field(pilot: Database, field: str, seen: Settlement) -> None:
    key = unknown(pilot)
    with pytest.raises(Invalid) as caught, pilot.session() as session:
        settle_by_hand(session, key, seen, "ani", now_ms=LATE)
    assert caught.value.field == field
    assert act(pilot, key).state == "unknown"


def test_settle_by_hand_of_an_act_whose_end_is_not_unknown_is_refused(pilot: Database) -> None:
    key = plan(pilot)
    with pytest.raises(Conflict, match="may still tell"), pilot.session() as session:
        settle_by_hand(session, key, Settlement("done", "so"), "ani", now_ms=NOW)
    with pilot.session() as session:
        ledger.cancel(session, key, "ani", now_ms=NOW)
    with pytest.raises(Conflict, match="over"), pilot.session() as session:
        settle_by_hand(session, key, Settlement("done", "so"), "ani", now_ms=NOW)


@pytest.mark.parametrize("seen", ["done", "failed", "indeterminate"])
@pytest.mark.parametrize("word", ["accepted", "running", "done", "failed", "rejected", "indeterminate"])
def test_late_word_of_the_device_wins_over_what_a_person_saw(pilot: Database, seen: str, word: Any) -> None:
    key = unknown(pilot)
    with pilot.session() as session:
        settle_by_hand(session, key, Settlement(seen, "looked"), "ani", now_ms=LATE)
        heard = settle(session, GARDEN, Ack(key, word, 1, result=Amount(litres=7.0), ts=LATE + 5), LATE + 5)
    assert act(pilot, key).state == word
    assert heard is not None or word == seen
    assert act(pilot, key).ended_ms == (None if word in ("accepted", "running") else LATE if word == seen else LATE + 5)


def test_word_of_the_device_over_its_own_last_word_changes_nothing(pilot: Database) -> None:
    key = unknown(pilot)
    with pilot.session() as session:
        settle_by_hand(session, key, Settlement("failed", "looked"), "ani", now_ms=LATE)
        settle(session, GARDEN, Ack(key, "done", 1), LATE + 1)
        assert settle(session, GARDEN, Ack(key, "running", 1), LATE + 2) is None
        entry = Status(online=True, n=1, ledger=(LedgerEntry(key, "failed"),))
        assert settle_status(session, GARDEN, entry, LATE + 3) == []
    assert act(pilot, key).state == "done"


def test_act_that_began_by_a_slow_clock_began_no_sooner_than_it_was_asked_for(pilot: Database) -> None:
    key = plan(pilot)
    send(pilot)
    with pilot.session() as session:
        settle(session, GARDEN, Ack(key, "running", 1, ts=NOW - 300_000), NOW + 2000)
    assert act(pilot, key).begun_ms == NOW


async def test_change_of_a_schedule_supersedes_the_act_that_waits_and_tells_it(pilot: Database) -> None:
    house = prepare(pilot, "07:00", (BED, {**TIMER, "late_s": 7200}))
    await house.online("garden")
    house.connected = False  # the broker is away: nothing is handed over
    await house.minute(2)
    [waiting] = house.acts(BED)
    assert waiting.state == "planned"
    changed: list[Act] = []
    with pilot.session() as session:
        [schedule] = schedules.list_schedules(session)[0]
        new = {**TIMER, "starts": [{"time": "09:00", "litres": 30}]}
        now_ms = house.clock.now_ms()
        schedules.change_schedule(session, schedule.id, definition=new, now_ms=now_ms, superseded=changed)
    assert [(each.id, each.state) for each in changed] == [(waiting.id, "superseded")]
    assert last_step(pilot, waiting.id) == ("planned", "superseded", "version 2 of its schedule took its place", "tirta")
    house.connected = True
    await house.minute(10)
    assert house.commands() == []


@pytest.mark.parametrize("how", ["change", "off", "delete"])
async def test_moment_that_something_held_is_accounted_for_when_its_schedule_ends(pilot: Database, how: str) -> None:
    house = prepare(pilot, "07:00", (POND, FEED))
    house.latest.values[("pilot", "pond", 1), "dissolved_oxygen"] = 2.0
    await house.online("pond")
    await house.minute(5)
    assert house.acts(POND) == []
    ended: list[Act] = []
    with pilot.session() as session:
        [schedule] = schedules.list_schedules(session)[0]
        now_ms = house.clock.now_ms()
        if how == "delete":
            schedules.delete_schedule(session, schedule.id, now_ms=now_ms, superseded=ended)
        else:
            schedules.change_schedule(session, schedule.id, enabled=how != "off", now_ms=now_ms, superseded=ended)
    [row] = house.acts(POND)
    assert (row.state, row.planned_ms, row.grams, ended) == ("skipped", at("07:00"), 250.0, [row])
    house.latest.values[("pilot", "pond", 1), "dissolved_oxygen"] = 6.0
    await house.minute(20)
    assert house.commands() == []
    assert len(house.acts(POND)) == 1


async def test_act_that_was_handed_over_goes_on_when_its_schedule_is_deleted(pilot: Database) -> None:
    house = prepare(pilot, "07:00", (BED, TIMER))
    await house.online("garden")
    await house.minute()
    with pilot.session() as session:
        [schedule] = schedules.list_schedules(session)[0]
        schedules.delete_schedule(session, schedule.id, now_ms=house.clock.now_ms())
    [sent] = house.acts(BED)
    assert sent.state == "sent"
    await house.say("garden", "ack", {"id": sent.id, "n": 1, "state": "done", "result": {"litres": 60}})
    assert house.acts(BED)[0].state == "done"


async def test_restored_backup_gives_the_refused_act_another_number_and_acts_once(pilot: Database) -> None:
    house = prepare(pilot, "07:00")
    await house.online("garden", n=3)  # by the retained status of long ago: it is at 9 by now
    wanted = await house.controller.request_act(BED, "irrigate", seconds=60, actor="ani")
    await house.controller.send_due()
    await house.say("garden", "ack", {"id": wanted.id, "n": 4, "state": "rejected", "reason": "replayed"})
    await house.controller.send_due()
    assert [(one["action"], one.get("n")) for one in house.commands()] == [("irrigate", 4), ("ping", None)]
    await house.online("garden", n=9)
    await house.controller.send_due()
    again = house.commands()[-1]
    assert (again["id"], again["n"]) == (wanted.id, 10)
    with pilot.reader() as session:
        assert session.get_one(ActRow, wanted.id).n == 10
