# SPDX-License-Identifier: Apache-2.0
"""Budgets of water by month: what counts, who gets the last litres, who may go beyond."""

from __future__ import annotations

import json
from itertools import product

import pytest
from sqlalchemy import delete
from sqlalchemy.orm import Session

from control import audit, budgets, loads, registry, requests
from control.audit import Trail
from control.budgets import WaterBook
from control.calendars import day_start
from control.database import Database
from control.errors import Conflict, Invalid, NotFound, Stale
from control.models import ActRow
from control.records import Act, ZoneParameters, ZoneSpec
from control.sentences import sentences
from control.states import STATES
from tests.unit.control.stage import BED, Pilot, at, prepare

AGENCY = "city:agency"
TRAIL = Trail("ani", "person", 0)
DRY = {"type": "irrigation", "low": 0.22, "high": 0.30, "litres_day": 400.0, "min_seconds": 30}
DAY_MS = 86_400_000


def allow(database: Database, litres: float | None) -> None:
    with database.session() as session:
        budgets.set_budget(session, AGENCY, [litres] * 12, trail=TRAIL)


def given(database: Database, now_ms: int, book: WaterBook | None = None) -> float:
    with database.reader() as session:
        return (book or WaterBook()).standings(session, now_ms, [AGENCY], keep=book is not None)[AGENCY].given_l


def keep(session: Session, number: int, planned_ms: int, **values: object) -> None:
    """Put an act into the ledger as if it had come to that state."""
    row = {"action": "irrigate", "origin": "manual", "version": 0, "actor": "ani", "state": "done", "zone_key": BED}
    times = {"planned_ms": planned_ms, "issued_ms": planned_ms, "expires_ms": planned_ms}
    key = f"{number:026d}"
    session.add(ActRow(id=key, reference=key, device_key="pilot:garden", **{**row, **times, **values}))


def second_bed(database: Database) -> str:
    bed = ZoneParameters(area_m2=4.0, root_depth_m=0.3, flow_l_min=12.0, max_seconds=900, litres_day=400.0)
    with database.session() as session:
        registry.create_device(
            session, "pilot", "yard", "irrigation-controller", "Yard", [ZoneSpec(1, "Bed", "bed", bed)], "$7$", now_ms=0
        )
    return "pilot:yard:1"


def test_set_budget_is_kept_by_month_and_told_in_the_trail(pilot: Database) -> None:
    months = [None, 0.0, *[1000.5] * 10]
    with pilot.session() as session:
        assert budgets.set_budget(session, AGENCY, months, trail=TRAIL) == tuple(months)
        assert budgets.set_budget(session, AGENCY, [5.0] * 12, version=2, trail=TRAIL) == (5.0,) * 12
        [entry, *_] = audit.list_entries(session, action="agency.budget")[0]

    assert entry.after == {"months": [5.0] * 12}
    assert entry.before == {"months": months}


def test_set_budget_that_cannot_be_is_refused(pilot: Database) -> None:
    with pilot.session() as session:
        budgets.set_budget(session, AGENCY, [1.0] * 12, trail=TRAIL)
        for wrong in ([1.0] * 11, [-1.0] * 12, [float("nan")] * 12, [2e9] * 12):
            with pytest.raises(Invalid):
                budgets.set_budget(session, AGENCY, wrong, trail=TRAIL)
        with pytest.raises(NotFound):
            budgets.set_budget(session, "city:other", [1.0] * 12, trail=TRAIL)
        with pytest.raises(Stale):
            budgets.set_budget(session, AGENCY, [1.0] * 12, version=1, trail=TRAIL)


def test_given_counts_every_state_as_the_loads_of_zones_do(pilot: Database) -> None:
    now_ms = at("12:00")
    for state, sent, seconds, litres in product(STATES, (None, now_ms), (None, 0.0, 30.0, 90.0), (None, 0.0, 7.0)):
        with pilot.session() as session:
            session.execute(delete(ActRow))
            results = {"result_seconds": seconds, "result_litres": litres, "sent_ms": sent}
            keep(session, 1, at("11:00"), state=state, seconds=60.0, litres=12.0, **results)
        with pilot.reader() as session:
            start = day_start(registry.get_site(session, "pilot").zone, now_ms)
            expected = loads.zone_loads(session, {BED: start})[BED].litres
        assert given(pilot, now_ms) == pytest.approx(expected), (state, sent, seconds, litres)


