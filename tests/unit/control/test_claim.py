# SPDX-License-Identifier: Apache-2.0
"""The claim on a control database: one has it, whoever comes second is refused; and waiting for a server at the start."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from control import claim as claims
from control.claim import Claim, open_claim
from control.database import Database
from control.errors import DatabaseInUse, DatabaseUnavailable
from control.waiting import take_when_there
from tests.servers.mosquitto import free_port
from tests.servers.postgres import Postgres


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "HANDOVER_S", 0.2)


@pytest.fixture
def claim(url: str) -> Iterator[Claim]:
    """A claim on the database, taken."""
    with_it = open_claim(url)
    with_it.take()
    yield with_it
    with_it.release()


class Told(logging.Handler):
    """Hears that something is waited for."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.once = asyncio.Event()
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())
        self.once.set()


@pytest.fixture
async def told() -> AsyncIterator[Told]:
    handler, logger = Told(), logging.getLogger("control.waiting")
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


@pytest.fixture
def server() -> Iterator[Postgres]:
    """A server of its own: the test stops it."""
    with Postgres() as running:
        yield running


def refused(url: str) -> str:
    """Ask for a claim that another has, and return what is said."""
    second = open_claim(url)
    with pytest.raises(DatabaseInUse) as caught:
        second.take()
    second.release()
    return str(caught.value)


def test_take_what_another_has_is_refused_until_it_is_given_back(claim: Claim, url: str) -> None:
    said = refused(url)
    assert said.startswith("another Tirta")
    assert url.rpartition("/")[2] in said
    assert "\n" not in said
    claim.keep()
    claim.release()
    second = open_claim(url)
    second.take()
    second.release()


def test_take_by_another_name_of_the_same_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "there").symlink_to(tmp_path / "here")
    first = open_claim(f"sqlite:///{tmp_path}/here/control.db")
    first.take()
    refused(f"sqlite:///{tmp_path}/there/control.db")
    first.release()


def test_take_in_a_missing_folder_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnavailable, match="cannot be claimed"):
        open_claim(f"sqlite:///{tmp_path}/missing/control.db").take()


def test_session_of_a_command_beside_a_claim_writes(claim: Claim, database: Database) -> None:
    with database.session() as session:
        session.execute(text("INSERT INTO controller_state (id, last_tick_ms) VALUES (1, 7)"))
    with database.reader() as session:
        assert session.execute(text("SELECT last_tick_ms FROM controller_state")).scalar_one() == 7


def keep_on(claim: Claim) -> None:
    """Keep it until that fails: a process of a killed server may outlive the first of them by a moment."""
    for _ in range(100_000):
        claim.keep()


@pytest.mark.postgresql
def test_keep_after_the_server_was_killed_takes_it_again(server: Postgres) -> None:
    url = server.make_database()
    claim = open_claim(url)
    claim.take()
    server.stop(signal.SIGKILL)
    try:
        with pytest.raises(DatabaseUnavailable):
            keep_on(claim)
        with pytest.raises(DatabaseUnavailable):
            claim.keep()
        server.start()
        claim.keep()
        refused(url)
    finally:
        claim.release()


@pytest.mark.postgresql
@pytest.mark.parametrize("sort", ["postgresql"])
def test_keep_after_another_was_faster_says_who_has_it(claim: Claim, url: str, postgres_server: Postgres) -> None:
    end_claim(postgres_server, url)
    second = open_claim(url)
    second.take()
    with pytest.raises(DatabaseUnavailable, match="lost"):
        claim.keep()
    with pytest.raises(DatabaseInUse, match=r"another Tirta \(from 127\.0\.0\.1, since 20"):
        claim.keep()
    second.release()


@pytest.mark.postgresql
@pytest.mark.parametrize("sort", ["postgresql"])
def test_keep_ends_its_own_lost_session_that_the_server_still_keeps(claim: Claim, url: str) -> None:
    half_open = claim._connection  # as if the network between had forgotten it
    claim._connection = None
    claim.keep()
    refused(url)
    half_open.invalidate()
    half_open.close()


@pytest.mark.postgresql
@pytest.mark.parametrize("sort", ["postgresql"])
def test_session_of_a_claim_is_given_up_by_the_server_within_half_a_minute(claim: Claim, url: str) -> None:
    connection = claim._connection
    shown = [connection.execute(text(f"SHOW tcp_keepalives_{name}")).scalar_one() for name in ("idle", "interval", "count")]
    idle, interval, count = (int(value) for value in shown)
    assert 0 < idle + interval * count <= 30


def end_claim(server: Postgres, url: str) -> None:
    """End the session that has the claim, as an administrator does."""
    with server.admin(url.rpartition("/")[2]) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = 'tirta, the service'"
            " AND datname = current_database()"
        )


@pytest.mark.postgresql
async def test_take_when_there_waits_for_a_server_that_starts_and_says_so_once(server: Postgres, told: Told) -> None:
    url = server.make_database()
    server.stop()
    claim = open_claim(url)
    taking = asyncio.create_task(take_when_there(claim, url, asyncio.Event()))
    await told.once.wait()
    await asyncio.to_thread(server.start)
    assert await taking
    [said] = told.said
    assert said.startswith("waiting up to 60 s: the control database postgresql://tirta@127.0.0.1")
    assert server.password not in said
    claim.release()


async def test_take_when_there_gives_up_a_server_that_does_not_come() -> None:
    url = f"postgresql://ani:geheim@127.0.0.1:{free_port()}/tirta"
    with pytest.raises(DatabaseUnavailable, match="refused"):
        await take_when_there(open_claim(url), url, asyncio.Event(), within_s=0.1)


async def test_take_when_there_told_to_stop_while_it_waits_takes_nothing(told: Told) -> None:
    url, stop = f"postgresql://ani:geheim@127.0.0.1:{free_port()}/tirta", asyncio.Event()
    taking = asyncio.create_task(take_when_there(open_claim(url), url, stop))
    await told.once.wait()
    stop.set()
    assert not await taking


@pytest.mark.postgresql
async def test_take_when_there_does_not_wait_where_the_server_says_no(postgres_server: Postgres, told: Told) -> None:
    for url, said in (
        (postgres_server.url("postgres", password="geheim"), "password authentication failed"),
        (postgres_server.url("nowhere"), "does not exist"),
    ):
        with pytest.raises(DatabaseUnavailable, match=said):
            await take_when_there(open_claim(url), url, asyncio.Event())
    assert told.said == []
