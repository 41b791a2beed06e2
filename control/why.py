# SPDX-License-Identifier: Apache-2.0
"""Why: what is known of an act, or of a zone at an instant, with the numbers that were seen, in words and as data.

Invariant: what is told is what was kept at the time, never what would be decided today.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from control.decisions import decision_record
from control.errors import Invalid, NotFound
from control.ledger import act_record, get_act, list_transitions
from control.models import ActRow, DecisionRow, DeviceRow, SiteRow, ZoneRow
from control.records import Act, Decision, Seen, Transition
from control.sentences.why import Scene, act_why, unscheduled_why, zone_why
from control.versions import versions_between
from rules import feeding, irrigation, timer

__all__ = ["ActWhy", "Ground", "SeenValue", "ZoneWhy", "decision_at", "why_act", "why_zone"]

MINUTE_MS: Final = 60_000
_UNITS: Final[Mapping[str, str]] = {
    "soil_moisture": "m3/m3",
    "dissolved_oxygen": "mg/L",
    "litres_today": "L",
    "grams_today": "g",
    "carried": "L",
    "since_last_s": "s",
}
_MEASURED: Final = ("soil_moisture", "dissolved_oxygen")  # what `age_s` is the age of
_NOT_SEEN: Final = ("age_s", "held")  # of the state: the age goes with what was measured; holds are reasons
_TABLES: Final[Mapping[str, tuple[type, type, type]]] = {
    "irrigation": (irrigation.IrrigationState, irrigation.IrrigationParams, irrigation.IrrigationCalendar),
    "timer": (timer.TimerState, timer.TimerParams, timer.TimerCalendar),
    "feeding": (feeding.FeedingState, feeding.FeedingParams, feeding.FeedingCalendar),
}
_ASKED: Final = ("seconds", "litres", "grams")  # what the rule asked for, kept among what it saw


@dataclass(frozen=True, slots=True)
class SeenValue:
    """One thing that a rule saw; `age_s` is None for what is not measured. [s]"""

    name: str
    value: Seen
    unit: str | None
    age_s: float | None


@dataclass(frozen=True, slots=True)
class Ground:
    """A decision, sorted by what its numbers are.

    Attributes
    ----------
    inputs : tuple of SeenValue
        What was measured, with its age, and what the ledger and the holds said.
    thresholds : mapping
        The rule's parameters: those of the schedule and the zone's own limits.
    calendar : mapping
        What the calendar said: whether it was allowed then, what was due, how late.
    planned_ms : int or None
        The planned moment that it was about, of what is planned by the clock.
    """

    decision: Decision
    inputs: tuple[SeenValue, ...]
    thresholds: Mapping[str, Seen]
    calendar: Mapping[str, Seen]
    planned_ms: int | None


@dataclass(frozen=True, slots=True)
class ActWhy:
    """Why an act is as it is; `ground` is None where no rule asked for it, or its decision is not kept any more."""

    act: Act
    steps: tuple[Transition, ...]
    ground: Ground | None
    sentence: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ZoneWhy:
    """Why a zone was acted on at an instant, or was not; `act` is the one that was under way then."""

    zone_key: str
    at_ms: int
    sentence: Mapping[str, str]
    ground: Ground | None
    act: ActWhy | None


def why_act(session: Session, act_id: str, now_ms: int) -> ActWhy:
    """Return why an act is as it is."""
    return _why_act(session, get_act(session, act_id), now_ms)


def why_zone(session: Session, zone_key: str, at_ms: int, now_ms: int) -> ZoneWhy:
    """Return why a zone was acted on in the minute of an instant, or was not.

    Raises
    ------
    NotFound
        There is no such zone.
    Invalid
        The instant lies ahead, or long before there was anything.
    """
    if at_ms > now_ms:
        raise Invalid("at", "an instant that has come; what is to be is told by a preview")
    if at_ms < 0:
        raise Invalid("at", "an instant of these years")
    scene = _scene(session, zone_key.rpartition(":")[0], zone_key, now_ms)
    minute_ms = at_ms // MINUTE_MS * MINUTE_MS
    # The tick of a minute comes a moment after its beginning, which is what people ask about.
    upto_ms = min(minute_ms + MINUTE_MS - 1, now_ms)
    act = _act_at(session, zone_key, minute_ms, upto_ms)
    decision = decision_at(session, zone_key, upto_ms)
    if act is not None:
        found = _why_act(session, act, now_ms)
        return ZoneWhy(zone_key, at_ms, found.sentence, found.ground or _ground(decision), found)
    if not versions_between(session, [zone_key], at_ms, upto_ms + 1):
        said = {"id": unscheduled_why(at_ms, scene, "id"), "en": unscheduled_why(at_ms, scene, "en")}
        return ZoneWhy(zone_key, at_ms, said, None, None)
    said = {"id": zone_why(decision, at_ms, scene, "id"), "en": zone_why(decision, at_ms, scene, "en")}
    return ZoneWhy(zone_key, at_ms, said, _ground(decision), None)


def decision_at(session: Session, zone_key: str, at_ms: int) -> Decision | None:
    """Return what was decided last for a zone up to an instant: it held then."""
    query = select(DecisionRow).where(DecisionRow.zone_key == zone_key, DecisionRow.at_ms <= at_ms)
    row = session.scalar(query.order_by(DecisionRow.id.desc()).limit(1))
    return None if row is None else decision_record(row)


def _act_at(session: Session, zone_key: str, minute_ms: int, upto_ms: int) -> Act | None:
    """Return the act that was under way in a zone, or was left out, in a minute that is known up to an instant."""
    lasts = or_(ActRow.ended_ms.is_(None), ActRow.ended_ms >= minute_ms)
    query = select(ActRow).where(
        ActRow.zone_key == zone_key, ActRow.action != "stop", ActRow.planned_ms <= upto_ms, ActRow.issued_ms <= upto_ms, lasts
    )
    # One that was planned for this very minute and left out only later is what was asked about, too.
    left_out = select(ActRow).where(
        ActRow.zone_key == zone_key, ActRow.state.in_(("skipped", "superseded", "expired")), ActRow.planned_ms == minute_ms
    )
    for one in (query, left_out):
        row = session.scalar(one.order_by(ActRow.planned_ms.desc(), ActRow.id.desc()).limit(1))
        if row is not None:
            return act_record(row)
    return None


def _why_act(session: Session, act: Act, now_ms: int) -> ActWhy:
    steps = tuple(list_transitions(session, act.id))
    decision = _decision_of(session, act)
    scene = _scene(session, act.device_key, act.zone_key, now_ms)
    said = {
        "id": act_why(act, steps, decision, scene, "id"),
        "en": act_why(act, steps, decision, scene, "en"),
    }
    return ActWhy(act, steps, _ground(decision), said)


def _decision_of(session: Session, act: Act) -> Decision | None:
    if act.zone_key is None or not act.origin.startswith("schedule:"):
        return None
    query = select(DecisionRow).where(DecisionRow.zone_key == act.zone_key, DecisionRow.act_id == act.id)
    row = session.scalar(query.order_by(DecisionRow.id.desc()).limit(1))
    return None if row is None else decision_record(row)


def _scene(session: Session, device_key: str, zone_key: str | None, now_ms: int) -> Scene:
    query = (
        select(DeviceRow.title, ZoneRow.title, SiteRow.timezone)
        .join(SiteRow, SiteRow.name == DeviceRow.site)
        .outerjoin(ZoneRow, ZoneRow.key == (zone_key or ""))
        .where(DeviceRow.key == device_key)
    )
    row = session.execute(query).one_or_none()
    if row is None or (zone_key is not None and row[1] is None):
        raise NotFound("zone", zone_key or device_key)
    return Scene(row[0] if zone_key is None else row[1], ZoneInfo(row[2]), now_ms)


def _ground(decision: Decision | None) -> Ground | None:
    if decision is None:
        return None
    state, params, calendar = ([column.name for column in dataclasses.fields(table)] for table in _tables(decision.kind))
    kept = decision.inputs
    others = [name for name in kept if name not in (*state, *params, *calendar, *_ASKED)]
    seen = [name for name in (*state, *others) if name in kept and name not in _NOT_SEEN]
    age = kept.get("age_s")
    age_s = float(age) if isinstance(age, (int, float)) else None
    late_s = kept.get("late_s")
    planned_ms = None if not isinstance(late_s, (int, float)) else decision.at_ms - round(late_s * 1000)
    return Ground(
        decision=decision,
        inputs=tuple(SeenValue(name, kept[name], _UNITS.get(name), age_s if name in _MEASURED else None) for name in seen),
        thresholds={name: kept[name] for name in params if name in kept},
        calendar={name: kept[name] for name in calendar if name in kept},
        planned_ms=planned_ms,
    )


def _tables(kind: str) -> tuple[type, type, type]:
    return _TABLES.get(kind, _TABLES["irrigation"])
