# SPDX-License-Identifier: Apache-2.0
"""What lies where, and the conditions of SQL under which somebody may see it.

Invariant: what a principal may not see is not there for them: lists leave it out in the query itself, and asking for it by
name gives the same `NotFound` as a name that nobody ever used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import ColumnElement, Select, and_, exists, false, not_, or_, select, true
from sqlalchemy.orm import InstrumentedAttribute, Session

from control.access import ROLES, Permission, Place, Principal, Scope
from control.alarms_models import AlarmRow
from control.checks import storable
from control.errors import NotAllowed, NotFound
from control.models import AgencyRow, CityRow, DeviceRow, SiteRow
from control.people_models import AuditRow, GrantRow, PersonRow, TokenRow

__all__ = [
    "agencies_seen",
    "alarms_seen",
    "check",
    "check_scope",
    "cities_seen",
    "entries_seen",
    "people_seen",
    "place_of_agency",
    "place_of_scope",
    "place_of_site",
    "seen_devices",
    "seen_sites",
    "site_names",
    "sites_seen",
    "tokens_seen",
]


def place_of_agency(key: str) -> Place:
    """Return the place of an agency, by its key "{city}:{agency}"."""
    return Place(key.partition(":")[0], key)


def place_of_site(session: Session, site: str) -> Place | None:
    """Return the place of a site, or None where there is no such site."""
    if not storable(site):
        return None
    agency = session.scalar(select(SiteRow.agency_key).where(SiteRow.name == site))
    return None if agency is None else Place(agency.partition(":")[0], agency, site)


def place_of_scope(session: Session, scope: Scope) -> Place:
    """Return the place that a scope names.

    Raises
    ------
    NotFound
        There is no such city, agency or site.
    """
    if scope.type == "all":
        return Place()
    if scope.type == "site":
        place = place_of_site(session, scope.key)
        if place is None:
            raise NotFound("site", scope.key)
        return place
    row = session.get(CityRow if scope.type == "city" else AgencyRow, scope.key)
    if row is None:
        raise NotFound(scope.type, scope.key)
    return Place(scope.key) if scope.type == "city" else place_of_agency(scope.key)


def check(session: Session, principal: Principal, permission: Permission, site: str, what: str, key: object) -> Place:
    """Return the place of something at a site, if the principal may do this there.

    Parameters
    ----------
    what, key : str
        The sort of thing and its key, for the error: "device", "taman-kota:bedeng-1".

    Raises
    ------
    NotFound
        There is no such site, or it may not be seen.
    NotAllowed
        It may be seen, and no more.
    """
    place = place_of_site(session, site)
    if place is None or not principal.allows(Permission.SEE, place):
        raise NotFound(what, key)
    if not principal.allows(permission, place):
        raise NotAllowed(permission)
    return place


def check_scope(session: Session, principal: Principal, permission: Permission, scope: Scope) -> Place:
    """Return the place of a scope, if the principal may do this in all of it; see `check`."""
    place = place_of_scope(session, scope)
    if not principal.allows(permission, place):
        if scope.type != "all" and not _touches(session, principal, place):
            raise NotFound(scope.type, scope.key)
        raise NotAllowed(permission)
    return place


def _touches(session: Session, principal: Principal, place: Place) -> bool:
    """Tell whether the principal sees the city, agency or site, or something in it."""
    if principal.allows(Permission.SEE, place):
        return True
    if place.site is not None:
        return False
    condition = agencies_seen(principal) if place.agency is not None else cities_seen(principal)
    column = AgencyRow.key == place.agency if place.agency is not None else CityRow.name == place.city
    found = session.execute(select(1).select_from(AgencyRow if place.agency else CityRow).where(column, condition)).first()
    return found is not None


def _layered(principal: Principal, permission: Permission, one: Callable[[Scope], ColumnElement[bool]]) -> ColumnElement[bool]:
    """Return the condition of all layers, each the union of its grants that hold the permission."""
    if not principal.layers:
        return false()
    conditions = []
    for layer in principal.layers:
        scopes = [grant.scope for grant in layer if permission in ROLES.get(grant.role, frozenset())]
        if not any(scope.type == "all" for scope in scopes):
            conditions.append(or_(false(), *(one(scope) for scope in scopes)))
    return and_(true(), *conditions)


def _site_in(scope: Scope) -> ColumnElement[bool]:
    if scope.type == "city":
        return SiteRow.agency_key.startswith(f"{scope.key}:", autoescape=True)
    return SiteRow.agency_key == scope.key if scope.type == "agency" else SiteRow.name == scope.key


def sites_seen(principal: Principal | None, permission: Permission = Permission.SEE) -> ColumnElement[bool]:
    """Return the condition on `site` for a principal; None is Tirta itself and sees all."""
    return true() if principal is None else _layered(principal, permission, _site_in)


def seen_sites(principal: Principal | None, permission: Permission = Permission.SEE) -> Select[str] | None:
    """Return a query of the names of the sites that may be seen, or None where that is every site."""
    if principal is None or principal.everywhere(permission):
        return None
    return select(SiteRow.name).where(sites_seen(principal, permission))


def seen_devices(principal: Principal | None, permission: Permission = Permission.SEE) -> Select[str] | None:
    """Return a query of the keys of the devices, revoked ones too, that may be seen, or None where that is every device."""
    names = seen_sites(principal, permission)
    return None if names is None else select(DeviceRow.key).where(DeviceRow.site.in_(names))


def site_names(session: Session, principal: Principal, permission: Permission = Permission.SEE) -> Sequence[str] | None:
    """Return the names of the sites that may be seen, or None where that is every site."""
    query = seen_sites(principal, permission)
    return None if query is None else session.scalars(query).all()


def agencies_seen(principal: Principal) -> ColumnElement[bool]:
    """Return the condition on `agency`: all of it is seen, or a site in it."""

    def within(scope: Scope) -> ColumnElement[bool]:
        if scope.type == "city":
            return AgencyRow.city == scope.key
        if scope.type == "agency":
            return AgencyRow.key == scope.key
        return AgencyRow.key.in_(select(SiteRow.agency_key).where(SiteRow.name == scope.key))

    return _layered(principal, Permission.SEE, within)


def cities_seen(principal: Principal) -> ColumnElement[bool]:
    """Return the condition on `city`: all of it is seen, or something in it."""

    def within(scope: Scope) -> ColumnElement[bool]:
        if scope.type == "city":
            return CityRow.name == scope.key
        agency = scope.key
        if scope.type == "agency":
            return CityRow.name == agency.partition(":")[0]
        home = select(AgencyRow.city).join(SiteRow, SiteRow.agency_key == AgencyRow.key).where(SiteRow.name == scope.key)
        return CityRow.name.in_(home)

    return _layered(principal, Permission.SEE, within)


def people_seen(principal: Principal) -> ColumnElement[bool]:
    """Return the condition on `person`: whose home the principal administers."""
    return _administered(principal, PersonRow.home_type, PersonRow.home_key)


def tokens_seen(principal: Principal) -> ColumnElement[bool]:
    """Return the condition on `token`: one's own, or every role of it holds where the principal administers people."""
    within = _administered(principal, GrantRow.scope_type, GrantRow.scope_key)
    beyond = exists().where(GrantRow.token_id == TokenRow.id, not_(within))
    return or_(false() if principal.person_id is None else TokenRow.owner_id == principal.person_id, not_(beyond))


