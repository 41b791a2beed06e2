# SPDX-License-Identifier: Apache-2.0
"""Bearer tokens."""

from __future__ import annotations

from pathlib import Path

import pytest

from control import tokens
from control.database import Database
from control.errors import Conflict, Invalid, NotFound

NOW = 1_795_305_600_000


def test_create_returns_a_token_that_check_takes_and_the_file_does_not_hold(database: Database, tmp_path: Path) -> None:
    with database.session() as session:
        text, token = tokens.create(session, "first", "operator", now_ms=NOW)
    with database.reader() as session:
        assert tokens.check(session, text) == tokens.Principal("first", "operator")
        assert tokens.list_tokens(session) == [token]
    database.close()
    assert len(text) >= 49
    assert not any(text.encode() in file.read_bytes() for file in tmp_path.iterdir())


@pytest.mark.parametrize("text", ["", "tirta_", "tirta_é", "\ud800", "x" * 100_000, "\x00"])
def test_check_of_anything_else_is_none(database: Database, text: str) -> None:
    with database.session() as session:
        tokens.create(session, "first", "operator", now_ms=NOW)
        assert tokens.check(session, text) is None


def test_revoke_ends_a_token_at_once_and_frees_its_name(database: Database) -> None:
    with database.session() as session:
        text, _ = tokens.create(session, "ready-file", "operator", now_ms=NOW)
    with pytest.raises(Conflict, match="ready-file"), database.session() as session:
        tokens.create(session, "ready-file", "viewer", now_ms=NOW)
    with database.session() as session:
        tokens.revoke(session, "ready-file", now_ms=NOW + 1)
        again, _ = tokens.create(session, "ready-file", "viewer", now_ms=NOW + 2)
    with database.reader() as session:
        assert tokens.check(session, text) is None
        assert tokens.check(session, again) == tokens.Principal("ready-file", "viewer")
        assert len(tokens.list_tokens(session, revoked=True)) == 2


def test_create_with_unknown_rights_and_revoke_of_an_unknown_name_say_so(database: Database) -> None:
    with database.session() as session:
        with pytest.raises(Invalid, match="viewer"):
            tokens.create(session, "first", "god", now_ms=NOW)
        with pytest.raises(NotFound):
            tokens.revoke(session, "nobody", now_ms=NOW)
