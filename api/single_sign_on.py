# SPDX-License-Identifier: Apache-2.0
"""Signing in at the city's own single sign-on: `/session/oidc`.

Invariant: the browser that began holds a cookie of its own until it comes back; the session's cookie is made anew then.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field

from api.access import StrangersTrail
from api.errors import NotFound
from api.people import PersonAnswer, person_answer
from api.problems import refusals
from api.services import Needs, Services
from api.session import hold_session
from control.audit import Trail
from control.sessions import SignedIn, sign_on
from control.single_sign_on import Identity, SingleSignOn

__all__ = ["router"]

router = APIRouter(prefix="/session/oidc", tags=["session"])

BEGUN_COOKIE: Final = "__Host-tirta-oidc"
_SENT: Final[dict[int | str, dict[str, Any]]] = {303: {"description": "Go on at the single sign-on."}}


class ComeBack(BaseModel):
    """What the single sign-on says."""

    model_config = ConfigDict(extra="ignore")  # it may say more (RFC 6749, 4.1.2)

    state: str = Field(default="", max_length=200, description="What was sent there.")
    code: str = Field(default="", max_length=4_000, description="To be exchanged for who it is.")


@router.get("", status_code=303, response_class=Response, responses=_SENT | refusals(404))
async def begin_sign_on(services: Needs) -> Response:
    """Send the browser to the single sign-on."""
    address, held = await _configured(services).begin()
    response = Response(status_code=303, headers={"location": address})
    # Lax: the browser comes back from another site, by a link.
    response.set_cookie(BEGUN_COOKIE, held, max_age=600, path="/", secure=True, httponly=True, samesite="lax")
    return response


@router.get("/callback", responses=refusals(404))
async def finish_sign_on(
    services: Needs, request: Request, trail: StrangersTrail, said: Annotated[ComeBack, Query()], response: Response
) -> PersonAnswer:
    """Take the browser back from the single sign-on; the answer sets the session's cookie."""
    client = _configured(services)
    identity = await client.finish(request.cookies.get(BEGUN_COOKIE, ""), said.state, said.code)
    signed_in = await run_in_threadpool(_enter, services, identity, trail)
    hold_session(response, signed_in, services.sessions)
    response.delete_cookie(BEGUN_COOKIE, path="/", secure=True, httponly=True, samesite="lax")
    return person_answer(signed_in.person)


def _configured(services: Services) -> SingleSignOn:
    if services.sign_on is None:
        raise NotFound("There is no single sign-on here; sign in with a password.")
    return services.sign_on


def _enter(services: Services, identity: Identity, trail: Trail) -> SignedIn:
    with services.database.session() as session:
        return sign_on(session, identity, trail=trail)
