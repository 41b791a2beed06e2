# SPDX-License-Identifier: Apache-2.0
"""What is to be done in a zone, and when: `/schedules`."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from api.access import Caller, CallersTrail
from api.bodies import Body, IfMatch, tagged
from api.instants import When, format_instant, optional_instant
from api.names import RecordId, ZoneText, zone_in_body
from api.pages import Listing, Page, Sort
from api.permissions import require
from api.problems import refusals
from api.sentences import Sentence
from api.services import Needs, Services
from control import records, schedules
from control.access import Permission, Principal
from control.conflicts import Conflicting
from control.definitions import Definition, parse_definition
from control.sentences import sentences

__all__ = ["ConflictAnswer", "conflict_answer", "router"]

router = APIRouter(prefix="/schedules", tags=["schedules"])

_IRRIGATION: Final[JsonDict] = {
    "type": "irrigation",
    "low": 0.22,
    "high": 0.3,
    "hours": [["05:00", "08:00"]],
    "litres_day": 200.0,
}
_FEEDING: Final[JsonDict] = {"type": "feeding", "meals": [{"time": "07:00", "grams": 250.0}], "grams_day": 1000.0}


class NewSchedule(Body):
    """A schedule to be created."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"zone": "taman-kota:bedeng-1:1", "definition": _IRRIGATION},
                {"zone": "taman-kota:kolam-1:1", "definition": _FEEDING},
            ]
        }
    )

    zone: ZoneText = Field(description="Id of the zone.", examples=["taman-kota:bedeng-1:1"])
    enabled: bool = Field(default=True, description="Whether it is followed; a zone has one that is, at most.")
    definition: Definition = Field(description="What is to be done, and when.")


