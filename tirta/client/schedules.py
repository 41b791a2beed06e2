# SPDX-License-Identifier: Apache-2.0
"""What is to be done in a zone, and when."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from tirta.client.acts import Sentence
from tirta.client.calls import Calls, given

__all__ = [
    "Assumption",
    "Conflict",
    "Daily",
    "Days",
    "Definition",
    "Even",
    "Feeding",
    "Interval",
    "Irrigation",
    "Meal",
    "Odd",
    "Preview",
    "PreviewAct",
    "PreviewChange",
    "PreviewDay",
    "RainSkip",
    "Recurrence",
    "Schedule",
    "ScheduleDetail",
    "Schedules",
    "TimedRun",
    "Timer",
    "Weekly",
]


class RainSkip(msgspec.Struct, frozen=True, omit_defaults=True):
    """Not to water when rain gives it: enough of it forecast, or measured. [mm], [1], [h]"""

    mm: float | msgspec.UnsetType = msgspec.UNSET
    probability: float | msgspec.UnsetType = msgspec.UNSET
    hours: int | msgspec.UnsetType = msgspec.UNSET


class Irrigation(msgspec.Struct, frozen=True, tag_field="type", tag="irrigation", omit_defaults=True):
    """Keep a bed's soil moisture between `low` and `high`. [m3/m3]"""

    low: float
    high: float
    litres_day: float
    hours: list[tuple[str, str]] | msgspec.UnsetType = msgspec.UNSET
    max_seconds: int | msgspec.UnsetType = msgspec.UNSET
    soak_s: int | msgspec.UnsetType = msgspec.UNSET
    min_seconds: int | msgspec.UnsetType = msgspec.UNSET
    closed: list[tuple[str, str]] | msgspec.UnsetType = msgspec.UNSET
    priority: int | msgspec.UnsetType = msgspec.UNSET
    rain_skip: RainSkip | msgspec.UnsetType | None = msgspec.UNSET
    season: list[float] | msgspec.UnsetType = msgspec.UNSET
    first: date | msgspec.UnsetType | None = msgspec.UNSET
    last: date | msgspec.UnsetType | None = msgspec.UNSET


class Daily(msgspec.Struct, frozen=True, tag_field="type", tag="daily"):
    """Every day."""


class Weekly(msgspec.Struct, frozen=True, tag_field="type", tag="weekly"):
    """On days of the week."""

    weekdays: list[Literal["mo", "tu", "we", "th", "fr", "sa", "su"]]


class Odd(msgspec.Struct, frozen=True, tag_field="type", tag="odd"):
    """On odd days of the month."""


class Even(msgspec.Struct, frozen=True, tag_field="type", tag="even"):
    """On even days of the month."""


class Interval(msgspec.Struct, frozen=True, tag_field="type", tag="interval"):
    """Every so many days."""

    every_days: int
    counted_from: date


class Recurrence(msgspec.Struct, frozen=True, tag_field="type", tag="rrule"):
    """By a rule of dates, RFC 5545."""

    rrule: str
    counted_from: date


Days = Daily | Weekly | Odd | Even | Interval | Recurrence


class TimedRun(msgspec.Struct, frozen=True, omit_defaults=True):
    """One planned run of a timer: `litres` or `seconds`, at a local time, sunrise or sunset."""

    time: str
    litres: float | msgspec.UnsetType | None = msgspec.UNSET
    seconds: int | msgspec.UnsetType | None = msgspec.UNSET
    days: Days | msgspec.UnsetType = msgspec.UNSET
    first: date | msgspec.UnsetType | None = msgspec.UNSET
    last: date | msgspec.UnsetType | None = msgspec.UNSET
    not_on: list[date] | msgspec.UnsetType = msgspec.UNSET
    holidays: Literal["also", "not", "only"] | msgspec.UnsetType = msgspec.UNSET


class Timer(msgspec.Struct, frozen=True, tag_field="type", tag="timer", omit_defaults=True):
    """Water a bed at planned times."""

    starts: list[TimedRun]
    litres_day: float
    hours: list[tuple[str, str]] | msgspec.UnsetType = msgspec.UNSET
    closed: list[tuple[str, str]] | msgspec.UnsetType = msgspec.UNSET
    season: list[float] | msgspec.UnsetType = msgspec.UNSET
    missed: Literal["skip", "late", "once", "carry"] | msgspec.UnsetType = msgspec.UNSET
    late_s: int | msgspec.UnsetType = msgspec.UNSET
    max_seconds: int | msgspec.UnsetType = msgspec.UNSET
    min_seconds: int | msgspec.UnsetType = msgspec.UNSET
    rain_skip: RainSkip | msgspec.UnsetType | None = msgspec.UNSET
    priority: int | msgspec.UnsetType = msgspec.UNSET
    wait_s: int | msgspec.UnsetType = msgspec.UNSET
    cycle_s: int | msgspec.UnsetType = msgspec.UNSET
    cycle_soak_s: int | msgspec.UnsetType = msgspec.UNSET
    first: date | msgspec.UnsetType | None = msgspec.UNSET
    last: date | msgspec.UnsetType | None = msgspec.UNSET


