# SPDX-License-Identifier: Apache-2.0
"""Bearer tokens: 256 random bits, shown once, kept as their SHA-256.

A slow hash would add nothing: nobody can guess 256 bits. Invariant: the text of a token is never stored or logged.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Final, Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from control.checks import check_name
from control.errors import Conflict, Invalid, NotFound
from control.models import TokenRow

__all__ = ["RIGHTS", "Principal", "Token", "check", "create", "list_tokens", "revoke"]

PREFIX: Final = "tirta_"  # lets a scanner find a token that leaked into a file
RIGHTS: Final = ("viewer", "operator", "service")
MAX_TEXT: Final = 128  # characters of a token that are looked at

Rights = Literal["viewer", "operator", "service"]


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks, and what they may do: a viewer reads, an operator does everything, a service is another program."""

    name: str
    rights: Rights


@dataclass(frozen=True, slots=True)
class Token:
    """A token, without its text."""

    name: str
    rights: Rights
    created_ms: int
    revoked_ms: int | None


def create(session: Session, name: str, rights: str, *, now_ms: int) -> tuple[str, Token]:
    """Create a token; its text is returned here and never again.

    Raises
    ------
    Conflict
        A live token has this name.
    """
    check_name("name", name)
    if rights not in RIGHTS:
        raise Invalid("rights", f"one of {', '.join(RIGHTS)}")
    if _live(session, name) is not None:
        raise Conflict(f"there is a live token {name!r}; revoke it first, or choose another name")
    text = PREFIX + secrets.token_urlsafe(32)
    row = TokenRow(name=name, rights=rights, digest=_digest(text), created_ms=now_ms)
    session.add(row)
    session.flush()
    return text, _token(row)


def list_tokens(session: Session, *, revoked: bool = False) -> list[Token]:
    """Return the tokens by name; those revoked too if asked for."""
    query = select(TokenRow).order_by(TokenRow.name, TokenRow.id)
    if not revoked:
        query = query.where(TokenRow.revoked_ms.is_(None))
    return [_token(row) for row in session.scalars(query)]


def revoke(session: Session, name: str, *, now_ms: int) -> None:
    """End the live token of that name at once."""
    row = _live(session, name)
    if row is None:
        raise NotFound("token", name)
    row.revoked_ms = now_ms


def check(session: Session, text: str) -> Principal | None:
    """Return who holds this token, or None where it is not, or no longer, one."""
    if len(text) > MAX_TEXT or not text.isascii():
        return None
    digest = _digest(text)
    query = select(TokenRow.name, TokenRow.rights, TokenRow.digest)
    row = session.execute(query.where(TokenRow.digest == digest, TokenRow.revoked_ms.is_(None))).one_or_none()
    # The index finds by the hash, of which timing tells nothing useful; the last word is a comparison in constant time.
    if row is None or not hmac.compare_digest(row.digest, digest):
        return None
    return Principal(row.name, row.rights)


def _live(session: Session, name: str) -> TokenRow | None:
    return session.scalar(select(TokenRow).where(TokenRow.name == name, TokenRow.revoked_ms.is_(None)))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _token(row: TokenRow) -> Token:
    return Token(row.name, row.rights, row.created_ms, row.revoked_ms)  # type: ignore[arg-type]