class ScheduleChange(Body):
    """What the schedule is to be."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"enabled": True, "definition": _IRRIGATION}]})

    enabled: bool | None = Field(default=None, description="Whether it is followed; as it is when absent.")
    definition: Definition = Field(description="What is to be done, and when.")


class ScheduleAnswer(BaseModel):
    """What is to be done in a zone, and when."""

    id: str = Field(description="Id.", examples=["01KAQZ7J5RT0M3Q4W1D0V6B3NM"])
    zone: str = Field(description="Id of the zone.", examples=["taman-kota:bedeng-1:1"])
    version: int = Field(description="Rises with each change; acts name the version they follow.", examples=[1])
    enabled: bool = Field(description="Whether it is followed.", examples=[True])
    definition: Definition = Field(description="What is to be done, and when.", examples=[_IRRIGATION])
    created: When = Field(description="When it was created.", examples=["2026-11-22T05:00:00Z"])
    updated: When = Field(description="When it was last changed.", examples=["2026-11-22T05:00:00Z"])


class ConflictAnswer(BaseModel):
    """What conflicts in a schedule, with itself, its zone or another schedule."""

    code: str = Field(description="What conflicts; docs/schedules.md lists the codes.", examples=["litres-day-exceeded"])
    severity: Literal["error", "warning"] = Field(
        description="An `error` is not saved, a `warning` only told.", examples=["warning"]
    )
    field: str = Field(description="What of the schedule, or of its zone, to change.", examples=["definition.litres_day"])
    at: When | None = Field(
        description="The first planned moment at which it shows; null is always.", examples=["2026-11-22T21:30:00Z"]
    )
    sentence: Sentence = Field(description="The same in words.")


class ScheduleDetail(ScheduleAnswer):
    """The same, with what of it does not go with its zone as that is now."""

    warnings: list[ConflictAnswer] = Field(description="What will not go as it is planned, or not at all.")


class ScheduleFilter(Page):
    """Which schedules are wanted."""

    zone: ZoneText | None = Field(default=None, description="Only of this zone.", examples=["taman-kota:bedeng-1:1"])
    enabled: bool | None = Field(default=None, description="Only those that are, or are not, followed.", examples=[True])
    sort: str | None = Sort("created", "updated")


@router.get("")
def list_schedules(services: Needs, caller: Caller, request: Annotated[ScheduleFilter, Query()]) -> Listing[ScheduleAnswer]:
    """List schedules, oldest first unless told otherwise."""
    zone = None if request.zone is None else zone_in_body("zone", request.zone).key
    with services.database.reader() as session:
        found, after = schedules.list_schedules(
            session,
            zone_key=zone,
            enabled=request.enabled,
            seen_by=caller,
            sort=request.sort,
            limit=request.limit,
            after=request.after,
        )
    return Listing(items=[ScheduleAnswer(**_plain(schedule)) for schedule in found], next=after)


@router.post("", status_code=201, responses=refusals(404, 409))
def create_schedule(
    body: NewSchedule, services: Needs, caller: Caller, trail: CallersTrail, response: Response
) -> ScheduleDetail:
    """Create a schedule. What contradicts itself is refused, what only does not go with its zone is told in `warnings`."""
    zone = zone_in_body("zone", body.zone)
    require(services, caller, Permission.SCHEDULE, zone.address.site, "zone", zone.key)
    with services.database.session() as session:
        schedule = schedules.create_schedule(
            session, zone.key, body.definition, enabled=body.enabled, now_ms=services.clock.now_ms(), trail=trail
        )
    response.headers["location"] = f"/api/v1/schedules/{schedule.id}"
    return _tagged(schedule, services, response)


@router.get("/{record}", responses=refusals(404))
def show_schedule(record: RecordId, services: Needs, caller: Caller, response: Response) -> ScheduleDetail:
    """Show one schedule; `ETag` is its version."""
    return _tagged(_allowed(record, services, caller, Permission.SEE), services, response)


@router.put("/{record}", responses=refusals(404, 409, 412))
def change_schedule(
    record: RecordId,
    body: ScheduleChange,
    services: Needs,
    caller: Caller,
    trail: CallersTrail,
    version: IfMatch,
    response: Response,
) -> ScheduleDetail:
    """Change a schedule; the new version counts from now, and acts of the old one that wait are superseded.

    Conflicts are refused or told as when it was created.
    """
    _allowed(record, services, caller, Permission.SCHEDULE)
    superseded: list[records.Act] = []
    with services.database.session() as session:
        changed = schedules.change_schedule(
            session,
            record,
            definition=body.definition,
            enabled=body.enabled,
            version=version,
            now_ms=services.clock.now_ms(),
            trail=trail,
            superseded=superseded,
        )
    services.controller.tell(superseded)
    return _tagged(changed, services, response)


@router.delete("/{record}", status_code=204, responses=refusals(404, 412))
def delete_schedule(record: RecordId, services: Needs, caller: Caller, trail: CallersTrail, version: IfMatch) -> None:
    """Delete a schedule; its acts and decisions stay, and acts that wait are superseded."""
    _allowed(record, services, caller, Permission.SCHEDULE)
    superseded: list[records.Act] = []
    with services.database.session() as session:
        now_ms = services.clock.now_ms()
        schedules.delete_schedule(session, record, version=version, now_ms=now_ms, trail=trail, superseded=superseded)
    services.controller.tell(superseded)


def _allowed(record: str, services: Services, caller: Principal, permission: Permission) -> records.Schedule:
    with services.database.reader() as session:
        schedule = schedules.get_schedule(session, record)
    require(services, caller, permission, schedule.zone_key.partition(":")[0], "schedule", record)
    return schedule


def _tagged(schedule: records.Schedule, services: Services, response: Response) -> ScheduleDetail:
    tagged(schedule.version, response)
    with services.database.reader() as session:
        found = schedules.list_conflicts(
            session,
            schedule.zone_key,
            parse_definition(schedule.definition),
            now_ms=services.clock.now_ms(),
            schedule_id=schedule.id,
            enabled=schedule.enabled,
        )
    return ScheduleDetail(**_plain(schedule), warnings=[conflict_answer(one) for one in found])


def conflict_answer(conflict: Conflicting) -> ConflictAnswer:
    """Return how a conflict is told."""
    return ConflictAnswer(
        code=conflict.code,
        severity=conflict.severity,
        field=conflict.field,
        at=optional_instant(conflict.at_ms),
        sentence=Sentence(**sentences(conflict)),
    )


def _plain(schedule: records.Schedule) -> dict[str, Any]:
    return {
        "id": schedule.id,
        "zone": schedule.zone_key,
        "version": schedule.version,
        "enabled": schedule.enabled,
        "definition": schedule.definition,
        "created": format_instant(schedule.created_ms),
        "updated": format_instant(schedule.updated_ms),
    }
