# SPDX-License-Identifier: Apache-2.0
"""`tirta person …`: who signs in, and what they may do. Works on the control database, whether or not the service runs.

Whoever may write the data folder may do all of this; it is entered into the audit trail as done on the command line.
"""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy.orm import Session

from control import invitations, people
from control.access import parse_grant, parse_scope
from control.errors import NotFound
from control.invitations import Invitation
from control.people import Person
from tirta.cli_tokens import control_database
from tirta.folder import DataFolder
from tirta.local import local_trail
from tirta.options import CONFIG, DATA, WHY
from tirta.settings import load_settings

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="People who sign in.")

LOGIN = Annotated[str, typer.Argument(metavar="LOGIN", help="The name to sign in with.")]


def _find(session: Session, login: str) -> Person:
    person = people.find_person(session, login)
    if person is None:
        raise NotFound("person", login)
    return person


def _show(login: str, invitation: Invitation, address: str) -> None:
    ends = datetime.fromtimestamp(invitation.expires_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
    print(f"login  {login}\ncode   {invitation.code}\nat     {address}")
    print(f"(shown this once; lets its holder choose a password until {ends}, sent there with the code)")


def _address(config: Path | None, data: Path | None) -> str:
    """Return where a password is chosen: at the running service's address, or at the one it will have."""
    settings = load_settings(config, data=data)
    with suppress(OSError, ValueError, KeyError):
        ready = json.loads(DataFolder(settings.data).file("ready.json").read_text("utf-8"))
        return f"{ready['http']}/api/v1/invitation"
    return f"/api/v1/invitation at Tirta's address ({settings.http}), once it runs"


@app.command()
def add(
    login: LOGIN,
    role: Annotated[
        str, typer.Option(help="viewer, operator, agronomist, agency-admin, supervisor, partner or auditor.")
    ] = "viewer",
    on: Annotated[
        str, typer.Option(metavar="PLACE", help="Where the role holds: *, city:NAME, agency:CITY:NAME or site:NAME.")
    ] = "*",
    title: Annotated[str | None, typer.Option(help="What people call her or him. [default: the login]")] = None,
    language: Annotated[str, typer.Option(help="id or en.")] = "id",
    why: WHY = "",
    data: DATA = None,
    config: CONFIG = None,
) -> None:
    """Add a person and print a code with which she or he chooses a password, this once."""
    grant, trail = parse_grant(role, on), local_trail(why)
    with control_database(config, data) as (database, _), database.session() as session:
        home = parse_scope(on)
        person = people.create_person(session, login, title or login, language=language, home=home, grants=[grant], trail=trail)
        invitation = invitations.invite(session, person.id, trail=trail)
    _show(login, invitation, _address(config, data))


@app.command("list")
def list_people(data: DATA = None, config: CONFIG = None) -> None:
    """List people with their roles."""
    with control_database(config, data) as (database, _), database.reader() as session:
        after: str | None = None
        while True:
            page, after = people.list_people(session, limit=1000, after=after)
            for person in page:
                state = "disabled" if person.disabled_ms is not None else "" if person.chosen else "invited"
                print(f"{person.login:<24} {', '.join(map(str, person.grants)) or 'no role':<48} {state}".rstrip())
            if after is None:
                return


@app.command()
def reset(login: LOGIN, why: WHY = "", data: DATA = None, config: CONFIG = None) -> None:
    """Print a code with which a person chooses another password, this once; codes printed before end."""
    with control_database(config, data) as (database, _), database.session() as session:
        invitation = invitations.invite(session, _find(session, login).id, trail=local_trail(why))
    _show(login, invitation, _address(config, data))


@app.command()
def disable(login: LOGIN, why: WHY = "", data: DATA = None, config: CONFIG = None) -> None:
    """Shut a person out: sessions and tokens end at once; what was done stays in the audit trail."""
    with control_database(config, data) as (database, _), database.session() as session:
        people.change_person(session, _find(session, login).id, disabled=True, trail=local_trail(why))
    print(f"{login} is disabled")


@app.command()
def enable(login: LOGIN, why: WHY = "", data: DATA = None, config: CONFIG = None) -> None:
    """Let a person in again who was disabled."""
    with control_database(config, data) as (database, _), database.session() as session:
        people.change_person(session, _find(session, login).id, disabled=False, trail=local_trail(why))
    print(f"{login} is enabled")


@app.command()
def grant(
    login: LOGIN,
    role: Annotated[list[str], typer.Option(metavar="ROLE@PLACE", help="As operator@site:taman-kota; several may be given.")],
    why: WHY = "",
    data: DATA = None,
    config: CONFIG = None,
) -> None:
    """Give a person these roles and no others; they hold from the next request on."""
    grants = [parse_grant(name, on or "*") for name, _, on in (text.partition("@") for text in role)]
    with control_database(config, data) as (database, _), database.session() as session:
        person = people.grant_roles(session, _find(session, login).id, grants, trail=local_trail(why))
    print(f"{login}: {', '.join(map(str, person.grants))}")
