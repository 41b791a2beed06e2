# SPDX-License-Identifier: Apache-2.0
"""People, tokens and the audit trail on the command line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from control.audit import Trail
from control.database import open_database
from control.errors import ControlError, Invalid, NotFound
from control.invitations import accept
from control.passwords import PasswordConfig, Passwords
from control.people import find_person
from tirta.errors import NotPossible
from tirta.local import account

Run = Callable[..., Result]


def test_person_add_prints_a_code_that_lets_its_holder_choose_a_password(run: Run, tmp_path: Path) -> None:
    answer = run("person", "add", "ani", "--title", "Ani Lestari", "--role", "supervisor", "--why", "first one")
    assert answer.exit_code == 0, answer.output
    code = re.search(r"code +(\S+)", answer.output)
    assert code is not None
    assert "at     /api/v1/invitation at Tirta's address (127.0.0.1:8080), once it runs" in answer.output
    database = open_database(f"sqlite:///{tmp_path}/data/control.db")
    with database.reader() as session:
        ani = find_person(session, "ani")
    assert ani is not None
    trail = Trail("stranger", "stranger", ani.created_ms)
    assert accept(database, code[1], "kebun raya balikpapan", Passwords(PasswordConfig(64, 1)), trail=trail).chosen
    database.close()
    listed = run("person", "list").output
    assert re.fullmatch(r"ani +supervisor on \*\n", listed)


def test_person_add_prints_where_the_code_is_taken_while_the_service_runs(run: Run, tmp_path: Path) -> None:
    (tmp_path / "data" / "ready.json").write_text('{"http": "https://tirta.balikpapan.example", "mqtt": "", "token": ""}')
    assert "at     https://tirta.balikpapan.example/api/v1/invitation\n" in run("person", "add", "ani").output


def test_person_grant_disable_enable_and_reset_are_listed_and_in_the_trail(run: Run) -> None:
    run("person", "add", "ani")
    assert "operator on *, auditor on *" in run("person", "grant", "ani", "--role", "operator", "--role", "auditor").output
    assert run("person", "disable", "ani", "--why", "left us").exit_code == 0
    assert run("person", "list").output.rstrip().endswith("disabled")
    assert isinstance(run("person", "reset", "ani").exception, ControlError)
    assert run("person", "enable", "ani").exit_code == 0
    assert "code" in run("person", "reset", "ani").output
    entries = [json.loads(line) for line in run("audit", "list", "--json").output.splitlines()][::-1]
    assert [entry["action"] for entry in entries] == [
        "person.create", "person.invite", "person.grant", "person.change", "person.change", "person.invite",
    ]  # fmt: skip
    assert (entries[3]["actor"], entries[3]["why"]) == ("command-line", "left us")
    assert {entry["address"] for entry in entries} == {f"account {account()}"}
    assert run("audit", "list", "--action", "person.grant").output.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("person", "reset", "nobody"), NotFound),
        (("person", "add", "ani", "--role", "god"), Invalid),
        (("person", "add", "ani", "--role", "partner"), Invalid),
        (("person", "add", "ani", "--on", "city:nowhere"), NotFound),
        (("token", "create", "x", "--role", "viewer@nowhere"), Invalid),
    ],
)
def test_person_and_token_with_something_wrong_say_what(run: Run, arguments: tuple[str, ...], error: type[Exception]) -> None:
    assert isinstance(run(*arguments).exception, error)


def test_token_create_shows_it_once_and_list_shows_its_roles_and_end(run: Run) -> None:
    made = run("token", "create", "dashboard", "--role", "viewer@*", "--days", "30").output.strip()
    everything = run("token", "create", "mine").output.strip()
    listed = run("token", "list").output

    assert made.startswith("tirta_")
    assert everything.startswith("tirta_")
    assert re.search(r"dashboard +viewer on \* +created .* UTC, ends .* UTC, never used", listed)
    assert re.search(r"mine +supervisor on \*, operator on \*", listed)
    assert made not in listed
    assert run("token", "revoke", "dashboard").exit_code == 0
    assert "dashboard" not in run("token", "list").output


def test_audit_verify_prints_a_head_that_can_be_expected_later(run: Run, tmp_path: Path) -> None:
    run("person", "add", "ani")
    head = run("audit", "verify").output.strip().rpartition(" ")[2]
    run("person", "add", "budi")
    assert run("audit", "verify", "--expect", head).exit_code == 0
    other = f"{head.partition(':')[0]}:{'0' * 64}"
    assert isinstance(run("audit", "verify", "--expect", other).exception, NotPossible)
    assert isinstance(run("audit", "verify", "--expect", f"99:{'0' * 64}").exception, NotPossible)
    assert isinstance(run("audit", "verify", "--expect", "x").exception, NotPossible)


def test_audit_verify_of_a_changed_trail_names_the_entry(run: Run, tmp_path: Path) -> None:
    run("person", "add", "ani")
    database = open_database(f"sqlite:///{tmp_path}/data/control.db")
    with database.session() as session:
        connection = session.connection()
        connection.exec_driver_sql("DROP TRIGGER audit_no_update")
        connection.exec_driver_sql("UPDATE audit SET actor = 'somebody' WHERE id = 1")
    database.close()
    answer = run("audit", "verify")

    assert isinstance(answer.exception, NotPossible)
    assert "entry 1 " in str(answer.exception)
