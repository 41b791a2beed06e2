# SPDX-License-Identifier: Apache-2.0
"""Bearer tokens."""

from __future__ import annotations

from pathlib import Path

import pytest

from control import people, tokens
from control.access import EVERYTHING, Grant, Permission, Place, Scope
from control.audit import Trail
from control.database import Database
from control.errors import Conflict, Invalid, NotFound

NOW = 1_795_305_600_000
TRAIL = Trail("tester", "local", NOW)
VIEWER = (Grant("viewer"),)


def test_create_returns_a_token_that_check_takes_and_the_file_does_not_hold(database: Database, tmp_path: Path) -> None:
    with database.session() as session:
        text, token = tokens.create(session, "first", EVERYTHING, now_ms=NOW)
    with database.reader() as session:
        found = tokens.check(session, text, now_ms=NOW)
        assert tokens.list_tokens(session) == ([token], None)
    database.close()
    assert found is not None
    assert (found[0].name, found[0].kind, found[0].layers, found[1]) == ("first", "token", (EVERYTHING,), None)
    assert all(found[0].everywhere(permission) for permission in Permission if permission is not Permission.TUNE)
    assert len(text) >= 49
    assert not any(text.encode() in file.read_bytes() for file in tmp_path.iterdir())


@pytest.mark.parametrize("text", ["", "tirta_", "tirta_é", "\ud800", "x" * 100_000, "\x00"])
def test_check_of_anything_else_is_none(database: Database, text: str) -> None:
    with database.session() as session:
        tokens.create(session, "first", VIEWER, now_ms=NOW)
        assert tokens.check(session, text, now_ms=NOW) is None


def test_revoke_ends_a_token_at_once_and_frees_its_name(database: Database) -> None:
    with database.session() as session:
        text, _ = tokens.create(session, "ready-file", EVERYTHING, now_ms=NOW)
    with pytest.raises(Conflict, match="ready-file"), database.session() as session:
        tokens.create(session, "ready-file", VIEWER, now_ms=NOW)
    with database.session() as session:
        tokens.revoke(session, "ready-file", now_ms=NOW + 1)
        again, _ = tokens.create(session, "ready-file", VIEWER, now_ms=NOW + 2)
    with database.reader() as session:
        assert tokens.check(session, text, now_ms=NOW + 2) is None
        found = tokens.check(session, again, now_ms=NOW + 2)
        assert found is not None
        assert found[0].layers == (VIEWER,)
        assert len(tokens.list_tokens(session, revoked=True)[0]) == 2


def test_check_of_a_token_past_its_end_is_none(database: Database) -> None:
    with database.session() as session:
        text, _ = tokens.create(session, "short", VIEWER, now_ms=NOW, expires_ms=NOW + 1000)
    with database.reader() as session:
        assert tokens.check(session, text, now_ms=NOW + 999) is not None
        assert tokens.check(session, text, now_ms=NOW + 1000) is None
    with database.session() as session, pytest.raises(Invalid, match="expires"):
        tokens.create(session, "gone", VIEWER, now_ms=NOW, expires_ms=NOW)


def test_touch_keeps_when_a_token_was_last_used(database: Database) -> None:
    with database.session() as session:
        text, token = tokens.create(session, "used", VIEWER, now_ms=NOW)
        tokens.touch(session, [token.id], NOW + 5)
    with database.reader() as session:
        found = tokens.check(session, text, now_ms=NOW + 6)
        assert tokens.get_token(session, token.id).used_ms == NOW + 5
    assert found is not None
    assert found[1] == NOW + 5


def test_a_token_does_no_more_than_its_owner_and_nothing_once_the_owner_is_disabled(database: Database) -> None:
    with database.session() as session:
        ani = people.create_person(session, "ani", "Ani", home=Scope("all"), grants=VIEWER, trail=TRAIL)
        text, _ = tokens.create(session, "hers", EVERYTHING, now_ms=NOW, owner_id=ani.id)
    with database.reader() as session:
        found = tokens.check(session, text, now_ms=NOW)
    assert found is not None
    assert found[0].allows(Permission.SEE, Place())
    assert not found[0].somewhere(Permission.ACTUATE)
    with database.session() as session:
        people.change_person(session, ani.id, disabled=True, trail=TRAIL)
        assert tokens.check(session, text, now_ms=NOW) is None


def test_create_without_a_role_or_on_nothing_and_revoke_of_an_unknown_name_say_so(database: Database) -> None:
    with database.session() as session:
        with pytest.raises(Invalid, match="role"):
            tokens.create(session, "first", (), now_ms=NOW)
        with pytest.raises(NotFound):
            tokens.revoke(session, "nobody", now_ms=NOW)
    with pytest.raises(NotFound, match="city"), database.session() as session:
        tokens.create(session, "first", (Grant("viewer", Scope("city", "nowhere")),), now_ms=NOW)


@pytest.mark.parametrize("name", ["controller", "device", "command-line", "tirta", "stranger"])
def test_create_with_a_name_that_the_ledger_has_for_tirta_itself_is_refused(database: Database, name: str) -> None:
    with database.session() as session, pytest.raises(Invalid, match="name"):
        tokens.create(session, name, tokens.EVERYTHING, now_ms=NOW)
    with database.session() as session, pytest.raises(Invalid, match="login"):
        people.create_person(session, name, "T", home=Scope("all"), trail=Trail("tester", "local", NOW))


def test_check_gives_the_tokens_own_roles_before_those_of_who_made_it(database: Database) -> None:
    with database.session() as session:
        ani = people.create_person(
            session, "ani", "A", home=Scope("all"), grants=[Grant("supervisor")], trail=Trail("tester", "local", NOW)
        )
        text, token = tokens.create(session, "meter", [Grant("viewer")], now_ms=NOW, owner_id=ani.id)
        found = tokens.check(session, text, now_ms=NOW)
    assert found is not None
    assert found[0].layers == ((Grant("viewer"),), (Grant("supervisor"),))
    assert (found[0].key, ani.principal.key) == (f"token:{token.id}", f"person:{ani.id}")
