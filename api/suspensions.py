# SPDX-License-Identifier: Apache-2.0
"""What people put off: pauses, rain delays and moments to be skipped: `/suspensions`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from api.access import Caller, CallersTrail
from api.bodies import Body
from api.instants import Instant, When, format_instant, optional_instant
from api.names import RecordId
from api.pages import Listing, Page, Sort
from api.problems import refusals
from api.services import Needs
from control import suspending, suspensions
from control.events import suspension_event
from control.records import Act, Suspension
from control.suspensions import KINDS, parse_on

__all__ = ["HeldBy", "held_by", "router"]

router = APIRouter(prefix="/suspensions", tags=["suspensions"])

HOUR_MS: Final = 3_600_000
_KINDS: Final[list[JsonValue]] = list(KINDS)
_ON: Final = r"^(zone|site|agency|city):[a-z0-9_:-]{1,200}$"


class NewSuspension(Body):
    """Something to be put off, from now on."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "kind": "pause",
                    "on": "zone:taman-kota:bedeng-1:1",
                    "until": "2026-11-23T14:00:00+08:00",
                    "note": "bocor",
                },
                {"kind": "rain-delay", "on": "site:taman-kota", "hours": 24},
                {"kind": "skip", "on": "zone:taman-kota:kolam-1:1"},
            ]
        }
    )

    kind: Literal["pause", "rain-delay", "skip"] = Field(
        description="`pause` holds all that schedules ask for, `rain-delay` watering alone; `skip` leaves out a zone's next "
        "planned moment.",
        examples=["pause"],
    )
    on: str = Field(
        pattern=_ON,
        description="Of what: `zone:{id}`, `site:{id}`, `agency:{id}` or `city:{id}`.",
        examples=["site:taman-kota"],
    )
    until: Instant | None = Field(
        default=None, description="When it is over; or say `hours`.", examples=["2026-11-23T06:00:00Z"]
    )
    hours: float | None = Field(
        default=None, gt=0, le=9600, description="After how long it is over; or say `until`. [h]", examples=[24.0]
    )
    note: str = Field(default="", max_length=300, description="Why, for those who read it later.", examples=["selang bocor"])

    @model_validator(mode="after")
    def _one_end(self) -> NewSuspension:
        if self.until is not None and self.hours is not None:
            raise ValueError("say until or hours, one of them")
        if self.kind == "skip" and (self.until is not None or self.hours is not None):
            raise ValueError("a skip ends by itself: leave until and hours out")
        return self

    def until_ms(self, now_ms: int) -> int | None:
        """Return when it is over. [ms since the Unix epoch, UTC]"""
        return self.until if self.hours is None else now_ms + round(self.hours * HOUR_MS)


class HeldBy(BaseModel):
    """What a person put off here, and is not over."""

    id: str = Field(description="Id, to resume it by.", examples=["01KAQZ7J5RT0M3Q4W1D0V6B3NM"])
    kind: str = Field(description="`pause`, `rain-delay`, or `skip`.", json_schema_extra={"enum": _KINDS}, examples=["pause"])
    on: str = Field(description="Of what: the zone, or the place it lies in.", examples=["site:taman-kota"])
    begun: When = Field(description="Since when.", examples=["2026-11-22T05:00:00Z"])
    until: When | None = Field(
        description="Until when; null is until somebody resumes it. Of a `skip` the planned moment that is left out.",
        examples=["2026-11-23T06:00:00Z"],
    )
    note: str = Field(description="Why.", examples=["selang bocor"])
    by: str = Field(description="Who put it off.", examples=["sari"])


class SuspensionAnswer(HeldBy):
    """What a person put off, and how it ended."""

    ended: When | None = Field(description="When it ended; null is not yet.", examples=[None])
    ended_by: str | None = Field(description="Who ended it; `controller` at its end.", examples=[None])
    ending: str | None = Field(
        description="`resumed`, `over` at its end, or `replaced` by a later one.",
        json_schema_extra={"enum": ["resumed", "over", "replaced", None]},
        examples=[None],
    )