def test_given_counts_from_the_first_of_the_month_in_the_agencys_time_zone(pilot: Database) -> None:
    first_ms = at("00:00") - 21 * DAY_MS  # 1 November, in Makassar
    with pilot.session() as session:
        keep(session, 1, first_ms - 1, result_litres=100.0)
        keep(session, 2, first_ms, result_litres=10.0)
        keep(session, 3, first_ms - 1, result_litres=1.0, begun_ms=first_ms + 1)
        keep(session, 4, at("05:00"), result_litres=0.5, origin="device")
        keep(session, 5, at("05:00"), result_grams=7.0, action="feed")

    assert given(pilot, at("12:00")) == 11.5
    assert given(pilot, first_ms + 9 * DAY_MS) == 11.0
    assert given(pilot, first_ms - 1) == 100.0
    assert given(pilot, first_ms + 30 * DAY_MS) == 0.0


def test_book_counts_a_day_that_is_over_anew_when_told_of_it(pilot: Database) -> None:
    book, now_ms, early_ms = WaterBook(), at("12:00"), at("12:00") - 5 * DAY_MS
    assert given(pilot, now_ms, book) == 0.0
    with pilot.session() as session:
        keep(session, 1, early_ms, result_litres=10.0)
        keep(session, 2, now_ms, result_litres=1.0)

    assert given(pilot, now_ms, book) == 1.0
    book.forget([early_ms])
    assert given(pilot, now_ms, book) == 11.0
    book.forget()
    assert given(pilot, now_ms, book) == 11.0


def test_given_counts_a_run_that_is_made_up_for_in_the_month_in_which_it_ran(pilot: Database) -> None:
    first = at("00:00") - 21 * DAY_MS  # of November
    with pilot.session() as session:
        keep(session, 1, first - 3 * DAY_MS, issued_ms=first + 60_000, begun_ms=first + 65_000, result_litres=50.0)
        keep(session, 2, at("00:00") - 5 * DAY_MS, issued_ms=at("00:00"), begun_ms=at("00:01"), result_litres=7.0)

    assert given(pilot, at("12:00")) == pytest.approx(57.0)


async def test_tick_gives_the_last_litres_to_who_was_planned_first_and_holds_the_rest(pilot: Database) -> None:
    other = second_bed(pilot)
    stage = prepare(pilot, "05:00", (BED, DRY), (other, DRY))
    stage.latest.values[(("pilot", "yard", 1), "soil_moisture")] = 0.16
    for device in ("garden", "yard"):
        await stage.online(device)
    allow(pilot, 180.0)  # each asks for 120 L
    await stage.minute()
    acts = {act.zone_key: act for act in stage.acts()}

    assert acts[BED].litres == pytest.approx(120.0)
    assert acts[other].litres == pytest.approx(60.0)
    assert acts[other].seconds == pytest.approx(300.0)
    assert acts[other].max_seconds == 300
    clipped = stage.decisions(other)[0]
    assert "month-clipped" in clipped.reasons
    assert clipped.inputs["litres"] == pytest.approx(60.0)
    assert given(pilot, stage.clock.now_ms()) == pytest.approx(180.0)


async def test_tick_with_the_month_spent_holds_every_bed_and_says_so_until_it_is_raised(pilot: Database) -> None:
    stage = prepare(pilot, "05:00", (BED, DRY))
    await stage.online("garden")
    allow(pilot, 0.0)
    await stage.minute(2)
    [held] = stage.decisions(BED)

    assert stage.acts() == []
    assert held.reasons == ("dry", "month-spent")
    assert sentences(held)["en"] == "Not watering: the agency's 0 L of water for this month are spent."
    assert stage.controller.water is not None
    assert stage.controller.water[AGENCY].share == 1.0
    allow(pilot, 1000.0)
    await stage.minute()
    assert [act.litres for act in stage.acts()] == [pytest.approx(120.0)]


