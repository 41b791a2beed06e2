# SPDX-License-Identifier: Apache-2.0
"""Signing in: sessions are kept here, and the browser holds 256 random bits that name one.

Invariants: every sign-in makes a new session, whatever the browser held before; a session ends by itself when nobody uses
it, and at the latest after a day's work; it is looked up at every request, so that ending it holds at once. What is wrong
with a sign-in is not told: an unknown name, a wrong password and a disabled person look the same and take as long.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from control.access import Principal
from control.audit import Trail, record
from control.checks import storable
from control.database import Database
from control.errors import WrongCredentials
from control.grants import read_grants
from control.passwords import Passwords
from control.people import Person, get_person
from control.people_models import PersonRow, SessionRow
from control.single_sign_on import Identity
from control.throttle import Throttle

__all__ = [
    "SessionConfig",
    "SignedIn",
    "check_session",
    "check_sessions",
    "end_session",
    "end_sessions",
    "open_session",
    "sign_in",
    "sign_on",
    "touch_sessions",
]

MAX_TEXT: Final = 64  # characters of what a browser shows that are looked at
KEPT_MS: Final = 30 * 86_400_000  # sessions that began longer ago are forgotten [ms]
TOUCH_MS: Final = 60_000  # the last use is kept no finer than this [ms]


@dataclass(frozen=True, slots=True)
class SessionConfig:
    """How long a session lasts.

    Attributes
    ----------
    idle_s : float
        Without a request for so long, it ends. [s]
    longest_s : float
        It ends after this, however busy. [s]
    """

    idle_s: float = 2 * 3600.0
    longest_s: float = 12 * 3600.0


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A new session: who, and what the browser is to hold."""

    person: Person
    text: str


def sign_in(
    database: Database, login: str, password: str, passwords: Passwords, throttle: Throttle, *, trail: Trail
) -> SignedIn:
    """Sign a person in; success and failure go into the audit trail.

    Raises
    ------
    TooManyTries
        The account or the address has failed too often; the password was not looked at.
    WrongCredentials
        Name or password are wrong, or the person may not sign in.
    """
    with throttle.attempt(login, trail.address):
        person_id, kept = _credential(database, login)
        # Outside of any session: hashing takes its time, and holds up nobody's writing.
        if not passwords.verify(kept, password):
            with database.session() as session:
                # A name that nobody has may be a password, typed into the wrong field.
                record(session, trail, "session.refused", f"person:{login}" if person_id else "person:(unknown)")
            raise WrongCredentials
        better = passwords.hash(password) if kept is not None and passwords.outdated(kept) else None
        with database.session() as session:
            unchanged = update(PersonRow).where(PersonRow.id == person_id, PersonRow.password_hash == kept)
            # Written even where it stays: the password may have been changed while this one was looked at.
            if not session.execute(unchanged.values(password_hash=better or kept)).rowcount:  # type: ignore[attr-defined]
                raise WrongCredentials
            signed_in = open_session(session, person_id, trail=trail)
    throttle.succeeded(login, trail.address)
    return signed_in


def _credential(database: Database, login: str) -> tuple[str, str | None]:
    """Return the id of the person with that login, "" for nobody, and the hash to sign in with; None lets nobody in."""
    with database.reader() as session:
        row = session.scalar(select(PersonRow).where(PersonRow.login == login)) if storable(login) else None
        if row is None:
            return "", None
        return row.id, None if row.disabled_ms is not None else row.password_hash


def open_session(session: Session, person_id: str, *, trail: Trail) -> SignedIn:
    """Open a session for a person who has shown who they are."""
    person = get_person(session, person_id)
    if person.disabled_ms is not None:
        raise WrongCredentials
    # Long over: forgotten here, where one more begins, so that the table does not grow with the years.
    session.execute(delete(SessionRow).where(SessionRow.created_ms < trail.at_ms - KEPT_MS))
    text = secrets.token_urlsafe(32)
    row = SessionRow(
        digest=_digest(text), person_id=person_id, created_ms=trail.at_ms, seen_ms=trail.at_ms, address=trail.address[:100]
    )
    session.add(row)
    session.flush()
    trail = Trail(person.login, "person", trail.at_ms, trail.address, trail.why)
    record(session, trail, "session.open", f"person:{person.login}")
    return SignedIn(person, text)


