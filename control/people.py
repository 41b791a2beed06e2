# SPDX-License-Identifier: Apache-2.0
"""People: who signs in, in which language, with which roles.

Invariants: nobody changes their own roles; a person is disabled, not erased, for the audit trail names them; of those
who administer everybody, the last is not shut out by another.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from control.access import ROLES, Grant, Permission, Principal, Scope
from control.audit import Trail, record
from control.checks import RESERVED, check_language, check_text, check_version, storable
from control.errors import Conflict, Invalid, NotFound
from control.grants import read_grants, write_grants
from control.ids import is_id, new_id
from control.paging import Order, cut
from control.people_models import GrantRow, InvitationRow, PersonRow, SessionRow
from control.sight import people_seen, place_of_scope

__all__ = [
    "Person",
    "change_person",
    "create_person",
    "end_access",
    "enter_of",
    "find_person",
    "get_person",
    "grant_roles",
    "list_people",
    "person_row",
]

_LOGIN: Final = re.compile(r"[a-z0-9][a-z0-9._@+-]{1,99}")


def _is_login(text: str) -> bool:
    return _LOGIN.fullmatch(text) is not None


ORDER: Final = Order(PersonRow.login, {"login": PersonRow.login, "title": PersonRow.title}, "login", _is_login)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who signs in.

    Attributes
    ----------
    login : str
        The name to sign in with.
    home : Scope
        Within which the person is administered.
    chosen : bool
        Whether a password was chosen.
    """

    id: str
    login: str
    title: str
    language: Literal["id", "en"]
    home: Scope
    grants: tuple[Grant, ...]
    chosen: bool
    disabled_ms: int | None
    created_ms: int
    version: int

    @property
    def principal(self) -> Principal:
        """What the person may do."""
        return Principal(self.login, "person", (self.grants,), self.id, language=self.language)


def create_person(
    session: Session, login: str, title: str, *, language: str = "id", home: Scope, grants: Sequence[Grant] = (), trail: Trail
) -> Person:
    """Create a person, who cannot sign in until a password was chosen with an invitation's code.

    Raises
    ------
    Invalid, NotFound
        A field cannot be taken; a scope names nothing.
    Conflict
        The login is in use.
    """
    if not _is_login(login):
        raise Invalid("login", "2 to 100 of a-z, 0-9 and . _ @ + -, beginning with a letter or digit")
    if login in RESERVED:
        raise Invalid("login", f"none of {', '.join(sorted(RESERVED))}, as Tirta calls itself")
    if _by_login(session, login) is not None:
        raise Conflict(f"there is a person {login!r} already; choose another login")
    place_of_scope(session, home)
    row = PersonRow(
        id=new_id(trail.at_ms),
        login=login,
        title=check_text("title", title),
        language=check_language(language),
        home_type=home.type,
        home_key=home.key,
        created_ms=trail.at_ms,
        version=1,
    )
    session.add(row)
    session.flush()
    write_grants(session, grants, person_id=row.id)
    enter_of(session, trail, "person.create", row, after=_told(row) | {"grants": [str(grant) for grant in grants]})
    return _person(row, tuple(grants))


def list_people(
    session: Session, *, seen_by: Principal | None = None, sort: str | None = None, limit: int = 100, after: str | None = None
) -> tuple[list[Person], str | None]:
    """Return people, and the cursor of the next page if there is one."""
    query = select(PersonRow)
    if seen_by is not None:
        query = query.where(people_seen(seen_by))
    rows, cursor = cut(session, query, ORDER, lambda row: row, sort=sort, limit=limit, after=after)
    grants = read_grants(session, person_ids=[row.id for row in rows])
    return [_person(row, grants[row.id]) for row in rows], cursor


def get_person(session: Session, person_id: str, *, seen_by: Principal | None = None) -> Person:
    """Return a person, if the principal administers them or is them."""
    row = person_row(session, person_id, seen_by)
    return _person(row, read_grants(session, person_ids=[row.id])[row.id])


def find_person(session: Session, login: str) -> Person | None:
    """Return the person of that login, or None."""
    row = _by_login(session, login)
    return None if row is None else _person(row, read_grants(session, person_ids=[row.id])[row.id])


def change_person(
    session: Session,
    person_id: str,
    *,
    title: str | None = None,
    language: str | None = None,
    disabled: bool | None = None,
    version: int | None = None,
    trail: Trail,
) -> Person:
    """Change a person; None leaves as it is. Disabling ends every session at once, and the person's tokens with it.

    Raises
    ------
    Conflict
        Nobody would be left who administers people in the whole installation.
    """
    row = person_row(session, person_id)
    check_version(row, "person", version)
    before, administered = _told(row), _administered(session, trail)
    if title is not None:
        row.title = check_text("title", title)
    if language is not None:
        row.language = check_language(language)
    if disabled is not None and disabled != (row.disabled_ms is not None):
        row.disabled_ms = trail.at_ms if disabled else None
        if disabled:
            end_access(session, row.id, trail.at_ms)
    _changed(row, trail)
    session.flush()
    _require_administrator(session, administered)
    enter_of(session, trail, "person.change", row, before=before, after=_told(row))
    return get_person(session, person_id)


