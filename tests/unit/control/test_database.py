# SPDX-License-Identifier: Apache-2.0
"""Opening the control database and its sessions."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, text

from control import registry
from control.database import NEWEST_REVISION, Database, open_database
from control.errors import DatabaseMismatch, DatabaseUnavailable
from control.models import Row

NOW = 1_795_305_600_000


def test_open_database_makes_exactly_the_tables_of_the_models(database: Database, url: str) -> None:
    engine = create_engine(url)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Row.metadata) == []
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == NEWEST_REVISION
    engine.dispose()


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


def test_open_database_with_no_address_says_what_would_do() -> None:
    with pytest.raises(DatabaseMismatch, match="sqlite:"):
        open_database("control.db")
