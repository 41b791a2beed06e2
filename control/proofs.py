# SPDX-License-Identifier: Apache-2.0
"""What proof of effect keeps: a verdict with each act, and for each zone how it stands since.

Invariants: a verdict counts once; two disproved in a row, with nothing proved between them, hold the zone until a person
releases it or a later act is proved; what ended before a person's release counts no more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from control.alarms import Cause
from control.audit import Trail, record
from control.database import in_parts
from control.ledger import act_record
from control.models import PROOF_DUE, UNPROVED_ACTS, ActRow, DeviceRow, ScheduleRow, TransitionRow, ZoneRow
from control.proof import Proof
from control.proof_models import ZoneProofRow
from control.records import Act, Hold, Zone
from control.sight import place_of_site
from control.zones import get_zone, zone_record
from rules.reasons import Reason

__all__ = [
    "DISPROVED_BY",
    "HOLDS_AFTER",
    "ZONE_CODES",
    "Unproved",
    "ZoneProof",
    "disproved_holds",
    "keep_leak",
    "keep_proof",
    "list_unproved",
    "release_zone",
    "zone_causes",
    "zone_proofs",
]

DISPROVED_BY: Final = ("burst", "clogged", "hopper-empty", "jam", "no-water", "not-fed", "overfed")
ZONE_CODES: Final = frozenset({*DISPROVED_BY, "leak", "zone-held"})  # of alarms
HOLDS_AFTER: Final = 2  # disproved in a row
USUAL: Final = 5  # proved meals whose current is what is usual
_MS_DAY: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class ZoneProof:
    """How a zone stands by its last verdicts.

    Attributes
    ----------
    disproved : int
        Acts disproved in a row; what is doubtful or without evidence neither counts nor breaks the row.
    finding, act_id : str or None
        Of the last of them.
    since_ms : int or None
        Verdict of the first of them.
    held_ms : int or None
        Since when it does not act by its schedule.
    leak_ms : int or None
        Since when there is flow though every valve of its device is shut.
    leak_l_min : float or None
        How much. [L min-1]
    """

    zone_key: str
    disproved: int = 0
    finding: str | None = None
    act_id: str | None = None
    since_ms: int | None = None
    held_ms: int | None = None
    leak_ms: int | None = None
    leak_l_min: float | None = None


@dataclass(frozen=True, slots=True)
class Unproved:
    """An act that waits for its verdict, or for a second look, and what has to be known to read its traces.

    Attributes
    ----------
    known_ms : int
        When the platform came to know how it ended.
    after_ms, before_ms : int or None
        End of the zone's act before it, begin of the one after it.
    soak_s : float or None
        After so long its water is seen by the probe, as its schedule says. [s]
    usual_a : float or None
        Current of the feeder's motor in the last proved meals. [A]
    """

    act: Act
    zone: Zone
    known_ms: int
    after_ms: int | None
    before_ms: int | None
    soak_s: float | None
    usual_a: float | None

    @property
    def again(self) -> bool:
        """Whether it has a verdict already."""
        return self.act.verdict is not None


def list_unproved(session: Session, now_ms: int, settle_ms: int, limit: int) -> list[Unproved]:
    """Return acts that ended some time ago and have no verdict yet, then those whose second look is due; oldest first."""
    ended = select(ActRow).where(UNPROVED_ACTS, ActRow.ended_ms <= now_ms - settle_ms, ActRow.zone_key.is_not(None))
    due = select(ActRow).where(PROOF_DUE, ActRow.proof_due_ms <= now_ms, ActRow.zone_key.is_not(None))
    acts = [act_record(row) for row in session.scalars(ended.order_by(ActRow.ended_ms, ActRow.id).limit(limit))]
    acts += [act_record(row) for row in session.scalars(due.order_by(ActRow.proof_due_ms, ActRow.id).limit(limit))]
    known = _known(session, acts)
    zones = {key: zone_record(session.get_one(ZoneRow, key)) for key in {act.zone_key or "" for act in acts}}
    return [_unproved(session, act, zones[act.zone_key or ""], known.get(act.id, act.issued_ms)) for act in acts]


def keep_proof(session: Session, act_id: str, proof: Proof, *, now_ms: int, due_ms: int | None) -> tuple[Act, ZoneProof]:
    """Keep a verdict, and count it for its zone where it is the first of its act; return the act and how its zone stands.

    Parameters
    ----------
    due_ms : int or None
        When it is to be looked at once more.
    """
    row = session.get_one(ActRow, act_id)
    first = row.verdict is None
    row.verdict, row.proof_due_ms = proof.verdict, due_ms
    row.proof = {"finding": proof.finding, "judged_ms": now_ms, **proof.numbers}
    standing = session.get(ZoneProofRow, row.zone_key)
    if first and proof.verdict == "proved" and standing is not None:
        _clear(standing)
    elif first and proof.verdict == "disproved" and row.zone_key is not None:
        standing = standing or _new(session, row.zone_key)
        if standing.released_ms is None or (row.ended_ms or 0) > standing.released_ms:
            standing.disproved += 1
            standing.finding, standing.act_id = proof.finding, row.id
            standing.since_ms = standing.since_ms or now_ms
            if standing.disproved >= HOLDS_AFTER:
                standing.held_ms = standing.held_ms or now_ms
    session.flush()
    return act_record(row), ZoneProof(row.zone_key or "") if standing is None else _standing(standing)


def keep_leak(session: Session, zone_key: str, l_min: float | None, now_ms: int) -> None:
    """Keep that there is flow while all is shut, or (None) none any more. [L min-1]"""
    row = session.get(ZoneProofRow, zone_key)
    if row is None and l_min is None:
        return
    row = row or _new(session, zone_key)
    row.leak_ms = None if l_min is None else row.leak_ms or now_ms
    row.leak_l_min = l_min


def release_zone(session: Session, zone_key: str, *, now_ms: int, trail: Trail) -> tuple[ZoneProof, bool]:
    """Let a zone act by its schedule again, what was disproved before forgotten; tell whether that changes anything.

    Raises
    ------
    NotFound
        There is no such zone.
    """
    zone = get_zone(session, zone_key)
    row = session.get(ZoneProofRow, zone_key)
    if row is None or not row.disproved:
        return (ZoneProof(zone_key) if row is None else _standing(row)), False
    before = {"disproved": row.disproved, "finding": row.finding, "held": row.held_ms is not None}
    _clear(row)
    row.released_ms = now_ms
    session.flush()
    record(
        session, trail, "zone.release", f"zone:{zone_key}", place=place_of_site(session, zone.site), before=before, after=None
    )
    return _standing(row), True


def zone_proofs(session: Session, zone_keys: Iterable[str] | None = None) -> dict[str, ZoneProof]:
    """Return how zones stand, those with nothing to tell left out; of all, or of some."""
    query = select(ZoneProofRow).where((ZoneProofRow.disproved > 0) | ZoneProofRow.leak_ms.is_not(None))
    if zone_keys is None:
        return {row.zone_key: _standing(row) for row in session.scalars(query)}
    found: dict[str, ZoneProof] = {}
    for part in in_parts(zone_keys):
        found.update((row.zone_key, _standing(row)) for row in session.scalars(query.where(ZoneProofRow.zone_key.in_(part))))
    return found


def disproved_holds(session: Session, _now_ms: int) -> Iterator[Hold]:
    """Name the zones that are held because their acts had no effect; a source of `control.holds`."""
    query = select(ZoneProofRow.zone_key, ZoneProofRow.disproved).where(ZoneProofRow.held_ms.is_not(None))
    for zone_key, disproved in session.execute(query):
        yield Hold(zone_key, Reason.DISPROVED, {"disproved": disproved})


def zone_causes(session: Session) -> list[Cause]:
    """Return the causes of alarms: acts disproved, zones held for it, leaks."""
    query = (
        select(ZoneProofRow, ZoneRow.title, DeviceRow.site, ActRow.proof)
        .join(ZoneRow, ZoneRow.key == ZoneProofRow.zone_key)
        .join(DeviceRow, DeviceRow.key == ZoneRow.device_key)
        .outerjoin(ActRow, ActRow.id == ZoneProofRow.act_id)
        .where(DeviceRow.revoked_ms.is_(None))
        .where((ZoneProofRow.disproved > 0) | ZoneProofRow.leak_ms.is_not(None))
    )
    causes = []
    for row, title, site, numbers in session.execute(query):
        subject = f"zone:{row.zone_key}"
        told = {name: value for name, value in (numbers or {}).items() if isinstance(value, (int, float))}
        details: dict[str, float | str] = {**told, "title": title, "act": row.act_id or "", "disproved": row.disproved}
        if row.finding is not None:
            causes.append(Cause(row.finding, subject, site, details=details))
        if row.held_ms is not None:
            causes.append(Cause("zone-held", subject, site, details=details))
        if row.leak_ms is not None:
            causes.append(Cause("leak", subject, site, details={"title": title, "l_min": row.leak_l_min or 0.0}))
    return causes


def _known(session: Session, acts: list[Act]) -> dict[str, int]:
    """Return when the last word of each act was heard."""
    found: dict[str, int] = {}
    for part in in_parts(act.id for act in acts):
        query = select(TransitionRow.act_id, func.max(TransitionRow.at_ms)).where(TransitionRow.act_id.in_(part))
        found.update((key, at_ms) for key, at_ms in session.execute(query.group_by(TransitionRow.act_id)))
    return found


def _unproved(session: Session, act: Act, zone: Zone, known_ms: int) -> Unproved:
    assert act.ended_ms is not None
    begun_ms = min(act.begun_ms if act.begun_ms is not None else act.issued_ms, act.ended_ms)
    near = (ActRow.zone_key == act.zone_key, ActRow.id != act.id, ActRow.action == act.action, ActRow.begun_ms.is_not(None))
    around = ActRow.issued_ms.between(act.issued_ms - _MS_DAY, act.issued_ms + _MS_DAY)
    before = select(func.max(ActRow.ended_ms)).where(*near, around, ActRow.ended_ms <= begun_ms)
    after = select(func.min(ActRow.begun_ms)).where(*near, around, ActRow.begun_ms >= act.ended_ms)
    return Unproved(
        act,
        zone,
        known_ms,
        after_ms=session.scalar(before),
        before_ms=session.scalar(after),
        soak_s=_soak_s(session, act),
        usual_a=_usual_a(session, act) if act.action == "feed" else None,
    )


def _soak_s(session: Session, act: Act) -> float | None:
    schedule = session.get(ScheduleRow, act.origin.removeprefix("schedule:")) if act.origin.startswith("schedule:") else None
    said: Any = None if schedule is None else schedule.definition.get("soak_s")
    return float(said) if isinstance(said, (int, float)) else None


def _usual_a(session: Session, act: Act) -> float | None:
    query = (
        select(ActRow.proof)
        .where(ActRow.zone_key == act.zone_key, ActRow.action == "feed", ActRow.verdict == "proved")
        .order_by(ActRow.planned_ms.desc())
        .limit(USUAL)
    )
    seen = sorted(proof["current_a"] for proof in session.scalars(query) if proof and proof.get("current_a"))
    return seen[len(seen) // 2] if seen else None


def _new(session: Session, zone_key: str) -> ZoneProofRow:
    row = ZoneProofRow(zone_key=zone_key, disproved=0)
    session.add(row)
    return row


def _clear(row: ZoneProofRow) -> None:
    row.disproved = 0
    row.finding = row.act_id = row.since_ms = row.held_ms = None


def _standing(row: ZoneProofRow) -> ZoneProof:
    return ZoneProof(*[getattr(row, item.name) for item in fields(ZoneProof)])
