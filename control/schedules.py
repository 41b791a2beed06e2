# SPDX-License-Identifier: Apache-2.0
"""Schedules: what is to be done in a zone, and their definitions.

Invariant: a zone has at most one enabled schedule; every change makes a new version, and acts name the version they
follow, so that an act planned under one is never taken for an act of another.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator, model_validator
from sqlalchemy import select
from sqlalchemy.orm import Session

from control.access import Place, Principal
from control.audit import Trail, record
from control.checks import storable
from control.errors import Conflict, Invalid, NotFound, Stale
from control.ids import is_id, new_id
from control.models import ScheduleRow, ZoneRow
from control.paging import Order, cut
from control.records import Schedule
from control.sight import place_of_site, seen_devices
from control.zones import get_zone

__all__ = [
    "Definition",
    "FeedingDefinition",
    "IrrigationDefinition",
    "Meal",
    "change_schedule",
    "create_schedule",
    "delete_schedule",
    "get_schedule",
    "list_schedules",
    "parse_definition",
]

ZONE_TYPE_OF: Final = {"irrigation": "bed", "feeding": "pond"}
ORDER: Final = Order(ScheduleRow.id, {"created": ScheduleRow.id, "updated": ScheduleRow.updated_ms}, "created", is_id)

Time = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$", description="Local time of the site, HH:MM")]
EndTime = Annotated[
    str, Field(pattern=r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$", description="Local time of the site, HH:MM, up to 24:00")
]
Hours = Annotated[tuple[Time, EndTime], Field(strict=False)]  # JSON has no tuples: a list of two is one
Moisture = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
Seconds = Annotated[int, Field(ge=0, le=86400)]
Litres = Annotated[float, Field(gt=0.0, le=1e6, allow_inf_nan=False)]
Grams = Annotated[float, Field(gt=0.0, le=1e6, allow_inf_nan=False)]
Oxygen = Annotated[float, Field(ge=0.0, le=30.0, allow_inf_nan=False)]


class _Model(BaseModel):
    # Strict: "0.2" or true where a number belongs is a mistake of who wrote it, and none to be guessed around.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class IrrigationDefinition(_Model):
    """Keep a bed's soil moisture between two thresholds, within the allowed hours and the day's water."""

    type: Literal["irrigation"] = "irrigation"
    low: Moisture = Field(description="Filling begins below this soil moisture. [m3/m3]")
    high: Moisture = Field(description="Filling ends at this soil moisture. [m3/m3]")
    hours: list[Hours] = Field(
        default=[("00:00", "24:00")],
        min_length=1,
        max_length=24,
        description="Local hours in which watering may begin, each from its start up to, not including, its end; "
        "an end before the start is on the next day.",
    )
    max_seconds: Annotated[int, Field(ge=1, le=86400)] = Field(default=600, description="Longest run of one act. [s]")
    litres_day: Litres = Field(description="Most water in a day of the site. [L]")
    soak_s: Seconds = Field(default=600, description="Pause after an act, until its water has reached the sensor. [s]")
    min_seconds: Seconds = Field(default=10, description="Shortest run worth beginning. [s]")

    @field_validator("hours")
    @classmethod
    def _hours_not_empty(cls, hours: list[tuple[str, str]]) -> list[tuple[str, str]]:
        if any(start == end for start, end in hours):
            raise ValueError("start and end must differ; the whole day is 00:00 to 24:00")
        return hours

    @model_validator(mode="after")
    def _ordered(self) -> IrrigationDefinition:
        if not self.low < self.high:
            raise ValueError("low must be below high")
        if self.min_seconds > self.max_seconds:
            raise ValueError("min_seconds must not be above max_seconds")
        return self


class Meal(_Model):
    """One meal of the day."""

    time: Time = Field(description="Local time of the site, HH:MM.")
    grams: Grams = Field(description="Feed to give. [g]")


class FeedingDefinition(_Model):
    """Feed a pond by a daily program of meals, less or nothing when oxygen is low. A missed meal is never made up."""

    type: Literal["feeding"] = "feeding"
    meals: list[Meal] = Field(min_length=1, max_length=48, description="Each at its own time of the day.")
    oxygen_stop: Oxygen = Field(default=3.0, description="No feed at or below this dissolved oxygen. [mg/L]")
    oxygen_reduce: Oxygen = Field(default=4.0, description="Full meals from this on; in between, in proportion. [mg/L]")
    grams_day: Grams = Field(description="Most feed in a day of the site. [g]")
    min_gap_s: Seconds = Field(default=5400, description="Least time from the end of a meal to the next. [s]")
    cautious_fraction: Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)] = Field(
        default=0.0, description="Share of a meal to give when oxygen is not known; 0 withholds it. [1]"
    )
    late_s: Seconds = Field(default=900, description="A meal later than this is missed. [s]")

    @field_validator("meals")
    @classmethod
    def _meals_apart(cls, meals: list[Meal]) -> list[Meal]:
        if len({meal.time for meal in meals}) != len(meals):
            raise ValueError("two meals have the same time")
        return meals

    @model_validator(mode="after")
    def _ordered(self) -> FeedingDefinition:
        if self.oxygen_stop > self.oxygen_reduce:
            raise ValueError("oxygen_stop must not be above oxygen_reduce")
        return self


Definition = Annotated[IrrigationDefinition | FeedingDefinition, Field(discriminator="type")]
_ADAPTER: Final[TypeAdapter[IrrigationDefinition | FeedingDefinition]] = TypeAdapter(Definition)


def parse_definition(
    value: Mapping[str, Any] | IrrigationDefinition | FeedingDefinition,
) -> IrrigationDefinition | FeedingDefinition:
    """Return the definition in `value`.

    Raises
    ------
    Invalid
        Naming the field, as `definition.hours.0.1`.
    """
    if isinstance(value, (IrrigationDefinition, FeedingDefinition)):
        return value
    try:
        return _ADAPTER.validate_python(value)
    except ValidationError as exc:
        first = exc.errors(include_url=False, include_context=False, include_input=False)[0]
        where = [str(part) for part in first["loc"] if part not in ZONE_TYPE_OF]
        raise Invalid(".".join(["definition", *where]), first["msg"]) from exc


def create_schedule(
    session: Session,
    zone_key: str,
    definition: Mapping[str, Any] | IrrigationDefinition | FeedingDefinition,
    *,
    enabled: bool = True,
    now_ms: int,
    trail: Trail | None = None,
) -> Schedule:
    """Create a schedule of a zone.

    Raises
    ------
    NotFound
        There is no such zone.
    Invalid
        The definition does not fit, in itself or for this type of zone.
    Conflict
        The zone has an enabled schedule already.
    """
    zone = get_zone(session, zone_key)
    parsed = parse_definition(definition)
    if ZONE_TYPE_OF[parsed.type] != zone.type:
        raise Invalid(
            "definition.type", f"zone {zone_key} is a {zone.type}; {parsed.type} is for a {ZONE_TYPE_OF[parsed.type]}"
        )
    row = ScheduleRow(
        id=new_id(now_ms),
        zone_key=zone_key,
        kind=parsed.type,
        version=1,
        enabled=enabled,
        definition=parsed.model_dump(mode="json"),
        created_ms=now_ms,
        updated_ms=now_ms,
        updated_by=None if trail is None else trail.actor,
    )
    if enabled:
        _only_enabled(session, row)
    session.add(row)
    session.flush()
    _record(session, trail, "schedule.create", row, now_ms, after=_told(row))
    return _schedule(row)


def get_schedule(session: Session, schedule_id: str) -> Schedule:
    """Return the schedule."""
    return _schedule(_live(session, schedule_id))


def list_schedules(
    session: Session,
    *,
    zone_key: str | None = None,
    enabled: bool | None = None,
    seen_by: Principal | None = None,
    sort: str | None = None,
    limit: int = 100,
    after: str | None = None,
) -> tuple[list[Schedule], str | None]:
    """Return schedules, oldest first unless told otherwise, and the cursor of the next page if there is one."""
    query = select(ScheduleRow).where(ScheduleRow.deleted_ms.is_(None))
    if enabled is not None:
        query = query.where(ScheduleRow.enabled.is_(enabled))
    if (devices := seen_devices(seen_by)) is not None:
        query = query.where(ScheduleRow.zone_key.in_(select(ZoneRow.key).where(ZoneRow.device_key.in_(devices))))
    if zone_key is not None:
        query = query.where(ScheduleRow.zone_key == (zone_key if storable(zone_key) else ""))
    return cut(session, query, ORDER, _schedule, sort=sort, limit=limit, after=after)


def change_schedule(
    session: Session,
    schedule_id: str,
    *,
    definition: Mapping[str, Any] | IrrigationDefinition | FeedingDefinition | None = None,
    enabled: bool | None = None,
    version: int | None = None,
    now_ms: int,
    trail: Trail | None = None,
) -> Schedule:
    """Change a schedule; None leaves as it is. The new version counts from now: no meal before now is given or missed.

    Parameters
    ----------
    version : int or None
        The version that the change was made from; another one there now is Stale. None does not ask.
    """
    row = _live(session, schedule_id)
    if version is not None and version != row.version:
        raise Stale("schedule", row.version, version, row.updated_by, row.updated_ms)
    before = _told(row)
    if definition is not None:
        parsed = parse_definition(definition)
        if parsed.type != row.kind:
            raise Invalid("definition.type", f"this schedule is for {row.kind}; create another one for {parsed.type}")
        row.definition = parsed.model_dump(mode="json")
    if enabled is not None:
        row.enabled = enabled
    if row.enabled:
        _only_enabled(session, row)
    row.version += 1
    row.updated_ms = now_ms
    row.updated_by = None if trail is None else trail.actor
    session.flush()
    _record(session, trail, "schedule.change", row, now_ms, before=before, after=_told(row))
    return _schedule(row)


def delete_schedule(
    session: Session, schedule_id: str, *, version: int | None = None, now_ms: int, trail: Trail | None = None
) -> None:
    """Delete a schedule; its acts and decisions stay. `version` as with `change_schedule`."""
    row = _live(session, schedule_id)
    if version is not None and version != row.version:
        raise Stale("schedule", row.version, version, row.updated_by, row.updated_ms)
    row.deleted_ms = now_ms
    _record(session, trail, "schedule.delete", row, now_ms, before=_told(row))


def _told(row: ScheduleRow) -> dict[str, Any]:
    return {"zone": row.zone_key, "enabled": row.enabled, "definition": dict(row.definition)}


def _record(
    session: Session,
    trail: Trail | None,
    action: str,
    row: ScheduleRow,
    now_ms: int,
    *,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    place = place_of_site(session, row.zone_key.partition(":")[0]) or Place()
    trail = trail or Trail("tirta", "local", now_ms)
    record(session, trail, action, f"schedule:{row.id}", place=place, before=before, after=after)


def _only_enabled(session: Session, row: ScheduleRow) -> None:
    query = select(ScheduleRow.id).where(
        ScheduleRow.zone_key == row.zone_key,
        ScheduleRow.enabled,
        ScheduleRow.deleted_ms.is_(None),
        ScheduleRow.id != row.id,
    )
    with session.no_autoflush:
        other = session.scalar(query)
    if other is not None:
        raise Conflict(f"zone {row.zone_key} has the enabled schedule {other}; change or disable that one")


def _live(session: Session, schedule_id: str) -> ScheduleRow:
    row = session.get(ScheduleRow, schedule_id) if is_id(schedule_id) else None
    if row is None or row.deleted_ms is not None:
        raise NotFound("schedule", schedule_id)
    return row


def _schedule(row: ScheduleRow) -> Schedule:
    return Schedule(row.id, row.zone_key, row.kind, row.version, row.enabled, row.definition, row.created_ms, row.updated_ms)
