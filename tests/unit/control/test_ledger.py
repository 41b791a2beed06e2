# SPDX-License-Identifier: Apache-2.0
"""The ledger of acts: planning, steps, expiry."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control import ledger
from control.database import Database, open_database
from control.errors import Conflict, Invalid, NotFound
from control.ids import act_id, is_id, new_id
from control.ledger import Order
from control.loads import zone_loads
from control.models import ActRow
from control.settling import settle, settle_status
from control.states import ENDED, FIRST, OPEN, STATES, STEPS, WORDS, may_step
from gateway.messages import Ack, Amount, LedgerEntry, Status
from gateway.topics import Address

NOW = 1_795_305_600_000
GARDEN, POND = Address("pilot", "garden"), Address("pilot", "pond")
WATER = Order(
    device_key="pilot:garden",
    zone_key="pilot:garden:1",
    action="irrigate",
    origin="schedule:A",
    version=1,
    actor="controller",
    planned_ms=NOW,
    issued_ms=NOW,
    expires_ms=NOW + 300_000,
    seconds=600.0,
    litres=120.0,
    max_seconds=660,
)
FEED = replace(
    WATER,
    device_key="pilot:pond",
    zone_key="pilot:pond:1",
    action="feed",
    seconds=None,
    litres=None,
    grams=250.0,
    max_seconds=60,
)


def plan(database: Database, order: Order = WATER, *, n: int | None = 1, sent: bool = True) -> str:
    """Plan an act and, if asked, hand it over."""
    key = act_id(order.origin, order.version, order.zone_key or "", order.planned_ms)
    with database.session() as session:
        ledger.plan_act(session, key, order)
        if sent:
            row = session.get_one(ActRow, key)
            row.n, row.sent_ms = n, order.issued_ms
            ledger.step(session, row, "sent", "handed over", "controller", order.issued_ms)
    return key


def state(database: Database, key: str) -> str:
    with database.reader() as session:
        return ledger.get_act(session, key).state


@given(st.text(max_size=30), st.integers(0, 2**31), st.text(max_size=30), st.integers(0, 2**48 - 1))
def test_act_id_is_an_id_that_sorts_by_time_and_repeats(origin: str, version: int, zone: str, planned: int) -> None:
    found = act_id(origin, version, zone, planned)
    assert is_id(found)
    assert found == act_id(origin, version, zone, planned)
    assert found != act_id(origin, version + 1, zone, planned)
    assert found[:10] == new_id(planned)[:10]
    assert planned == 0 or act_id(origin, version, zone, planned - 1) < found


def test_every_state_of_the_table_is_known_and_every_ended_one_listens_only_to_the_device() -> None:
    assert set().union(*STEPS.values()) <= set(STATES)
    assert set(STATES) >= FIRST
    assert set(OPEN) | ENDED == set(STATES)
    assert all(STEPS[name] <= WORDS for name in ENDED)
    assert all(not STEPS[name] for name in ("done", "failed", "rejected", "indeterminate"))


@given(st.lists(st.sampled_from(list(STATES)), max_size=12))
def test_may_step_never_leaves_what_the_device_has_ended(path: list[str]) -> None:
    current = "planned"
    for after in path:
        if may_step(current, after):
            assert current not in ("done", "failed", "rejected", "indeterminate")
            assert current not in ENDED or after in WORDS
            current = after


def test_plan_act_again_after_a_restart_finds_the_act_that_is_there(pilot: Database, url: str) -> None:
    key = plan(pilot)
    pilot.close()
    again = open_database(url)
    with again.session() as session:
        act, new = ledger.plan_act(session, key, WATER)
        assert not new
        assert act.state == "sent"
        assert len(ledger.list_acts(session)[0]) == 1
    again.close()


def test_plan_acts_keeps_each_once_with_its_first_step(pilot: Database) -> None:
    there = plan(pilot, sent=False)
    skipped = ledger.PlannedAct(new_id(NOW), FEED, "skipped", "missed: oxygen-low")
    again = ledger.PlannedAct(there, WATER)
    with pilot.session() as session:
        planned = ledger.plan_acts(session, [skipped, again, skipped])
        assert ledger.plan_acts(session, []) == []
    assert [(act.id, act.state, new) for act, new in planned] == [
        (skipped.id, "skipped", True),
        (there, "planned", False),
        (skipped.id, "skipped", False),
    ]
    assert (planned[0][0].reason, planned[0][0].ended_ms) == ("missed", NOW)
    with pilot.reader() as session:
        for key, after in ((skipped.id, "skipped"), (there, "planned")):
            [first] = ledger.list_transitions(session, key)
            assert (first.before, first.state) == (None, after)


def test_plan_acts_in_a_state_that_begins_nothing_keeps_none(pilot: Database) -> None:
    with pytest.raises(Conflict, match="sent"), pilot.session() as session:
        ledger.plan_acts(session, [ledger.PlannedAct(new_id(NOW), WATER), ledger.PlannedAct(new_id(NOW), FEED, "sent")])
    with pilot.reader() as session:
        assert ledger.list_acts(session) == ([], None)


def test_settle_follows_the_device_and_stores_every_step(pilot: Database) -> None:
    key = plan(pilot)
    words = [
        Ack(key, "accepted", 1, ts=NOW + 1000),
        Ack(key, "running", 1, ts=NOW + 2000),
        Ack(key, "done", 1, result=Amount(seconds=598, litres=84.2), ts=NOW + 600_000),
    ]
    for number, word in enumerate(words):
        with pilot.session() as session:
            assert settle(session, GARDEN, word, NOW + 600_100) is not None
        with pilot.session() as session:
            assert settle(session, GARDEN, word, NOW + 600_200) is None, f"word {number} again is no news"
    with pilot.reader() as session:
        act = ledger.get_act(session, key)
        steps = [(s.before, s.state) for s in ledger.list_transitions(session, key)]
    assert steps == [(None, "planned"), ("planned", "sent"), ("sent", "accepted"), ("accepted", "running"), ("running", "done")]
    assert (act.result_litres, act.begun_ms, act.ended_ms) == (84.2, NOW + 2000, NOW + 600_000)


def test_settle_out_of_order_keeps_the_end(pilot: Database) -> None:
    key = plan(pilot)
    with pilot.session() as session:
        settle(session, GARDEN, Ack(key, "done", 1), NOW)
        assert settle(session, GARDEN, Ack(key, "running", 1), NOW) is None
    assert state(pilot, key) == "done"


def test_settle_from_another_device_or_for_an_unknown_act_changes_nothing(pilot: Database) -> None:
    key = plan(pilot)
    with pilot.session() as session:
        assert settle(session, POND, Ack(key, "done", 1), NOW) is None
        assert settle(session, GARDEN, Ack("no-such-act", "done", 1), NOW) is None
        assert settle(session, GARDEN, Ack("x\x00y", "done", 1), NOW) is None
        assert settle(session, Address("pilot", "stranger"), Ack(key, "done", 1), NOW) is None
    assert state(pilot, key) == "sent"


def test_expire_tells_never_handed_over_from_unknown(pilot: Database) -> None:
    planned = plan(pilot, sent=False)
    sent = plan(pilot, FEED)
    with pilot.session() as session:
        assert ledger.expire(session, NOW + 300_000) == []
        assert [act.id for act in ledger.expire(session, NOW + 300_001)] == [planned]
        assert ledger.expire(session, NOW + 304_999) == []
        assert [act.id for act in ledger.expire(session, NOW + 305_000)] == [sent]
        assert ledger.expire(session, NOW + 999_000) == []
    assert (state(pilot, planned), state(pilot, sent)) == ("expired", "unknown")


def test_expire_of_an_act_that_began_waits_for_its_longest_run(pilot: Database) -> None:
    key = plan(pilot)
    with pilot.session() as session:
        settle(session, GARDEN, Ack(key, "running", 1, ts=NOW + 10_000), NOW + 10_000)
        assert ledger.expire(session, NOW + 10_000 + 719_999) == []
        assert [act.state for act in ledger.expire(session, NOW + 10_000 + 720_000)] == ["unknown"]


@pytest.mark.parametrize("word", ["done", "failed", "indeterminate", "rejected"])
def test_late_word_of_the_device_wins_over_unknown_and_expired(pilot: Database, word: str) -> None:
    keys = [plan(pilot, sent=False), plan(pilot, FEED)]
    with pilot.session() as session:
        ledger.expire(session, NOW + 400_000)
        for key, address in zip(keys, (GARDEN, POND), strict=True):
            assert settle(session, address, Ack(key, word), NOW + 900_000) is not None  # type: ignore[arg-type]
    assert [state(pilot, key) for key in keys] == [word, word]


def test_settle_of_rejected_for_expiry_is_expired(pilot: Database) -> None:
    key = plan(pilot)
    with pilot.session() as session:
        settle(session, GARDEN, Ack(key, "rejected", 1, "expired"), NOW)
    assert state(pilot, key) == "expired"


def test_settle_status_settles_by_the_devices_ledger_and_the_ack_brings_the_amounts_later(pilot: Database) -> None:
    key = plan(pilot)
    status = Status(online=True, n=7, ledger=(LedgerEntry(key, "done"), LedgerEntry("foreign", "done")))
    with pilot.session() as session:
        ledger.expire(session, NOW + 400_000)
        assert [act.state for act in settle_status(session, GARDEN, status, NOW + 500_000)] == ["done"]
        act = settle(session, GARDEN, Ack(key, "done", 1, result=Amount(litres=50.0)), NOW + 500_001)
    assert act is not None
    assert act.result_litres == 50.0


def test_settle_status_of_a_device_that_never_took_the_number_ends_the_unknown(pilot: Database) -> None:
    key = plan(pilot, n=8)
    with pilot.session() as session:
        ledger.expire(session, NOW + 400_000)
        after = NOW + 300_001  # by the device's clock; `expires` is the last instant at which it may begin
        for said in (
            Status(online=True, n=7),
            Status(online=True, n=7, ts=NOW - 1),
            Status(online=True, n=7, ts=after - 1),
            Status(online=True, ts=after),
            Status(online=False),
        ):
            assert settle_status(session, GARDEN, said, NOW + 500_000) == []
        told = settle_status(session, GARDEN, Status(online=True, n=7, ts=after), NOW + 500_000)
        assert [act.state for act in told] == ["expired"]
    assert state(pilot, key) == "expired"


def test_settle_status_of_a_device_that_took_the_number_and_does_not_know_the_act_is_indeterminate(pilot: Database) -> None:
    key = plan(pilot, FEED, n=8)
    full = tuple(LedgerEntry(f"other-{k}", "done") for k in range(16))
    with pilot.session() as session:
        ledger.expire(session, NOW + 400_000)
        late = NOW + 500_000
        assert settle_status(session, POND, Status(online=True, n=30, ledger=full, ts=late), late) == []
        settle_status(session, POND, Status(online=True, n=8, ledger=full[:15], ts=late), late)
        load = zone_loads(session, {"pilot:pond:1": NOW})["pilot:pond:1"]
    assert state(pilot, key) == "indeterminate"
    assert (load.grams, load.unsettled) == (250.0, False)


def test_settle_of_a_local_act_records_it_once_and_counts_it(pilot: Database) -> None:
    ack = Ack("local-7-4", "done", result=Amount(grams=120.0), ts=NOW - 5000, action="feed", zone=1)
    with pilot.session() as session:
        first = settle(session, POND, ack, NOW)
        assert settle(session, POND, ack, NOW + 1000) is None
        load = zone_loads(session, {"pilot:pond:1": NOW - 3_600_000})["pilot:pond:1"]
    assert first is not None
    assert (first.actor, first.reference, first.state, first.zone_key) == ("device", "local-7-4", "done", "pilot:pond:1")
    assert (load.grams, load.last_end_ms, load.busy) == (120.0, NOW - 5000, False)


@pytest.mark.parametrize(("action", "zone"), [(None, 1), ("stop", 1), ("feed", 9)])
def test_settle_of_a_local_act_without_a_known_action_and_zone_is_left(pilot: Database, action: str | None, zone: int) -> None:
    with pilot.session() as session:
        assert settle(session, POND, Ack("local-7-4", "done", action=action, zone=zone), NOW) is None
        assert ledger.list_acts(session) == ([], None)


def test_zone_loads_count_what_may_have_been_given(pilot: Database) -> None:
    day = {"pilot:garden:1": NOW, "pilot:pond:1": NOW}
    done = plan(pilot, n=1)
    under_way = plan(pilot, replace(WATER, planned_ms=NOW + 60_000, expires_ms=NOW + 360_000), n=2)
    lost = plan(pilot, replace(FEED, grams=100.0), n=1)
    torn = plan(pilot, replace(FEED, planned_ms=NOW + 60_000, grams=40.0), n=2)
    refused = plan(pilot, replace(FEED, planned_ms=NOW + 120_000, grams=900.0), n=3)
    plan(pilot, replace(FEED, planned_ms=NOW - 1, issued_ms=NOW - 1, grams=900.0), n=4)
    with pilot.session() as session:
        settle(session, GARDEN, Ack(done, "done", result=Amount(seconds=300, litres=61.5), ts=NOW + 400_000), NOW + 400_000)
        settle(session, POND, Ack(torn, "indeterminate"), NOW + 400_000)
        settle(session, POND, Ack(refused, "rejected", reason="busy"), NOW + 500_000)
        ledger.expire(session, NOW + 305_000)
        loads = zone_loads(session, day)
    assert state(pilot, lost) == "unknown"
    assert state(pilot, under_way) == "sent"
    garden, pond = loads["pilot:garden:1"], loads["pilot:pond:1"]
    assert (garden.litres, garden.busy, garden.unsettled, garden.last_end_ms) == (61.5 + 120.0, True, False, NOW + 400_000)
    assert (pond.grams, pond.unsettled, pond.last_end_ms) == (140.0, True, NOW + 400_000)


def test_zone_loads_begin_anew_with_the_day(pilot: Database) -> None:
    key = plan(pilot)
    with pilot.session() as session:
        settle(session, GARDEN, Ack(key, "done", result=Amount(litres=80.0), ts=NOW + 60_000), NOW + 60_000)
        assert zone_loads(session, {"pilot:garden:1": NOW})["pilot:garden:1"].litres == 80.0
        tomorrow = zone_loads(session, {"pilot:garden:1": NOW + 120_000})["pilot:garden:1"]
    assert (tomorrow.litres, tomorrow.last_end_ms) == (0.0, NOW + 60_000)


def test_cancel_takes_what_waits_and_what_is_unknown_but_not_what_runs(pilot: Database) -> None:
    waiting = plan(pilot, sent=False)
    running = plan(pilot, FEED)
    with pilot.session() as session:
        assert ledger.cancel(session, waiting, "ani", now_ms=NOW).state == "cancelled"
    with pytest.raises(Conflict, match="stop its zone"), pilot.session() as session:
        ledger.cancel(session, running, "ani", now_ms=NOW)
    with pilot.session() as session:
        ledger.expire(session, NOW + 400_000)
        assert ledger.cancel(session, running, "ani", now_ms=NOW).state == "cancelled"
        load = zone_loads(session, {"pilot:pond:1": NOW})["pilot:pond:1"]
        last = ledger.list_transitions(session, running)[-1]
    assert (load.unsettled, load.grams) == (False, 250.0)
    assert (last.actor, last.before) == ("ani", "unknown")
    with pytest.raises(Conflict, match="over"), pilot.session() as session:
        ledger.cancel(session, running, "ani", now_ms=NOW)


def test_list_acts_goes_from_the_latest_page_by_page(pilot: Database) -> None:
    keys = [plan(pilot, replace(WATER, planned_ms=NOW + k * 60_000), sent=False) for k in range(5)]
    with pilot.reader() as session:
        first, after = ledger.list_acts(session, zone_key="pilot:garden:1", limit=3)
        rest, end = ledger.list_acts(session, limit=3, after=after)
        assert ledger.list_acts(session, state="done") == ([], None)
        assert ledger.list_acts(session, zone_key="\ud800") == ([], None)
        with pytest.raises(Invalid, match="state"):
            ledger.list_acts(session, state="finished")
        with pytest.raises(NotFound):
            ledger.get_act(session, "nonsense")
    assert [act.id for act in first + rest] == keys[::-1]
    assert end is None
