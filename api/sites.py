# SPDX-License-Identifier: Apache-2.0
"""Places with one time zone, each of one agency: `/sites`."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field

from api.access import Caller, CallersTrail
from api.bodies import Body, IfMatch, Name, Tags, Title, tagged
from api.instants import When, format_instant
from api.names import SiteId
from api.pages import Listing, Page, Sort
from api.problems import refusals
from api.services import Needs, Services
from control import records, registry
from control.access import EVERYWHERE, Permission, Principal, Scope
from control.audit import Trail
from control.sight import check_scope

__all__ = ["router"]

router = APIRouter(prefix="/sites", tags=["sites"])

AGENCY: Final = r"^[a-z0-9_-]{1,64}:[a-z0-9_-]{1,64}$"
Pillar = Literal["governance", "branding", "economy", "living", "society", "environment"]
AgencyKey = Annotated[str, Field(pattern=AGENCY)]


class Point(Body):
    """A point of GeoJSON (RFC 7946): longitude, then latitude. [degrees, WGS 84]"""

    type: Literal["Point"] = Field(description="Always `Point`.", examples=["Point"])
    coordinates: list[float] = Field(
        min_length=2, max_length=2, description="Longitude and latitude. [degrees]", examples=[[116.8312, -1.2654]]
    )


class SiteDetails(Body):
    """What is said of a site beyond its name."""

    agency: AgencyKey | None = Field(
        default=None, description="Agency it belongs to: `{city}:{agency}`; the only one when absent.", examples=["city:agency"]
    )
    pillars: list[Pillar] | None = Field(
        default=None, max_length=6, description="What of a smart city it serves.", examples=[["environment"]]
    )
    activity: Title | None = Field(
        default=None, description="Activity of the master plan that it serves.", examples=["2.3 Taman pintar"]
    )
    tags: Tags | None = Field(default=None, description="Words to find it by.", examples=[["taman"]])
    position: Point | None = Field(default=None, description="Where it is.")

    def given(self) -> dict[str, Any]:
        """Return what the body says, as the registry takes it."""
        found: dict[str, Any] = {}
        for name in self.model_fields_set & SiteDetails.model_fields.keys():
            value = getattr(self, name)
            if isinstance(value, Point):
                value = (value.coordinates[0], value.coordinates[1])
            elif name in ("pillars", "tags"):
                value = tuple(value or ())
            if name != "agency" or value is not None:
                found[name] = value
        return found


class NewSite(SiteDetails):
    """A site to be created."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"site": "taman-kota", "title": "Taman Kota", "timezone": "Asia/Makassar"}]}
    )

    site: Name = Field(description="Name, as it stands in topics; it cannot be changed.", examples=["taman-kota"])
    title: Title = Field(description="What people call it.", examples=["Taman Kota"])
    timezone: str = Field(description="IANA time zone.", max_length=64, examples=["Asia/Makassar"])


