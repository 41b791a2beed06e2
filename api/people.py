# SPDX-License-Identifier: Apache-2.0
"""People and what they may do: `/people`, for who administers them.

Invariant: a code is shown in the answer that made it and never again; nobody changes their own roles, nor disables
themselves.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from api.access import Caller, CallersTrail
from api.bodies import Body, IfMatch, Title, tagged
from api.errors import Forbidden
from api.instants import When, format_instant
from api.names import RecordId
from api.pages import Listing, Page, Sort
from api.problems import refusals
from api.services import Needs
from control import invitations, people, sessions
from control.access import Grant, Permission, Principal, parse_grant, parse_scope
from control.grants import MAX_GRANTS, check_granting
from control.people import Person
from control.sight import check_scope

__all__ = ["SCOPE", "GrantBody", "PersonAnswer", "Role", "given_grants", "person_answer", "router", "shown_grants"]

router = APIRouter(prefix="/people", tags=["people"])

SCOPE: Final = r"^(\*|(city|site):[a-z0-9_-]{1,64}|agency:[a-z0-9_-]{1,64}:[a-z0-9_-]{1,64})$"
Role = Literal["viewer", "operator", "agronomist", "agency-admin", "supervisor", "partner", "auditor"]


class GrantBody(Body):
    """A role, and where it holds."""

    role: Role = Field(description="The role.", examples=["operator"])
    on: Annotated[str, Field(pattern=SCOPE)] = Field(
        description="Where: `*`, `city:NAME`, `agency:CITY:NAME` or `site:NAME`.", examples=["agency:balikpapan:dlh"]
    )


Grants = Annotated[list[GrantBody], Field(max_length=MAX_GRANTS)]


class NewPerson(Body):
    """A person to be created."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"login": "ani", "title": "Ani Lestari", "home": "agency:balikpapan:dlh", "grants": [], "language": "id"}
            ]
        }
    )

    login: str = Field(
        pattern=r"^[a-z0-9][a-z0-9._@+-]{1,99}$", description="Name to sign in with; it cannot be changed.", examples=["ani"]
    )
    title: Title = Field(description="What people call her or him.", examples=["Ani Lestari"])
    language: Literal["id", "en"] = Field(default="id", description="Language of what is shown.", examples=["id"])
    home: Annotated[str, Field(pattern=SCOPE)] = Field(
        description="Within what the person is administered: `*`, `city:NAME`, `agency:CITY:NAME` or `site:NAME`.",
        examples=["agency:balikpapan:dlh"],
    )
    grants: Grants = Field(default=[], description="Roles.")


class PersonChange(Body):
    """What is to be changed of a person; what is absent stays as it is."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"title": "Ani Lestari", "disabled": False}]})

    title: Title | None = Field(default=None, description="What people call her or him.", examples=["Ani Lestari"])
    language: Literal["id", "en"] | None = Field(default=None, description="Language of what is shown.", examples=["id"])
    disabled: bool | None = Field(default=None, description="Whether the person is shut out, at once.", examples=[False])


class NewGrants(Body):
    """The roles that a person is to have; those absent end."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"grants": [{"role": "viewer", "on": "*"}]}]})

    grants: Grants = Field(description="Roles.")


class PersonAnswer(BaseModel):
    """Somebody who signs in."""

    id: str = Field(description="Id.", examples=["01KAQZ7J5RT0M3Q4W1D0V6B3NM"])
    login: str = Field(description="Name to sign in with.", examples=["ani"])
    title: str = Field(description="What people call her or him.", examples=["Ani Lestari"])
    language: Literal["id", "en"] = Field(description="Language of what is shown.", examples=["id"])
    home: str = Field(description="Within what the person is administered.", examples=["agency:balikpapan:dlh"])
    grants: list[GrantBody] = Field(description="Roles.")
    chosen: bool = Field(description="Whether a password was chosen.", examples=[True])
    disabled: bool = Field(description="Whether the person is shut out.", examples=[False])
    version: int = Field(description="Rises with each change; also the `ETag`.", examples=[1])
    created: When = Field(description="When the person was created.", examples=["2026-11-22T05:00:00Z"])


class InvitationAnswer(BaseModel):
    """A code that lets its holder choose a password, once, with `POST /api/v1/invitation`; shown here and never again."""

    login: str = Field(description="Whose it is.", examples=["ani"])
    code: str = Field(description="The code.", examples=["(32 random characters)"])
    expires: When = Field(description="When it ends.", examples=["2026-11-25T05:00:00Z"])


class Ended(BaseModel):
    """How many sessions were ended."""

    ended: int = Field(description="How many there were.", examples=[1])


class PersonPage(Page):
    """Which part of the list of people is wanted, and in which order."""

    sort: str | None = Sort("login", "title")


