# SPDX-License-Identifier: Apache-2.0
"""Definitions of schedules: what is to be done in a zone, as people write it down.

A bed is kept between two soil moistures (irrigation) or watered by the clock (timer); a pond gets meals (feeding).
Invariant: a definition that was accepted can be followed: what contradicts itself is refused here, by the field's name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import Field, TypeAdapter, ValidationError, field_validator, model_validator

from control.errors import Invalid
from control.starts import Start, Strict

__all__ = [
    "ZONE_TYPE_OF",
    "AnyDefinition",
    "Definition",
    "FeedingDefinition",
    "IrrigationDefinition",
    "Meal",
    "RainSkip",
    "TimedRun",
    "TimerDefinition",
    "parse_definition",
    "planned_starts",
]

ZONE_TYPE_OF: Final = {"irrigation": "bed", "timer": "bed", "feeding": "pond"}
MAX_STARTS: Final = 48  # of one schedule

Time = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$", description="Local time of the site, HH:MM")]
EndTime = Annotated[
    str, Field(pattern=r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$", description="Local time of the site, HH:MM, up to 24:00")
]
Hours = Annotated[tuple[Time, EndTime], Field(strict=False)]  # JSON has no tuples: a list of two is one
Moisture = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
Seconds = Annotated[int, Field(ge=0, le=86400)]
Run = Annotated[int, Field(ge=1, le=86400)]
Litres = Annotated[float, Field(gt=0.0, le=1e6, allow_inf_nan=False)]
Grams = Annotated[float, Field(gt=0.0, le=1e6, allow_inf_nan=False)]
Oxygen = Annotated[float, Field(ge=0.0, le=30.0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
Factor = Annotated[float, Field(ge=0.0, le=5.0, allow_inf_nan=False)]


class RainSkip(Strict):
    """Not to water when rain gives it, by the forecast of the site and its gauges; a forecast over 36 h old is not believed."""

    mm: Annotated[float, Field(gt=0.0, le=500.0, allow_inf_nan=False)] = Field(
        default=5.0, description="Rain that is enough. [mm]"
    )
    probability: Share = Field(
        default=0.6, description="Forecast rain counts from this probability on; without one it counts as sure. [1]"
    )
    hours: Annotated[int, Field(ge=1, le=72)] = Field(
        default=12, description="Rain forecast for so many hours to come, or measured in as many past, counts. [h]"
    )


class _Watering(Strict):
    """What every way of watering has."""

    hours: list[Hours] = Field(
        default=[("00:00", "24:00")],
        min_length=1,
        max_length=24,
        description="Local hours in which watering may begin, each from its start up to, not including, its end; "
        "an end before the start is on the next day.",
    )
    closed: list[Hours] = Field(
        default=[], max_length=24, description="Local hours in which it may not, though within `hours`."
    )
    litres_day: Litres = Field(description="Most water in a day of the site. [L]")
    min_seconds: Seconds = Field(default=10, description="Shortest run worth beginning. [s]")
    rain_skip: RainSkip | None = Field(
        default=None, description="Hold watering while rain is enough; null does not look at it."
    )

    @field_validator("hours", "closed")
    @classmethod
    def _hours_not_empty(cls, hours: list[tuple[str, str]]) -> list[tuple[str, str]]:
        if any(start == end for start, end in hours):
            raise ValueError("start and end must differ; the whole day is 00:00 to 24:00")
        return hours


class IrrigationDefinition(_Watering):
    """Keep a bed's soil moisture between two thresholds, within the allowed hours and the day's water."""

    type: Literal["irrigation"] = "irrigation"
    low: Moisture = Field(description="Filling begins below this soil moisture. [m3/m3]")
    high: Moisture = Field(description="Filling ends at this soil moisture. [m3/m3]")
    max_seconds: Run = Field(default=600, description="Longest run of one act. [s]")
    soak_s: Seconds = Field(default=600, description="Pause after an act, until its water has reached the sensor. [s]")

    @model_validator(mode="after")
    def _ordered(self) -> IrrigationDefinition:
        if not self.low < self.high:
            raise ValueError("low must be below high")
        _runs_fit(self.min_seconds, self.max_seconds)
        return self


class TimedRun(Start):
    """One planned run, by volume or by time."""

    litres: Litres | None = Field(default=None, description="Water to give; or say `seconds`. [L]")
    seconds: Run | None = Field(default=None, description="How long to water; or say `litres`. [s]")

    @model_validator(mode="after")
    def _one_amount(self) -> TimedRun:
        if (self.litres is None) == (self.seconds is None):
            raise ValueError("say litres or seconds, one of them")
        return self


class TimerDefinition(_Watering):
    """Water a bed by the clock: the same each time, but for the season."""

    type: Literal["timer"] = "timer"
    starts: list[TimedRun] = Field(min_length=1, max_length=MAX_STARTS, description="The planned runs.")
    season: Annotated[tuple[Factor, ...], Field(strict=False, min_length=12, max_length=12)] = Field(
        default=(1.0,) * 12, description="By what the planned amount is multiplied, January to December. [1]"
    )
    max_seconds: Run = Field(default=3600, description="Longest run of one act. [s]")
    missed: Literal["skip", "late", "once", "carry"] = Field(
        default="late",
        description="Of a run that could not begin in time: skip it; give it as long as it is not later than `late_s`; "
        "after an outage give one, whatever was missed; or carry its litres to the next run.",
    )
    late_s: Seconds = Field(default=1800, description="A run later than this is missed. [s]")

    @model_validator(mode="after")
    def _sound(self) -> TimerDefinition:
        _each_once(self.starts)
        _runs_fit(self.min_seconds, self.max_seconds)
        return self


class Meal(Start):
    """One meal of the day."""

    grams: Grams = Field(description="Feed to give. [g]")


class FeedingDefinition(Strict):
    """Feed a pond by a daily program of meals, less or nothing when oxygen is low. A missed meal is never made up."""

    type: Literal["feeding"] = "feeding"
    meals: list[Meal] = Field(min_length=1, max_length=MAX_STARTS, description="Each at its own time of the day.")
    oxygen_stop: Oxygen = Field(default=3.0, description="No feed at or below this dissolved oxygen. [mg/L]")
    oxygen_reduce: Oxygen = Field(default=4.0, description="Full meals from this on; in between, in proportion. [mg/L]")
    grams_day: Grams = Field(description="Most feed in a day of the site. [g]")
    min_gap_s: Seconds = Field(default=5400, description="Least time from the end of a meal to the next. [s]")
    cautious_fraction: Share = Field(
        default=0.0, description="Share of a meal to give when oxygen is not known; 0 withholds it. [1]"
    )
    late_s: Seconds = Field(default=900, description="A meal later than this is missed. [s]")

    @model_validator(mode="after")
    def _sound(self) -> FeedingDefinition:
        _each_once(self.meals)
        if self.oxygen_stop > self.oxygen_reduce:
            raise ValueError("oxygen_stop must not be above oxygen_reduce")
        return self


AnyDefinition: TypeAlias = IrrigationDefinition | TimerDefinition | FeedingDefinition
Definition = Annotated[AnyDefinition, Field(discriminator="type")]
_ADAPTER: Final[TypeAdapter[AnyDefinition]] = TypeAdapter(Definition)


def parse_definition(value: Mapping[str, Any] | AnyDefinition) -> AnyDefinition:
    """Return the definition in `value`.

    Raises
    ------
    Invalid
        Naming the field, as `definition.hours.0.1`.
    """
    if isinstance(value, (IrrigationDefinition, TimerDefinition, FeedingDefinition)):
        return value
    try:
        return _ADAPTER.validate_python(value)
    except ValidationError as exc:
        first = exc.errors(include_url=False, include_context=False, include_input=False)[0]
        where = [str(part) for part in first["loc"] if part not in ZONE_TYPE_OF]
        raise Invalid(".".join(["definition", *where]), first["msg"]) from exc


def planned_starts(definition: AnyDefinition) -> Sequence[Start]:
    """Return what a definition plans by the calendar."""
    if isinstance(definition, TimerDefinition):
        return definition.starts
    return definition.meals if isinstance(definition, FeedingDefinition) else ()


def _runs_fit(min_seconds: int, max_seconds: int) -> None:
    if min_seconds > max_seconds:
        raise ValueError("min_seconds must not be above max_seconds")


def _each_once(starts: Sequence[Start]) -> None:
    # Two at one moment would be one act: the days in common are found when a preview is asked for.
    daily = [start.time for start in starts if start.days.type == "daily"]
    if len(set(daily)) != len(daily):
        raise ValueError("two of every day have the same time")
