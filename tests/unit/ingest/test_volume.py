# SPDX-License-Identifier: Apache-2.0
"""A file on a volume that fails: opened anew before it is used again."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from ingest.errors import Unavailable
from ingest.volume import SqliteFile

SCHEMA = "create table if not exists number (value integer not null) strict;"


def put(file: SqliteFile, value: int) -> None:
    with file.use(), file.db:
        file.db.execute("insert into number values (?)", (value,))


def test_use_after_an_error_of_the_volume_opens_the_file_anew_and_forces_its_log(tmp_path: Path) -> None:
    path = tmp_path / "file.sqlite"
    file = SqliteFile(path, "trial", SCHEMA)
    put(file, 1)
    failed = file.db
    with pytest.raises(Unavailable, match="trial"), file.use():
        raise sqlite3.OperationalError("disk I/O error")
    assert path.with_name("file.sqlite-wal").stat().st_size > 0
    with file.use():
        assert file.db is not failed
        assert file.db.execute("select value from number").fetchall() == [(1,)]
        assert path.with_name("file.sqlite-wal").stat().st_size == 0
    with pytest.raises(sqlite3.ProgrammingError):
        failed.execute("select 1")
    put(file, 2)
    file.close()


def test_use_while_the_log_cannot_be_forced_goes_on_saying_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file.sqlite"
    file = SqliteFile(path, "trial", SCHEMA)
    put(file, 1)
    reader = sqlite3.connect(path)
    reader.execute("begin")
    reader.execute("select * from number").fetchall()
    put(file, 2)
    file._doubtful = True
    monkeypatch.setattr("ingest.volume._BUSY_S", 0.001)
    with pytest.raises(Unavailable, match="cannot be brought"):
        put(file, 3)
    reader.close()
    put(file, 3)
    with file.use():
        assert file.db.execute("select value from number").fetchall() == [(1,), (2,), (3,)]
    file.close()