@router.get("")
def list_people(services: Needs, caller: Caller, page: Annotated[PersonPage, Query()]) -> Listing[PersonAnswer]:
    """List the people whom the caller administers, by login unless told otherwise."""
    with services.database.reader() as session:
        found, after = people.list_people(session, seen_by=caller, sort=page.sort, limit=page.limit, after=page.after)
    return Listing(items=[person_answer(person) for person in found], next=after)


@router.post("", status_code=201, responses=refusals(404, 409))
def create_person(body: NewPerson, services: Needs, caller: Caller, trail: CallersTrail, response: Response) -> PersonAnswer:
    """Create a person; an invitation lets her or him choose a password."""
    home, grants = parse_scope(body.home, "home"), given_grants(body.grants)
    with services.database.session() as session:
        check_scope(session, caller, Permission.PEOPLE, home)
        check_granting(session, caller, grants)
        person = people.create_person(
            session, body.login, body.title, language=body.language, home=home, grants=grants, trail=trail
        )
    response.headers["location"] = f"/api/v1/people/{person.id}"
    return _tagged(person, response)


@router.get("/{record}", responses=refusals(404))
def show_person(record: RecordId, services: Needs, caller: Caller, response: Response) -> PersonAnswer:
    """Show one person; `ETag` is the version."""
    with services.database.reader() as session:
        return _tagged(people.get_person(session, record, seen_by=caller), response)


@router.patch("/{record}", responses=refusals(404, 409, 412))
def change_person(
    record: RecordId,
    body: PersonChange,
    services: Needs,
    caller: Caller,
    trail: CallersTrail,
    version: IfMatch,
    response: Response,
) -> PersonAnswer:
    """Change a person; disabling ends sessions and tokens at once."""
    if body.disabled is not None:
        _require_another(caller, record)
    with services.database.session() as session:
        people.get_person(session, record, seen_by=caller)
        changed = people.change_person(
            session,
            record,
            title=body.title,
            language=body.language,
            disabled=body.disabled,
            version=version,
            trail=trail,
        )
    return _tagged(changed, response)


@router.put("/{record}/grants", responses=refusals(404, 409, 412))
def grant_roles(
    record: RecordId,
    body: NewGrants,
    services: Needs,
    caller: Caller,
    trail: CallersTrail,
    version: IfMatch,
    response: Response,
) -> PersonAnswer:
    """Give a person these roles and no others; they hold from the next request on."""
    _require_another(caller, record)
    grants = given_grants(body.grants)
    with services.database.session() as session:
        before = people.get_person(session, record, seen_by=caller).grants
        # What is taken away must be the caller's to administer, as what is given.
        check_granting(session, caller, set(before) ^ set(grants))
        return _tagged(people.grant_roles(session, record, grants, version=version, trail=trail), response)


@router.post("/{record}/invitation", status_code=201, responses=refusals(404, 409))
def invite_person(record: RecordId, services: Needs, caller: Caller, trail: CallersTrail) -> InvitationAnswer:
    """Make a code to choose a (new) password with, shown once; codes made before end."""
    with services.database.session() as session:
        person = people.get_person(session, record, seen_by=caller)
        # Who holds the code can be that person: only who could give all those roles may have it.
        check_granting(session, caller, person.grants)
        invitation = invitations.invite(session, record, trail=trail)
    return InvitationAnswer(login=person.login, code=invitation.code, expires=format_instant(invitation.expires_ms))


@router.delete("/{record}/sessions", responses=refusals(404))
def end_sessions(record: RecordId, services: Needs, caller: Caller, trail: CallersTrail) -> Ended:
    """Sign a person out everywhere."""
    with services.database.session() as session:
        person = people.get_person(session, record, seen_by=caller)
        return Ended(ended=sessions.end_sessions(session, person, trail=trail))


def given_grants(bodies: list[GrantBody]) -> list[Grant]:
    """Return the grants of a body.

    Raises
    ------
    control.errors.Invalid
        A role is not granted on such a scope.
    """
    return [parse_grant(body.role, body.on) for body in bodies]


def shown_grants(grants: tuple[Grant, ...]) -> list[GrantBody]:
    """Return grants as they are shown."""
    return [GrantBody(role=grant.role, on=str(grant.scope)) for grant in grants]  # type: ignore[arg-type]


def person_answer(person: Person) -> PersonAnswer:
    """Return a person as it is shown."""
    return PersonAnswer(
        id=person.id,
        login=person.login,
        title=person.title,
        language=person.language,
        home=str(person.home),
        grants=shown_grants(person.grants),
        chosen=person.chosen,
        disabled=person.disabled_ms is not None,
        version=person.version,
        created=format_instant(person.created_ms),
    )


def _require_another(caller: Principal, record: str) -> None:
    if caller.person_id == record:
        raise Forbidden("Nobody changes their own roles or shuts themselves out; ask another administrator.")


def _tagged(person: Person, response: Response) -> PersonAnswer:
    tagged(person.version, response)
    return person_answer(person)
