# SPDX-License-Identifier: Apache-2.0
"""Two who change the same thing at the same time, each with a database of its own, as two processes have."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy.orm import Session

from control import audit, ledger, registry, requests, schedules
from control.audit import Trail
from control.database import Database
from control.errors import Conflict, InvalidRequest, Stale

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