class SiteChange(SiteDetails):
    """What is to be changed of a site; what is absent stays as it is."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"title": "Taman Kota Barat", "tags": ["taman"]}]})

    title: Title | None = Field(default=None, description="What people call it.", examples=["Taman Kota"])
    timezone: str | None = Field(default=None, description="IANA time zone.", max_length=64, examples=["Asia/Makassar"])


class SiteAnswer(BaseModel):
    """A place with one time zone."""

    id: str = Field(description="Id in paths; the same as `site`.", examples=["taman-kota"])
    site: str = Field(description="Name, as it stands in topics.", examples=["taman-kota"])
    title: str = Field(description="What people call it.", examples=["Taman Kota"])
    timezone: str = Field(description="IANA time zone.", examples=["Asia/Makassar"])
    city: str = Field(description="Name of its city.", examples=["city"])
    agency: str = Field(description="Id of its agency.", examples=["city:agency"])
    pillars: list[Pillar] = Field(description="What of a smart city it serves.", examples=[["environment"]])
    activity: str | None = Field(description="Activity of the master plan that it serves.", examples=["2.3 Taman pintar"])
    tags: list[str] = Field(description="Words to find it by.", examples=[["taman"]])
    position: Point | None = Field(description="Where it is.")
    version: int = Field(description="Rises with each change; also the `ETag`.", examples=[1])
    created: When = Field(description="When it was created.", examples=["2026-11-22T05:00:00Z"])


class SiteFilter(Page):
    """Which sites are wanted, and in which order."""

    agency: str | None = Field(default=None, pattern=AGENCY, description="Only of this agency.", examples=["city:agency"])
    tag: str | None = Field(default=None, pattern="^[a-z0-9_-]{1,40}$", description="Only with this tag.", examples=["taman"])
    sort: str | None = Sort("name", "title", "created")


@router.get("")
def list_sites(services: Needs, caller: Caller, page: Annotated[SiteFilter, Query()]) -> Listing[SiteAnswer]:
    """List sites, by name unless told otherwise."""
    with services.database.reader() as session:
        sites, after = registry.list_sites(
            session, agency=page.agency, tag=page.tag, seen_by=caller, sort=page.sort, limit=page.limit, after=page.after
        )
    return Listing(items=[_answer(site) for site in sites], next=after)


@router.post("", status_code=201, responses=refusals(404, 409))
def create_site(body: NewSite, services: Needs, caller: Caller, trail: CallersTrail, response: Response) -> SiteAnswer:
    """Create a site."""
    with services.database.session() as session:
        # Without an agency the first one may have to be made: that is for who may build anywhere.
        check_scope(session, caller, Permission.BUILD, Scope("agency", body.agency) if body.agency else EVERYWHERE)
        details = registry.SiteDetails(**body.given())
        now_ms = services.clock.now_ms()
        site = registry.create_site(session, body.site, body.title, body.timezone, details, now_ms=now_ms, trail=trail)
    response.headers["location"] = f"/api/v1/sites/{site.name}"
    return _tagged(site, response)


@router.get("/{site}", responses=refusals(404))
def show_site(site: SiteId, services: Needs, response: Response) -> SiteAnswer:
    """Show one site; `ETag` is its version."""
    with services.database.reader() as session:
        return _tagged(registry.get_site(session, site), response)


@router.patch("/{site}", responses=refusals(404, 412))
async def change_site(
    site: SiteId,
    body: SiteChange,
    services: Needs,
    caller: Caller,
    trail: CallersTrail,
    version: IfMatch,
    response: Response,
) -> SiteAnswer:
    """Change a site; with another time zone its devices are told their new offset."""
    changed = await run_in_threadpool(_change, site, body, services, caller, trail, version)
    services.controller.wake()
    return _tagged(changed, response)


@router.delete("/{site}", status_code=204, responses=refusals(404, 409, 412))
def delete_site(site: SiteId, services: Needs, trail: CallersTrail, version: IfMatch) -> None:
    """Delete a site that never had a device."""
    with services.database.session() as session:
        registry.delete_site(session, site, version=version, trail=trail)


def _change(
    name: str, body: SiteChange, services: Services, caller: Principal, trail: Trail, version: int | None
) -> records.Site:
    with services.database.session() as session:
        if body.agency is not None and body.agency != registry.get_site(session, name).agency:
            check_scope(session, caller, Permission.BUILD, Scope("agency", body.agency))
        return registry.change_site(
            session, name, title=body.title, timezone=body.timezone, details=body.given(), version=version, trail=trail
        )


def _tagged(site: records.Site, response: Response) -> SiteAnswer:
    tagged(site.version, response)
    return _answer(site)


def _answer(site: records.Site) -> SiteAnswer:
    return SiteAnswer(
        id=site.name,
        site=site.name,
        title=site.title,
        timezone=site.timezone,
        city=site.agency.partition(":")[0],
        agency=site.agency,
        pillars=list(site.pillars),  # type: ignore[arg-type]
        activity=site.activity,
        tags=list(site.tags),
        position=None if site.position is None else Point(type="Point", coordinates=list(site.position)),
        version=site.version,
        created=format_instant(site.created_ms),
    )
