# SPDX-License-Identifier: Apache-2.0
"""Pumps, mains and supplies that beds share: `/resources`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from api.access import Caller, CallersTrail
from api.bodies import Body, IfMatch, Name, Title, tagged
from api.instants import When, format_instant
from api.names import ResourceId, ZoneText, zone_in_body
from api.pages import Listing, Page, Sort
from api.permissions import require
from api.problems import refusals
from api.services import Needs, Services
from control import resources, turns
from control.access import Permission
from control.records import SharedResource
from gateway.topics import NAME_PATTERN

__all__ = ["router"]

router = APIRouter(prefix="/resources", tags=["resources"])

Kind = Literal["pump", "main", "supply"]


class ResourceDetails(Body):
    """What a resource is, and what it can take; null binds nobody."""

    kind: Kind = Field(default="pump", description="What it is.", examples=["pump"])
    max_flow_l_min: float | None = Field(
        default=None, gt=0, le=1e6, description="Most that it delivers at once. [L/min]", examples=[30.0]
    )
    max_zones: int | None = Field(default=None, ge=1, le=1000, description="Most zones at once.", examples=[2])
    min_rest_s: int = Field(
        default=0, ge=0, le=86400, description="Least time from a standstill to the next start. [s]", examples=[60]
    )
    zones: list[ZoneText] = Field(
        default=[],
        max_length=1000,
        description="Beds of its site that are watered through it.",
        examples=[["taman-kota:bedeng-1:1"]],
    )

    def given(self) -> dict[str, Any]:
        """Return what the body says, as the registry takes it."""
        found = {name: getattr(self, name) for name in self.model_fields_set & ResourceDetails.model_fields.keys()}
        if "zones" in found:
            found["zones"] = tuple(sorted({zone_in_body("zones", zone).key for zone in found["zones"]}))
        return found


class NewResource(ResourceDetails):
    """A resource to be created."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "site": "taman-kota",
                    "resource": "pompa-utara",
                    "title": "Pompa utara",
                    "max_zones": 2,
                    "max_flow_l_min": 30.0,
                    "zones": ["taman-kota:bedeng-1:1"],
                }
            ]
        }
    )

    site: Name = Field(description="Name of the site.", examples=["taman-kota"])
    resource: Name = Field(description="Its own name there; it cannot be changed.", examples=["pompa-utara"])
    title: Title = Field(description="What people call it.", examples=["Pompa utara"])


class ResourceChange(ResourceDetails):
    """What is to be changed of a resource; what is absent stays as it is, `zones` are replaced all."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"max_zones": 3}]})

    title: Title | None = Field(default=None, description="What people call it.", examples=["Pompa utara"])


class ResourceAnswer(BaseModel):
    """A pump, a main or a supply that beds of a site share."""

    id: str = Field(description="Id in paths: `{site}:{name}`.", examples=["taman-kota:pompa-utara"])
    site: str = Field(description="Name of its site.", examples=["taman-kota"])
    resource: str = Field(description="Its own name there.", examples=["pompa-utara"])
    title: str = Field(description="What people call it.", examples=["Pompa utara"])
    kind: Kind = Field(description="What it is.", examples=["pump"])
    max_flow_l_min: float | None = Field(description="Most that it delivers at once. [L/min]", examples=[30.0])
    max_zones: int | None = Field(description="Most zones at once.", examples=[2])
    min_rest_s: int = Field(description="Least time from a standstill to the next start. [s]", examples=[60])
    zones: list[str] = Field(description="Beds that are watered through it.", examples=[["taman-kota:bedeng-1:1"]])
    serves: list[str] = Field(description="Of these, where water may flow now.", examples=[["taman-kota:bedeng-1:1"]])
    waiting: list[str] = Field(description="Of these, where a run waits for its turn.", examples=[[]])
    version: int = Field(description="Rises with each change; also the `ETag`.", examples=[1])
    created: When = Field(description="When it was created.", examples=["2026-11-22T05:00:00Z"])


class ResourceFilter(Page):
    """Which resources are wanted, and in which order."""

    site: str | None = Field(default=None, pattern=NAME_PATTERN, description="Only of this site.", examples=["taman-kota"])
    zone: ZoneText | None = Field(
        default=None, description="Only those that this zone shares.", examples=["taman-kota:bedeng-1:1"]
    )
    sort: str | None = Sort("id", "title", "created")


@router.get("")
def list_resources(services: Needs, caller: Caller, page: Annotated[ResourceFilter, Query()]) -> Listing[ResourceAnswer]:
    """List pumps, mains and supplies, by site and name unless told otherwise."""
    zone = None if page.zone is None else zone_in_body("zone", page.zone).key
    with services.database.reader() as session:
        found, after = resources.list_resources(
            session, site=page.site, zone=zone, seen_by=caller, sort=page.sort, limit=page.limit, after=page.after
        )
        return Listing(items=_answers(session, found, services), next=after)


@router.post("", status_code=201, responses=refusals(404, 409))
def create_resource(
    body: NewResource, services: Needs, caller: Caller, trail: CallersTrail, response: Response
) -> ResourceAnswer:
    """Create a pump, a main or a supply of a site; it binds acts from the next minute on."""
    require(services, caller, Permission.TUNE, body.site, "site", body.site)
    with services.database.session() as session:
        details = resources.ResourceDetails(**body.given())
        made = resources.create_resource(session, body.site, body.resource, body.title, details, trail=trail)
        response.headers["location"] = f"/api/v1/resources/{made.key}"
        return _tagged(session, made, services, response)


@router.get("/{resource}", responses=refusals(404))
def show_resource(resource: ResourceId, services: Needs, response: Response) -> ResourceAnswer:
    """Show one, with what it serves and what waits for it now; `ETag` is its version."""
    with services.database.reader() as session:
        return _tagged(session, resources.get_resource(session, resource), services, response)


@router.patch("/{resource}", responses=refusals(404, 412))
def change_resource(
    resource: ResourceId, body: ResourceChange, services: Needs, trail: CallersTrail, version: IfMatch, response: Response
) -> ResourceAnswer:
    """Change what it is called, what it can take, or its zones."""
    with services.database.session() as session:
        changed = resources.change_resource(
            session, resource, title=body.title, details=body.given(), version=version, trail=trail
        )
        return _tagged(session, changed, services, response)


@router.delete("/{resource}", status_code=204, responses=refusals(404, 412))
def delete_resource(resource: ResourceId, services: Needs, trail: CallersTrail, version: IfMatch) -> None:
    """Delete it; its zones are bound by it no longer."""
    with services.database.session() as session:
        resources.delete_resource(session, resource, version=version, trail=trail)


def _tagged(session: Session, resource: SharedResource, services: Services, response: Response) -> ResourceAnswer:
    tagged(resource.version, response)
    return _answers(session, [resource], services)[0]


def _answers(session: Session, found: Iterable[SharedResource], services: Services) -> list[ResourceAnswer]:
    items = list(found)
    serves = turns.served(session, [one.key for one in items], services.clock.now_ms())
    waiting = turns.waiting_zones(session, [one.key for one in items])
    return [
        ResourceAnswer(
            id=one.key,
            site=one.site,
            resource=one.name,
            title=one.title,
            kind=one.kind,
            max_flow_l_min=one.max_flow_l_min,
            max_zones=one.max_zones,
            min_rest_s=one.min_rest_s,
            zones=list(one.zones),
            serves=serves[one.key],
            waiting=waiting[one.key],
            version=one.version,
            created=format_instant(one.created_ms),
        )
        for one in items
    ]
