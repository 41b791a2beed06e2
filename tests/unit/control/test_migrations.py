# SPDX-License-Identifier: Apache-2.0
"""Bringing an older control database to the newest form, with data in it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text

from control import registry, tokens
from control.access import EVERYTHING, Grant
from control.audit import Trail, record
from control.database import NEWEST_REVISION, Database, open_database
from control.errors import ControlError

NOW = 1_795_305_600_000
FOLDER = Path(__file__).parents[3] / "control/migrations"


def script() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    return ScriptDirectory.from_config(config)


@pytest.fixture
def old(tmp_path: Path) -> Iterator[Database]:
    """A database of form 0001 with a site, a device and a token of each sort, opened by today's code."""
    url = f"sqlite:///{tmp_path}/old.db"
    engine = create_engine(url)
    with engine.begin() as connection:
        with Operations.context(MigrationContext.configure(connection)):
            script().get_revision("0001").module.upgrade()
        connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)"))
        connection.execute(text("INSERT INTO alembic_version VALUES ('0001')"))
        connection.execute(text("INSERT INTO site VALUES ('pilot', 'Pilot', 'Asia/Makassar', :now)"), {"now": NOW})
        connection.execute(
            text(
                "INSERT INTO device (key, site, name, kind, title, password_hash, created_ms, last_n, online, config_version,"
                " config_due) VALUES ('pilot:garden', 'pilot', 'garden', 'irrigation-controller', 'Garden', '', :now, 7,"
                " 0, 1, 0)"
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
    engine.dispose()
    database = open_database(url)
    yield database
    database.close()


def test_migrations_are_numbered_and_end_with_the_newest_revision() -> None:
    revisions = [revision.revision for revision in script().walk_revisions()][::-1]

    assert revisions == [f"{number:04}" for number in range(1, len(revisions) + 1)]
    assert revisions[-1] == NEWEST_REVISION


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


@pytest.mark.parametrize("statement", ["UPDATE audit SET why = 'x'", "DELETE FROM audit"])
def test_audit_of_a_database_is_only_added_to(old: Database, statement: str) -> None:
    with old.session() as session:
        record(session, Trail("ani", "person", NOW), "site.create", "site:x")

    with pytest.raises((ControlError, Exception), match="only added to"), old.session() as session:
        session.execute(text(statement))
