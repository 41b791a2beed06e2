# SPDX-License-Identifier: Apache-2.0
"""Turns: acts that want to begin now get room on the pumps and mains that their zones share, or wait for it.

Invariant: what a resource serves is read from the ledger, so that a new start decides as before. Whatever may flow counts:
what is planned, sent or under way, by whomever; and what nobody knows the end of, until its device has stopped by itself.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf, nan
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from control.calendars import open_spans
from control.database import in_parts
from control.definitions import FeedingDefinition, TimerDefinition
from control.errors import Conflict
from control.evaluation import Outcome
from control.models import OPEN_ACTS, ActRow, ZoneRow, ZoneStateRow
from control.queueing import Line, Resource, Run, admit, too_much
from control.records import Seen
from control.resources_models import ResourceRow, ResourceZoneRow
from rules.reasons import Reason

__all__ = [
    "Network",
    "NoRoom",
    "by_priority",
    "check_room",
    "find_obstacle",
    "load_network",
    "served",
    "serving",
    "take_turns",
    "waiting_zones",
]

DAY_MS: Final = 86_400_000  # hours are looked ahead in for this long [ms]
MINUTE_MS: Final = 60_000
SHOWN: Final = 5  # zones that a refusal names
FEW: Final = 500  # zones up to which only theirs is read


@dataclass(frozen=True, slots=True)
class Network:
    """Resources by key, what people call them, and which ones each zone shares."""

    resources: Mapping[str, Resource]
    titles: Mapping[str, str]
    shared: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class NoRoom:
    """Why a zone cannot begin now on something that it shares; `never`: not by waiting either."""

    resource: str
    detail: str
    never: bool = False


def take_turns(session: Session, outcomes: Sequence[Outcome], last_ms: int, now_ms: int) -> list[Outcome]:
    """Return the outcomes of a tick with those that have to wait, or never fit, no longer acting.

    Parameters
    ----------
    last_ms : int
        The tick before. [ms since the Unix epoch, UTC]
    """
    found = [_fitting(_queued_on(outcome, last_ms), now_ms) for outcome in outcomes]
    wanting = {one.plot.zone.key: one for one in found if one.act or one.reasons & Reason.NO_ROOM_IN_WINDOW}
    network = load_network(session, wanting)
    if not network.shared:
        return found
    runs = {key: _run(one, network, now_ms) for key, one in wanting.items() if one.act and key in network.shared}
    above = {key: name for key, run in runs.items() if (name := too_much(run, network.resources)) is not None}
    lines = serving(session, network, now_ms)
    waiting = admit([run for key, run in runs.items() if key not in above], lines, now_ms)
    return [_concluded(one, network, above.get(one.plot.zone.key), waiting.get(one.plot.zone.key)) for one in found]


def by_priority(outcome: Outcome) -> tuple[int, ...]:
    """Return what stands between the planned moment and the zone's key in the order of those who share."""
    definition = outcome.plot.definition
    return () if isinstance(definition, FeedingDefinition) else (-definition.priority,)


def check_room(session: Session, zone_key: str, flow_l_min: float | None, now_ms: int) -> None:
    """Pass if a zone may begin now on all that it shares; what waits in line does not bind a person.

    Raises
    ------
    Conflict
        A pump or main has no room, and what runs there; or the zone alone is too much for it.
    """
    if (obstacle := find_obstacle(session, zone_key, flow_l_min, now_ms)) is not None:
        raise Conflict(obstacle.detail)


def find_obstacle(session: Session, zone_key: str, flow_l_min: float | None, now_ms: int) -> NoRoom | None:
    """Return what a zone cannot begin on now of all that it shares, or None."""
    network = load_network(session, [zone_key])
    flow = nan if flow_l_min is None else flow_l_min
    run = Run(zone_key, now_ms, flow, network.shared.get(zone_key, ()))
    if (name := too_much(run, network.resources)) is not None:
        most, title = network.resources[name].max_flow_l_min, network.titles[name]
        return NoRoom(name, f"zone {zone_key} takes {flow:g} L/min, and {title} gives at most {most:g} L/min", never=True)
    lines = serving(session, network, now_ms)
    for name in run.resources:
        if lines[name].has_room(flow, now_ms):
            continue
        if not lines[name].zones:
            left_s = lines[name].resource.min_rest_s - (now_ms - (lines[name].stopped_ms or 0)) // 1000
            return NoRoom(name, f"{network.titles[name]} has to rest for {left_s} s more; wait, or ask again then")
        there = ", ".join(served(session, [name], now_ms)[name][:SHOWN])
        return NoRoom(name, f"{network.titles[name]} has no room now, it serves {there}; stop that, or wait for its end")
    return None


