# SPDX-License-Identifier: Apache-2.0
"""Cities and their agencies: what sites belong to, and what roles are granted on.

Invariant: an agency belongs to one city for ever; what has something in it is not deleted.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from control.access import Place, Principal
from control.audit import Trail, record
from control.checks import check_name, check_text, check_version, is_pair, storable
from control.errors import Conflict, Invalid, NotFound
from control.models import AgencyRow, CityRow, HolidayRow, SiteRow, WaterBudgetRow
from control.paging import Order, cut
from control.people_models import GrantRow, PersonRow
from control.records import Agency, City
from control.sight import agencies_seen, cities_seen, place_of_agency
from control.suspensions import forget_suspensions
from gateway.topics import is_name

__all__ = [
    "change_agency",
    "change_city",
    "create_agency",
    "create_city",
    "default_agency",
    "delete_agency",
    "delete_city",
    "get_agency",
    "get_city",
    "list_agencies",
    "list_cities",
    "touch_agency",
]

DEFAULT: Final = ("city", "agency")  # names of those made for who names none
CITY_ORDER: Final = Order(CityRow.name, {"name": CityRow.name, "title": CityRow.title}, "name", is_name)
AGENCY_ORDER: Final = Order(AgencyRow.key, {"id": AgencyRow.key, "title": AgencyRow.title}, "id", is_pair)


def create_city(session: Session, name: str, title: str, *, trail: Trail) -> City:
    """Create a city."""
    row = CityRow(name=check_name("city", name), title=check_text("title", title), created_ms=trail.at_ms, version=1)
    if session.get(CityRow, name) is not None:
        raise Conflict(f"city {name!r} is there already; choose another name")
    session.add(row)
    session.flush()
    record(session, trail, "city.create", f"city:{name}", place=Place(name), after={"title": row.title})
    return _city(row)


def list_cities(
    session: Session, *, seen_by: Principal | None = None, sort: str | None = None, limit: int = 100, after: str | None = None
) -> tuple[list[City], str | None]:
    """Return cities, and the cursor of the next page if there is one."""
    query = select(CityRow)
    if seen_by is not None:
        query = query.where(cities_seen(seen_by))
    return cut(session, query, CITY_ORDER, _city, sort=sort, limit=limit, after=after)


def get_city(session: Session, name: str, *, seen_by: Principal | None = None) -> City:
    """Return the city, if it may be seen."""
    return _city(_city_row(session, name, seen_by))


def change_city(session: Session, name: str, *, title: str, version: int | None = None, trail: Trail) -> City:
    """Change a city's title."""
    row = _city_row(session, name)
    check_version(row, "city", version)
    before = {"title": row.title}
    row.title = check_text("title", title)
    _changed(row, trail)
    record(session, trail, "city.change", f"city:{name}", place=Place(name), before=before, after={"title": row.title})
    return _city(row)


def delete_city(session: Session, name: str, *, version: int | None = None, trail: Trail) -> None:
    """Delete a city that has no agency."""
    row = _city_row(session, name)
    check_version(row, "city", version)
    if session.scalar(select(AgencyRow.key).where(AgencyRow.city == name).limit(1)) is not None:
        raise Conflict(f"city {name!r} has agencies; delete them first")
    _check_unused(session, "city", name)
    forget_suspensions(session, "city", name)
    session.delete(row)
    record(session, trail, "city.delete", f"city:{name}", place=Place(name), before={"title": row.title})


def create_agency(session: Session, city: str, name: str, title: str, *, trail: Trail) -> Agency:
    """Create an agency of a city."""
    _city_row(session, city)
    key = f"{city}:{check_name('agency', name)}"
    if session.get(AgencyRow, key) is not None:
        raise Conflict(f"agency {key!r} is there already; choose another name")
    row = AgencyRow(key=key, city=city, name=name, title=check_text("title", title), created_ms=trail.at_ms, version=1)
    session.add(row)
    session.flush()
    record(session, trail, "agency.create", f"agency:{key}", place=place_of_agency(key), after={"title": row.title})
    return _agency(row)


