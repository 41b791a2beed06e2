# SPDX-License-Identifier: Apache-2.0
"""Opening the control database and its sessions."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, text

from control import registry
from control.database import NEWEST_REVISION, Database, open_database
from control.engines import POOL_OVERFLOW, POOL_SIZE, parse_address, shown
from control.errors import DatabaseMismatch, DatabaseUnavailable, Invalid
from control.models import CityRow, Row
from tests.servers.mosquitto import free_port
from tests.servers.postgres import Postgres

NOW = 1_795_305_600_000


def test_open_database_makes_exactly_the_tables_of_the_models(new_url: str) -> None:
    open_database(new_url).close()
    engine = create_engine(parse_address(new_url))
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Row.metadata) == []
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == NEWEST_REVISION
    engine.dispose()


def test_session_asks_for_what_it_wrote_to_be_on_the_disk(database: Database, sort: str) -> None:
    asked = {"sqlite": ("PRAGMA synchronous", 2), "postgresql": ("SHOW synchronous_commit", "on")}[sort]
    with database.session() as session:
        assert session.execute(text(asked[0])).scalar() == asked[1]


def test_session_waits_for_another_and_sees_what_it_wrote(database: Database, url: str) -> None:
    """Two of another process, say the command line, at one number: neither is lost."""
    others = [Database(url) for _ in range(3)]

    def count(each: Database) -> None:
        for _ in range(10):
            with each.session() as session:
                number = session.execute(text("SELECT last_tick_ms FROM controller_state")).scalar_one()
                session.execute(text("UPDATE controller_state SET last_tick_ms = :number"), {"number": number + 1})

    with database.session() as session:
        session.execute(text("INSERT INTO controller_state (id, last_tick_ms) VALUES (1, 0)"))
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(count, others))
    with database.reader() as session:
        assert session.execute(text("SELECT last_tick_ms FROM controller_state")).scalar_one() == 30
    for each in others:
        each.close()


def test_session_that_waits_too_long_for_another_is_unavailable(database: Database, url: str) -> None:
    impatient = Database(url, wait_s=0.05)

    def write() -> None:
        with impatient.session() as session:
            session.execute(text("SELECT 1"))

    with database.session() as session:
        session.execute(text("SELECT 1"))
        with pytest.raises(DatabaseUnavailable, match="lock"):
            write()
    write()
    impatient.close()


def test_session_of_the_same_process_that_waits_too_long_is_unavailable(url: str) -> None:
    impatient = Database(url, wait_s=0.05)

    def write() -> None:
        with impatient.session():
            pass

    with impatient.session(), pytest.raises(DatabaseUnavailable, match="another write has not ended"):
        write()
    impatient.close()


def test_reader_that_finds_no_connection_free_is_unavailable(url: str) -> None:
    impatient = Database(url, wait_s=0.05)
    with ExitStack() as readers:
        for _ in range(POOL_SIZE + POOL_OVERFLOW):
            readers.enter_context(impatient.reader()).execute(text("SELECT 1"))
        assert "all its connections are in use" in impatient.ask()
    assert impatient.ask() == ""
    impatient.close()


@pytest.mark.postgresql
@pytest.mark.parametrize("sort", ["postgresql"])
def test_reader_cannot_write(database: Database) -> None:
    with pytest.raises(DatabaseUnavailable, match="read-only"), database.reader() as session:
        session.execute(text("DELETE FROM site"))


@pytest.mark.postgresql
@pytest.mark.parametrize("sort", ["postgresql"])
def test_session_with_a_server_that_stands_still_is_unavailable_and_the_next_goes_on(database: Database, url: str) -> None:
    impatient = Database(url, answer_s=3.0)

    def ask() -> None:
        with impatient.reader() as session:
            backend = session.execute(text("SELECT pg_backend_pid()")).scalar_one()
            os.kill(backend, signal.SIGSTOP)
            try:
                session.execute(text("SELECT 1"))
            finally:
                os.kill(backend, signal.SIGCONT)

    with pytest.raises(DatabaseUnavailable, match="no answer within 3"):
        ask()
    assert impatient.ask() == ""
    impatient.close()


def test_session_after_close_is_unavailable(url: str) -> None:
    database = open_database(url)
    database.close()
    for opened in (database.session, database.reader):
        with pytest.raises(DatabaseUnavailable, match="closed"), opened():
            pass


@pytest.mark.postgresql
@pytest.mark.parametrize("sort", ["postgresql"])
def test_close_while_somebody_reads_leaves_no_connection_open(url: str) -> None:
    """As a stop does, while a thread of the controller's still reads."""
    database = Database(url)
    with database.reader() as session:
        connection = session.connection().connection.dbapi_connection
        database.close()
        assert session.execute(text("SELECT 1")).scalar_one() == 1
    assert connection.closed


@pytest.mark.postgresql
@pytest.mark.parametrize("sort", ["postgresql"])
def test_session_with_what_cannot_be_stored_names_the_value(database: Database) -> None:
    with pytest.raises(Invalid, match="cannot be stored"), database.session() as session:
        session.add(CityRow(name="nul\x00", title="", created_ms=NOW, version=1))
    with pytest.raises(Invalid, match="cannot be stored"), database.session() as session:
        session.add(CityRow(name="wide", title="", created_ms=1 << 70, version=1))


