# SPDX-License-Identifier: Apache-2.0
"""Budgets of water: how many litres an agency may give in a month, and how many it has given, or may have.

The month is that of the agency's time zone: the one that most of its sites have. Invariant: what may have been given counts
as given, as in `control.loads`, whoever asked for it: by plan, by hand, at the board.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, and_, case, delete, func, or_, select
from sqlalchemy.orm import Session

from control.audit import Trail, record
from control.calendars import instant, local_date
from control.checks import check_number
from control.errors import Invalid, NotFound
from control.loads import COUNTED
from control.models import ActRow, AgencyRow, DeviceRow, SiteRow, WaterBudgetRow
from control.places import touch_agency
from control.sight import place_of_agency

__all__ = ["MONTHS", "WARNED", "Months", "Standing", "WaterBook", "get_budget", "set_budget"]

MONTHS: Final = 12
MAX_LITRES: Final = 1e9  # of a month [L]
WARNED: Final = 0.8  # share of the month's budget at which people are warned [1]
LOOK_BACK_MS: Final = 86_400_000  # an act begins at most so long after it was issued [ms]

Months = tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Standing:
    """How an agency stands this month.

    Attributes
    ----------
    month : str
        As "2026-11".
    budget_l : float or None
        Of this month; None is no limit. [L]
    given_l : float
        Given, or perhaps given, since the month began. [L]
    """

    agency: str
    month: str
    budget_l: float | None
    given_l: float

    @property
    def left_l(self) -> float | None:
        """Litres that may still be given; None is no limit. [L]"""
        return None if self.budget_l is None else max(self.budget_l - self.given_l, 0.0)

    @property
    def share(self) -> float | None:
        """What was given as a share of the budget; 1 where nothing may be given at all. [1]"""
        if self.budget_l is None:
            return None
        return self.given_l / self.budget_l if self.budget_l > 0.0 else 1.0


def get_budget(session: Session, agency_key: str) -> Months:
    """Return an agency's litres for each month of the year, January first; None is no limit.

    Raises
    ------
    NotFound
        There is no such agency.
    """
    if session.get(AgencyRow, agency_key) is None:
        raise NotFound("agency", agency_key)
    query = select(WaterBudgetRow.month, WaterBudgetRow.litres).where(WaterBudgetRow.agency_key == agency_key)
    kept = {row.month: row.litres for row in session.execute(query)}
    return tuple(kept.get(month) for month in range(1, MONTHS + 1))


def set_budget(
    session: Session, agency_key: str, months: Sequence[float | None], *, version: int | None = None, trail: Trail
) -> Months:
    """Replace an agency's budget, and return it; `version` as with `control.places.change_agency`.

    Raises
    ------
    NotFound
        There is no such agency.
    Invalid
        There are not twelve months, or one's litres are no number from 0 to 1e9.
    """
    before = get_budget(session, agency_key)
    if len(months) != MONTHS:
        raise Invalid("months", "twelve, January first; null for a month without a limit")
    for litres in months:
        if litres is not None and litres != 0.0:
            check_number("months", litres, 0.0, MAX_LITRES)
    touch_agency(session, agency_key, version, trail)
    session.execute(delete(WaterBudgetRow).where(WaterBudgetRow.agency_key == agency_key))
    session.add_all(
        WaterBudgetRow(agency_key=agency_key, month=number, litres=float(litres))
        for number, litres in enumerate(months, 1)
        if litres is not None
    )
    session.flush()
    after = get_budget(session, agency_key)
    told = [{"months": list(those)} for those in (before, after)]
    place = place_of_agency(agency_key)
    record(session, trail, "agency.budget", f"agency:{agency_key}", place=place, before=told[0], after=told[1])
    return after


class WaterBook:
    """Counts what agencies have given this month; remembers the days that are over.

    The acts of today are counted anew each time. Whoever hears of an act of a day that is over tells so with `forget`.
    """

    def __init__(self) -> None:
        self._days: dict[tuple[str, date], Mapping[str, float]] = {}
        self._lock = threading.Lock()

    def forget(self, began_ms: Iterable[int] | None = None) -> None:
        """Count the days anew in which acts began, in whatever time zone, or (None) all."""
        with self._lock:
            if began_ms is None:
                self._days.clear()
                return
            for zone, day in {(zone, local_date(ZoneInfo(zone), ms)) for ms in began_ms for zone in self._zones()}:
                self._days.pop((zone, day), None)

    def standings(
        self, session: Session, now_ms: int, agencies: Collection[str] | None = None, *, keep: bool = True
    ) -> dict[str, Standing]:
        """Return how agencies stand, by their keys.

        Parameters
        ----------
        agencies : collection of str or None
            Which; None is those with a budget for this month.
        keep : bool
            Whether what is counted may be remembered: in a session that writes, which sees all that was committed.
        """
        budgets = {(row.agency_key, row.month): row.litres for row in session.scalars(select(WaterBudgetRow))}
        if not budgets and agencies is None:
            return {}
        found: dict[str, Standing] = {}
        session.flush()
        zones = _timezones(session)
        for zone in sorted({zones.get(agency, "UTC") for agency in agencies or {agency for agency, _ in budgets}}):
            today = local_date(ZoneInfo(zone), now_ms)
            wanted = [
                agency
                for agency in (agencies or sorted({agency for agency, month in budgets if month == today.month}))
                if zones.get(agency, "UTC") == zone
            ]
            given = self._given(session, zone, today, keep=keep) if wanted else Counter()
            for agency in wanted:
                budget = budgets.get((agency, today.month))
                found[agency] = Standing(agency, f"{today:%Y-%m}", budget, round(given.get(agency, 0.0), 6))
        return found

    def _given(self, session: Session, zone: str, today: date, *, keep: bool) -> dict[str, float]:
        total: dict[str, float] = {}
        for number in range(today.day):
            day = today.replace(day=1) + timedelta(days=number)
            with self._lock:
                counted = self._days.get((zone, day))
            if counted is None:
                counted = _given_on(session, ZoneInfo(zone), day)
                if keep and day != today:
                    self._remember(zone, day, counted)
            for agency, litres in counted.items():
                total[agency] = total.get(agency, 0.0) + litres
        return total

    def _remember(self, zone: str, day: date, counted: Mapping[str, float]) -> None:
        with self._lock:
            for old in [key for key in self._days if key[0] == zone and (key[1].year, key[1].month) != (day.year, day.month)]:
                del self._days[old]
            self._days[(zone, day)] = counted

    def _zones(self) -> set[str]:
        return {zone for zone, _ in self._days}


def _timezones(session: Session) -> dict[str, str]:
    """Return of each agency with a site the time zone that most of its sites have; of as many, the first by name."""
    counts: dict[str, Counter[str]] = {}
    query = select(SiteRow.agency_key, SiteRow.timezone, func.count()).group_by(SiteRow.agency_key, SiteRow.timezone)
    for agency, zone, count in session.execute(query):
        if agency is not None:
            counts.setdefault(agency, Counter())[zone] = count
    return {agency: min(found, key=lambda zone: (-found[zone], zone)) for agency, found in counts.items()}


def _given_on(session: Session, zone: ZoneInfo, day: date) -> dict[str, float]:
    """Return the litres that each agency gave on a local date."""
    start, end = instant(day, 0, zone), instant(day + timedelta(days=1), 0, zone)
    began = func.coalesce(ActRow.begun_ms, ActRow.planned_ms)
    query = (
        select(SiteRow.agency_key, func.sum(_litres()))
        .join_from(ActRow, DeviceRow, DeviceRow.key == ActRow.device_key)
        .join(SiteRow, SiteRow.name == DeviceRow.site)
        # By when it was issued: a run that is made up for may have been planned days ago.
        .where(ActRow.issued_ms >= start - LOOK_BACK_MS, ActRow.issued_ms < end, began >= start, began < end)
        .where(ActRow.action == "irrigate", _counts())
        .group_by(SiteRow.agency_key)
    )
    return {agency: float(litres) for agency, litres in session.execute(query) if agency is not None and litres}


def _counts() -> ColumnElement[bool]:
    """Return the condition that something was given, or may have been; `control.loads` says the same of a row."""
    nothing = and_(ActRow.result_seconds.is_(None), ActRow.result_litres.is_(None), ActRow.result_grams.is_(None))
    return and_(
        ActRow.state.in_(COUNTED),
        or_(ActRow.state != "cancelled", ActRow.sent_ms.is_not(None)),
        or_(ActRow.state != "failed", ~nothing),
    )


def _litres() -> ColumnElement[Any]:
    """Return the litres of a row that counts: as reported, else as asked for, by how much of its time it ran. [L]"""
    known = and_(ActRow.result_seconds.is_not(None), ActRow.seconds > 0.0)
    part = case((ActRow.result_seconds < ActRow.seconds, ActRow.result_seconds / ActRow.seconds), else_=1.0)
    return func.coalesce(ActRow.result_litres, func.coalesce(ActRow.litres, 0.0) * case((known, part), else_=1.0))
