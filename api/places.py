# SPDX-License-Identifier: Apache-2.0
"""Cities and their agencies: `/cities`, `/agencies`."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from api.access import Caller, CallersTrail
from api.bodies import Body, IfMatch, Name, Title, tagged
from api.instants import When, format_instant
from api.names import AgencyId, CityId
from api.pages import Listing, Page, Sort
from api.problems import refusals
from api.services import Needs
from control import holidays, places, records
from control.access import Permission, Scope
from control.sight import check_scope
from gateway.topics import NAME_PATTERN

__all__ = ["router"]

router = APIRouter(tags=["places"])


class NewCity(Body):
    """A city to be created."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"city": "balikpapan", "title": "Kota Balikpapan"}]})

    city: Name = Field(description="Name; it cannot be changed.", examples=["balikpapan"])
    title: Title = Field(description="What people call it.", examples=["Kota Balikpapan"])


class NewAgency(Body):
    """An agency to be created."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"city": "balikpapan", "agency": "dlh", "title": "Dinas Lingkungan Hidup"}]}
    )

    city: Name = Field(description="Name of its city.", examples=["balikpapan"])
    agency: Name = Field(description="Its own name there; it cannot be changed.", examples=["dlh"])
    title: Title = Field(description="What people call it.", examples=["Dinas Lingkungan Hidup"])


class PlaceChange(Body):
    """What a city or an agency is to be called."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"title": "Dinas Lingkungan Hidup"}]})

    title: Title = Field(description="What people call it.", examples=["Dinas Lingkungan Hidup"])


class HolidayBody(Body):
    """A holiday."""

    day: date = Field(strict=False, description="Date.", examples=["2027-03-10"])
    title: Title = Field(description="What people call it.", examples=["Idulfitri"])