def _administered(
    principal: Principal, type_: InstrumentedAttribute[str], key: InstrumentedAttribute[str]
) -> ColumnElement[bool]:
    """Return the condition that the scope in these two columns lies where the principal administers people."""

    def within(scope: Scope) -> ColumnElement[bool]:
        below: list[ColumnElement[bool]] = [and_(type_ == scope.type, key == scope.key)]
        if scope.type == "city":
            below.append(and_(type_ == "agency", key.startswith(f"{scope.key}:", autoescape=True)))
        if scope.type in ("city", "agency"):
            below.append(and_(type_ == "site", key.in_(select(SiteRow.name).where(_site_in(scope)))))
        return or_(*below)

    return _layered(principal, Permission.PEOPLE, within)


def entries_seen(principal: Principal) -> ColumnElement[bool]:
    """Return the condition on `audit`: what was done in the cities, agencies or sites whose trail may be read."""

    def within(scope: Scope) -> ColumnElement[bool]:
        column = {"city": AuditRow.city, "agency": AuditRow.agency, "site": AuditRow.site}[scope.type]
        return column == scope.key

    return _layered(principal, Permission.AUDIT, within)


def alarms_seen(principal: Principal) -> ColumnElement[bool]:
    """Return the condition on `alarm`: of a site that may be seen, of an agency all of which may; the rest by who sees all."""

    def within(scope: Scope) -> ColumnElement[bool]:
        at_site = AlarmRow.site.in_(select(SiteRow.name).where(_site_in(scope)))
        if scope.type == "city":
            return or_(at_site, AlarmRow.agency.startswith(f"{scope.key}:", autoescape=True))
        return or_(at_site, AlarmRow.agency == scope.key) if scope.type == "agency" else at_site

    return _layered(principal, Permission.SEE, within)
