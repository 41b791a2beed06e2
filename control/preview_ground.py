# SPDX-License-Identifier: Apache-2.0
"""The ground of a preview: a database in memory with the rows that decide about some zones, and nothing else.

Invariants: the control database is only read, in one state; what is done on the ground is never committed anywhere. Tables are
taken by what their columns name, so that one which is added later comes along: rows of the zones, of their devices, site and
agency; of tables that name none of these, all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Table, create_engine, func, insert, or_, select, update
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool

from control.budgets import WaterBook
from control.calendars import instant, local_date
from control.errors import Invalid
from control.ids import new_id
from control.ledger import Order, PlannedAct, plan_acts
from control.models import OPEN_ACTS, ActRow, DeviceRow, Row, SiteRow, ZoneRow
from control.resources_models import ResourceZoneRow
from control.weather_models import ForecastRow

__all__ = ["MAX_ZONES", "Ground", "copy_ground", "lay_ground"]

MAX_ZONES: Final = 200  # that share pumps and mains, directly or through others
MAX_ROWS: Final = 20_000  # of one table
DAY_MS: Final = 86_400_000
RECENT_MS: Final = 3 * 86_400_000  # acts this old still count: for a day's budget, a pause, a grace [ms]
# What was, is not read by the rules; who may do what was asked before.
LEFT_OUT: Final = frozenset(
    {"act_transition", "alarm", "audit", "decision", "decision_form", "invitation", "person", "role_grant", "sign_in", "token"}
)


@dataclass(frozen=True, slots=True)
class Ground:
    """Rows by table, as they were read; of which zones, and what was not as a preview takes it.

    Attributes
    ----------
    zones : tuple of str
        Keys: the zone asked for first, then those that share something with it.
    offline : tuple of str
        Keys of devices that are not connected.
    unsettled : tuple of str
        Keys of zones with an act of unknown end.
    acts : frozenset of str
        Ids of the acts that were in the ledger.
    given_l : float
        What the agency gave this month, where it has a budget. [L]
    ends_ms : tuple of int
        Instants to come at which something ends that people put off, in order. [ms since the Unix epoch, UTC]
    """

    zones: tuple[str, ...]
    offline: tuple[str, ...]
    unsettled: tuple[str, ...]
    acts: frozenset[str]
    given_l: float
    ends_ms: tuple[int, ...]
    rows: Mapping[str, Sequence[Mapping[str, Any]]]


def copy_ground(session: Session, zone_key: str, now_ms: int) -> Ground:
    """Read the rows that decide about a zone.

    Raises
    ------
    Invalid
        It shares its water with too many zones.
    """
    zones = _sharing(session, zone_key)
    site = zone_key.partition(":")[0]
    devices = sorted({key.rpartition(":")[0] for key in zones})
    agency = session.scalar(select(SiteRow.agency_key).where(SiteRow.name == site)) or ""
    named = {
        "zone_key": zones,
        "device_key": devices,
        "agency_key": [agency],
        "site": [site],
    }
    rows: dict[str, Sequence[Mapping[str, Any]]] = {"act": _acts(session, zones, now_ms)}
    known = [row["id"] for row in rows["act"]]
    for name, table in Row.metadata.tables.items():
        if name not in LEFT_OUT and name not in rows:
            rows[name] = _rows(session, table, _where(table, {**named, "act_id": known}, site, zones))
    offline = tuple(row["key"] for row in rows["device"] if not row["online"] and row["key"] in devices)
    unsettled = tuple(sorted({row["zone_key"] for row in rows["act"] if row["state"] == "unknown"}))
    ends = {row["until_ms"] for table in rows.values() for row in table if (row.get("until_ms") or 0) > now_ms}
    given_l = _given(session, agency, now_ms)
    return Ground(tuple(zones), offline, unsettled, frozenset(known), given_l, tuple(sorted(ends)), rows)


@contextmanager
def lay_ground(ground: Ground, now_ms: int) -> Iterator[Session]:
    """Give a session on a database in memory with these rows, every device connected and no act of unknown end."""
    engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    try:
        Row.metadata.create_all(engine)
        with Session(engine, expire_on_commit=False) as session:
            for name, rows in ground.rows.items():
                if rows:
                    session.execute(insert(Row.metadata.tables[name]), list(rows))
            session.execute(update(DeviceRow).values(online=True))
            ended = {"state": "indeterminate", "ended_ms": now_ms}  # what it may have given counts
            session.execute(update(ActRow).where(ActRow.state == "unknown").values(**ended))
            _give_rest(session, ground, now_ms)
            yield session
            session.rollback()
    finally:
        engine.dispose()


def _given(session: Session, agency: str, now_ms: int) -> float:
    standing = WaterBook().standings(session, now_ms, keep=False).get(agency)
    return 0.0 if standing is None else standing.given_l


def _give_rest(session: Session, ground: Ground, now_ms: int) -> None:
    """Enter as one act what the rest of the agency gave this month: it has drawn on the same budget."""
    agency, device = (next(iter(ground.rows[name])) for name in ("site", "device"))
    rest_l = ground.given_l - _given(session, agency["agency_key"] or "", now_ms)
    if rest_l <= 0.0:
        return
    began_ms = instant(local_date(ZoneInfo(agency["timezone"]), now_ms).replace(day=1), 0, ZoneInfo(agency["timezone"]))
    gave_ms = max(began_ms, now_ms - DAY_MS)
    order = Order(
        device_key=device["key"],
        zone_key=None,
        action="irrigate",
        origin="manual",
        version=0,
        actor="controller",
        planned_ms=gave_ms,
        issued_ms=gave_ms,
        expires_ms=now_ms,
        litres=rest_l,
    )
    (act, _), *_ = plan_acts(session, [PlannedAct(new_id(now_ms), order)])
    session.execute(update(ActRow).where(ActRow.id == act.id).values(state="done", ended_ms=now_ms, result_litres=rest_l))


def _sharing(session: Session, zone_key: str) -> list[str]:
    """Return the zone and all that share something with it, or with one that does."""
    found, looked = [zone_key], 0
    while looked < len(found):
        resources = select(ResourceZoneRow.resource_key).where(ResourceZoneRow.zone_key.in_(found[looked:]))
        looked = len(found)
        beside = select(ResourceZoneRow.zone_key).where(ResourceZoneRow.resource_key.in_(resources)).distinct()
        found += sorted(set(session.scalars(beside)) - set(found))
        if len(found) > MAX_ZONES:
            raise Invalid("zone", f"it shares its water with more than {MAX_ZONES} zones; so many are not previewed")
    return found


def _acts(session: Session, zones: Sequence[str], now_ms: int) -> list[dict[str, Any]]:
    mine = ActRow.zone_key.in_(zones)
    found = _rows(session, ActRow.metadata.tables["act"], mine & (or_(ActRow.issued_ms >= now_ms - RECENT_MS, OPEN_ACTS)))
    # A run that is made up for once may be from long ago: the ledger has to know of it.
    last = (
        select(func.max(ActRow.id))
        .where(mine, ActRow.origin.startswith("schedule:"))
        .group_by(ActRow.zone_key)
        .scalar_subquery()
    )
    known = {row["id"] for row in found}
    older = _rows(session, ActRow.metadata.tables["act"], ActRow.id.in_(last))
    return found + [row for row in older if row["id"] not in known]


def _where(table: Table, named: Mapping[str, Sequence[str]], site: str, zones: Sequence[str]) -> ColumnElement[bool] | None:
    if table.name == "site":
        return SiteRow.name == site
    if table.name == "zone":
        return ZoneRow.key.in_(zones)
    if table.name == "forecast":
        newest = select(func.max(ForecastRow.issued_ms)).where(ForecastRow.site == site).scalar_subquery()
        return (ForecastRow.site == site) & (ForecastRow.issued_ms == newest)
    open_only = None if "ended_ms" not in table.columns else table.columns["ended_ms"].is_(None)
    for name, values in named.items():
        if name in table.columns:
            column = table.columns[name]  # NULL is of all: a pause of a whole city names no site
            mine = or_(column.in_(values), column.is_(None)) if column.nullable else column.in_(values)
            return mine if open_only is None else mine & open_only
    return open_only


def _rows(session: Session, table: Table, where: ColumnElement[bool] | None) -> list[dict[str, Any]]:
    query = select(table).limit(MAX_ROWS + 1)
    found = [dict(row) for row in session.execute(query if where is None else query.where(where)).mappings()]
    if len(found) > MAX_ROWS:
        raise Invalid("zone", "there is too much around it to be previewed")
    return found
