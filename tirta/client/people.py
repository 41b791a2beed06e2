# SPDX-License-Identifier: Apache-2.0
"""People, tokens, and the trail of what they did."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from tirta.client.calls import Calls, given

__all__ = [
    "Audit",
    "Ended",
    "Entry",
    "Grant",
    "Invitation",
    "Language",
    "NewToken",
    "People",
    "Person",
    "Role",
    "Session",
    "Token",
    "Tokens",
    "Verdict",
]

Role = Literal["viewer", "operator", "agronomist", "agency-admin", "supervisor", "partner", "auditor"]
Language = Literal["id", "en"]


class Grant(msgspec.Struct, frozen=True):
    """A role, and where it holds: `*`, `city:NAME`, `agency:CITY:NAME` or `site:NAME`."""

    role: Role
    on: str


class Person(msgspec.Struct, frozen=True):
    """Somebody who signs in."""

    id: str
    login: str
    title: str
    language: Literal["id", "en"]
    home: str
    grants: list[Grant]
    chosen: bool
    disabled: bool
    version: int
    created: datetime


class Invitation(msgspec.Struct, frozen=True):
    """A code that lets its holder choose a password, once."""

    login: str
    code: str
    expires: datetime


class Token(msgspec.Struct, frozen=True):
    """A bearer token, without its text."""

    id: str
    name: str
    grants: list[Grant]
    created: datetime
    expires: datetime | None
    used: datetime | None


class NewToken(Token, frozen=True):
    """A token just created, with its text."""

    token: str


class Ended(msgspec.Struct, frozen=True):
    """How many sessions were ended."""

    ended: int


class Session(msgspec.Struct, frozen=True):
    """Who asks, and what they may do."""

    name: str
    kind: Literal["person", "token", "local"]
    language: str | None
    grants: list[Grant]
    permissions: list[str]


class Entry(msgspec.Struct, frozen=True):
    """An entry of the audit trail; `before` and `after` in the words of what was changed."""

    id: str
    at: datetime
    actor: str
    kind: str
    action: str
    target: str
    city: str | None
    agency: str | None
    site: str | None
    before: dict[str, object] | None
    after: dict[str, object] | None
    address: str
    why: str
    digest: str


class Verdict(msgspec.Struct, frozen=True):
    """What going through the audit trail found."""

    sound: bool
    entries: int
    head: str
    wrong: int | None


class People:
    """`client.people`."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def list(self, *, sort: str | None = None) -> Iterator[Person]:
        """Yield the people whom the caller administers."""
        return self._calls.every(Person, "/api/v1/people", sort=sort)

    def get(self, person: str) -> Person:
        """Return one person, by id."""
        return self._calls.one(Person, "GET", f"/api/v1/people/{person}")

    def create(
        self, login: str, title: str, home: str, *, grants: Sequence[Grant] = (), language: Language | UnsetType = UNSET
    ) -> Person:
        """Create a person; an invitation lets her or him choose a password."""
        body = {"login": login, "title": title, "home": home, **given(grants=list(grants), language=language)}
        return self._calls.one(Person, "POST", "/api/v1/people", body=body)

    def change(
        self,
        person: str,
        *,
        version: int | None = None,
        title: str | UnsetType = UNSET,
        language: Language | UnsetType = UNSET,
        disabled: bool | UnsetType = UNSET,
    ) -> Person:
        """Change a person; what is not given stays as it is."""
        body = given(title=title, language=language, disabled=disabled)
        return self._calls.one(Person, "PATCH", f"/api/v1/people/{person}", body=body, version=version)

    def grant(self, person: str, grants: Sequence[Grant], *, version: int | None = None) -> Person:
        """Give a person these roles and no others."""
        body = given(grants=list(grants))
        return self._calls.one(Person, "PUT", f"/api/v1/people/{person}/grants", body=body, version=version)

    def invite(self, person: str) -> Invitation:
        """Make a code to choose a (new) password with; it is in this answer and in no other."""
        return self._calls.one(Invitation, "POST", f"/api/v1/people/{person}/invitation")

    def sign_out(self, person: str) -> int:
        """Sign a person out everywhere; return how many sessions ended."""
        return self._calls.one(Ended, "DELETE", f"/api/v1/people/{person}/sessions").ended


class Tokens:
    """`client.tokens`."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def list(self, *, sort: str | None = None) -> Iterator[Token]:
        """Yield the tokens that the caller made or administers."""
        return self._calls.every(Token, "/api/v1/tokens", sort=sort)

    def create(self, name: str, grants: Sequence[Grant], expires: datetime) -> NewToken:
        """Create a token; its text is in this answer and in no other."""
        body = {"name": name, "expires": expires.isoformat(), **given(grants=list(grants))}
        return self._calls.one(NewToken, "POST", "/api/v1/tokens", body=body)

    def revoke(self, token: str) -> None:
        """End a token at once, by its id."""
        self._calls.send("DELETE", f"/api/v1/tokens/{token}")


class Audit:
    """`client.audit`."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def list(
        self, *, actor: str | None = None, action: str | None = None, target: str | None = None, sort: str | None = None
    ) -> Iterator[Entry]:
        """Yield entries of the trail, the newest first unless told otherwise."""
        return self._calls.every(Entry, "/api/v1/audit", actor=actor, action=action, target=target, sort=sort)

    def verify(self) -> Verdict:
        """Go through the whole trail and say whether it was changed."""
        return self._calls.one(Verdict, "GET", "/api/v1/audit/verdict")
