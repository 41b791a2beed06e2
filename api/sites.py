# SPDX-License-Identifier: Apache-2.0
"""Places with one time zone: `/sites`."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from api.bodies import Body, Name, Title
from api.instants import When, format_instant
from api.names import SiteId
from api.pages import Listing, Page
from api.problems import refusals
from api.services import Needs
from control import records, registry

__all__ = ["router"]

router = APIRouter(prefix="/sites", tags=["sites"])


class NewSite(Body):
    """A site to be created."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"site": "taman-kota", "title": "Taman Kota", "timezone": "Asia/Makassar"}]}
    )

    site: Name = Field(description="Name, as it stands in topics; it cannot be changed.", examples=["taman-kota"])
    title: Title = Field(description="What people call it.", examples=["Taman Kota"])
    timezone: str = Field(description="IANA time zone.", max_length=64, examples=["Asia/Makassar"])


class SiteAnswer(BaseModel):
    """A place with one time zone."""

    id: str = Field(description="Id in paths; the same as `site`.", examples=["taman-kota"])
    site: str = Field(description="Name, as it stands in topics.", examples=["taman-kota"])
    title: str = Field(description="What people call it.", examples=["Taman Kota"])
    timezone: str = Field(description="IANA time zone.", examples=["Asia/Makassar"])
    created: When = Field(description="When it was created.", examples=["2026-11-22T05:00:00Z"])


@router.get("")
def list_sites(services: Needs, page: Annotated[Page, Query()]) -> Listing[SiteAnswer]:
    """List sites by name."""
    with services.database.reader() as session:
        sites, after = registry.list_sites(session, limit=page.limit, after=page.after)
    return Listing(items=[_answer(site) for site in sites], next=after)


@router.post("", status_code=201, responses=refusals(409))
def create_site(body: NewSite, services: Needs, response: Response) -> SiteAnswer:
    """Create a site."""
    with services.database.session() as session:
        site = registry.create_site(session, body.site, body.title, body.timezone, now_ms=services.clock.now_ms())
    response.headers["location"] = f"/api/v1/sites/{site.name}"
    return _answer(site)


@router.get("/{site}", responses=refusals(404))
def show_site(site: SiteId, services: Needs) -> SiteAnswer:
    """Show one site."""
    with services.database.reader() as session:
        return _answer(registry.get_site(session, site))


@router.delete("/{site}", status_code=204, responses=refusals(404, 409))
def delete_site(site: SiteId, services: Needs) -> None:
    """Delete a site that never had a device."""
    with services.database.session() as session:
        registry.delete_site(session, site)


def _answer(site: records.Site) -> SiteAnswer:
    return SiteAnswer(
        id=site.name,
        site=site.name,
        title=site.title,
        timezone=site.timezone,
        created=format_instant(site.created_ms),
    )
