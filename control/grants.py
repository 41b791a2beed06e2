# SPDX-License-Identifier: Apache-2.0
"""Roles of people and tokens, as they are kept.

Invariant: nobody grants what they may not administer, and a token never does more than who made it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from control.access import ROLES, Grant, Permission, Principal, Scope
from control.errors import Invalid, NotAllowed
from control.people_models import GrantRow
from control.sight import check_scope, place_of_scope

__all__ = ["MAX_GRANTS", "check_granting", "check_lending", "read_grants", "write_grants"]

MAX_GRANTS: Final = 50  # of one person or token


def read_grants(
    session: Session, *, person_ids: Iterable[str] = (), token_ids: Iterable[int] = ()
) -> dict[str | int, tuple[Grant, ...]]:
    """Return the grants of people and tokens, by their id."""
    people, tokens = list(person_ids), list(token_ids)
    query = select(GrantRow).order_by(GrantRow.id)
    found: dict[str | int, tuple[Grant, ...]] = dict.fromkeys((*people, *tokens), ())
    if people:
        for row in session.scalars(query.where(GrantRow.person_id.in_(people))):
            found[row.person_id or ""] += (_grant(row),)
    if tokens:
        for row in session.scalars(query.where(GrantRow.token_id.in_(tokens))):
            found[row.token_id or 0] += (_grant(row),)
    return found


def write_grants(
    session: Session, grants: Sequence[Grant], *, person_id: str | None = None, token_id: int | None = None
) -> None:
    """Give a person or a token these grants and no others.

    Raises
    ------
    NotFound
        A scope names nothing.
    Invalid
        There are too many.
    """
    if len(grants) > MAX_GRANTS:
        raise Invalid("grants", f"at most {MAX_GRANTS}")
    whose = GrantRow.person_id == person_id if person_id is not None else GrantRow.token_id == token_id
    session.execute(delete(GrantRow).where(whose))
    for grant in dict.fromkeys(grants):
        place_of_scope(session, grant.scope)
        session.add(
            GrantRow(
                person_id=person_id,
                token_id=token_id,
                role=grant.role,
                scope_type=grant.scope.type,
                scope_key=grant.scope.key,
            )
        )
    session.flush()


def check_granting(session: Session, principal: Principal, grants: Iterable[Grant]) -> None:
    """Pass if the principal administers people in the scope of every grant."""
    for grant in grants:
        check_scope(session, principal, Permission.PEOPLE, grant.scope)


def check_lending(session: Session, principal: Principal, grants: Iterable[Grant]) -> None:
    """Pass if the principal may make tokens in the scope of every grant, and holds there all that it would do."""
    for grant in grants:
        place = check_scope(session, principal, Permission.TOKENS, grant.scope)
        for permission in sorted(ROLES[grant.role]):
            if not principal.allows(permission, place):
                raise NotAllowed(permission)


def _grant(row: GrantRow) -> Grant:
    return Grant(row.role, Scope(row.scope_type, row.scope_key))  # type: ignore[arg-type]