async def test_tick_with_too_little_left_for_a_run_holds_it_once(pilot: Database) -> None:
    stage = prepare(pilot, "05:00", (BED, DRY))
    await stage.online("garden")
    allow(pilot, 3.0)  # 15 s of flow; a run is 30 s at least
    await stage.minute(3)
    [held] = stage.decisions(BED)

    assert stage.acts() == []
    assert "month-spent" in held.reasons


async def test_timer_held_by_the_month_is_skipped_with_that_reason(pilot: Database) -> None:
    timer = {"type": "timer", "starts": [{"time": "05:00", "litres": 50.0}], "litres_day": 400.0, "missed": "skip"}
    stage = prepare(pilot, "05:00", (BED, timer))
    await stage.online("garden")
    allow(pilot, 0.0)
    await stage.minute(5)
    [act] = stage.acts()

    assert (act.state, act.reason) == ("skipped", "missed")
    assert "month-spent" in " ".join(reason for one in stage.decisions(BED) for reason in one.reasons)


async def ask(stage: Pilot, **amounts: object) -> Act:
    return await stage.controller.request_act(BED, "irrigate", actor="ani", **amounts)  # type: ignore[arg-type]


async def test_request_beyond_the_month_is_refused_and_says_what_is_left(pilot: Database) -> None:
    stage = prepare(pilot, "05:00")
    allow(pilot, 20.0)

    with pytest.raises(Conflict, match="20 L are left of the agency's 20 L this month; 30 L are too much"):
        await ask(stage, litres=30.0)
    assert (await ask(stage, litres=20.0)).beyond is None


async def test_request_with_a_written_reason_goes_beyond_once(pilot: Database) -> None:
    stage = prepare(pilot, "05:00")
    await stage.online("garden")
    allow(pilot, 20.0)
    act = await ask(stage, litres=30.0, override="new trees were planted")

    assert (act.override, act.beyond) == ("new trees were planted", "month")
    assert sentences(act)["en"].endswith("; beyond the budget by decision of ani: new trees were planted.")
    with pilot.reader() as session:
        entry = audit.list_entries(session, action="act.request")[0][0]
    assert json.loads(json.dumps(entry.after))["override"] == "new trees were planted"
    await stage.controller.stop(BED, actor="ani")
    with pytest.raises(Conflict):
        await ask(stage, litres=30.0)


async def test_request_beyond_the_zones_own_day_says_that_the_device_holds_to_it(pilot: Database) -> None:
    stage = prepare(pilot, "05:00")
    with pilot.session() as session:
        keep(session, 1, at("04:00"), result_litres=390.0)
    act = await ask(stage, litres=30.0, override="new trees were planted")

    assert act.beyond == "day device"
    assert "the device's own limit of the day still holds" in sentences(act)["en"]


async def test_request_with_an_override_that_is_not_needed_keeps_none_and_never_lengthens_a_run(pilot: Database) -> None:
    stage = prepare(pilot, "05:00")

    with pytest.raises(Invalid):
        await ask(stage, seconds=901.0, override="new trees were planted")
    with pytest.raises(Invalid):
        await ask(stage, litres=30.0, override="  because   ")
    assert (await ask(stage, litres=30.0, override="new trees were planted")).override is None


def test_delete_agency_takes_its_budget_with_it(pilot: Database) -> None:
    from control import places

    with pilot.session() as session:
        places.create_agency(session, "city", "dkp", "DKP", trail=TRAIL)
        budgets.set_budget(session, "city:dkp", [1.0] * 12, trail=TRAIL)
        places.delete_agency(session, "city:dkp", trail=TRAIL)
    with pilot.reader() as session, pytest.raises(NotFound):
        budgets.get_budget(session, "city:dkp")


def test_request_act_without_a_book_counts_by_itself(pilot: Database) -> None:
    allow(pilot, 5.0)
    with pilot.session() as session, pytest.raises(Conflict):
        requests.request_act(session, BED, "irrigate", litres=6.0, actor="ani", now_ms=at("05:00"))