class Meal(msgspec.Struct, frozen=True, omit_defaults=True):
    """One meal of the day: `grams`, or a `share` of the day's ration; at a local time, sunrise or sunset."""

    time: str
    grams: float | msgspec.UnsetType | None = msgspec.UNSET
    share: float | msgspec.UnsetType | None = msgspec.UNSET
    days: Days | msgspec.UnsetType = msgspec.UNSET
    first: date | msgspec.UnsetType | None = msgspec.UNSET
    last: date | msgspec.UnsetType | None = msgspec.UNSET
    not_on: list[date] | msgspec.UnsetType = msgspec.UNSET
    holidays: Literal["also", "not", "only"] | msgspec.UnsetType = msgspec.UNSET


class Feeding(msgspec.Struct, frozen=True, tag_field="type", tag="feeding", omit_defaults=True):
    """Give a pond its meals, less where oxygen is low."""

    meals: list[Meal]
    grams_day: float
    ration_g: float | msgspec.UnsetType | None = msgspec.UNSET
    hours: list[tuple[str, str]] | msgspec.UnsetType = msgspec.UNSET
    closed: list[tuple[str, str]] | msgspec.UnsetType = msgspec.UNSET
    first: date | msgspec.UnsetType | None = msgspec.UNSET
    last: date | msgspec.UnsetType | None = msgspec.UNSET
    late_s: int | msgspec.UnsetType = msgspec.UNSET
    min_gap_s: int | msgspec.UnsetType = msgspec.UNSET
    oxygen_stop: float | msgspec.UnsetType = msgspec.UNSET
    oxygen_reduce: float | msgspec.UnsetType = msgspec.UNSET
    cautious_fraction: float | msgspec.UnsetType = msgspec.UNSET


Definition = Irrigation | Timer | Feeding


class Conflict(msgspec.Struct, frozen=True):
    """What of a schedule will not go as it is planned; `at` is the first moment at which it shows, None is always."""

    code: str
    severity: Literal["error", "warning"]
    field: str
    at: datetime | None
    sentence: Sentence


class Schedule(msgspec.Struct, frozen=True):
    """What is to be done in a zone, and when."""

    id: str
    zone: str
    version: int
    enabled: bool
    definition: Definition
    created: datetime
    updated: datetime


class ScheduleDetail(Schedule, frozen=True):
    """The same, with what of it does not go with its zone as that is now."""

    warnings: list[Conflict]


class PreviewAct(msgspec.Struct, frozen=True):
    """An act as it is foreseen; where it does not run, `reasons` say why. [s], [L], [g]"""

    id: str | None
    zone: str
    planned: datetime
    runs: bool
    start: datetime | None
    end: datetime | None
    seconds: float | None
    litres: float | None
    grams: float | None
    reasons: list[str]
    sentence: Sentence


class PreviewChange(msgspec.Struct, frozen=True):
    """An act that differs from what is in force now."""

    kind: Literal["added", "removed", "moved", "amount"]
    before: PreviewAct | None
    after: PreviewAct | None


class PreviewDay(msgspec.Struct, frozen=True):
    """What the zone gets on a day of its site. [L], [g]"""

    day: date
    litres_before: float
    litres: float
    grams_before: float
    grams: float


class Assumption(msgspec.Struct, frozen=True):
    """What is taken for granted."""

    code: str
    sentence: Sentence


class Preview(msgspec.Struct, frozen=True):
    """What a schedule will do in [start, end), where what is assumed comes true."""

    zone: str
    schedule: str | None
    version: int | None
    in_force: bool
    start: datetime
    end: datetime
    assumed: Literal["forecast", "persistence"]
    assumptions: list[Assumption]
    conflicts: list[Conflict]
    acts: list[PreviewAct]
    changes: list[PreviewChange]
    by_day: list[PreviewDay]


class Schedules:
    """`client.schedules`."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def list(self, *, zone: str | None = None, enabled: bool | None = None, sort: str | None = None) -> Iterator[Schedule]:
        """Yield schedules."""
        return self._calls.every(Schedule, "/api/v1/schedules", zone=zone, enabled=enabled, sort=sort)

    def get(self, schedule: str) -> ScheduleDetail:
        """Return one schedule."""
        return self._calls.one(ScheduleDetail, "GET", f"/api/v1/schedules/{schedule}")

    def create(self, zone: str, definition: Definition, *, enabled: bool = True) -> ScheduleDetail:
        """Create a schedule; a zone has one that is followed, at most."""
        body = {"zone": zone, "enabled": enabled, **given(definition=definition)}
        return self._calls.one(ScheduleDetail, "POST", "/api/v1/schedules", body=body)

    def change(
        self, schedule: str, definition: Definition, *, enabled: bool | UnsetType = UNSET, version: int | None = None
    ) -> ScheduleDetail:
        """Change a schedule; the new version counts from now."""
        body = given(definition=definition, enabled=enabled)
        return self._calls.one(ScheduleDetail, "PUT", f"/api/v1/schedules/{schedule}", body=body, version=version)

    def delete(self, schedule: str, *, version: int | None = None) -> None:
        """Delete a schedule; its acts and decisions stay."""
        self._calls.send("DELETE", f"/api/v1/schedules/{schedule}", version=version)

    def preview(
        self,
        *,
        schedule: str | UnsetType = UNSET,
        zone: str | UnsetType = UNSET,
        definition: Definition | UnsetType = UNSET,
        days: int | UnsetType = UNSET,
    ) -> Preview:
        """Foresee a saved schedule, as it is or with another definition, or one that is not saved, of a zone."""
        body = given(schedule=schedule, zone=zone, definition=definition, days=days)
        return self._calls.one(Preview, "POST", "/api/v1/schedules/preview", body=body)
