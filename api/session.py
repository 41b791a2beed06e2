# SPDX-License-Identifier: Apache-2.0
"""Signing in and out, and what one is: `/session`, `/invitation`.

Invariant: what is wrong with a sign-in is not told. The session's cookie is for this host alone, never read by scripts and
never sent with another site's requests; signing in always makes a new one.
"""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from api.access import COOKIE, Caller, CallersTrail, StrangersTrail
from api.bodies import Body
from api.errors import Forbidden, NotFound
from api.people import GrantBody, PersonAnswer, person_answer, shown_grants
from api.problems import refusals
from api.services import Needs
from control import errors as control_errors
from control import invitations, people, sessions
from control.access import Permission, Principal
from control.sessions import SessionConfig, SignedIn

__all__ = ["hold_session", "router"]

router = APIRouter(tags=["session"])


class SignIn(Body):
    """Who signs in."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"login": "ani", "password": "kebun raya balikpapan"}]})

    login: str = Field(max_length=100, description="Name to sign in with.", examples=["ani"])
    password: str = Field(max_length=200, description="Password.", examples=["kebun raya balikpapan"])


class Acceptance(Body):
    """A password, chosen with an invitation's code."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"code": "(32 random characters)", "password": "kebun raya balikpapan"}]}
    )

    code: str = Field(max_length=100, description="The code.", examples=["(32 random characters)"])
    password: str = Field(
        max_length=200, description="New password: at least 12 characters.", examples=["kebun raya balikpapan"]
    )


class PasswordChange(Body):
    """Another password."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"old": "kebun raya balikpapan", "password": "taman bekapai balikpapan"}]}
    )

    old: str = Field(max_length=200, description="The password so far.", examples=["kebun raya balikpapan"])
    password: str = Field(max_length=200, description="New password: at least 12 characters.", examples=["taman bekapai"])


class OwnChange(Body):
    """What a person changes of her- or himself."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"language": "en"}]})

    language: Literal["id", "en"] = Field(description="Language of what is shown.", examples=["en"])


class SessionAnswer(BaseModel):
    """Who asks, and what they may do."""

    name: str = Field(description="Login of the person, or name of the token.", examples=["ani"])
    kind: Literal["person", "token", "local"] = Field(description="What is signed in.", examples=["person"])
    language: str | None = Field(description="The person's language.", examples=["id"])
    grants: list[GrantBody] = Field(description="Roles; of a token made by a person, as far as that person's reach.")
    permissions: list[str] = Field(description="What may be done somewhere.", examples=[["see", "stop"]])


@router.post("/session", responses=refusals(401, 403, 429))
def sign_in(body: SignIn, services: Needs, trail: StrangersTrail, response: Response) -> PersonAnswer:
    """Sign in; the answer sets the session's cookie."""
    signed_in = sessions.sign_in(
        services.database, body.login, body.password, services.passwords, services.throttle, trail=trail
    )
    hold_session(response, signed_in, services.sessions)
    return person_answer(signed_in.person)


@router.post("/invitation", responses=refusals(403, 404, 429))
def accept_invitation(body: Acceptance, services: Needs, trail: StrangersTrail) -> PersonAnswer:
    """Choose a password with an invitation's code; then sign in."""
    try:
        with services.throttle.attempt(trail.address, trail.address, sort="invitation"):
            return person_answer(
                invitations.accept(services.database, body.code, body.password, services.passwords, trail=trail)
            )
    except control_errors.NotFound as exc:
        raise NotFound("This code is unknown, was used, or is too old; ask your administrator for a new one.") from exc


@router.get("/session")
def show_session(caller: Caller) -> SessionAnswer:
    """Say who one is, and what one may do."""
    return SessionAnswer(
        name=caller.name,
        kind=caller.kind,
        language=caller.language,
        grants=shown_grants(caller.layers[0] if caller.layers else ()),
        permissions=[permission.value for permission in Permission if caller.somewhere(permission)],
    )


@router.patch("/session")
def change_session(body: OwnChange, services: Needs, caller: Caller, trail: CallersTrail) -> PersonAnswer:
    """Choose one's own language."""
    with services.database.session() as session:
        return person_answer(people.change_person(session, _person(caller), language=body.language, trail=trail))


@router.post("/session/password", status_code=204)
def change_password(body: PasswordChange, services: Needs, caller: Caller, trail: CallersTrail) -> None:
    """Choose another password; every session ends, this one too."""
    person = _person(caller)
    with services.throttle.attempt(caller.name, trail.address):
        invitations.change_password(services.database, person, body.old, body.password, services.passwords, trail=trail)


@router.delete("/session", status_code=204)
def sign_out(request: Request, services: Needs, caller: Caller, trail: CallersTrail, response: Response) -> None:
    """Sign out: the session ends here, and the cookie in the browser."""
    _person(caller)
    with services.database.session() as session:
        sessions.end_session(session, request.state.session, trail=trail)
    response.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="strict")


def hold_session(response: Response, signed_in: SignedIn, config: SessionConfig) -> None:
    """Give the browser the cookie of a new session."""
    longest_s = int(config.longest_s)
    response.set_cookie(COOKIE, signed_in.text, max_age=longest_s, path="/", secure=True, httponly=True, samesite="strict")


def _person(caller: Principal) -> str:
    if caller.kind != "person" or caller.person_id is None:
        raise Forbidden("Only a person who is signed in has a session; a token has none.")
    return caller.person_id
