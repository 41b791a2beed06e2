# SPDX-License-Identifier: Apache-2.0
"""Tokens for programs: `/tokens`.

Invariant: a token is shown in the answer that made it and never again, and does no more than who made it.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from api.access import Caller, CallersTrail
from api.bodies import Body, Name
from api.errors import NotFound
from api.instants import Instant, When, format_instant, optional_instant
from api.names import RecordId, record_number
from api.pages import Listing, Page, Sort
from api.people import GrantBody, given_grants, shown_grants
from api.problems import refusals
from api.services import Needs
from control import tokens
from control.errors import Invalid
from control.grants import MAX_GRANTS, check_lending
from control.tokens import Token

__all__ = ["router"]

router = APIRouter(prefix="/tokens", tags=["tokens"])

LONGEST_MS: Final = 732 * 86_400_000  # a token made over HTTP ends within two years [ms]


class NewToken(Body):
    """A token to be created."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"name": "dashboard", "grants": [{"role": "viewer", "on": "*"}], "expires": "2027-11-22T05:00:00Z"}]
        }
    )

    name: Name = Field(description="Whose or what it is for.", examples=["dashboard"])
    grants: Annotated[list[GrantBody], Field(min_length=1, max_length=MAX_GRANTS)] = Field(description="What it may do.")
    expires: Annotated[Instant, Field(strict=False)] = Field(
        description="When it ends, within two years.", examples=["2027-11-22T05:00:00Z"]
    )


class TokenAnswer(BaseModel):
    """A token, without its text."""

    id: str = Field(description="Id.", examples=["7"])
    name: str = Field(description="Whose or what it is for.", examples=["dashboard"])
    grants: list[GrantBody] = Field(description="What it may do, as far as who made it still may.")
    created: When = Field(description="When it was created.", examples=["2026-11-22T05:00:00Z"])
    expires: When | None = Field(description="When it ends.", examples=["2027-11-22T05:00:00Z"])
    used: When | None = Field(description="When it was last used, to the minute.", examples=["2026-11-22T05:00:00Z"])


class NewTokenAnswer(TokenAnswer):
    """The new token with its text, shown here and never again."""

    token: str = Field(description="Its text.", examples=["tirta_(43 random characters)"])


class TokenPage(Page):
    """Which part of the list of tokens is wanted, and in which order."""

    sort: str | None = Sort("name", "created")


@router.get("")
def list_tokens(services: Needs, caller: Caller, page: Annotated[TokenPage, Query()]) -> Listing[TokenAnswer]:
    """List the tokens that the caller made, and those of everybody where the caller administers people; by name unless told."""
    with services.database.reader() as session:
        found, after = tokens.list_tokens(session, seen_by=caller, sort=page.sort, limit=page.limit, after=page.after)
    return Listing(items=[TokenAnswer(**_plain(token)) for token in found], next=after)


@router.post("", status_code=201, responses=refusals(404, 409))
def create_token(body: NewToken, services: Needs, caller: Caller, trail: CallersTrail) -> NewTokenAnswer:
    """Create a token; the answer shows it, once."""
    grants, now_ms = given_grants(body.grants), services.wall.now_ms()
    if body.expires > now_ms + LONGEST_MS:
        raise Invalid("expires", "an instant within two years")
    with services.database.session() as session:
        check_lending(session, caller, grants)
        if caller.token_id is not None:
            ends_ms = tokens.get_token(session, caller.token_id).expires_ms
            if ends_ms is not None and body.expires > ends_ms:
                raise Invalid("expires", f"no later than the token it is made with: {format_instant(ends_ms)}")
        text, token = tokens.create(
            session, body.name, grants, now_ms=now_ms, expires_ms=body.expires, owner_id=caller.person_id, trail=trail
        )
    return NewTokenAnswer(**_plain(token), token=text)


@router.delete("/{record}", status_code=204, responses=refusals(404))
def revoke_token(record: RecordId, services: Needs, caller: Caller, trail: CallersTrail) -> None:
    """End a token at once."""
    number = record_number(record)
    if number is None:
        raise NotFound("There is no such token.")
    with services.database.session() as session:
        token = tokens.get_token(session, number, seen_by=caller)
        tokens.revoke(session, token.name, now_ms=services.wall.now_ms(), trail=trail)


def _plain(token: Token) -> dict[str, Any]:
    return {
        "id": str(token.id),
        "name": token.name,
        "grants": shown_grants(token.grants),
        "created": format_instant(token.created_ms),
        "expires": optional_instant(token.expires_ms),
        "used": optional_instant(token.used_ms),
    }
