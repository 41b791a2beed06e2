# SPDX-License-Identifier: Apache-2.0
"""Who may do what, where: roles, the permissions they hold, and the places they are granted on.

Invariant: what no grant allows is not allowed. `ROLES` is the one table of it; nothing else in Tirta asks for a role.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Literal

from control.errors import Invalid
from gateway.topics import is_name

__all__ = [
    "EVERYTHING",
    "EVERYWHERE",
    "ROLES",
    "ROLE_SCOPES",
    "Grant",
    "Permission",
    "Place",
    "Principal",
    "Scope",
    "parse_grant",
    "parse_scope",
]

ScopeType = Literal["all", "city", "agency", "site"]


class Permission(StrEnum):
    """What may be done; each route of the API needs one of these, or none but to be signed in."""

    SEE = "see"  # the registry, measurements, schedules, acts, decisions, quarantine, alarms
    STOP = "stop"  # an act, a zone, a device
    ATTEND = "attend"  # say of an alarm that one has seen it
    ACTUATE = "actuate"  # ask for watering, feeding, aeration
    OVERRIDE = "override"  # let one act go beyond a budget, with a written reason
    SCHEDULE = "schedule"  # change what is to be done, and when
    TUNE = "tune"  # change a zone's parameters and limits
    EQUIP = "equip"  # add, change and revoke devices; their credentials
    BUILD = "build"  # add, change and delete sites
    ORGANISE = "organise"  # add and change cities and agencies
    PEOPLE = "people"  # invite, reset and disable people; grant roles
    TOKENS = "tokens"  # make tokens that do no more than who makes them
    AUDIT = "audit"  # read the audit trail


_MINDING: Final = frozenset({Permission.STOP, Permission.ATTEND})
_STEERING: Final = _MINDING | {Permission.ACTUATE, Permission.SCHEDULE}
_RUNNING: Final = _MINDING | {Permission.OVERRIDE, Permission.TUNE, Permission.EQUIP, Permission.BUILD, Permission.PEOPLE}
_SEE: Final = frozenset({Permission.SEE})

ROLES: Final[Mapping[str, frozenset[Permission]]] = MappingProxyType(
    {
        "viewer": _SEE,
        "operator": _SEE | _STEERING,
        "agronomist": _SEE | _STEERING | {Permission.TUNE},
        "agency-admin": _SEE | _RUNNING | {Permission.TOKENS},
        "supervisor": _SEE | _RUNNING | {Permission.TOKENS, Permission.ORGANISE, Permission.AUDIT},
        "partner": _SEE | _STEERING | {Permission.TUNE, Permission.EQUIP, Permission.TOKENS},
        "auditor": _SEE | {Permission.AUDIT},
    }
)

_ANY: Final[tuple[ScopeType, ...]] = ("all", "city", "agency", "site")
ROLE_SCOPES: Final[Mapping[str, tuple[ScopeType, ...]]] = MappingProxyType(
    {
        "viewer": _ANY,
        "operator": _ANY,
        "agronomist": _ANY,
        "agency-admin": ("agency",),
        "supervisor": ("all", "city"),
        "partner": ("site",),
        "auditor": _ANY,
    }
)


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a grant holds: everywhere, or in one city, agency or site.

    Attributes
    ----------
    type : str
        "all", "city", "agency" or "site".
    key : str
        Name of the city or site, key "{city}:{agency}" of the agency; "" for all.
    """

    type: ScopeType
    key: str = ""

    def __str__(self) -> str:
        return "*" if self.type == "all" else f"{self.type}:{self.key}"


EVERYWHERE: Final = Scope("all")


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is: a site with its agency and city, or only some of them (None is above, not unknown)."""

    city: str | None = None
    agency: str | None = None
    site: str | None = None


@dataclass(frozen=True, slots=True)
class Grant:
    """A role on a scope."""

    role: str
    scope: Scope = EVERYWHERE

    def __str__(self) -> str:
        return f"{self.role} on {self.scope}"

    def holds(self, permission: Permission, place: Place) -> bool:
        """Tell whether it allows this at that place."""
        return permission in ROLES.get(self.role, frozenset()) and self.covers(place)

    def covers(self, place: Place) -> bool:
        """Tell whether the place lies within the grant's scope."""
        if self.scope.type == "all":
            return True
        within = {"city": place.city, "agency": place.agency, "site": place.site}[self.scope.type]
        return within is not None and within == self.scope.key


EVERYTHING: Final = (Grant("supervisor"), Grant("operator"))  # of the ready file's and the first operator's token


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks.

    Attributes
    ----------
    name : str
        A person's login, a token's name, or "command-line".
    kind : str
        "person", "token" or "local".
    layers : tuple of tuple of Grant
        Every layer must allow what is asked: a token's own grants first, then those of the person who made it.
    person_id, token_id : str or None, int or None
        Which person's, which token's.
    language : str or None
        The person's own, "id" or "en"; None where there is none.
    """

    name: str
    kind: Literal["person", "token", "local"]
    layers: tuple[tuple[Grant, ...], ...] = ()
    person_id: str | None = None
    token_id: int | None = None
    language: str | None = None

    @property
    def key(self) -> str:
        """Which caller this is and no other: a token may be called as a person is."""
        number = self.person_id if self.kind == "person" else self.token_id
        return f"{self.kind}:{self.name if number is None else number}"

    def allows(self, permission: Permission, place: Place) -> bool:
        """Tell whether this may be done at that place."""
        return bool(self.layers) and all(any(grant.holds(permission, place) for grant in layer) for layer in self.layers)

    def somewhere(self, permission: Permission) -> bool:
        """Tell whether this may be done anywhere at all."""
        return bool(self.layers) and all(
            any(permission in ROLES.get(grant.role, frozenset()) for grant in layer) for layer in self.layers
        )

    def everywhere(self, permission: Permission) -> bool:
        """Tell whether this may be done in the whole installation."""
        return self.allows(permission, Place())


def parse_scope(text: str, field: str = "on") -> Scope:
    """Read a scope: "*", "city:NAME", "agency:CITY:NAME" or "site:NAME".

    Raises
    ------
    Invalid
        It is written otherwise.
    """
    if text == "*":
        return EVERYWHERE
    type_, _, key = text.partition(":")
    names = key.split(":")
    if type_ in ("city", "agency", "site") and len(names) == (2 if type_ == "agency" else 1) and all(map(is_name, names)):
        return Scope(type_, key)  # type: ignore[arg-type]
    raise Invalid(field, "*, city:NAME, agency:CITY:NAME or site:NAME")


def parse_grant(role: str, on: str) -> Grant:
    """Read a grant and check that the role may be granted there.

    Raises
    ------
    Invalid
        There is no such role or scope, or the role is not granted on such a scope.
    """
    if role not in ROLES:
        raise Invalid("role", f"one of {', '.join(ROLES)}")
    scope = parse_scope(on)
    if scope.type not in ROLE_SCOPES[role]:
        raise Invalid("on", f"{role} is granted on {_either(ROLE_SCOPES[role])}")
    return Grant(role, scope)


def _either(types: Iterable[str]) -> str:
    words = {"all": "the whole installation (*)", "city": "a city", "agency": "an agency", "site": "a site"}
    return " or ".join(words[type_] for type_ in types)