def grant_roles(
    session: Session, person_id: str, grants: Sequence[Grant], *, version: int | None = None, trail: Trail
) -> Person:
    """Give a person these roles and no others; they hold from the next request on.

    With another role, codes to choose a password end: who holds one was trusted with what there was before.

    Raises
    ------
    Conflict
        Nobody would be left who administers people in the whole installation.
    """
    row = person_row(session, person_id)
    check_version(row, "person", version)
    before, administered = read_grants(session, person_ids=[row.id])[row.id], _administered(session, trail)
    write_grants(session, grants, person_id=row.id)
    if set(grants) - set(before):
        _end_codes(session, row.id, trail.at_ms)
    _changed(row, trail)
    _require_administrator(session, administered)
    told = ({"grants": [str(grant) for grant in before]}, {"grants": [str(grant) for grant in grants]})
    enter_of(session, trail, "person.grant", row, before=told[0], after=told[1])
    return get_person(session, person_id)


def end_access(session: Session, person_id: str, now_ms: int) -> None:
    """End a person's sessions, and the codes with which a password could be chosen."""
    live = update(SessionRow).where(SessionRow.person_id == person_id, SessionRow.ended_ms.is_(None))
    session.execute(live.values(ended_ms=now_ms))
    _end_codes(session, person_id, now_ms)


def _end_codes(session: Session, person_id: str, now_ms: int) -> None:
    unused = update(InvitationRow).where(InvitationRow.person_id == person_id, InvitationRow.used_ms.is_(None))
    session.execute(unused.values(used_ms=now_ms))


def _require_administrator(session: Session, before: bool) -> None:
    """Refuse to leave nobody who may let others in: of two administrators who shut each other out at once, one is late.

    Who holds the data folder, or a token of its own, is not shut out by that.
    """
    if before and not _administered(session):
        raise Conflict("this is the last person who administers people everywhere; make another one first")


def _administered(session: Session, trail: Trail | None = None) -> bool:
    """Tell whether somebody who is not shut out administers people everywhere, and whether that has to stay so."""
    if trail is not None and trail.kind != "person":
        return False
    roles = [role for role, permissions in ROLES.items() if Permission.PEOPLE in permissions]
    query = (
        select(GrantRow.id)
        .join(PersonRow, PersonRow.id == GrantRow.person_id)
        .where(PersonRow.disabled_ms.is_(None), GrantRow.scope_type == "all", GrantRow.role.in_(roles))
    )
    return session.scalar(query.limit(1)) is not None


def person_row(session: Session, person_id: str, seen_by: Principal | None = None) -> PersonRow:
    """Return a person's row, if the principal administers them or is them."""
    query = select(PersonRow).where(PersonRow.id == person_id)
    if seen_by is not None and seen_by.person_id != person_id:
        query = query.where(people_seen(seen_by))
    row = session.scalar(query) if is_id(person_id) else None
    if row is None:
        raise NotFound("person", person_id)
    return row


def _by_login(session: Session, login: str) -> PersonRow | None:
    return session.scalar(select(PersonRow).where(PersonRow.login == login)) if storable(login) else None


def _changed(row: PersonRow, trail: Trail) -> None:
    row.version += 1
    row.updated_ms, row.updated_by = trail.at_ms, trail.actor


def enter_of(session: Session, trail: Trail, action: str, row: PersonRow, **told: Any) -> None:
    """Enter into the audit trail what was done to a person, at the person's home."""
    place = place_of_scope(session, Scope(row.home_type, row.home_key))  # type: ignore[arg-type]
    record(session, trail, action, f"person:{row.login}", place=place, **told)


def _told(row: PersonRow) -> dict[str, Any]:
    home = str(Scope(row.home_type, row.home_key))  # type: ignore[arg-type]
    return {
        "login": row.login,
        "title": row.title,
        "language": row.language,
        "home": home,
        "disabled": row.disabled_ms is not None,
    }


def _person(row: PersonRow, grants: tuple[Grant, ...]) -> Person:
    return Person(
        id=row.id,
        login=row.login,
        title=row.title,
        language=row.language,  # type: ignore[arg-type]
        home=Scope(row.home_type, row.home_key),  # type: ignore[arg-type]
        grants=grants,
        chosen=row.password_hash is not None,
        disabled_ms=row.disabled_ms,
        created_ms=row.created_ms,
        version=row.version,
    )
