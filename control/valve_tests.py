# SPDX-License-Identifier: Apache-2.0
"""Tests of valves: each bed of a site or a device is opened for some seconds, one after the other, as ordinary acts.

Which valve is next follows from the ledger alone: each one's act has an id made of the test and the zone, so that a crash in
between plans none twice and leaves none out. Invariant: at most one act of a test is open at a time; what cannot be tested now
is in the ledger too, as skipped with its reason. A valve waits for room on the pumps and mains that its zone shares, but not
longer than `PATIENCE_MS` after the last valve that was opened.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from control.access import Principal
from control.audit import Trail, record
from control.budgets import WaterBook
from control.calendars import day_start
from control.commands import whole_seconds
from control.errors import Conflict, NotFound
from control.ids import act_id, is_id, new_id
from control.ledger import Order, PlannedAct, act_record, plan_acts
from control.limits import find_excess
from control.loads import Load, zone_loads
from control.models import ActRow, DeviceRow, ValveTestRow, ZoneRow
from control.paging import Order as Sorting
from control.paging import cut
from control.records import Act, Zone, ZoneParameters
from control.registry import get_device, get_site
from control.requests import check_free, stored_key
from control.sight import place_of_site, seen_sites
from control.states import OPEN
from control.turns import find_obstacle
from control.zones import get_zone
from rules.interlocks import STOP_MARGIN

__all__ = [
    "ORIGIN",
    "ValveTest",
    "acts_of_test",
    "advance_tests",
    "begin_test",
    "end_tests",
    "get_test",
    "list_tests",
]

ORIGIN: Final = "test:"  # begins the origin of an act of a test; its id follows
SECONDS: Final = 10.0  # that each valve is open [s]
EXPIRES_MS: Final = 60_000  # a device that is there takes it at once, and the next valve waits [ms]
PATIENCE_MS: Final = (
    600_000  # that valves wait for room on a pump or main; behind one that waited in vain none waits again [ms]
)
MAX_ZONES: Final = 1000  # of one test: three hours, where none waits
SORTING: Final = Sorting(ValveTestRow.id, {"begun": ValveTestRow.id}, "-begun", is_id)


@dataclass(frozen=True, slots=True)
class ValveTest:
    """A test of valves; `ended_ms` is None as long as it goes on, `stopped_by` names who ended it before its end."""

    id: str
    site: str
    zones: tuple[str, ...]
    seconds: float
    actor: str
    begun_ms: int
    ended_ms: int | None
    stopped_by: str | None

    @property
    def state(self) -> str:
        """How it stands: "running", "done" or "stopped"."""
        if self.ended_ms is None:
            return "running"
        return "done" if self.stopped_by is None else "stopped"


def begin_test(
    session: Session,
    key: str,
    *,
    actor: str,
    idempotency_key: str | None = None,
    now_ms: int,
    trail: Trail | None = None,
) -> tuple[ValveTest, list[Act]]:
    """Begin a test of a site's valves, or of a device's, "{site}:{device}"; return it, and the acts planned.

    Raises
    ------
    NotFound
        There is no such site or device.
    Conflict
        There is no bed; something is under way or unsettled in one, or another test here; a budget does not hold it.
    """
    trail = trail or Trail(actor, "local", now_ms)
    site = get_site(session, key if ":" not in key else get_device(session, key).site)
    kept = stored_key(trail.whose or actor, idempotency_key, f"valve-test:{key}")
    if kept is not None:
        known = session.scalar(select(ValveTestRow).where(ValveTestRow.idempotency_key == kept))
        if known is not None:
            return _test(known), []
    zones = _beds(session, key)
    _check(session, site.name, zones, now_ms)
    row = ValveTestRow(
        id=new_id(now_ms),
        site=site.name,
        zones=[zone.key for zone in zones],
        seconds=SECONDS,
        actor=actor,
        begun_ms=now_ms,
        idempotency_key=kept,
    )
    session.add(row)
    session.flush()
    told = {"at": key, "zones": len(zones), "seconds": SECONDS}
    record(session, trail, "valve-test.begin", f"valve-test:{row.id}", place=place_of_site(session, site.name), after=told)
    return _test(row), _advance(session, row, now_ms)


def advance_tests(session: Session, now_ms: int) -> list[Act]:
    """Plan the next act of each test whose last one is over, and end those that are through; return the new acts."""
    rows = session.scalars(select(ValveTestRow).where(ValveTestRow.ended_ms.is_(None)).order_by(ValveTestRow.id)).all()
    return [act for row in rows for act in _advance(session, row, now_ms)]


def end_tests(session: Session, device_keys: Iterable[str], actor: str, now_ms: int) -> None:
    """End the tests that go on at some of these devices: who stops a device wants no further valve of the test opened."""
    rows = session.scalars(select(ValveTestRow).where(ValveTestRow.ended_ms.is_(None))).all()
    devices = set(device_keys) if rows else set()
    for row in rows:
        if any(zone.rpartition(":")[0] in devices for zone in row.zones):
            row.ended_ms, row.stopped_by = now_ms, actor


def get_test(session: Session, test_id: str) -> ValveTest:
    """Return the test."""
    row = session.get(ValveTestRow, test_id) if is_id(test_id) else None
    if row is None:
        raise NotFound("valve test", test_id)
    return _test(row)


def list_tests(
    session: Session,
    *,
    site: str | None = None,
    seen_by: Principal | None = None,
    sort: str | None = None,
    limit: int = 100,
    after: str | None = None,
) -> tuple[list[ValveTest], str | None]:
    """Return tests, the latest first unless told otherwise, and the cursor of the next page if there is one."""
    query = select(ValveTestRow)
    if (names := seen_sites(seen_by)) is not None:
        query = query.where(ValveTestRow.site.in_(names))
    if site is not None:
        query = query.where(ValveTestRow.site == site)
    return cut(session, query, SORTING, _test, sort=sort, limit=limit, after=after)


def acts_of_test(session: Session, test: ValveTest) -> list[tuple[str, Act | None]]:
    """Return each zone of a test, in its order, with its act; None where its turn has not come, or never came."""
    rows = _rows(session, test)
    return [(zone, None if row is None else act_record(row)) for zone, row in rows]


def _advance(session: Session, row: ValveTestRow, now_ms: int) -> list[Act]:
    planned: list[Act] = []
    since_ms = row.begun_ms  # when the last valve was opened, or its act was over
    for zone_key, act in _rows(session, _test(row)):
        if act is None:
            plan = _plan(session, row, get_zone(session, zone_key), since_ms, now_ms)
            if plan is None:
                return planned
            planned += [made for made, _ in plan_acts(session, [plan])]
            if planned[-1].state == "planned":
                return planned
        elif act.state in OPEN and act.state != "unknown":
            return planned
        elif act.state != "skipped":
            since_ms = max(since_ms, act.ended_ms or act.planned_ms)
    row.ended_ms = now_ms
    return planned


def _plan(session: Session, row: ValveTestRow, zone: Zone, since_ms: int, now_ms: int) -> PlannedAct | None:
    """Return the act that opens a valve, or leaves it out; None where it waits for room."""
    seconds, litres = _amounts(zone.parameters)
    order = Order(
        device_key=zone.device_key,
        zone_key=zone.key,
        action="irrigate",
        origin=f"{ORIGIN}{row.id}",
        version=0,
        actor=row.actor,
        planned_ms=now_ms,
        issued_ms=now_ms,
        expires_ms=now_ms + EXPIRES_MS,
        seconds=seconds,
        litres=litres,
        max_seconds=max(1, min(whole_seconds(seconds * STOP_MARGIN), zone.parameters.max_seconds)),
    )
    key = act_id(order.origin, 0, zone.key, row.begun_ms)
    if (why := _obstacle(session, zone, litres, now_ms)) is not None:
        return PlannedAct(key, order, "skipped", why)
    if (no_room := find_obstacle(session, zone.key, zone.parameters.flow_l_min, now_ms)) is None:
        return PlannedAct(key, order, cause="next of the test")
    if no_room.never:
        return PlannedAct(key, order, "skipped", "flow-above-resource")
    if now_ms - since_ms >= PATIENCE_MS:
        return PlannedAct(key, order, "skipped", f"no-room-in-window: {no_room.detail}")
    return None


def _obstacle(session: Session, zone: Zone, litres: float | None, now_ms: int) -> str | None:
    """Return the reason why a valve is left out; None where nothing speaks against it."""
    device = session.get_one(DeviceRow, zone.device_key)
    if device.revoked_ms is not None or not device.online:
        return "offline"
    site = get_site(session, zone.site)
    load = zone_loads(session, {zone.key: day_start(site.zone, now_ms)})[zone.key]
    if load.unsettled or load.busy:
        return "unsettled" if load.unsettled else "busy"
    month = WaterBook().standings(session, now_ms, keep=False).get(site.agency)
    excess = find_excess(load, zone.parameters, month, litres, None)
    return {"day": "budget-spent", "month": "month-spent"}[excess[0].budget] if excess else None


def _check(session: Session, site_name: str, zones: list[Zone], now_ms: int) -> None:
    if not zones:
        raise Conflict("there is no bed here, and so no valve to test")
    if len(zones) > MAX_ZONES:
        raise Conflict(f"there are more than {MAX_ZONES} valves here; test one device after the other")
    keys = {zone.key for zone in zones}
    for row in session.scalars(select(ValveTestRow).where(ValveTestRow.ended_ms.is_(None), ValveTestRow.site == site_name)):
        if keys & set(row.zones):
            raise Conflict("a test of valves is under way here; stop it, or wait for its end")
    site = get_site(session, site_name)
    loads = zone_loads(session, dict.fromkeys(keys, day_start(site.zone, now_ms)))
    for zone in zones:
        check_free(zone.key, loads[zone.key])
        _, litres = _amounts(zone.parameters)
        if excess := find_excess(loads[zone.key], zone.parameters, None, litres, None):
            raise Conflict(excess[0].detail)
    total = sum(_amounts(zone.parameters)[1] or 0.0 for zone in zones)
    month = WaterBook().standings(session, now_ms, keep=False).get(site.agency)
    if excess := find_excess(Load(), ZoneParameters(litres_day=total), month, total, None):
        raise Conflict(excess[0].detail)


def _amounts(own: ZoneParameters) -> tuple[float, float | None]:
    """Return the seconds and litres of a valve's test; litres None where its flow is not known yet. [s], [L]"""
    seconds = min(SECONDS, float(own.max_seconds))
    return seconds, None if own.flow_l_min is None else seconds / 60 * own.flow_l_min


def _beds(session: Session, key: str) -> list[Zone]:
    query = select(ZoneRow.key).join(DeviceRow, DeviceRow.key == ZoneRow.device_key)
    query = query.where(ZoneRow.type == "bed", DeviceRow.revoked_ms.is_(None))
    query = query.where(DeviceRow.key == key if ":" in key else DeviceRow.site == key)
    return [get_zone(session, zone) for zone in session.scalars(query.order_by(ZoneRow.device_key, ZoneRow.number))]


def _rows(session: Session, test: ValveTest) -> list[tuple[str, ActRow | None]]:
    ids = {zone: act_id(f"{ORIGIN}{test.id}", 0, zone, test.begun_ms) for zone in test.zones}
    session.flush()
    # Past what the session remembers: acts are planned without its knowing.
    found = session.scalars(select(ActRow).where(ActRow.id.in_(list(ids.values()))))
    rows = {row.id: row for row in found}
    return [(zone, rows.get(key)) for zone, key in ids.items()]


def _test(row: ValveTestRow) -> ValveTest:
    return ValveTest(row.id, row.site, tuple(row.zones), row.seconds, row.actor, row.begun_ms, row.ended_ms, row.stopped_by)