def load_network(session: Session, zone_keys: Collection[str]) -> Network:
    """Return the resources of zones, with their settings."""
    pairs: list[Any] = []
    if zone_keys and session.scalar(select(ResourceZoneRow.zone_key).limit(1)) is not None:
        query = select(ResourceZoneRow.zone_key, ResourceZoneRow.resource_key).order_by(ResourceZoneRow.resource_key)
        if len(zone_keys) > FEW:
            pairs = [pair for pair in session.execute(query) if pair[0] in zone_keys]
        else:
            pairs = [
                pair
                for part in in_parts(zone_keys)
                for pair in session.execute(query.where(ResourceZoneRow.zone_key.in_(part)))
            ]
    shared: dict[str, tuple[str, ...]] = {}
    for zone_key, name in pairs:
        shared[zone_key] = (*shared.get(zone_key, ()), name)
    rows = [
        row
        for part in in_parts({name for _, name in pairs})
        for row in session.scalars(select(ResourceRow).where(ResourceRow.key.in_(part)))
    ]
    return Network({row.key: _resource(row) for row in rows}, {row.key: row.title for row in rows}, shared)


def serving(session: Session, network: Network, now_ms: int) -> dict[str, Line]:
    """Return what each resource serves now, and when it came to stand still."""
    lines = {name: Line(resource) for name, resource in network.resources.items()}
    for name, zones in _flowing(session, network.resources).items():
        for flow, until_ms in zones.values():
            if until_ms is None or now_ms < until_ms:
                lines[name].begin(flow)
            else:
                lines[name].stopped(until_ms)
    resting = [name for name, resource in network.resources.items() if resource.min_rest_s]
    longest_ms = max((network.resources[name].min_rest_s for name in resting), default=0) * 1000
    for part in in_parts(resting):
        query = (
            select(ResourceZoneRow.resource_key, func.max(ActRow.ended_ms))
            .join(ActRow, ActRow.zone_key == ResourceZoneRow.zone_key)
            .where(ActRow.ended_ms >= now_ms - longest_ms, ActRow.action == "irrigate")
            .where(ActRow.state.in_(("done", "failed", "indeterminate")), ResourceZoneRow.resource_key.in_(part))
            .group_by(ResourceZoneRow.resource_key)
        )
        for name, ended_ms in session.execute(query):
            lines[name].stopped(int(ended_ms or 0))
    return lines


def served(session: Session, names: Collection[str], now_ms: int) -> dict[str, list[str]]:
    """Return the zones in which water may flow now, by resource."""
    return {
        name: sorted(zone for zone, (_, until_ms) in zones.items() if until_ms is None or now_ms < until_ms)
        for name, zones in _flowing(session, names).items()
    }


def waiting_zones(session: Session, names: Collection[str]) -> dict[str, list[str]]:
    """Return the zones in which a run waits for its turn, by resource."""
    found: dict[str, list[str]] = {name: [] for name in names}
    for part in in_parts(names):
        query = (
            select(ResourceZoneRow.resource_key, ResourceZoneRow.zone_key)
            .join(ZoneStateRow, ZoneStateRow.zone_key == ResourceZoneRow.zone_key)
            .where(ResourceZoneRow.resource_key.in_(part), ZoneStateRow.reasons.bitwise_and(int(Reason.QUEUED)) != 0)
            .order_by(ResourceZoneRow.zone_key)
        )
        for name, zone_key in session.execute(query):
            found[name].append(zone_key)
    return found


