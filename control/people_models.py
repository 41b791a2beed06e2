# SPDX-License-Identifier: Apache-2.0
"""Tables of people and tokens, of what they may do, and of what they did.

Invariant: no password, session, invitation or token is here but by its hash. A row of `audit` is written once.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from control.models import SERIAL, Changeable, Row

__all__ = ["AuditRow", "GrantRow", "InvitationRow", "PersonRow", "SessionRow", "TokenRow"]


class PersonRow(Changeable, Row):
    """Somebody who signs in."""

    __tablename__ = "person"

    id: Mapped[str] = mapped_column(primary_key=True)
    login: Mapped[str] = mapped_column(unique=True)
    title: Mapped[str]
    language: Mapped[str]
    home_type: Mapped[str]  # the scope within which the person is administered
    home_key: Mapped[str]
    password_hash: Mapped[str | None]
    created_ms: Mapped[int]
    disabled_ms: Mapped[int | None]
    issuer: Mapped[str | None]  # of the single sign-on, and who the person is there
    subject: Mapped[str | None]

    __table_args__ = (UniqueConstraint("issuer", "subject"),)


class GrantRow(Row):
    """A role of a person or a token on a scope; exactly one of the two is named."""

    __tablename__ = "role_grant"

    id: Mapped[int] = mapped_column(SERIAL, primary_key=True)
    person_id: Mapped[str | None] = mapped_column(ForeignKey("person.id"), index=True)
    token_id: Mapped[int | None] = mapped_column(ForeignKey("token.id"), index=True)
    role: Mapped[str]
    scope_type: Mapped[str]
    scope_key: Mapped[str]


class TokenRow(Row):
    """A bearer token, by the hash of its text."""

    __tablename__ = "token"

    id: Mapped[int] = mapped_column(SERIAL, primary_key=True)
    name: Mapped[str] = mapped_column(index=True)
    digest: Mapped[str] = mapped_column(unique=True)
    created_ms: Mapped[int]
    revoked_ms: Mapped[int | None]
    expires_ms: Mapped[int | None]
    used_ms: Mapped[int | None]
    owner_id: Mapped[str | None] = mapped_column(ForeignKey("person.id"), index=True)


class SessionRow(Row):
    """One sign-in of a person, by the hash of what the browser holds."""

    __tablename__ = "sign_in"

    digest: Mapped[str] = mapped_column(primary_key=True)
    person_id: Mapped[str] = mapped_column(ForeignKey("person.id"), index=True)
    created_ms: Mapped[int]
    seen_ms: Mapped[int]
    ended_ms: Mapped[int | None]
    address: Mapped[str]


class InvitationRow(Row):
    """A code that lets its holder choose a password, once, by its hash."""

    __tablename__ = "invitation"

    digest: Mapped[str] = mapped_column(primary_key=True)
    person_id: Mapped[str] = mapped_column(ForeignKey("person.id"), index=True)
    created_ms: Mapped[int]
    expires_ms: Mapped[int]
    used_ms: Mapped[int | None]


class AuditRow(Row):
    """One change, manual act or sign-in; `digest` chains it to the row before."""

    __tablename__ = "audit"

    id: Mapped[int] = mapped_column(SERIAL, primary_key=True, autoincrement=False)
    at_ms: Mapped[int]
    actor: Mapped[str]
    actor_kind: Mapped[str]
    action: Mapped[str]
    target: Mapped[str]
    city: Mapped[str | None]
    agency: Mapped[str | None]
    site: Mapped[str | None]
    before: Mapped[dict[str, Any] | None]
    after: Mapped[dict[str, Any] | None]
    address: Mapped[str]
    why: Mapped[str]
    digest: Mapped[str]

    __table_args__ = (Index(None, "site", "id"), Index(None, "target", "id"))