def test_open_database_the_second_time_does_not_import_alembic(database: Database, url: str) -> None:
    script = (
        f"import sys; from control.database import open_database; open_database({url!r}).close();"
        "sys.exit('alembic' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parents[3], check=False).returncode == 0


def test_session_with_an_error_keeps_nothing(database: Database) -> None:
    def fail_after_a_write() -> None:
        with database.session() as session:
            registry.create_site(session, "bpp", "Balikpapan", "Asia/Makassar", now_ms=NOW)
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail_after_a_write()
    with database.reader() as session:
        assert registry.list_sites(session) == ([], None)


def test_reader_sees_one_state_while_a_writer_commits(database: Database) -> None:
    with database.reader() as reading:
        assert registry.list_sites(reading)[0] == []
        with database.session() as session:
            registry.create_site(session, "bpp", "Balikpapan", "Asia/Makassar", now_ms=NOW)
        assert registry.list_sites(reading)[0] == []
    with database.reader() as reading:
        assert len(registry.list_sites(reading)[0]) == 1


def test_open_database_of_a_newer_version_says_so(database: Database, url: str) -> None:
    with database.session() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(DatabaseMismatch, match="9999"):
        open_database(url)


def test_open_database_of_another_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "control.db").write_text("not a database at all, but a note of some length\n" * 100)
    with pytest.raises(DatabaseMismatch, match="cannot be read"):
        open_database(f"sqlite:///{tmp_path}/control.db")


def test_open_database_in_a_missing_folder_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnavailable):
        open_database(f"sqlite:///{tmp_path}/missing/control.db")


@pytest.mark.parametrize(
    "address",
    [
        "control.db",
        "",
        "mysql://ani:geheim@db.example/tirta",
        "postgresql+asyncpg://ani:geheim@db.example/tirta",
        "postgresql://ani:geheim@db.example",
        "postgresql://ani:geheim@db.example:port/tirta",
        "postgres//ani:geheim@db.example/tirta",
    ],
)
def test_open_database_with_no_address_says_what_would_do_and_not_the_password(address: str) -> None:
    with pytest.raises(DatabaseMismatch, match=r"sqlite:.* or postgresql:") as caught:
        open_database(address)
    assert "geheim" not in str(caught.value)


def test_open_database_with_a_server_that_is_not_there_is_one_line_without_the_password() -> None:
    with pytest.raises(DatabaseUnavailable) as caught:
        open_database(f"postgresql://ani:geheim@127.0.0.1:{free_port()}/tirta?connect_timeout=2&password=geheim")
    said = str(caught.value)
    assert "127.0.0.1" in said
    assert "refused" in said
    assert "geheim" not in said
    assert "\n" not in said


@pytest.mark.postgresql
def test_open_database_with_a_wrong_password_is_one_line_without_it(postgres_server: Postgres) -> None:
    with pytest.raises(DatabaseUnavailable, match="password authentication failed") as caught:
        open_database(postgres_server.url("postgres", password="geheim"))
    assert "geheim" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.postgresql
@pytest.mark.parametrize("form", ["ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'en-US'", "ENCODING 'LATIN1' LOCALE 'C'"])
def test_open_database_with_another_order_of_letters_says_how_to_make_it(postgres_server: Postgres, form: str) -> None:
    url = postgres_server.make_database(form)
    with pytest.raises(DatabaseMismatch, match="LOCALE 'C'"):
        open_database(url)
    postgres_server.drop_database(url)


@pytest.mark.postgresql
def test_open_database_with_too_few_rights_says_so(postgres_server: Postgres, empty_database: str) -> None:
    with postgres_server.admin(empty_database.rpartition("/")[2]) as connection:
        connection.execute("DROP ROLE IF EXISTS stranger")
        connection.execute("CREATE ROLE stranger LOGIN PASSWORD 'geheim'")
    with pytest.raises(DatabaseMismatch, match=r"too few rights.*permission denied"):
        open_database(empty_database.replace(f"tirta:{postgres_server.password}", "stranger:geheim"))


@pytest.mark.parametrize(
    ("address", "mode"),
    [
        ("postgresql://tirta@db.example/tirta", "verify-full"),
        ("postgres://tirta@10.0.0.7/tirta", "verify-full"),
        ("postgresql://tirta@db.example/tirta?sslmode=disable", "disable"),
        ("postgresql://tirta@127.0.0.1/tirta?sslmode=verify-full", "verify-full"),
        ("postgresql://tirta@127.0.0.1/tirta", None),
        ("postgresql://tirta@localhost/tirta", None),
        ("postgresql://tirta@/tirta?host=/run/postgresql", None),
        ("postgresql://tirta@/tirta?host=db.example", "verify-full"),
    ],
)
def test_parse_address_verifies_a_server_on_another_host(address: str, mode: str | None) -> None:
    query = parse_address(address).query
    assert (query.get("sslmode"), query.get("sslrootcert")) == (mode, "system" if mode == "verify-full" else None)


def test_shown_address_has_neither_password_nor_options() -> None:
    shown_address = shown(parse_address("postgresql://tirta:geheim@db.example:5433/tirta?password=geheim"))
    assert shown_address == "postgresql://tirta@db.example:5433/tirta"
