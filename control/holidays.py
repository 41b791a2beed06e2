# SPDX-License-Identifier: Apache-2.0
"""Holidays of agencies: dates on which calendars may leave out what they plan, or plan something else."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from control.audit import Trail, record
from control.errors import Invalid, NotFound
from control.models import AgencyRow, HolidayRow
from control.places import touch_agency
from control.records import Holiday
from control.sight import place_of_agency

__all__ = ["list_holidays", "load_holidays", "set_holidays"]

MAX_HOLIDAYS = 1000  # of one agency: ten years of a hundred


def load_holidays(session: Session) -> dict[str, frozenset[date]]:
    """Return the dates of every agency that has some."""
    found: dict[str, set[date]] = {}
    for agency_key, day in session.execute(select(HolidayRow.agency_key, HolidayRow.day)):
        found.setdefault(agency_key, set()).add(date.fromisoformat(day))
    return {agency_key: frozenset(days) for agency_key, days in found.items()}


def list_holidays(session: Session, agency_key: str) -> list[Holiday]:
    """Return an agency's holidays, in order.

    Raises
    ------
    NotFound
        There is no such agency.
    """
    if session.get(AgencyRow, agency_key) is None:
        raise NotFound("agency", agency_key)
    query = select(HolidayRow).where(HolidayRow.agency_key == agency_key).order_by(HolidayRow.day)
    return [Holiday(date.fromisoformat(row.day), row.title) for row in session.scalars(query)]


def set_holidays(
    session: Session, agency_key: str, holidays: Iterable[Holiday], *, version: int | None = None, trail: Trail
) -> list[Holiday]:
    """Replace an agency's holidays, and return them; `version` as with `control.places.change_agency`.

    Raises
    ------
    NotFound
        There is no such agency.
    Invalid
        There are too many, or a date comes twice.
    """
    before = list_holidays(session, agency_key)
    touch_agency(session, agency_key, version, trail)
    wanted = sorted(holidays, key=lambda one: one.day)
    if len(wanted) > MAX_HOLIDAYS:
        raise Invalid("holidays", f"at most {MAX_HOLIDAYS}; leave out those long past")
    if len({one.day for one in wanted}) != len(wanted):
        raise Invalid("holidays", "a date comes twice")
    session.execute(delete(HolidayRow).where(HolidayRow.agency_key == agency_key))
    session.add_all(HolidayRow(agency_key=agency_key, day=one.day.isoformat(), title=one.title) for one in wanted)
    told = [{one.day.isoformat(): one.title for one in those} for those in (before, wanted)]
    place = place_of_agency(agency_key)
    record(session, trail, "agency.holidays", f"agency:{agency_key}", place=place, before=told[0], after=told[1])
    return wanted