class SuspensionFilter(Page):
    """Which suspensions are wanted."""

    on: str | None = Field(
        default=None, pattern=_ON, description="Only of exactly this.", examples=["zone:taman-kota:bedeng-1:1"]
    )
    kind: Literal["pause", "rain-delay", "skip"] | None = Field(
        default=None, description="Only of this sort.", examples=["pause"]
    )
    open: bool | None = Field(default=None, description="Only those that are, or are not, in force.", examples=[True])
    sort: str | None = Sort("begun")


@router.get("")
def list_suspensions(
    services: Needs, caller: Caller, request: Annotated[SuspensionFilter, Query()]
) -> Listing[SuspensionAnswer]:
    """List what was put off, the latest first unless told otherwise."""
    with services.database.reader() as session:
        found, after = suspensions.list_suspensions(
            session,
            on=None if request.on is None else parse_on(request.on),
            kind=request.kind,
            is_open=request.open,
            seen_by=caller,
            sort=request.sort,
            limit=request.limit,
            after=request.after,
        )
    return Listing(items=[_answer(one) for one in found], next=after)


@router.post(
    "", status_code=201, responses={200: {"model": SuspensionAnswer, "description": "Skipped already"}, **refusals(404, 409)}
)
def create_suspension(
    body: NewSuspension, services: Needs, caller: Caller, trail: CallersTrail, response: Response
) -> SuspensionAnswer:
    """Put off what schedules ask for, or leave out a zone's next planned moment.

    What is under way goes on; what was planned and not handed over yet is cancelled. A pause or rain delay that is open at
    the same place is replaced. The same moment skipped again is answered with 200 and the skip that is there.
    """
    now_ms, on = services.clock.now_ms(), parse_on(body.on)
    acts: Sequence[Act] = ()
    new = True
    with services.database.session() as session:
        if body.kind == "skip":
            made, new = suspending.skip_next(session, on, note=body.note, now_ms=now_ms, trail=trail, seen_by=caller)
        else:
            until_ms = body.until_ms(now_ms)
            made, acts = suspending.suspend(
                session, body.kind, on, until_ms=until_ms, note=body.note, now_ms=now_ms, trail=trail, seen_by=caller
            )
    services.controller.tell(acts)
    if new:
        services.feed.publish("suspension", suspension_event(made))
    else:
        response.status_code = 200
    response.headers["location"] = f"/api/v1/suspensions/{made.id}"
    return _answer(made)


@router.get("/{record}", responses=refusals(404))
def show_suspension(record: RecordId, services: Needs, caller: Caller) -> SuspensionAnswer:
    """Show what was put off."""
    with services.database.reader() as session:
        return _answer(suspensions.get_suspension(session, record, seen_by=caller))


@router.delete("/{record}", status_code=204, responses=refusals(404, 409))
def end_suspension(record: RecordId, services: Needs, caller: Caller, trail: CallersTrail) -> None:
    """Resume what was put off, or undo a skip whose moment has not come; its record stays."""
    with services.database.session() as session:
        ended = suspending.end_suspension(session, record, now_ms=services.clock.now_ms(), trail=trail, seen_by=caller)
    services.feed.publish("suspension", suspension_event(ended))


def held_by(held: Mapping[str, Sequence[Suspension]], zone_key: str) -> list[dict[str, Any]]:
    """Return what is put off in a zone, as `HeldBy` tells it."""
    return [_plain(one) for one in held.get(zone_key, ())]


def _plain(one: Suspension) -> dict[str, Any]:
    return {
        "id": one.id,
        "kind": one.kind,
        "on": one.on,
        "begun": format_instant(one.begun_ms),
        "until": optional_instant(one.until_ms),
        "note": one.note,
        "by": one.actor,
    }


def _answer(one: Suspension) -> SuspensionAnswer:
    return SuspensionAnswer(**_plain(one), ended=optional_instant(one.ended_ms), ended_by=one.ended_by, ending=one.ending)
