# SPDX-License-Identifier: Apache-2.0
"""Cities, agencies and sites."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime

import msgspec
from msgspec import UNSET, UnsetType

from tirta.client.calls import Calls, given

__all__ = [
    "Agencies",
    "Agency",
    "Budget",
    "Cities",
    "City",
    "Holiday",
    "Holidays",
    "Month",
    "Point",
    "Site",
    "Sites",
]


class City(msgspec.Struct, frozen=True):
    """A city or regency."""

    id: str
    city: str
    title: str
    version: int
    created: datetime


class Agency(msgspec.Struct, frozen=True):
    """A department of a city."""

    id: str
    city: str
    agency: str
    title: str
    version: int
    created: datetime


class Holiday(msgspec.Struct, frozen=True):
    """A holiday of an agency."""

    day: date
    title: str


class Holidays(msgspec.Struct, frozen=True):
    """Every holiday of an agency."""

    holidays: list[Holiday]


class Month(msgspec.Struct, frozen=True):
    """How an agency stands this month: litres that may be given, were or may have been, and are left; None is no limit."""

    month: str
    budget: float | None
    given: float
    left: float | None
    warning: bool


class Budget(msgspec.Struct, frozen=True):
    """An agency's litres of January to December, each year, and how it stands now; None is no limit."""

    months: list[float | None]
    now: Month


class Point(msgspec.Struct, frozen=True, tag_field="type", tag="Point"):
    """A GeoJSON position: longitude and latitude. [degrees, WGS 84]"""

    coordinates: tuple[float, float]


class Site(msgspec.Struct, frozen=True):
    """A place with one time zone."""

    id: str
    site: str
    title: str
    timezone: str
    city: str
    agency: str
    pillars: list[str]
    activity: str | None
    tags: list[str]
    position: Point | None
    version: int
    created: datetime


class Cities:
    """`client.cities`."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def list(self, *, sort: str | None = None) -> Iterator[City]:
        """Yield the cities in which the caller may see something."""
        return self._calls.every(City, "/api/v1/cities", sort=sort)

    def get(self, city: str) -> City:
        """Return one city."""
        return self._calls.one(City, "GET", f"/api/v1/cities/{city}")

    def create(self, city: str, title: str) -> City:
        """Create a city."""
        return self._calls.one(City, "POST", "/api/v1/cities", body={"city": city, "title": title})

    def change(self, city: str, *, title: str, version: int | None = None) -> City:
        """Change what a city is called."""
        return self._calls.one(City, "PATCH", f"/api/v1/cities/{city}", body={"title": title}, version=version)

    def delete(self, city: str, *, version: int | None = None) -> None:
        """Delete a city without agencies."""
        self._calls.send("DELETE", f"/api/v1/cities/{city}", version=version)


class Agencies:
    """`client.agencies`; an id is `{city}:{agency}`."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def list(self, *, city: str | None = None, sort: str | None = None) -> Iterator[Agency]:
        """Yield the agencies in which the caller may see something."""
        return self._calls.every(Agency, "/api/v1/agencies", city=city, sort=sort)

    def get(self, agency: str) -> Agency:
        """Return one agency."""
        return self._calls.one(Agency, "GET", f"/api/v1/agencies/{agency}")

    def create(self, city: str, agency: str, title: str) -> Agency:
        """Create an agency of a city."""
        return self._calls.one(Agency, "POST", "/api/v1/agencies", body={"city": city, "agency": agency, "title": title})

    def change(self, agency: str, *, title: str, version: int | None = None) -> Agency:
        """Change what an agency is called."""
        return self._calls.one(Agency, "PATCH", f"/api/v1/agencies/{agency}", body={"title": title}, version=version)

    def holidays(self, agency: str) -> Holidays:
        """Return an agency's holidays, in order."""
        return self._calls.one(Holidays, "GET", f"/api/v1/agencies/{agency}/holidays")

    def set_holidays(self, agency: str, holidays: Sequence[Holiday], *, version: int | None = None) -> Holidays:
        """Replace an agency's holidays."""
        body = given(holidays=holidays)
        return self._calls.one(Holidays, "PUT", f"/api/v1/agencies/{agency}/holidays", body=body, version=version)

    def delete(self, agency: str, *, version: int | None = None) -> None:
        """Delete an agency without sites."""
        self._calls.send("DELETE", f"/api/v1/agencies/{agency}", version=version)

    def budget(self, agency: str) -> Budget:
        """Return an agency's budget of water, and what was given of this month's."""
        return self._calls.one(Budget, "GET", f"/api/v1/agencies/{agency}/budget")

    def change_budget(self, agency: str, months: Sequence[float | None], *, version: int | None = None) -> Budget:
        """Replace an agency's budget of water: litres of January to December, None for no limit."""
        body = {"months": list(months)}
        return self._calls.one(Budget, "PUT", f"/api/v1/agencies/{agency}/budget", body=body, version=version)


class Sites:
    """`client.sites`."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def list(self, *, agency: str | None = None, tag: str | None = None, sort: str | None = None) -> Iterator[Site]:
        """Yield sites."""
        return self._calls.every(Site, "/api/v1/sites", agency=agency, tag=tag, sort=sort)

    def get(self, site: str) -> Site:
        """Return one site."""
        return self._calls.one(Site, "GET", f"/api/v1/sites/{site}")

    def create(
        self,
        site: str,
        title: str,
        timezone: str,
        *,
        agency: str | UnsetType = UNSET,
        pillars: Sequence[str] | UnsetType = UNSET,
        activity: str | UnsetType | None = UNSET,
        tags: Sequence[str] | UnsetType = UNSET,
        position: Point | UnsetType | None = UNSET,
    ) -> Site:
        """Create a site; without an agency it belongs to the only one there is."""
        details = given(agency=agency, pillars=pillars, activity=activity, tags=tags, position=position)
        body = {"site": site, "title": title, "timezone": timezone, **details}
        return self._calls.one(Site, "POST", "/api/v1/sites", body=body)

    def change(
        self,
        site: str,
        *,
        version: int | None = None,
        title: str | UnsetType = UNSET,
        timezone: str | UnsetType = UNSET,
        agency: str | UnsetType = UNSET,
        pillars: Sequence[str] | UnsetType = UNSET,
        activity: str | UnsetType | None = UNSET,
        tags: Sequence[str] | UnsetType = UNSET,
        position: Point | UnsetType | None = UNSET,
    ) -> Site:
        """Change a site; what is not given stays as it is."""
        details = given(agency=agency, pillars=pillars, activity=activity, tags=tags, position=position)
        body = given(title=title, timezone=timezone) | details
        return self._calls.one(Site, "PATCH", f"/api/v1/sites/{site}", body=body, version=version)

    def delete(self, site: str, *, version: int | None = None) -> None:
        """Delete a site that never had a device."""
        self._calls.send("DELETE", f"/api/v1/sites/{site}", version=version)