def list_agencies(
    session: Session,
    *,
    city: str | None = None,
    seen_by: Principal | None = None,
    sort: str | None = None,
    limit: int = 100,
    after: str | None = None,
) -> tuple[list[Agency], str | None]:
    """Return agencies, and the cursor of the next page if there is one."""
    query = select(AgencyRow)
    if city is not None:
        query = query.where(AgencyRow.city == (city if storable(city) else ""))
    if seen_by is not None:
        query = query.where(agencies_seen(seen_by))
    return cut(session, query, AGENCY_ORDER, _agency, sort=sort, limit=limit, after=after)


def get_agency(session: Session, key: str, *, seen_by: Principal | None = None) -> Agency:
    """Return the agency, if it may be seen."""
    return _agency(_agency_row(session, key, seen_by))


def change_agency(session: Session, key: str, *, title: str, version: int | None = None, trail: Trail) -> Agency:
    """Change an agency's title."""
    row = _agency_row(session, key)
    check_version(row, "agency", version)
    before = {"title": row.title}
    row.title = check_text("title", title)
    _changed(row, trail)
    place = place_of_agency(key)
    record(session, trail, "agency.change", f"agency:{key}", place=place, before=before, after={"title": row.title})
    return _agency(row)


def touch_agency(session: Session, key: str, version: int | None, trail: Trail) -> None:
    """Have what belongs to an agency changed from its `version`, which rises with it."""
    row = _agency_row(session, key)
    check_version(row, "agency", version)
    _changed(row, trail)


def delete_agency(session: Session, key: str, *, version: int | None = None, trail: Trail) -> None:
    """Delete an agency that has no site."""
    row = _agency_row(session, key)
    check_version(row, "agency", version)
    if session.scalar(select(SiteRow.name).where(SiteRow.agency_key == key).limit(1)) is not None:
        raise Conflict(f"agency {key!r} has sites; delete them, or give them to another agency first")
    _check_unused(session, "agency", key)
    for table in (HolidayRow, WaterBudgetRow):  # what is nobody's else goes with it
        session.execute(delete(table).where(table.agency_key == key))
    forget_suspensions(session, "agency", key)
    session.delete(row)
    record(session, trail, "agency.delete", f"agency:{key}", place=place_of_agency(key), before={"title": row.title})


def default_agency(session: Session, *, trail: Trail) -> str:
    """Return the key of the agency for a site that names none: the only one, made with its city where there is none.

    Raises
    ------
    Invalid
        There are several.
    """
    keys = session.scalars(select(AgencyRow.key).limit(2)).all()
    if len(keys) > 1:
        raise Invalid("agency", "there are several agencies; say which one the site belongs to")
    if keys:
        return keys[0]
    city, agency = DEFAULT
    if session.get(CityRow, city) is None:
        create_city(session, city, "City", trail=trail)
    return create_agency(session, city, agency, "Agency", trail=trail).key


def _check_unused(session: Session, type_: str, key: str) -> None:
    granted = select(GrantRow.id).where(GrantRow.scope_type == type_, GrantRow.scope_key == key).limit(1)
    home = select(PersonRow.id).where(PersonRow.home_type == type_, PersonRow.home_key == key).limit(1)
    if session.scalar(granted) is not None or session.scalar(home) is not None:
        raise Conflict(f"people or tokens have their home or a role at {type_} {key!r}; change those first")


def _changed(row: CityRow | AgencyRow, trail: Trail) -> None:
    row.version += 1
    row.updated_ms, row.updated_by = trail.at_ms, trail.actor


def _city_row(session: Session, name: str, seen_by: Principal | None = None) -> CityRow:
    query = select(CityRow).where(CityRow.name == name)
    row = session.scalar(query if seen_by is None else query.where(cities_seen(seen_by))) if storable(name) else None
    if row is None:
        raise NotFound("city", name)
    return row


def _agency_row(session: Session, key: str, seen_by: Principal | None = None) -> AgencyRow:
    query = select(AgencyRow).where(AgencyRow.key == key)
    row = session.scalar(query if seen_by is None else query.where(agencies_seen(seen_by))) if storable(key) else None
    if row is None:
        raise NotFound("agency", key)
    return row


def _city(row: CityRow) -> City:
    return City(row.name, row.title, row.created_ms, row.version)


def _agency(row: AgencyRow) -> Agency:
    return Agency(row.key, row.city, row.name, row.title, row.created_ms, row.version)
