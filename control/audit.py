# SPDX-License-Identifier: Apache-2.0
"""The audit trail: who changed or did what, from where, why, and what it was before and after.

Invariants: an entry is committed with the change that it tells of, or neither is; entries are numbered from 1 without a
hole and never changed; the digest of each is SHA-256 over that of the one before and its own content, so that whoever
changes an entry has to change every later one. Nothing secret is entered.

    digest(n) = sha256(digest(n-1) "\\n" JSON of entry n, keys sorted, no blanks); digest(0) = 64 zeros
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from control.access import Place, Principal
from control.checks import plain, storable
from control.paging import Order, cut
from control.people_models import AuditRow

__all__ = ["Entry", "Trail", "Verdict", "get_entry", "list_entries", "record", "verify"]

GENESIS: Final = "0" * 64
MAX_WHY: Final = 500  # characters
_PAGE: Final = 1_000  # entries looked at at a time
ORDER: Final = Order(AuditRow.id, {"id": AuditRow.id}, "-id", number=True)


@dataclass(frozen=True, slots=True)
class Trail:
    """Who changes something, from where and why: what goes with every change into the audit trail.

    Attributes
    ----------
    at_ms : int
        Time on the wall. [ms since the Unix epoch]
    whose : str
        Which caller, told apart from another of the same name; not entered.
    """

    actor: str
    kind: str
    at_ms: int
    address: str = ""
    why: str = ""
    whose: str = ""

    @classmethod
    def of(cls, principal: Principal, at_ms: int, address: str = "", why: str = "") -> Trail:
        """Return the trail of who asks."""
        return cls(principal.name, principal.kind, at_ms, address, why, principal.key)

    @classmethod
    def local(cls, at_ms: int, why: str = "") -> Trail:
        """Return the trail of the command line, which whoever owns the data folder may use."""
        return cls("command-line", "local", at_ms, "", why)


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry. `before` and `after` are what was changed, in the API's words; None where there was or is nothing."""

    id: int
    at_ms: int
    actor: str
    actor_kind: str
    action: str
    target: str
    city: str | None
    agency: str | None
    site: str | None
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    address: str
    why: str
    digest: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What verifying the trail found.

    Attributes
    ----------
    entries : int
        How many were looked at, up to the first that is wrong.
    head : str
        Digest of the last sound one: noted elsewhere, it shows later whether the end was cut off.
    wrong : int or None
        Number of the first entry that does not fit; None where all do.
    """

    entries: int
    head: str
    wrong: int | None = None


def record(
    session: Session,
    trail: Trail,
    action: str,
    target: str,
    *,
    place: Place | None = None,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> Entry:
    """Add an entry to the trail, in the transaction of the change.

    Parameters
    ----------
    action : str
        Noun and verb, as "site.create".
    target : str
        Sort and key, as "site:taman-kota".
    place : Place or None
        Where that is, for who may read the entries of a city, agency or site alone.
    """
    last = session.execute(select(AuditRow.id, AuditRow.digest).order_by(AuditRow.id.desc()).limit(1)).first()
    number, digest = (last.id + 1, last.digest) if last is not None else (1, GENESIS)
    place = place or Place()
    if before is not None and after is not None:
        before, after = _differing(before, after)
    entry = Entry(
        id=number,
        at_ms=trail.at_ms,
        actor=plain(trail.actor, 200),
        actor_kind=trail.kind,
        action=action,
        target=plain(target, 300),
        city=place.city,
        agency=place.agency,
        site=place.site,
        before=_json(before),
        after=_json(after),
        address=plain(trail.address, 100),
        why=plain(trail.why, MAX_WHY),
        digest="",
    )
    row = AuditRow(**asdict(entry) | {"digest": _digest(digest, entry)})
    session.add(row)
    session.flush()
    return _entry(row)


def list_entries(
    session: Session,
    *,
    where: ColumnElement[bool] | None = None,
    actor: str | None = None,
    action: str | None = None,
    target: str | None = None,
    sort: str | None = None,
    limit: int = 100,
    after: str | None = None,
) -> tuple[list[Entry], str | None]:
    """Return entries, the newest first unless told otherwise, and the cursor of the next page if there is one."""
    query = select(AuditRow)
    if where is not None:
        query = query.where(where)
    for column, value in ((AuditRow.actor, actor), (AuditRow.action, action), (AuditRow.target, target)):
        if value is not None:
            query = query.where(column == (value if storable(value) else ""))
    return cut(session, query, ORDER, _entry, sort=sort, limit=limit, after=after)


def get_entry(session: Session, number: int) -> Entry | None:
    """Return one entry, or None."""
    row = session.get(AuditRow, number)
    return None if row is None else _entry(row)


def verify(session: Session) -> Verdict:
    """Go through the whole trail and check every number and digest."""
    number, digest = 0, GENESIS
    while True:
        rows = session.scalars(select(AuditRow).where(AuditRow.id > number).order_by(AuditRow.id).limit(_PAGE)).all()
        for row in rows:
            if row.id != number + 1 or _digest(digest, _entry(row)) != row.digest:
                return Verdict(number, digest, number + 1)
            number, digest = row.id, row.digest
        session.expunge_all()
        if len(rows) < _PAGE:
            return Verdict(number, digest)


def _digest(previous: str, entry: Entry) -> str:
    content = asdict(entry)
    del content["digest"]
    written = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(f"{previous}\n{written}".encode("ascii")).hexdigest()


def _differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return of both only what differs: the rest of a large definition would hide it."""
    names = [name for name in {**before, **after} if before.get(name) != after.get(name) or (name in before) != (name in after)]
    return {n: before[n] for n in names if n in before}, {n: after[n] for n in names if n in after}


def _json(value: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return the value as it will be read back, so that its digest can be made again."""
    return None if value is None else json.loads(json.dumps(value, allow_nan=False, default=str))


def _entry(row: AuditRow) -> Entry:
    return Entry(**{name: getattr(row, name) for name in Entry.__dataclass_fields__})
