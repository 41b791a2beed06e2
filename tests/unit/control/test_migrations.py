# SPDX-License-Identifier: Apache-2.0
"""Bringing an older control database to the newest form, with data in it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import JSON, Boolean, Column, Connection, Float, Integer, MetaData, create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.types import TypeEngine

from control import registry, tokens
from control.access import EVERYTHING, Grant
from control.audit import Trail, record, verify
from control.database import NEWEST_REVISION, Database, open_database
from control.engines import parse_address
from control.people_models import Row

NOW = 1_795_305_600_000
FOLDER = Path(__file__).parents[3] / "control/migrations"


def script() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    return ScriptDirectory.from_config(config)


def revisions() -> list[str]:
    """Return every revision, the oldest first."""
    return [revision.revision for revision in script().walk_revisions()][::-1]


@contextmanager
def form(url: str, newest: str) -> Iterator[Connection]:
    """Give a connection to a new database of an earlier form, as that form's own migrations make it."""
    engine = create_engine(parse_address(url))
    with engine.begin() as connection:
        for revision in revisions()[: revisions().index(newest) + 1]:
            with Operations.context(MigrationContext.configure(connection)):
                script().get_revision(revision).module.upgrade()
        connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)"))
        connection.execute(text("INSERT INTO alembic_version VALUES (:newest)"), {"newest": newest})
        yield connection
    engine.dispose()


def fill(connection: Connection) -> dict[str, dict[str, Any]]:
    """Put a row into every table, what it refers to first, and return the rows by table."""
    metadata = MetaData()
    metadata.reflect(connection)
    rows: dict[str, dict[str, Any]] = {}
    for table in metadata.sorted_tables:
        if table.name != "alembic_version":
            row = {column.name: value_for(column, rows) for column in table.columns}
            connection.execute(table.insert().values(row))
            rows[table.name] = row
    return rows


def value_for(column: Column[Any], rows: Mapping[str, Mapping[str, Any]]) -> Any:
    for key in column.foreign_keys:
        return rows[key.column.table.name][key.column.name]
    sorts: dict[type[TypeEngine[Any]], Any] = {Boolean: True, Integer: 7, Float: 1.5, JSON: {"a": [1, None]}}
    return next((value for sort, value in sorts.items() if isinstance(column.type, sort)), f"a {column.name}")


@pytest.fixture
def old(new_url: str) -> Iterator[Database]:
    """A database of form 0001 with a site, a device and a token of each sort, opened by today's code."""
    with form(new_url, "0001") as connection:
        connection.execute(text("INSERT INTO site VALUES ('pilot', 'Pilot', 'Asia/Makassar', :now)"), {"now": NOW})
        connection.execute(
            text(
                "INSERT INTO device (key, site, name, kind, title, password_hash, created_ms, last_n, online, config_version,"
                " config_due) VALUES ('pilot:garden', 'pilot', 'garden', 'irrigation-controller', 'Garden', '', :now, 7,"
                " false, 1, false)"
            ),
            {"now": NOW},
        )
        connection.execute(
            text(
                "INSERT INTO zone (key, device_key, number, title, type, max_seconds, litres_day, grams_day)"
                " VALUES ('pilot:garden:1', 'pilot:garden', 1, 'Bed', 'bed', 900, 400, 1)"
            )
        )
        for rights in ("viewer", "service", "operator"):
            digest = hashlib.sha256(f"tirta_{rights}".encode()).hexdigest()
            values = {"name": rights, "digest": digest, "now": NOW}
            connection.execute(
                text("INSERT INTO token (name, rights, digest, created_ms) VALUES (:name, :name, :digest, :now)"), values
            )
    database = open_database(new_url)
    yield database
    database.close()


def test_migrations_are_numbered_and_end_with_the_newest_revision() -> None:
    assert revisions() == [f"{number:04}" for number in range(1, len(revisions()) + 1)]
    assert revisions()[-1] == NEWEST_REVISION


@pytest.mark.parametrize("earlier", revisions())
def test_migrate_from_every_form_keeps_what_is_in_it_and_makes_exactly_the_tables_of_the_models(
    new_url: str, earlier: str
) -> None:
    with form(new_url, earlier) as connection:
        kept = fill(connection)
    open_database(new_url).close()
    engine = create_engine(parse_address(new_url))
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Row.metadata) == []
        metadata = MetaData()
        metadata.reflect(connection)
        for name, row in kept.items():
            table = metadata.tables[name]
            now = connection.execute(table.select().order_by(table.primary_key.columns[0])).mappings().first()
            assert now is not None, name
            assert {column: now[column] for column in row if column in now} == {
                column: value for column, value in row.items() if column in now
            }
    engine.dispose()


def test_migrate_of_two_at_once_is_done_once(new_url: str) -> None:
    databases = [Database(new_url) for _ in range(4)]
    with ThreadPoolExecutor(len(databases)) as threads:
        list(threads.map(Database.migrate, databases))
    with databases[0].reader() as session:
        assert session.execute(text("SELECT version_num FROM alembic_version")).scalars().all() == [NEWEST_REVISION]
    for database in databases:
        database.close()


def test_migrate_from_0001_keeps_sites_and_devices_and_gives_them_an_agency(old: Database) -> None:
    with old.reader() as session:
        site = registry.get_site(session, "pilot")
        device = registry.get_device(session, "pilot:garden")
        zone = registry.get_zone(session, "pilot:garden:1")
    assert (site.title, site.agency, site.pillars, site.tags, site.position, site.version) == (
        "Pilot",
        "city:agency",
        (),
        (),
        None,
        1,
    )
    assert (device.last_n, device.version, zone.parameters.litres_day, zone.version) == (7, 1, 400.0, 1)


def test_migrate_from_0001_keeps_tokens_with_what_their_rights_meant(old: Database) -> None:
    with old.reader() as session:
        found = {name: tokens.check(session, f"tirta_{name}", now_ms=NOW) for name in ("viewer", "service", "operator")}
    layers = {name: each[0].layers for name, each in found.items() if each is not None}
    assert layers == {"viewer": ((Grant("viewer"),),), "service": ((Grant("viewer"),),), "operator": (EVERYTHING,)}


def test_migrated_database_takes_what_a_new_one_takes(old: Database) -> None:
    with old.session() as session:
        registry.create_site(session, "second", "Second", "Asia/Jakarta", now_ms=NOW)
    with old.reader() as session:
        assert registry.get_site(session, "second").agency == "city:agency"


@pytest.mark.parametrize(
    ("sort", "statement"),
    [
        ("sqlite", "UPDATE audit SET why = 'x'"),
        ("sqlite", "DELETE FROM audit"),
        pytest.param("postgresql", "UPDATE audit SET why = 'x'", marks=pytest.mark.postgresql),
        pytest.param("postgresql", "DELETE FROM audit", marks=pytest.mark.postgresql),
        pytest.param("postgresql", "TRUNCATE audit", marks=pytest.mark.postgresql),
    ],
)
def test_audit_of_a_database_is_only_added_to(old: Database, statement: str) -> None:
    with old.session() as session:
        record(session, Trail("ani", "person", NOW), "site.create", "site:x")

    with pytest.raises(DBAPIError, match="only added to"), old.session() as session:
        session.execute(text(statement))
    with old.reader() as session:
        assert verify(session).wrong is None
