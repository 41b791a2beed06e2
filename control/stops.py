# SPDX-License-Identifier: Apache-2.0
"""Stops: of a zone, a device, or all that lies in a site, an agency or a city.

Invariant: a stop is in the ledger and goes to every device that could be moving something, also to one that seems to be away;
what waits there is cancelled in the same transaction. The same idempotency key never makes a second stop.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from control.access import Principal, Scope
from control.audit import Trail, record
from control.cycles import withdraw_rest
from control.database import in_parts
from control.errors import Conflict
from control.ids import new_id
from control.ledger import PlannedAct, act_record, plan_act, plan_acts, step
from control.models import OPEN_ACTS, ActRow, DeviceRow, SiteRow, ZoneRow
from control.records import Act
from control.registry import get_device
from control.requests import order_by_hand, record_act, stored_key
from control.sight import place_of_scope, place_of_site
from control.states import OPEN
from control.suspending import suspend
from control.suspensions import On
from control.valve_tests import ValveTest, acts_of_test, end_tests, get_test
from control.zones import get_zone

__all__ = ["Stopped", "request_stop", "stop_all", "stop_test"]

CAUSE: Final = "asked for by hand"
NOTE: Final = "all was stopped"
WITHDRAWN: Final = "stopped before it was handed over"


@dataclass(frozen=True, slots=True)
class Stopped:
    """What a stop did: the stops, one a device; the acts that were withdrawn; whether it is new."""

    stops: Sequence[Act]
    cancelled: Sequence[Act]
    new: bool = True


def request_stop(
    session: Session,
    key: str,
    *,
    actor: str,
    idempotency_key: str | None = None,
    now_ms: int,
    trail: Trail | None = None,
) -> Stopped:
    """Plan a stop of a zone, "{site}:{device}:{zone}", or of a whole device, "{site}:{device}".

    Acts that were not handed over yet are cancelled.

    Raises
    ------
    NotFound
        There is no such zone or device.
    """
    trail = trail or Trail(actor, "local", now_ms)
    zone = get_zone(session, key) if key.count(":") == 2 else None
    device_key = get_device(session, key).key if zone is None else zone.device_key
    kept = stored_key(trail.whose or actor, idempotency_key, f"stop:{key}")
    if kept is not None and (known := session.scalar(select(ActRow).where(ActRow.idempotency_key == kept))) is not None:
        return Stopped([act_record(known)], [], new=False)
    query = select(ActRow).where(ActRow.device_key == device_key)
    cancelled = _withdraw(session, query if zone is None else query.where(ActRow.zone_key == zone.key), actor, now_ms)
    end_tests(session, [device_key], actor, now_ms)
    order = order_by_hand(device_key, None if zone is None else zone.key, "stop", actor, now_ms)
    act, _ = plan_act(session, new_id(now_ms), replace(order, idempotency_key=kept), cause=CAUSE)
    record_act(session, trail, "act.stop", act, cancelled=[each.id for each in cancelled])
    return Stopped([act], cancelled)


def stop_all(
    session: Session,
    scope: Scope,
    *,
    actor: str,
    pause_min: int | None = None,
    idempotency_key: str | None = None,
    now_ms: int,
    trail: Trail | None = None,
    seen_by: Principal | None = None,
) -> Stopped:
    """Plan a stop of every device of a city, an agency or a site that waters, feeds or aerates.

    Parameters
    ----------
    pause_min : int or None
        So long nothing is begun there by plan; None pauses nothing, and what is due next begins. [min]
    seen_by : Principal or None
        Who asks, for the pause; None is Tirta itself.

    Raises
    ------
    NotFound, NotAllowed
        There is no such place; it may not be paused.
    """
    trail = trail or Trail(actor, "local", now_ms)
    place = place_of_scope(session, scope)
    devices = session.scalars(_moving(scope)).all()
    keys = {device: stored_key(trail.whose or actor, idempotency_key, f"stop:{scope}:{device}") for device in devices}
    known = _known(session, [key for key in keys.values() if key is not None])
    if known:
        return Stopped(known, [], new=False)
    paused: list[Act] = []
    if pause_min is not None and scope.type != "all":
        on, until_ms = On(scope.type, scope.key), now_ms + pause_min * 60_000
        _, paused = suspend(session, "pause", on, until_ms=until_ms, note=NOTE, now_ms=now_ms, trail=trail, seen_by=seen_by)
        session.flush()
    waiting = select(ActRow).where(ActRow.device_key.in_(_moving(scope)))
    cancelled = [*paused, *_withdraw(session, waiting, actor, now_ms)]
    end_tests(session, devices, actor, now_ms)
    plans = [
        PlannedAct(
            new_id(now_ms), replace(order_by_hand(device, None, "stop", actor, now_ms), idempotency_key=key), cause=CAUSE
        )
        for device, key in keys.items()
    ]
    stops = [act for act, _ in plan_acts(session, plans)]
    told = {"devices": len(stops), "cancelled": len(cancelled)} | ({} if pause_min is None else {"pause_min": pause_min})
    record(session, trail, "act.stop-all", str(scope), place=place, after=told)
    return Stopped(stops, cancelled)


def stop_test(session: Session, test_id: str, *, actor: str, now_ms: int, trail: Trail) -> tuple[ValveTest, Stopped | None]:
    """Stop a test of valves: no further one is opened, and the one that is open is closed; return it, and that stop.

    Raises
    ------
    NotFound, Conflict
        There is no such test; it is over.
    """
    test = get_test(session, test_id)
    if test.ended_ms is not None:
        raise Conflict("this test of valves is over")
    under_way = [zone for zone, act in acts_of_test(session, test) if act is not None and act.state in OPEN]
    end_tests(session, {zone.rpartition(":")[0] for zone in test.zones}, actor, now_ms)
    stopped = [request_stop(session, zone, actor=actor, now_ms=now_ms, trail=trail) for zone in under_way]
    place = place_of_site(session, test.site)
    record(session, trail, "valve-test.stop", f"valve-test:{test.id}", place=place, after={"closed": under_way})
    session.flush()
    all_of = Stopped([act for one in stopped for act in one.stops], [act for one in stopped for act in one.cancelled])
    return get_test(session, test_id), all_of if stopped else None


def _moving(scope: Scope) -> Select[str]:
    """Return a query of the keys of the devices in a place that have a bed or a pond."""
    with_actuators = select(ZoneRow.device_key).where(ZoneRow.type != "point")
    query = select(DeviceRow.key).where(DeviceRow.revoked_ms.is_(None), DeviceRow.key.in_(with_actuators))
    if scope.type == "site":
        query = query.where(DeviceRow.site == scope.key)
    elif scope.type != "all":
        sites = select(SiteRow.name)
        if scope.type == "agency":
            sites = sites.where(SiteRow.agency_key == scope.key)
        else:
            sites = sites.where(SiteRow.agency_key.startswith(f"{scope.key}:", autoescape=True))
        query = query.where(DeviceRow.site.in_(sites))
    return query.order_by(DeviceRow.key)


def _withdraw(session: Session, query: Select[ActRow], actor: str, now_ms: int) -> list[Act]:
    """Cancel what was not handed over, and the parts of runs that are still to come; what has an unknown end keeps its zone."""
    waiting = query.where(OPEN_ACTS, ActRow.action != "stop", ActRow.state.in_(("planned", "held")))
    cancelled = [
        act_record(row) for row in session.scalars(waiting).all() if step(session, row, "cancelled", WITHDRAWN, actor, now_ms)
    ]
    return [*cancelled, *withdraw_rest(session, query, actor, now_ms)]


def _known(session: Session, keys: Iterable[str]) -> list[Act]:
    found: list[Act] = []
    for part in in_parts(keys):
        rows = session.scalars(select(ActRow).where(ActRow.idempotency_key.in_(part)).order_by(ActRow.device_key))
        found += [act_record(row) for row in rows]
    return found