def _flowing(session: Session, names: Collection[str]) -> dict[str, dict[str, tuple[float, int | None]]]:
    """Return the zones in which water may flow by resource, with their flow, and until when where nobody will say."""
    found: dict[str, dict[str, tuple[float, int | None]]] = {name: {} for name in names}
    session.flush()
    for part in in_parts(names):
        query = (
            select(
                ResourceZoneRow.resource_key,
                ActRow.zone_key,
                ZoneRow.flow_l_min,
                ActRow.state,
                ActRow.begun_ms,
                ActRow.expires_ms,
                ActRow.max_seconds,
            )
            .join(ActRow, ActRow.zone_key == ResourceZoneRow.zone_key)
            .join(ZoneRow, ZoneRow.key == ActRow.zone_key)
            .where(OPEN_ACTS, ActRow.action == "irrigate", ResourceZoneRow.resource_key.in_(part))
        )
        for name, zone_key, flow, state, begun_ms, expires_ms, max_seconds in session.execute(query):
            latest_ms = max(begun_ms or 0, expires_ms) + (max_seconds or 0) * 1000
            found[name][str(zone_key)] = nan if flow is None else flow, latest_ms if state == "unknown" else None
    return found


def _queued_on(outcome: Outcome, last_ms: int) -> Outcome:
    """Keep in mind that a run waits for its turn where something else holds it too, or its time is over."""
    due = outcome.due
    was = outcome.plot.reasons & Reason.QUEUED and due is not None and (due.part > 1 or due.planned_ms <= last_ms)
    if not was or outcome.act:
        return outcome
    if outcome.reasons & Reason.RUN_MISSED:
        return replace(outcome, reasons=outcome.reasons | Reason.NO_ROOM_IN_WINDOW)
    return replace(outcome, reasons=outcome.reasons | Reason.QUEUED) if outcome.reasons & Reason.RUN_DUE else outcome


def _fitting(outcome: Outcome, now_ms: int) -> Outcome:
    """Leave a run out whose last cycle could not begin within the allowed hours even if it never waited."""
    definition, due = outcome.plot.definition, outcome.due
    if not (outcome.act and outcome.parts > 1 and isinstance(definition, TimerDefinition)) or due is None or due.part > 1:
        return outcome
    last_s = (outcome.parts - 1) * (outcome.seconds + definition.cycle_soak_s)
    spans = open_spans(definition.hours, definition.closed, outcome.plot.timezone, now_ms, now_ms + DAY_MS)
    if spans and now_ms + last_s * 1000 < spans[0][1]:
        return outcome
    waited = outcome.plot.reasons & Reason.QUEUED
    return _not_now(outcome, Reason.NO_ROOM_IN_WINDOW if waited else Reason.WINDOW_TOO_SHORT, {})


def _run(outcome: Outcome, network: Network, now_ms: int) -> Run:
    zone, definition, due = outcome.plot.zone, outcome.plot.definition, outcome.due
    assert not isinstance(definition, FeedingDefinition)
    return Run(
        key=zone.key,
        planned_ms=now_ms // MINUTE_MS * MINUTE_MS if due is None else due.planned_ms,
        flow_l_min=nan if zone.parameters.flow_l_min is None else zone.parameters.flow_l_min,
        resources=network.shared[zone.key],
        priority=definition.priority,
    )


def _concluded(outcome: Outcome, network: Network, above: str | None, waits_for: str | None) -> Outcome:
    if above is not None:
        return _not_now(outcome, Reason.FLOW_ABOVE_RESOURCE, _told(network, above))
    if waits_for is not None:
        return _not_now(outcome, Reason.QUEUED, _told(network, waits_for))
    if outcome.reasons & Reason.NO_ROOM_IN_WINDOW and (names := network.shared.get(outcome.plot.zone.key)):
        return _not_now(outcome, Reason.NO_ROOM_IN_WINDOW, _told(network, names[0]))
    return outcome


def _told(network: Network, name: str) -> dict[str, Seen]:
    most = network.resources[name].max_flow_l_min
    return {"resource": name, "resource_title": network.titles[name], "resource_flow": None if most == inf else most}


def _not_now(outcome: Outcome, reason: Reason, told: Mapping[str, Seen]) -> Outcome:
    inputs = outcome.inputs
    return replace(outcome, act=False, withheld=True, reasons=outcome.reasons | reason, inputs=lambda: {**inputs(), **told})


def _resource(row: ResourceRow) -> Resource:
    return Resource(
        inf if row.max_flow_l_min is None else row.max_flow_l_min,
        inf if row.max_zones is None else row.max_zones,
        row.min_rest_s,
    )
