# SPDX-License-Identifier: Apache-2.0
"""The passwords that people choose: with an invitation's code, or with the one they had.

Invariants: a password is known only to its person: an administrator gives a code that lets its holder choose one, once; a
code ends when another is made, a password is chosen, the person is disabled, or the person may do more than when it was
made. Hashing is done outside of any session, so that nobody's writing waits for it.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import Final

from sqlalchemy import update
from sqlalchemy.orm import Session

from control.audit import Trail
from control.database import Database
from control.errors import Conflict, Invalid, NotFound
from control.passwords import Passwords, check_password
from control.people import Person, end_access, enter_of, get_person, person_row
from control.people_models import InvitationRow, PersonRow

__all__ = ["Invitation", "accept", "change_password", "invite"]

INVITED_MS: Final = 72 * 3_600_000  # a code to choose a password ends after this [ms]


@dataclass(frozen=True, slots=True)
class Invitation:
    """A code that lets its holder choose a password, once; shown here and never again."""

    code: str
    expires_ms: int


def invite(session: Session, person_id: str, *, trail: Trail) -> Invitation:
    """Make a code with which the person chooses a (new) password; codes made before end.

    The password there is stays until then, and so do the sessions: who has to be put out is disabled.
    """
    row = person_row(session, person_id)
    if row.disabled_ms is not None:
        raise Conflict(f"{row.login} is disabled; enable the person first")
    unused = update(InvitationRow).where(InvitationRow.person_id == row.id, InvitationRow.used_ms.is_(None))
    session.execute(unused.values(used_ms=trail.at_ms))
    code = secrets.token_urlsafe(24)
    expires_ms = trail.at_ms + INVITED_MS
    session.add(InvitationRow(digest=_digest(code), person_id=row.id, created_ms=trail.at_ms, expires_ms=expires_ms))
    session.flush()
    enter_of(session, trail, "person.invite", row, after={"expires_ms": expires_ms})
    return Invitation(code, expires_ms)


def accept(database: Database, code: str, password: str, passwords: Passwords, *, trail: Trail) -> Person:
    """Choose a password with a code, which ends with it, as do all sessions of the person.

    Raises
    ------
    NotFound
        The code is unknown, used, or too old; the error does not say which.
    Invalid
        The password cannot be taken; the code stays good.
    """
    with database.reader() as session:
        person = _invited(session, code, trail.at_ms)
        check_password(password, person.login)
    hashed = passwords.hash(password)
    with database.session() as session:
        person = _invited(session, code, trail.at_ms)  # again: of two who came at once one is late
        own = Trail(person.login, "person", trail.at_ms, trail.address, trail.why)
        return _set_password(session, person, hashed, own, "person.accept")


def change_password(database: Database, person_id: str, old: str, new: str, passwords: Passwords, *, trail: Trail) -> None:
    """Change a password by its person, who knows the old one; every session ends, the caller's too.

    Raises
    ------
    Invalid
        The old one is wrong, or the new one cannot be taken.
    """
    with database.reader() as session:
        row = person_row(session, person_id)
        kept, login = row.password_hash, row.login
    if not passwords.verify(kept, old):
        raise Invalid("old", "this is not your password")
    hashed = passwords.hash(check_password(new, login))
    with database.session() as session:
        row = person_row(session, person_id)
        if row.password_hash != kept:
            raise Invalid("old", "this is no longer your password")
        _set_password(session, row, hashed, trail, "person.password")


def _invited(session: Session, code: str, now_ms: int) -> PersonRow:
    kept = session.get(InvitationRow, _digest(code)) if code.isascii() and len(code) <= 100 else None
    person = None if kept is None else session.get(PersonRow, kept.person_id)
    if kept is None or kept.used_ms is not None or kept.expires_ms <= now_ms:
        raise NotFound("invitation", "…")
    if person is None or person.disabled_ms is not None:
        raise NotFound("invitation", "…")
    return person


def _set_password(session: Session, row: PersonRow, hashed: str, trail: Trail, action: str) -> Person:
    row.password_hash = hashed
    end_access(session, row.id, trail.at_ms)
    enter_of(session, trail, action, row, after={"password": "new"})
    return get_person(session, row.id)


def _digest(code: str) -> str:
    return hashlib.sha256(code.encode("ascii")).hexdigest()