class Holidays(Body):
    """Every holiday of an agency; calendars of schedules may go by them."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"holidays": [{"day": "2027-03-10", "title": "Idulfitri"}]}]})

    holidays: list[HolidayBody] = Field(max_length=1000, description="Each date once.")


class CityAnswer(BaseModel):
    """A city or regency."""

    id: str = Field(description="Id in paths; the same as `city`.", examples=["balikpapan"])
    city: str = Field(description="Name.", examples=["balikpapan"])
    title: str = Field(description="What people call it.", examples=["Kota Balikpapan"])
    version: int = Field(description="Rises with each change; also the `ETag`.", examples=[1])
    created: When = Field(description="When it was created.", examples=["2026-11-22T05:00:00Z"])


class AgencyAnswer(BaseModel):
    """A department of a city."""

    id: str = Field(description="Id in paths: `{city}:{agency}`.", examples=["balikpapan:dlh"])
    city: str = Field(description="Name of its city.", examples=["balikpapan"])
    agency: str = Field(description="Its own name there.", examples=["dlh"])
    title: str = Field(description="What people call it.", examples=["Dinas Lingkungan Hidup"])
    version: int = Field(description="Rises with each change; also the `ETag`.", examples=[1])
    created: When = Field(description="When it was created.", examples=["2026-11-22T05:00:00Z"])


class CityPage(Page):
    """Which part of the list of cities is wanted, and in which order."""

    sort: str | None = Sort("name", "title")


class AgencyFilter(Page):
    """Which agencies are wanted, and in which order."""

    city: str | None = Field(default=None, pattern=NAME_PATTERN, description="Only of this city.", examples=["balikpapan"])
    sort: str | None = Sort("id", "title")


@router.get("/cities")
def list_cities(services: Needs, caller: Caller, page: Annotated[CityPage, Query()]) -> Listing[CityAnswer]:
    """List cities in which the caller may see something."""
    with services.database.reader() as session:
        found, after = places.list_cities(session, seen_by=caller, sort=page.sort, limit=page.limit, after=page.after)
    return Listing(items=[_city(city) for city in found], next=after)


@router.post("/cities", status_code=201, responses=refusals(409))
def create_city(body: NewCity, services: Needs, trail: CallersTrail, response: Response) -> CityAnswer:
    """Create a city."""
    with services.database.session() as session:
        city = places.create_city(session, body.city, body.title, trail=trail)
    response.headers["location"] = f"/api/v1/cities/{city.name}"
    return _tagged_city(city, response)


@router.get("/cities/{city}", responses=refusals(404))
def show_city(city: CityId, services: Needs, caller: Caller, response: Response) -> CityAnswer:
    """Show one city; `ETag` is its version."""
    with services.database.reader() as session:
        return _tagged_city(places.get_city(session, city, seen_by=caller), response)


@router.patch("/cities/{city}", responses=refusals(404, 412))
def change_city(
    city: CityId, body: PlaceChange, services: Needs, trail: CallersTrail, version: IfMatch, response: Response
) -> CityAnswer:
    """Change what a city is called."""
    with services.database.session() as session:
        return _tagged_city(places.change_city(session, city, title=body.title, version=version, trail=trail), response)


@router.delete("/cities/{city}", status_code=204, responses=refusals(404, 409, 412))
def delete_city(city: CityId, services: Needs, trail: CallersTrail, version: IfMatch) -> None:
    """Delete a city without agencies."""
    with services.database.session() as session:
        places.delete_city(session, city, version=version, trail=trail)


@router.get("/agencies")
def list_agencies(services: Needs, caller: Caller, page: Annotated[AgencyFilter, Query()]) -> Listing[AgencyAnswer]:
    """List agencies in which the caller may see something."""
    with services.database.reader() as session:
        found, after = places.list_agencies(
            session, city=page.city, seen_by=caller, sort=page.sort, limit=page.limit, after=page.after
        )
    return Listing(items=[_agency(agency) for agency in found], next=after)


@router.post("/agencies", status_code=201, responses=refusals(404, 409))
def create_agency(body: NewAgency, services: Needs, caller: Caller, trail: CallersTrail, response: Response) -> AgencyAnswer:
    """Create an agency of a city."""
    with services.database.session() as session:
        check_scope(session, caller, Permission.ORGANISE, Scope("city", body.city))
        agency = places.create_agency(session, body.city, body.agency, body.title, trail=trail)
    response.headers["location"] = f"/api/v1/agencies/{agency.key}"
    return _tagged_agency(agency, response)


@router.get("/agencies/{agency}", responses=refusals(404))
def show_agency(agency: AgencyId, services: Needs, caller: Caller, response: Response) -> AgencyAnswer:
    """Show one agency; `ETag` is its version."""
    with services.database.reader() as session:
        return _tagged_agency(places.get_agency(session, agency, seen_by=caller), response)


@router.patch("/agencies/{agency}", responses=refusals(404, 412))
def change_agency(
    agency: AgencyId, body: PlaceChange, services: Needs, trail: CallersTrail, version: IfMatch, response: Response
) -> AgencyAnswer:
    """Change what an agency is called."""
    with services.database.session() as session:
        changed = places.change_agency(session, agency, title=body.title, version=version, trail=trail)
    return _tagged_agency(changed, response)


@router.get("/agencies/{agency}/holidays", responses=refusals(404))
def list_holidays(agency: AgencyId, services: Needs, caller: Caller, response: Response) -> Holidays:
    """List an agency's holidays, in order; `ETag` is the agency's version."""
    with services.database.reader() as session:
        tagged(places.get_agency(session, agency, seen_by=caller).version, response)
        return _holidays(holidays.list_holidays(session, agency))


@router.put("/agencies/{agency}/holidays", responses=refusals(404, 412))
def change_holidays(
    agency: AgencyId, body: Holidays, services: Needs, trail: CallersTrail, version: IfMatch, response: Response
) -> Holidays:
    """Replace an agency's holidays; schedules follow them from the next minute on."""
    wanted = [records.Holiday(one.day, one.title) for one in body.holidays]
    with services.database.session() as session:
        kept = holidays.set_holidays(session, agency, wanted, version=version, trail=trail)
        tagged(places.get_agency(session, agency).version, response)
    return _holidays(kept)


@router.delete("/agencies/{agency}", status_code=204, responses=refusals(404, 409, 412))
def delete_agency(agency: AgencyId, services: Needs, trail: CallersTrail, version: IfMatch) -> None:
    """Delete an agency without sites."""
    with services.database.session() as session:
        places.delete_agency(session, agency, version=version, trail=trail)


def _holidays(found: Iterable[records.Holiday]) -> Holidays:
    return Holidays(holidays=[HolidayBody(day=one.day, title=one.title) for one in found])


def _tagged_city(city: records.City, response: Response) -> CityAnswer:
    tagged(city.version, response)
    return _city(city)


def _tagged_agency(agency: records.Agency, response: Response) -> AgencyAnswer:
    tagged(agency.version, response)
    return _agency(agency)


def _city(city: records.City) -> CityAnswer:
    created = format_instant(city.created_ms)
    return CityAnswer(id=city.name, city=city.name, title=city.title, version=city.version, created=created)


def _agency(agency: records.Agency) -> AgencyAnswer:
    return AgencyAnswer(
        id=agency.key,
        city=agency.city,
        agency=agency.name,
        title=agency.title,
        version=agency.version,
        created=format_instant(agency.created_ms),
    )
