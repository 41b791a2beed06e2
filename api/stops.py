# SPDX-License-Identifier: Apache-2.0
"""Stopping all that lies in a site, an agency or a city."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from api.access import Caller, CallersTrail
from api.bodies import Body, IdempotencyKey
from api.names import AgencyId, CityId, SiteId
from api.problems import refusals
from api.services import Needs, Services
from control.access import Principal, Scope
from control.audit import Trail

__all__ = ["router"]

router = APIRouter(tags=["acts"])

TOLD: Final = 1000  # ids in an answer


class StopAll(Body):
    """What else is wanted when all is stopped."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"pause_minutes": 60}]})

    pause_minutes: int | None = Field(
        default=None,
        ge=1,
        le=20160,
        description="So long nothing begins there by plan; takes the permission `schedule`. Null pauses nothing. [min]",
        examples=[60],
    )


class StopAnswer(BaseModel):
    """What a stop of all did; each device got one of its own, and goes on as its acts say."""

    devices: int = Field(description="How many devices are told to stop.", examples=[12])
    cancelled: int = Field(description="How many acts that waited were withdrawn.", examples=[3])
    stops: list[str] = Field(description="Ids of the stops, the first 1,000.", examples=[["01KAQZ7J5RT0M3Q4W1D0V6B3NM"]])
    withdrawn: list[str] = Field(description="Ids of the acts withdrawn, the first 1,000.", examples=[[]])


@router.post("/sites/{site}/stop", status_code=201, responses=refusals(404))
async def stop_site(
    site: SiteId,
    services: Needs,
    caller: Caller,
    trail: CallersTrail,
    body: StopAll | None = None,
    idempotency_key: IdempotencyKey = None,
) -> StopAnswer:
    """Stop every device of a site that waters, feeds or aerates: what waits is withdrawn, the rest told at once."""
    return await _stop(services, Scope("site", site), caller, trail, body, idempotency_key)


@router.post("/agencies/{agency}/stop", status_code=201, responses=refusals(404))
async def stop_agency(
    agency: AgencyId,
    services: Needs,
    caller: Caller,
    trail: CallersTrail,
    body: StopAll | None = None,
    idempotency_key: IdempotencyKey = None,
) -> StopAnswer:
    """Stop every device of an agency, as with a site."""
    return await _stop(services, Scope("agency", agency), caller, trail, body, idempotency_key)


@router.post("/cities/{city}/stop", status_code=201, responses=refusals(404))
async def stop_city(
    city: CityId,
    services: Needs,
    caller: Caller,
    trail: CallersTrail,
    body: StopAll | None = None,
    idempotency_key: IdempotencyKey = None,
) -> StopAnswer:
    """Stop every device of a city, as with a site."""
    return await _stop(services, Scope("city", city), caller, trail, body, idempotency_key)


async def _stop(
    services: Services, scope: Scope, caller: Principal, trail: Trail, body: StopAll | None, key: str | None
) -> StopAnswer:
    pause_min = None if body is None else body.pause_minutes
    stopped = await services.controller.stop_all(
        scope, actor=caller.name, pause_min=pause_min, idempotency_key=key, trail=trail, seen_by=caller
    )
    return StopAnswer(
        devices=len(stopped.stops),
        cancelled=len(stopped.cancelled),
        stops=[act.id for act in stopped.stops[:TOLD]],
        withdrawn=[act.id for act in stopped.cancelled[:TOLD]],
    )
