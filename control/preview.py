# SPDX-License-Identifier: Apache-2.0
"""Preview: what a schedule will do in the days to come, and what differs from what is in force.

Both are run on copies in memory (`control.preview_ground`, `control.preview_run`). Invariants: the control database is not
written; where sensors, devices and people do as is assumed, the controller does the same acts, under the same ids, at the same
minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from control import schedules
from control.audit import Trail
from control.conflicts import Conflicting
from control.database import Database
from control.definitions import AnyDefinition, parse_definition
from control.errors import Invalid
from control.evaluation import LatestValues
from control.forecasts import Forecast, ForecastCache, load_forecasts
from control.models import ScheduleRow
from control.preview_ground import Ground, copy_ground, lay_ground
from control.preview_run import Foreshown, PreviewRun
from control.preview_weather import spells_of
from control.records import Schedule, Zone
from control.sites import get_site
from control.zones import get_zone

__all__ = ["Preview", "PreviewLimits", "Wanted", "preview"]

DAY_MS: Final = 86_400_000
TRAIL: Final = Trail("controller", "local", 0)


@dataclass(frozen=True, slots=True)
class PreviewLimits:
    """What a preview may take.

    Attributes
    ----------
    ticks : int
        Moments looked at, in each of its two runs.
    seconds : float
        On the clock that is handed in. [s]
    """

    ticks: int = 6_000
    seconds: float = 15.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """The schedule that is looked at: a saved one by its id, with or without a change; or one that is not saved, of a zone."""

    zone_key: str
    schedule_id: str | None = None
    definition: Mapping[str, Any] | AnyDefinition | None = None


@dataclass(frozen=True, slots=True)
class Preview:
    """What lies ahead of some zones, [start, end).

    Attributes
    ----------
    zone : Zone
        That was asked for.
    timezone : ZoneInfo
        Of its site.
    kind : str
        Sort of its definition.
    schedule : Schedule or None
        As it would be: with the version that a change would give it. The id of one that is not saved is none to keep.
    saved : bool
        Whether it is in force now, as it is: then there is nothing that differs.
    conflicts : tuple of Conflicting
        What conflicts in it; with an error it would not be saved, and nothing is foreshown.
    acts, before : tuple of Foreshown
        With this schedule, and with what is in force now; of all zones that share their water, in order of their start.
    forecast : Forecast or None
        Of the site, in force, believed or not.
    dries : bool
        Soil dries, by the forecast.
    no_reading : bool
        Of the zone what its rule goes by was never measured.
    """

    zone: Zone
    timezone: ZoneInfo
    kind: str
    schedule: Schedule | None
    saved: bool
    conflicts: tuple[Conflicting, ...]
    start_ms: int
    end_ms: int
    acts: tuple[Foreshown, ...]
    before: tuple[Foreshown, ...]
    ground: Ground
    forecast: Forecast | None
    dries: bool
    no_reading: bool


def preview(
    database: Database,
    latest: LatestValues,
    wanted: Wanted,
    days: int,
    *,
    now_ms: int,
    stale_s: float,
    monotonic: Callable[[], float],
    limits: PreviewLimits | None = None,
) -> Preview:
    """Foresee so many days of a schedule, and of what is in force now.

    Raises
    ------
    NotFound, Invalid, Conflict
        There is no such schedule or zone, or it would not be saved.
    PreviewTooLong
        It took more than its limits.
    """
    with database.reader() as session:
        zone = get_zone(session, wanted.zone_key)
        timezone = get_site(session, zone.site).zone
        ground = copy_ground(session, zone.key, now_ms)
        forecast = load_forecasts(session, ForecastCache(), [zone.site]).get(zone.site)
    believed = forecast if forecast is not None and forecast.believed(now_ms) else None
    limits = limits or PreviewLimits()
    late, end_ms = monotonic() + limits.seconds, now_ms + days * DAY_MS

    def foresee(session: Session) -> tuple[Foreshown, ...]:
        run = PreviewRun(session, latest, ground, believed, now_ms, end_ms, stale_s)
        return run.to_the_end(limits.ticks, lambda: monotonic() > late)

    with lay_ground(ground, now_ms) as session:
        aim = _aim(session, wanted)
        saved = aim.schedule_id is not None and aim.definition is None and aim.enabled_id == aim.schedule_id
        conflicts = schedules.list_conflicts(
            session, zone.key, aim.parsed, now_ms=now_ms, schedule_id=aim.schedule_id, enabled=False
        )
        sound = all(one.severity != "error" for one in conflicts)
        schedule = _apply(session, zone.key, aim, now_ms) if sound else None
        acts = foresee(session) if sound else ()
    before = acts
    if sound and not saved:
        with lay_ground(ground, now_ms) as session:
            before = foresee(session)
    return Preview(
        zone=zone,
        timezone=timezone,
        kind=aim.parsed.type,
        schedule=schedule,
        saved=saved,
        conflicts=tuple(conflicts),
        start_ms=now_ms,
        end_ms=end_ms,
        acts=acts,
        before=before,
        ground=ground,
        forecast=forecast,
        dries=bool(spells_of(believed, now_ms)),
        no_reading=_unread(latest, zone, aim.parsed),
    )


@dataclass(frozen=True, slots=True)
class _Aim:
    """What is to be previewed.

    Attributes
    ----------
    enabled_id : str or None
        The schedule of the zone that is in force.
    schedule_id : str or None
        The saved one that is meant; None where a new one would be made.
    definition : AnyDefinition or None
        What would be changed; None leaves as it is.
    parsed : AnyDefinition
        What it says then.
    """

    enabled_id: str | None
    schedule_id: str | None
    definition: AnyDefinition | None
    parsed: AnyDefinition


def _aim(session: Session, wanted: Wanted) -> _Aim:
    query = select(ScheduleRow).where(
        ScheduleRow.zone_key == wanted.zone_key, ScheduleRow.enabled, ScheduleRow.deleted_ms.is_(None)
    )
    enabled = session.scalar(query)
    definition = None if wanted.definition is None else parse_definition(wanted.definition)
    target = wanted.schedule_id
    if target is None:
        if definition is None:
            raise Invalid("definition", "name a saved schedule, or say what is to be done")
        # Of one sort it is a change of what is in force; of another it takes its place.
        target = enabled.id if enabled is not None and enabled.kind == definition.type else None
    parsed = definition
    if target is not None:
        kept = parse_definition(schedules.get_schedule(session, target).definition)
        definition = None if definition == kept else definition
        parsed = definition or kept
    assert parsed is not None
    return _Aim(None if enabled is None else enabled.id, target, definition, parsed)


def _apply(session: Session, zone_key: str, aim: _Aim, now_ms: int) -> Schedule:
    """Bring the ground to what is wanted, as saving it would."""
    if aim.schedule_id is not None and aim.schedule_id == aim.enabled_id and aim.definition is None:
        return schedules.get_schedule(session, aim.schedule_id)
    if aim.enabled_id not in (None, aim.schedule_id):
        schedules.change_schedule(session, aim.enabled_id or "", enabled=False, now_ms=now_ms, trail=TRAIL)
    if aim.schedule_id is None:
        return schedules.create_schedule(session, zone_key, aim.parsed, now_ms=now_ms, trail=TRAIL)
    return schedules.change_schedule(
        session, aim.schedule_id, definition=aim.definition, enabled=True, now_ms=now_ms, trail=TRAIL
    )


def _unread(latest: LatestValues, zone: Zone, definition: AnyDefinition) -> bool:
    """Tell whether what the rule goes by was never measured."""
    if definition.type == "timer":
        return False
    quantity = "dissolved_oxygen" if definition.type == "feeding" else "soil_moisture"
    values, _ = latest.gather([(zone.site, zone.device, zone.number)], quantity)
    return bool(np.isnan(values).any())
