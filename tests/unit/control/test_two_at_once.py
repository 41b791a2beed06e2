# SPDX-License-Identifier: Apache-2.0
"""Two who change the same thing at the same time, each with a database of its own, as two processes have."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy.orm import Session

from control import audit, budgets, ledger, registry, requests, schedules
from control.audit import Trail
from control.database import Database
from control.errors import Conflict, InvalidRequest, Stale
from control.records import ZoneParameters, ZoneSpec
from tests.unit.control.stage import prepare

NOW = 1_795_305_600_000
BED, POND = "pilot:garden:1", "pilot:pond:1"
WATER = {"type": "irrigation", "low": 0.22, "high": 0.30, "litres_day": 100.0}
TRAIL = Trail("ani", "person", NOW)
MANY = 6

Ask = Callable[[Callable[[Session, int], object]], list[object]]


@pytest.fixture
def ask(pilot: Database, url: str) -> Iterator[Ask]:
    """Return a function that does the same several times at once, and returns every answer or refusal."""
    databases = [Database(url, wait_s=60) for _ in range(MANY)]
    together = threading.Barrier(MANY)

    def one(number: int, work: Callable[[Session, int], object]) -> object:
        together.wait(60)
        try:
            with databases[number].session() as session:
                return work(session, number)
        except InvalidRequest as exc:
            return exc

    def every(work: Callable[[Session, int], object]) -> list[object]:
        with ThreadPoolExecutor(MANY) as threads:
            return list(threads.map(lambda number: one(number, work), range(MANY)))

    yield every
    for database in databases:
        database.close()


def test_request_act_in_one_zone_at_once_is_given_once(pilot: Database, ask: Ask) -> None:
    answers = ask(lambda session, _: requests.request_act(session, BED, "irrigate", litres=10, actor="ani", now_ms=NOW))

    assert sum(isinstance(answer, Conflict) for answer in answers) == MANY - 1
    with pilot.reader() as session:
        [act] = ledger.list_acts(session)[0]
    assert (act.litres, act.state) == (10.0, "planned")


def test_request_act_with_one_key_at_once_is_one_act(pilot: Database, ask: Ask) -> None:
    answers = ask(
        lambda session, _: requests.request_act(
            session, POND, "feed", grams=10, actor="ani", idempotency_key="once", now_ms=NOW
        )
    )

    told = [answer for answer in answers if isinstance(answer, tuple)]
    assert len(told) == MANY
    assert sum(new for _, new in told) == 1
    assert len({act.id for act, _ in told}) == 1


def test_request_act_in_two_zones_at_once_shares_one_budget_of_the_month(pilot: Database, ask: Ask) -> None:
    bed = ZoneParameters(area_m2=4.0, root_depth_m=0.3, flow_l_min=12.0, max_seconds=900, litres_day=400.0)
    beds = [ZoneSpec(number, "Bed", "bed", bed) for number in range(1, MANY + 1)]
    with pilot.session() as session:
        registry.create_device(session, "pilot", "yard", "irrigation-controller", "Yard", beds, "$7$", now_ms=NOW)
        budgets.set_budget(session, "city:agency", [25.0] * 12, trail=TRAIL)
    answers = ask(
        lambda session, number: requests.request_act(
            session, f"pilot:yard:{number + 1}", "irrigate", litres=10, actor="ani", now_ms=NOW
        )
    )

    assert sum(isinstance(answer, tuple) for answer in answers) == 2
    assert sum(isinstance(answer, Conflict) for answer in answers) == MANY - 2
    with pilot.reader() as session:
        assert sum(act.litres or 0.0 for act in ledger.list_acts(session)[0]) == 20.0


async def test_request_act_while_a_tick_plans_never_exceeds_the_month(pilot: Database, url: str) -> None:
    with pilot.session() as session:
        budgets.set_budget(session, "city:agency", [130.0] * 12, trail=TRAIL)
    stage = prepare(pilot, "05:00", (BED, {**WATER, "litres_day": 400.0}))
    await stage.online("garden")
    with pilot.session() as session:
        bed = ZoneParameters(area_m2=4.0, root_depth_m=0.3, flow_l_min=12.0, max_seconds=900, litres_day=400.0)
        registry.create_device(
            session, "pilot", "yard", "irrigation-controller", "Yard", [ZoneSpec(1, "B", "bed", bed)], "$7$", now_ms=0
        )
    other = Database(url, wait_s=60)
    now_ms = stage.clock.now_ms()

    def by_hand() -> object:
        try:
            with other.session() as session:
                return requests.request_act(session, "pilot:yard:1", "irrigate", litres=100, actor="ani", now_ms=now_ms)
        except Conflict as exc:
            return exc

    await asyncio.gather(stage.minute(), asyncio.to_thread(by_hand))
    other.close()
    # Whoever came first, together they are within the month.
    assert 100.0 <= sum(act.litres or 0.0 for act in stage.acts()) <= 130.0 + 1e-6


def test_change_schedule_from_one_version_at_once_is_one_change(pilot: Database, ask: Ask) -> None:
    with pilot.session() as session:
        made = schedules.create_schedule(session, BED, WATER, now_ms=NOW, trail=TRAIL)
    answers = ask(
        lambda session, number: schedules.change_schedule(
            session, made.id, definition={**WATER, "litres_day": 50.0 + number}, version=1, now_ms=NOW, trail=TRAIL
        )
    )

    assert sum(isinstance(answer, Stale) for answer in answers) == MANY - 1
    with pilot.reader() as session:
        assert schedules.get_schedule(session, made.id).version == 2


def test_create_schedule_at_once_leaves_one_enabled(pilot: Database, ask: Ask) -> None:
    answers = ask(lambda session, _: schedules.create_schedule(session, BED, WATER, now_ms=NOW, trail=TRAIL))

    assert sum(isinstance(answer, Conflict) for answer in answers) == MANY - 1


def test_changes_at_once_are_numbered_without_a_hole_in_the_trail(pilot: Database, ask: Ask) -> None:
    with pilot.reader() as session:
        before = audit.verify(session).entries
    ask(lambda session, number: registry.create_site(session, f"s{number}", "Site", "Asia/Jakarta", now_ms=NOW, trail=TRAIL))

    with pilot.reader() as session:
        verdict = audit.verify(session)
    assert verdict.wrong is None
    assert verdict.entries >= before + MANY
