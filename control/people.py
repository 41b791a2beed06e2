# SPDX-License-Identifier: Apache-2.0
"""People: who signs in, in which language, with which roles.

Invariants: a password is known only to its person: an administrator gives a code that lets its holder choose one, once;
nobody changes their own roles; a person is disabled, not erased, for the audit trail names them.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from control.access import Grant, Principal, Scope
from control.audit import Trail, record
from control.checks import check_language, check_text, check_version, storable
from control.errors import Conflict, Invalid, NotFound
from control.grants import read_grants, write_grants
from control.ids import is_id, new_id
from control.paging import Order, cut
from control.passwords import Passwords, check_password
from control.people_models import InvitationRow, PersonRow, SessionRow
from control.sight import people_seen, place_of_scope

__all__ = [
    "Invitation",
    "Person",
    "accept",
    "change_password",
    "change_person",
    "create_person",
    "find_person",
    "get_person",
    "grant_roles",
    "invite",
    "list_people",
]

INVITED_MS: Final = 72 * 3_600_000  # a code to choose a password ends after this [ms]
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


@dataclass(frozen=True, slots=True)
class Invitation:
    """A code that lets its holder choose a password, once; shown here and never again."""

    code: str
    expires_ms: int


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
    _record(session, trail, "person.create", row, after=_told(row) | {"grants": [str(grant) for grant in grants]})
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
    row = _row(session, person_id, seen_by)
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
    """Change a person; None leaves as it is. Disabling ends every session at once, and the person's tokens with it."""
    row = _row(session, person_id)
    check_version(row, "person", version)
    before = _told(row)
    if title is not None:
        row.title = check_text("title", title)
    if language is not None:
        row.language = check_language(language)
    if disabled is not None and disabled != (row.disabled_ms is not None):
        row.disabled_ms = trail.at_ms if disabled else None
        if disabled:
            _end_sessions(session, row.id, trail.at_ms)
    _changed(row, trail)
    _record(session, trail, "person.change", row, before=before, after=_told(row))
    return get_person(session, person_id)


def grant_roles(
    session: Session, person_id: str, grants: Sequence[Grant], *, version: int | None = None, trail: Trail
) -> Person:
    """Give a person these roles and no others; they hold from the next request on."""
    row = _row(session, person_id)
    check_version(row, "person", version)
    before = read_grants(session, person_ids=[row.id])[row.id]
    write_grants(session, grants, person_id=row.id)
    _changed(row, trail)
    told = ({"grants": [str(grant) for grant in before]}, {"grants": [str(grant) for grant in grants]})
    _record(session, trail, "person.grant", row, before=told[0], after=told[1])
    return get_person(session, person_id)


def invite(session: Session, person_id: str, *, trail: Trail) -> Invitation:
    """Make a code with which the person chooses a (new) password; codes made before end.

    The password there is stays until then, and so do the sessions: who has to be put out is disabled.
    """
    row = _row(session, person_id)
    if row.disabled_ms is not None:
        raise Conflict(f"{row.login} is disabled; enable the person first")
    unused = update(InvitationRow).where(InvitationRow.person_id == row.id, InvitationRow.used_ms.is_(None))
    session.execute(unused.values(used_ms=trail.at_ms))
    code = secrets.token_urlsafe(24)
    expires_ms = trail.at_ms + INVITED_MS
    session.add(InvitationRow(digest=_digest(code), person_id=row.id, created_ms=trail.at_ms, expires_ms=expires_ms))
    session.flush()
    _record(session, trail, "person.invite", row, after={"expires_ms": expires_ms})
    return Invitation(code, expires_ms)


def accept(session: Session, code: str, password: str, passwords: Passwords, *, trail: Trail) -> Person:
    """Choose a password with a code, which ends with it, as do all sessions of the person.

    Raises
    ------
    NotFound
        The code is unknown, used, or too old; the error does not say which.
    Invalid
        The password cannot be taken; the code stays good.
    """
    kept = session.get(InvitationRow, _digest(code)) if code.isascii() and len(code) <= 100 else None
    person = None if kept is None else session.get(PersonRow, kept.person_id)
    if kept is None or kept.used_ms is not None or kept.expires_ms <= trail.at_ms:
        raise NotFound("invitation", "…")
    if person is None or person.disabled_ms is not None:
        raise NotFound("invitation", "…")
    check_password(password, person.login)
    kept.used_ms = trail.at_ms
    trail = Trail(person.login, "person", trail.at_ms, trail.address, trail.why)
    _set_password(session, person, password, passwords, trail, "person.accept")
    return get_person(session, person.id)


def change_password(session: Session, person_id: str, old: str, new: str, passwords: Passwords, *, trail: Trail) -> None:
    """Change a password by its person, who knows the old one; every session ends, the caller's too.

    Raises
    ------
    Invalid
        The old one is wrong, or the new one cannot be taken.
    """
    row = _row(session, person_id)
    if not passwords.verify(row.password_hash, old):
        raise Invalid("old", "this is not your password")
    check_password(new, row.login)
    _set_password(session, row, new, passwords, trail, "person.password")


def _set_password(session: Session, row: PersonRow, password: str, passwords: Passwords, trail: Trail, action: str) -> None:
    row.password_hash = passwords.hash(password)
    _end_sessions(session, row.id, trail.at_ms)
    _record(session, trail, action, row, after={"password": "new"})


def _end_sessions(session: Session, person_id: str, now_ms: int) -> None:
    live = update(SessionRow).where(SessionRow.person_id == person_id, SessionRow.ended_ms.is_(None))
    session.execute(live.values(ended_ms=now_ms))


def _row(session: Session, person_id: str, seen_by: Principal | None = None) -> PersonRow:
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


def _record(session: Session, trail: Trail, action: str, row: PersonRow, **told: Any) -> None:
    place = place_of_scope(session, Scope(row.home_type, row.home_key))  # type: ignore[arg-type]
    record(session, trail, action, f"person:{row.login}", place=place, **told)


def _digest(code: str) -> str:
    return hashlib.sha256(code.encode("ascii")).hexdigest()


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
