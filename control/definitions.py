# SPDX-License-Identifier: Apache-2.0
"""Definitions of schedules: what is to be done in a zone, as people write it down.

A bed is kept between two soil moistures (irrigation) or watered by the clock (timer); a pond gets meals (feeding).
Invariant: a definition that was accepted can be followed: what contradicts itself is refused here, by the field's name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Annotated, Any, Final, Literal, Self, TypeAlias

from pydantic import Field, TypeAdapter, ValidationError, field_validator, model_validator

from control.calendars import in_windows, minutes_of
from control.errors import Invalid
from control.starts import Day, Start, Strict

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
    "meal_grams",
    "parse_definition",
    "planned_starts",
]

ZONE_TYPE_OF: Final = {"irrigation": "bed", "timer": "bed", "feeding": "pond"}
MAX_STARTS: Final = 48  # of one schedule
MIN_CYCLE_S: Final = 10  # less than this and the pipes are hardly filled [s]

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
Portion = Annotated[float, Field(gt=0.0, le=1.0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
Priority = Annotated[int, Field(ge=0, le=9)]
Factor = Annotated[float, Field(ge=0.0, le=5.0, allow_inf_nan=False)]
Season = Annotated[tuple[Factor, ...], Field(strict=False, min_length=12, max_length=12)]
_SEASON: Final = (
    "Factors from January to December: of a timer for each planned amount, of irrigation by soil moisture for "
    "`litres_day`; 0 leaves the month out. [1]"
)


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


class _Bounded(Strict):
    """What every schedule has: on which dates it is in force, and in which hours of the day acts may begin."""

    first: Day | None = Field(default=None, description="In force from this date on; absent is from ever.")
    last: Day | None = Field(default=None, description="In force up to and with this date; absent is for ever.")
    hours: list[Hours] = Field(
        default=[("00:00", "24:00")],
        min_length=1,
        max_length=24,
        description="Local hours in which acts may begin, each from its start up to, not including, its end; "
        "an end before the start is on the next day.",
    )
    closed: list[Hours] = Field(
        default=[], max_length=24, description="Local hours in which they may not, though within `hours`."
    )

    @field_validator("hours", "closed")
    @classmethod
    def _hours_not_empty(cls, hours: list[tuple[str, str]]) -> list[tuple[str, str]]:
        if any(start == end for start, end in hours):
            raise ValueError("start and end must differ; the whole day is 00:00 to 24:00")
        return hours

    @model_validator(mode="after")
    def _some_day_some_hour(self) -> Self:
        if self.first is not None and self.last is not None and self.last < self.first:
            raise ValueError("last must not be before first")
        # What is left, if anything is, begins where hours begin or where closed ones end.
        edges = [minutes_of(start) for start, _ in self.hours] + [minutes_of(end) % 1440 for _, end in self.closed]
        if not any(in_windows(self.hours, minute) and not in_windows(self.closed, minute) for minute in edges):
            raise ValueError("closed leaves nothing of hours")
        return self

    def in_force(self, day: date) -> bool:
        """Tell whether the schedule is in force on a local date."""
        return (self.first is None or self.first <= day) and (self.last is None or day <= self.last)


class _Watering(_Bounded):
    """What every way of watering has."""

    season: Season = Field(default=(1.0,) * 12, description=_SEASON)
    litres_day: Litres = Field(description="Most water in a day of the site. [L]")
    priority: Priority = Field(
        default=0, description="Of runs planned for one moment, those with more are first on pumps and mains that they share."
    )
    min_seconds: Seconds = Field(default=10, description="Shortest run worth beginning. [s]")
    rain_skip: RainSkip | None = Field(
        default=None, description="Hold watering while rain is enough; null does not look at it."
    )


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
    max_seconds: Run = Field(default=3600, description="Longest run of one act. [s]")
    missed: Literal["skip", "late", "once", "carry"] = Field(
        default="late",
        description="Of a run that could not begin in time: skip it; give it as long as it is not later than `late_s`; "
        "after an outage give one, whatever was missed; or carry its litres to the next run.",
    )
    late_s: Seconds = Field(default=1800, description="A run later than this is missed. [s]")
    wait_s: Seconds = Field(
        default=14_400, description="How much later a run may begin that waits for its turn on a pump or main. [s]"
    )
    cycle_s: Seconds = Field(
        default=0, description="Longest time the valve is open at a stretch: longer runs go in cycles; 0 for in one go. [s]"
    )
    cycle_soak_s: Seconds = Field(
        default=1800, description="Least pause between two cycles of a run, in which others may use the pump. [s]"
    )

    @model_validator(mode="after")
    def _sound(self) -> TimerDefinition:
        _each_once(self.starts)
        _runs_fit(self.min_seconds, self.max_seconds)
        if self.cycle_s and self.cycle_s < max(self.min_seconds, MIN_CYCLE_S):
            raise ValueError(f"cycle_s must be 0, or not below min_seconds and {MIN_CYCLE_S}")
        return self


class Meal(Start):
    """One meal of the day, by weight or as a share of the day's ration."""

    grams: Grams | None = Field(default=None, description="Feed to give; or say `share`. [g]")
    share: Portion | None = Field(default=None, description="Of the schedule's `ration_g`; or say `grams`. [1]")

    @model_validator(mode="after")
    def _one_amount(self) -> Meal:
        if (self.grams is None) == (self.share is None):
            raise ValueError("say grams or share, one of them")
        return self


class FeedingDefinition(_Bounded):
    """Feed a pond by a daily program of meals, less or nothing when oxygen is low. A missed meal is never made up."""

    type: Literal["feeding"] = "feeding"
    meals: list[Meal] = Field(min_length=1, max_length=MAX_STARTS, description="Each at its own time of the day.")
    ration_g: Grams | None = Field(default=None, description="The day's ration, of which meals may take shares. [g]")
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
        shared = [meal.share for meal in self.meals if meal.share is not None]
        if shared and self.ration_g is None:
            raise ValueError("a meal takes a share of the day's ration; say ration_g")
        if not shared and self.ration_g is not None:
            raise ValueError("no meal takes a share of ration_g; leave it out, or give meals a share")
        if self.ration_g is not None and self.ration_g > self.grams_day:
            raise ValueError("ration_g must not be above grams_day")
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


def meal_grams(definition: FeedingDefinition, meal: Meal) -> float:
    """Return what a meal is planned to give. [g]"""
    return meal.grams if meal.grams is not None else (meal.share or 0.0) * (definition.ration_g or 0.0)


def _runs_fit(min_seconds: int, max_seconds: int) -> None:
    if min_seconds > max_seconds:
        raise ValueError("min_seconds must not be above max_seconds")


def _each_once(starts: Sequence[Start]) -> None:
    # Two at one moment would be one act: the days in common are found when a preview is asked for.
    daily = [start.time for start in starts if start.days.type == "daily"]
    if len(set(daily)) != len(daily):
        raise ValueError("two of every day have the same time")
