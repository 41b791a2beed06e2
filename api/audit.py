# SPDX-License-Identifier: Apache-2.0
"""Who changed and did what: `/audit`."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from api.access import Caller
from api.instants import When, format_instant
from api.pages import Listing, NumberedPage, Sort
from api.services import Needs
from control import audit
from control.sight import entries_seen

__all__ = ["router"]

router = APIRouter(prefix="/audit", tags=["audit"])


class EntryAnswer(BaseModel):
    """One entry of the audit trail."""

    id: str = Field(description="Number; they have no hole.", examples=["4711"])
    at: When = Field(description="When, by the wall's clock.", examples=["2026-11-22T05:00:00Z"])
    actor: str = Field(description="Who: a login, a token's name, `command-line` or `tirta`.", examples=["ani"])
    kind: str = Field(description="`person`, `token`, `local` or `stranger`.", examples=["person"])
    action: str = Field(description="What was done.", examples=["schedule.change"])
    target: str = Field(description="To what.", examples=["schedule:01KAQZ7J5RT0M3Q4W1D0V6B3NM"])
    city: str | None = Field(description="In which city.", examples=["balikpapan"])
    agency: str | None = Field(description="In which agency.", examples=["balikpapan:dlh"])
    site: str | None = Field(description="At which site.", examples=["taman-kota"])
    before: dict[str, Any] | None = Field(description="What it was.", examples=[{"enabled": True}])
    after: dict[str, Any] | None = Field(description="What it is.", examples=[{"enabled": False}])
    address: str = Field(description="From where.", examples=["10.0.0.7"])
    why: str = Field(description="Why, in the words of who did it.", examples=["musim hujan"])
    digest: str = Field(description="SHA-256 over the entry and the digest before.", examples=["(64 hexadecimal digits)"])


class VerdictAnswer(BaseModel):
    """What going through the whole trail found."""

    sound: bool = Field(description="Whether every entry fits to the one before.", examples=[True])
    entries: int = Field(description="How many do.", examples=[4711])
    head: str = Field(description="Digest of the last that does; note it elsewhere.", examples=["(64 hexadecimal digits)"])
    wrong: int | None = Field(description="Number of the first that does not.", examples=[None])


class EntryFilter(NumberedPage):
    """Which entries are wanted."""

    actor: str | None = Field(default=None, max_length=200, description="Only by this one.", examples=["ani"])
    action: str | None = Field(default=None, max_length=40, description="Only this action.", examples=["schedule.change"])
    target: str | None = Field(default=None, max_length=300, description="Only to this.", examples=["site:taman-kota"])
    sort: str | None = Sort("id")


@router.get("")
def list_audit(services: Needs, caller: Caller, request: Annotated[EntryFilter, Query()]) -> Listing[EntryAnswer]:
    """List entries of the audit trail, newest first unless told otherwise, of the places whose trail the caller may read."""
    with services.database.reader() as session:
        found, after = audit.list_entries(
            session,
            where=entries_seen(caller),
            actor=request.actor,
            action=request.action,
            target=request.target,
            sort=request.sort,
            limit=request.limit,
            after=request.after,
        )
    return Listing(items=[_answer(entry) for entry in found], next=after)


@router.get("/verdict")
def verify_audit(services: Needs) -> VerdictAnswer:
    """Go through the whole trail and say whether it was changed."""
    with services.database.reader() as session:
        verdict = audit.verify(session)
    return VerdictAnswer(sound=verdict.wrong is None, entries=verdict.entries, head=verdict.head, wrong=verdict.wrong)


def _answer(entry: audit.Entry) -> EntryAnswer:
    return EntryAnswer(
        id=str(entry.id),
        at=format_instant(entry.at_ms),
        actor=entry.actor,
        kind=entry.actor_kind,
        action=entry.action,
        target=entry.target,
        city=entry.city,
        agency=entry.agency,
        site=entry.site,
        before=None if entry.before is None else dict(entry.before),
        after=None if entry.after is None else dict(entry.after),
        address=entry.address,
        why=entry.why,
        digest=entry.digest,
    )