def sign_on(session: Session, identity: Identity, *, trail: Trail) -> SignedIn:
    """Open a session for somebody whom the single sign-on vouches for.

    The first time, the person of that login is tied to the identity; from then on the identity alone counts.

    Raises
    ------
    WrongCredentials
        Nobody was created for this login, it is another identity's, or the person may not sign in.
    """
    known = select(PersonRow).where(PersonRow.issuer == identity.issuer, PersonRow.subject == identity.subject)
    row = session.scalar(known)
    if row is None and storable(identity.login):
        row = session.scalar(select(PersonRow).where(PersonRow.login == identity.login, PersonRow.subject.is_(None)))
        if row is not None and row.disabled_ms is None:
            row.issuer, row.subject = identity.issuer, identity.subject
            record(session, trail, "person.tie", f"person:{row.login}", after={"issuer": identity.issuer})
    if row is None:
        raise WrongCredentials
    return open_session(session, row.id, trail=trail)


def check_session(session: Session, text: str, config: SessionConfig, *, now_ms: int) -> tuple[Principal, int] | None:
    """Return whose session this is and when it was last used, or None where it is not, or no longer, one."""
    return check_sessions(session, [text], config, now_ms=now_ms).get(text)


def check_sessions(
    session: Session, texts: Iterable[str], config: SessionConfig, *, now_ms: int
) -> dict[str, tuple[Principal, int]]:
    """Return the same of many, by their text; what is none, or no longer, is left out."""
    digests = {_digest(text): text for text in texts if len(text) <= MAX_TEXT and text.isascii()}
    if not digests:
        return {}
    query = (
        select(SessionRow, PersonRow)
        .join(PersonRow, PersonRow.id == SessionRow.person_id)
        .where(SessionRow.digest.in_(digests), SessionRow.ended_ms.is_(None), PersonRow.disabled_ms.is_(None))
    )
    found = [(row, person) for row, person in session.execute(query) if _lasts(row, config, now_ms)]
    grants = read_grants(session, person_ids={person.id for _, person in found})
    return {
        digests[row.digest]: (
            Principal(person.login, "person", (grants[person.id],), person.id, language=person.language),
            row.seen_ms,
        )
        for row, person in found
    }


def _lasts(row: SessionRow, config: SessionConfig, now_ms: int) -> bool:
    # Before its beginning as well: a clock that was set back must not make a session last.
    if not row.created_ms <= now_ms + TOUCH_MS or now_ms - row.created_ms >= config.longest_s * 1000:
        return False
    return now_ms - row.seen_ms < config.idle_s * 1000


def touch_sessions(session: Session, texts: Sequence[str], now_ms: int) -> None:
    """Keep that sessions were used."""
    if texts:
        session.execute(update(SessionRow).where(SessionRow.digest.in_(map(_digest, texts))).values(seen_ms=now_ms))


def end_session(session: Session, text: str, *, trail: Trail) -> None:
    """End one session."""
    live = update(SessionRow).where(SessionRow.digest == _digest(text), SessionRow.ended_ms.is_(None))
    if session.execute(live.values(ended_ms=trail.at_ms)).rowcount:  # type: ignore[attr-defined]
        record(session, trail, "session.end", f"person:{trail.actor}")


def end_sessions(session: Session, person: Person, *, trail: Trail) -> int:
    """End every session of a person, and return how many there were."""
    live = update(SessionRow).where(SessionRow.person_id == person.id, SessionRow.ended_ms.is_(None))
    ended = int(session.execute(live.values(ended_ms=trail.at_ms)).rowcount)  # type: ignore[attr-defined]
    record(session, trail, "session.end-all", f"person:{person.login}", after={"ended": ended})
    return ended


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
