# SPDX-License-Identifier: Apache-2.0
"""The moments that the calendars of a site had planned in a range of time, by what the schedules said then.

Of a timer each start, of a pond each meal; of a bed that is watered by its probe the beginning of each allowed window, when it
is looked at. Each version of a schedule counts for its own time; site, position and holidays are taken as they are now.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from control.agenda import Agenda, Due, grace_s
from control.calendars import instant, local_date, minutes_of
from control.definitions import IrrigationDefinition, TimerDefinition
from control.evaluation import season_factor
from control.holidays import load_holidays
from control.models import DeviceRow, SiteRow, ZoneRow
from control.plots import Plot
from control.records import Zone
from control.resources_models import ResourceZoneRow
from control.starts import Whereabouts
from control.versions import Version, versions_between
from control.zones import zone_record

__all__ = ["PlannedMoment", "planned_moments"]

DAY_MS: Final = 86_400_000
ACTIONS: Final = {"irrigation": "irrigate", "timer": "irrigate", "feeding": "feed"}


@dataclass(frozen=True, slots=True)
class PlannedMoment:
    """One planned moment of a zone.

    Attributes
    ----------
    due : Due
        When, and what was planned, the season reckoned in.
    over_ms : int or None
        Once the controller has looked after this instant, the moment is in the ledger; None where nothing ends it yet.
    window : bool
        The beginning of a window of a bed that is watered by its probe: it may end with nothing being needed.
    """

    zone: Zone
    version: Version
    due: Due
    over_ms: int | None
    window: bool = False

    @property
    def action(self) -> str:
        """What is to be done."""
        return ACTIONS[self.version.definition.type]

    @property
    def name(self) -> tuple[str, int, str | None, int]:
        """How an act of it is told: origin, version, zone, planned moment."""
        return self.version.origin, self.version.version, self.zone.key, self.due.planned_ms


def planned_moments(session: Session, site: str, start_ms: int, end_ms: int) -> list[PlannedMoment]:
    """Return what was planned at a site in [start, end), by zone and time. [ms since the Unix epoch, UTC]"""
    rows = session.scalars(
        select(ZoneRow)
        .join(DeviceRow, DeviceRow.key == ZoneRow.device_key)
        .where(DeviceRow.site == site)
        .order_by(ZoneRow.device_key, ZoneRow.number)
    )
    zones = {row.key: zone_record(row) for row in rows}
    where = _whereabouts(session, site)
    # What shares a pump may wait for its turn there.
    of_site = ResourceZoneRow.resource_key.startswith(f"{site}:", autoescape=True)
    sharing = set(session.scalars(select(ResourceZoneRow.zone_key).where(of_site)))
    agenda, found = Agenda(), []
    for version in versions_between(session, list(zones), start_ms, end_ms):
        shares = version.zone_key in sharing
        found += _moments(agenda, version, zones[version.zone_key], where, start_ms, end_ms, shares=shares)
    order = {key: number for number, key in enumerate(zones)}
    return sorted(found, key=lambda moment: (order[moment.zone.key], moment.due.planned_ms))


def _whereabouts(session: Session, site: str) -> Whereabouts:
    row = session.get_one(SiteRow, site)
    holidays = load_holidays(session).get(row.agency_key or "", frozenset())
    return Whereabouts(ZoneInfo(row.timezone), row.latitude, row.longitude, holidays)


def _moments(
    agenda: Agenda, version: Version, zone: Zone, where: Whereabouts, start_ms: int, end_ms: int, *, shares: bool
) -> list[PlannedMoment]:
    after_ms = max(start_ms - 1, version.since_ms)
    upto_ms = end_ms - 1 if version.until_ms is None else min(end_ms - 1, version.until_ms)
    definition = version.definition
    if isinstance(definition, IrrigationDefinition):
        at = _window_starts(definition, where.zone, after_ms, upto_ms)
        return [PlannedMoment(zone, version, Due(at_ms), at_ms, window=True) for at_ms in at]
    plot = Plot(zone, where, True, version.schedule_id, version.version, version.since_ms, definition, None)
    # One more day: of a timer that makes up once, a run is over when the next one comes.
    dues = agenda.due(plot, after_ms, upto_ms + DAY_MS)
    found = []
    for due, following in pairwise([*dues, None]):
        assert due is not None
        if due.planned_ms <= upto_ms:
            found.append(PlannedMoment(zone, version, _seasoned(plot, due), _over_ms(version, due, following, shares)))
    return found


def _over_ms(version: Version, due: Due, following: Due | None, shares: bool) -> int | None:
    definition = version.definition
    assert not isinstance(definition, IrrigationDefinition)
    if isinstance(definition, TimerDefinition) and definition.missed == "once":
        over_ms = None if following is None else following.planned_ms - 1
    else:
        wait_s = definition.wait_s if shares and isinstance(definition, TimerDefinition) else 0
        over_ms = due.planned_ms + max(grace_s(definition), wait_s) * 1000
    # What is under way when a version ends is put into the ledger by who ends it.
    return over_ms if version.until_ms is None else min(version.until_ms, over_ms or version.until_ms)


def _seasoned(plot: Plot, due: Due) -> Due:
    if not isinstance(plot.definition, TimerDefinition):
        return due
    factor = season_factor(plot, plot.definition, due.planned_ms)
    litres, seconds = (None if amount is None else amount * factor for amount in (due.litres, due.seconds))
    return replace(due, litres=litres, seconds=seconds)


def _window_starts(definition: IrrigationDefinition, zone: ZoneInfo, after_ms: int, upto_ms: int) -> list[int]:
    days = {day for day in (local_date(zone, after_ms), local_date(zone, upto_ms)) if definition.in_force(day)}
    found = {instant(day, minutes_of(start), zone) for day in days if definition.in_force(day) for start, _ in definition.hours}
    return sorted(at_ms for at_ms in found if after_ms < at_ms <= upto_ms)
