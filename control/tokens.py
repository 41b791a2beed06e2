# SPDX-License-Identifier: Apache-2.0
"""Bearer tokens: 256 random bits, shown once, kept as their SHA-256, with roles of their own and an end.

A slow hash would add nothing: nobody can guess 256 bits. Invariants: the text of a token is never stored or logged; a
token does no more than its own roles, nor than those of the person who made it, and nothing once that person is disabled.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from control.access import EVERYTHING, Grant, Principal
from control.audit import Trail, record
from control.checks import RESERVED, check_name
from control.errors import Conflict, Invalid, NotFound
from control.grants import read_grants, write_grants
from control.paging import Order
from control.people_models import PersonRow, TokenRow
from control.sight import tokens_seen

__all__ = ["EVERYTHING", "Token", "check", "check_all", "create", "get_token", "list_tokens", "revoke", "touch"]

PREFIX: Final = "tirta_"  # lets a scanner find a token that leaked into a file
MAX_TEXT: Final = 128  # characters of a token that are looked at
ORDER: Final = Order(TokenRow.id, {"name": TokenRow.name, "created": TokenRow.created_ms}, "name", number=True)
TOUCH_MS: Final = 60_000  # the last use is kept no finer than this [ms]


@dataclass(frozen=True, slots=True)
class Token:
    """A token, without its text.

    Attributes
    ----------
    expires_ms, used_ms : int or None
        When it ends, and when it was last used, to the minute; None for never.
    owner_id : str or None
        The person who made it; None for one made on the command line or by Tirta itself.
    """

    id: int
    name: str
    grants: tuple[Grant, ...]
    created_ms: int
    revoked_ms: int | None
    expires_ms: int | None
    used_ms: int | None
    owner_id: str | None


def create(
    session: Session,
    name: str,
    grants: Sequence[Grant],
    *,
    now_ms: int,
    expires_ms: int | None = None,
    owner_id: str | None = None,
    trail: Trail | None = None,
) -> tuple[str, Token]:
    """Create a token; its text is returned here and never again.

    Raises
    ------
    Conflict
        A live token has this name.
    NotFound, Invalid
        A grant names nothing, or the end has passed.
    """
    if check_name("name", name) in RESERVED:
        raise Invalid("name", f"none of {', '.join(sorted(RESERVED))}, as Tirta calls itself")
    if not grants:
        raise Invalid("grants", "at least one role")
    if expires_ms is not None and expires_ms <= now_ms:
        raise Invalid("expires", "an instant that is to come")
    if _live(session, name) is not None:
        raise Conflict(f"there is a live token {name!r}; revoke it first, or choose another name")
    text = PREFIX + secrets.token_urlsafe(32)
    row = TokenRow(name=name, digest=_digest(text), created_ms=now_ms, expires_ms=expires_ms, owner_id=owner_id)
    session.add(row)
    session.flush()
    write_grants(session, grants, token_id=row.id)
    told = {"name": name, "grants": [str(grant) for grant in grants], "expires_ms": expires_ms}
    record(session, trail or Trail("tirta", "local", now_ms), "token.create", f"token:{row.id}", after=told)
    return text, _token(row, tuple(grants))


def list_tokens(
    session: Session,
    *,
    revoked: bool = False,
    seen_by: Principal | None = None,
    sort: str | None = None,
    limit: int = 100,
    after: str | None = None,
) -> tuple[list[Token], str | None]:
    """Return tokens by name unless told otherwise, those revoked too if asked for, and the cursor of the next page."""
    query = select(TokenRow)
    if not revoked:
        query = query.where(TokenRow.revoked_ms.is_(None))
    if seen_by is not None:
        query = query.where(tokens_seen(seen_by))
    rows = session.scalars(ORDER.apply(query, sort, limit, after)).all()
    shown = rows[:limit]
    grants = read_grants(session, token_ids=[row.id for row in shown])
    return [_token(row, grants[row.id]) for row in shown], ORDER.cursor(shown[-1], sort) if len(rows) > limit else None


def get_token(session: Session, token_id: int, *, seen_by: Principal | None = None) -> Token:
    """Return a token that was not revoked, if it may be seen."""
    query = select(TokenRow).where(TokenRow.id == token_id, TokenRow.revoked_ms.is_(None))
    row = session.scalar(query if seen_by is None else query.where(tokens_seen(seen_by)))
    if row is None:
        raise NotFound("token", token_id)
    return _token(row, read_grants(session, token_ids=[row.id])[row.id])


def revoke(session: Session, name: str, *, now_ms: int, trail: Trail | None = None) -> None:
    """End the live token of that name at once."""
    row = _live(session, name)
    if row is None:
        raise NotFound("token", name)
    row.revoked_ms = now_ms
    trail = trail or Trail("tirta", "local", now_ms)
    record(session, trail, "token.revoke", f"token:{row.id}", before={"name": name})


def check(session: Session, text: str, *, now_ms: int) -> tuple[Principal, int | None] | None:
    """Return who holds this token and when it was last used, or None where it is not, or no longer, one."""
    return check_all(session, [text], now_ms=now_ms).get(text)


def check_all(session: Session, texts: Iterable[str], *, now_ms: int) -> dict[str, tuple[Principal, int | None]]:
    """Return the same of many, by their text; what is none, or no longer, is left out."""
    digests = {_digest(text): text for text in texts if len(text) <= MAX_TEXT and text.isascii()}
    if not digests:
        return {}
    query = (
        select(TokenRow, PersonRow.disabled_ms)
        .outerjoin(PersonRow, PersonRow.id == TokenRow.owner_id)
        .where(TokenRow.digest.in_(digests), TokenRow.revoked_ms.is_(None))
        .where(or_(TokenRow.expires_ms.is_(None), TokenRow.expires_ms > now_ms))
    )
    # The index finds by the hash, of which timing tells nothing useful: nobody chooses a text by what its hash is to be.
    rows = [row for row, disabled_ms in session.execute(query) if disabled_ms is None]
    owners = {row.owner_id for row in rows if row.owner_id is not None}
    grants = read_grants(session, token_ids=[row.id for row in rows], person_ids=owners)
    return {digests[row.digest]: (_principal(row, grants), row.used_ms) for row in rows}


def touch(session: Session, token_ids: Sequence[int], now_ms: int) -> None:
    """Keep that tokens were used."""
    if token_ids:
        session.execute(update(TokenRow).where(TokenRow.id.in_(token_ids)).values(used_ms=now_ms))


def _principal(row: TokenRow, grants: Mapping[str | int, tuple[Grant, ...]]) -> Principal:
    own = grants[row.id]
    return Principal(row.name, "token", (own,) if row.owner_id is None else (own, grants[row.owner_id]), row.owner_id, row.id)


def _live(session: Session, name: str) -> TokenRow | None:
    return session.scalar(select(TokenRow).where(TokenRow.name == name, TokenRow.revoked_ms.is_(None)))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _token(row: TokenRow, grants: tuple[Grant, ...]) -> Token:
    return Token(row.id, row.name, grants, row.created_ms, row.revoked_ms, row.expires_ms, row.used_ms, row.owner_id)
