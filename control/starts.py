# SPDX-License-Identifier: Apache-2.0
"""Starts: on which days and at which moments something is planned to begin.

Days by weekday, odd or even, every n days, or an RRULE (RFC 5545, expanded by dateutil), with exceptions, holidays and a
first and last date; moments by the clock or by the sun (NOAA's equations, by astral). Pure but for what it remembers.

Invariants: a start names at most one moment a date of its site; which moments there are does not depend on the range asked
for, so that a preview and what is done later agree.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, date, timedelta
from functools import lru_cache
from itertools import takewhile
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo

from astral import Observer
from astral.sun import sunrise, sunset
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from control.calendars import instant, local_date, minutes_of
from control.recurrence import LATEST, fits_some_date, rule_dates

__all__ = ["Almanac", "Day", "Moment", "Start", "Strict", "Whereabouts"]

WEEKDAYS: Final = ("mo", "tu", "we", "th", "fr", "sa", "su")
MAX_DAYS: Final = 400  # of one question: a year, and what preview and catching up need [d]
EARLIEST: Final = date(2000, 1, 1)  # a rule is counted from its first date, so that may not lie too far back
REMEMBERED: Final = 16_384  # answers about the sun and about rules kept, each
_CLOCK: Final = r"([01][0-9]|2[0-3]):[0-5][0-9]"

Weekday = Literal["mo", "tu", "we", "th", "fr", "sa", "su"]
Day = Annotated[date, Field(strict=False, ge=EARLIEST, le=LATEST, description="Local date of the site")]


class Strict(BaseModel):
    """Base of what people write down as JSON: nothing is guessed around, "0.2" or true is no number."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Daily(Strict):
    """Every day."""

    type: Literal["daily"] = "daily"


class Weekly(Strict):
    """On certain days of the week."""

    type: Literal["weekly"] = "weekly"
    weekdays: tuple[Literal["mo", "tu", "we", "th", "fr", "sa", "su"], ...] = Field(
        strict=False, min_length=1, max_length=7, description="Of these days."
    )


class Parity(Strict):
    """On odd or even days of the month; after an odd last day comes another odd one."""

    type: Literal["odd", "even"]


class Interval(Strict):
    """Every n days, counted from a date."""

    type: Literal["interval"] = "interval"
    every_days: int = Field(ge=1, le=366, description="Days from one to the next. [d]")
    counted_from: Day = Field(description="A date on which it is.")


class Recurrence(Strict):
    """By a recurrence rule of dates, RFC 5545: of DAILY, WEEKLY, MONTHLY or YEARLY."""

    type: Literal["rrule"] = "rrule"
    rrule: str = Field(
        min_length=6, max_length=200, description="The rule, without times of day.", examples=["FREQ=MONTHLY;BYDAY=1FR,3FR"]
    )
    counted_from: Day = Field(description="DTSTART: from when INTERVAL and COUNT are counted.")

    @model_validator(mode="after")
    def _dates_only(self) -> Recurrence:
        if not fits_some_date(self.rrule, self.counted_from):
            raise ValueError("this rule fits no date")
        return self


Days = Annotated[Daily | Weekly | Parity | Interval | Recurrence, Field(discriminator="type")]


class Start(Strict):
    """When something begins: the days, and the moment of the day.

    Around the change of clocks a time that is left out comes after the gap by as much as it lies in it; one that comes
    twice counts when it comes first. Where the sun does not rise or set on a date, nothing is planned by it.
    """

    time: str = Field(
        pattern=rf"^({_CLOCK}|(sunrise|sunset)([+-]{_CLOCK})?)$",
        description="Local time HH:MM; or sunrise or sunset, with +HH:MM or -HH:MM.",
        examples=["05:30", "sunrise-00:30"],
    )
    days: Days = Field(default=Daily(), description="On which days.")
    first: Day | None = Field(default=None, description="Not before this date.")
    last: Day | None = Field(default=None, description="Not after this date.")
    not_on: tuple[Day, ...] = Field(default=(), strict=False, max_length=366, description="Dates left out.")
    holidays: Literal["also", "not", "only"] = Field(default="also", description="On holidays of the agency too, not, or only.")

    @field_validator("not_on")
    @classmethod
    def _in_order(cls, days: tuple[date, ...]) -> tuple[date, ...]:
        return tuple(sorted(set(days)))

    @model_validator(mode="after")
    def _ordered(self) -> Start:
        if self.first is not None and self.last is not None and self.last < self.first:
            raise ValueError("last must not be before first")
        return self

    @property
    def by_sun(self) -> bool:
        """Whether the site's position is needed."""
        return self.time[0] == "s"


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """What a site gives its calendars.

    Attributes
    ----------
    zone : ZoneInfo
    latitude, longitude : float or None
        Needed for what goes by the sun. [deg, north and east positive]
    holidays : frozenset of date
        Of the site's agency.
    """

    zone: ZoneInfo
    latitude: float | None = None
    longitude: float | None = None
    holidays: frozenset[date] = frozenset()


@dataclass(frozen=True, slots=True, order=True)
class Moment:
    """One planned beginning.

    Attributes
    ----------
    at_ms : int
        When. [ms since the Unix epoch, UTC]
    index : int
        Of the start among those asked for.
    day : date
        The local date it belongs to.
    """

    at_ms: int
    index: int
    day: date


class Almanac:
    """Expands starts; remembers the sun and what rules say, for many zones share them."""

    def __init__(self) -> None:
        self._sun: Callable[[str, float, float, ZoneInfo, date], int | None] = lru_cache(REMEMBERED)(_sun_ms)
        self._dates: Callable[[str, date, int], frozenset[date]] = lru_cache(REMEMBERED)(_dates_of_year)

    def moments(self, starts: Sequence[Start], where: Whereabouts, after_ms: int, upto_ms: int) -> list[Moment]:
        """Return the moments in (after, upto], oldest first.

        Parameters
        ----------
        after_ms, upto_ms : int
            The range; of one longer than 400 days only the end is looked at. [ms since the Unix epoch, UTC]
        """
        if upto_ms <= after_ms or not starts:
            return []
        # A day more on both sides: what goes by the sun, or lies in a gap, may come past midnight.
        last = local_date(where.zone, upto_ms) + timedelta(days=1)
        first = max(local_date(where.zone, after_ms) - timedelta(days=1), last - timedelta(days=MAX_DAYS))
        found = []
        for number in range((last - first).days + 1):
            day = first + timedelta(days=number)
            for index, start in enumerate(starts):
                if self.falls_on(start, where.holidays, day):
                    at_ms = self._at(start, where, day)
                    if at_ms is not None and after_ms < at_ms <= upto_ms:
                        found.append(Moment(at_ms, index, day))
        return sorted(found)

    def falls_on(self, start: Start, holidays: Collection[date], day: date) -> bool:
        """Tell whether a start is on that date."""
        if (start.first is not None and day < start.first) or (start.last is not None and day > start.last):
            return False
        if day in start.not_on or (start.holidays != "also" and (day in holidays) != (start.holidays == "only")):
            return False
        days = start.days
        if isinstance(days, Weekly):
            return WEEKDAYS[day.weekday()] in days.weekdays
        if isinstance(days, Parity):
            return day.day % 2 == (days.type == "odd")
        if isinstance(days, Interval):
            return day >= days.counted_from and (day - days.counted_from).days % days.every_days == 0
        if isinstance(days, Recurrence):
            return day in self._dates(days.rrule, days.counted_from, day.year)
        return True

    def _at(self, start: Start, where: Whereabouts, day: date) -> int | None:
        if not start.by_sun:
            return instant(day, minutes_of(start.time), where.zone)
        if where.latitude is None or where.longitude is None:
            return None
        event = "sunset" if start.time.startswith("sunset") else "sunrise"
        shift = start.time.removeprefix(event)
        offset_min = minutes_of(shift[1:]) * (-1 if shift[0] == "-" else 1) if shift else 0
        at_ms = self._sun(event, where.latitude, where.longitude, where.zone, day)
        return None if at_ms is None else at_ms + offset_min * 60_000


def _sun_ms(event: str, latitude: float, longitude: float, zone: ZoneInfo, day: date) -> int | None:
    """Return when the sun rises or sets on a local date; None where it does not, as on a polar day or night."""
    find, observer = sunrise if event == "sunrise" else sunset, Observer(latitude, longitude)
    # The site's date may be another than that of Greenwich, or of the sun.
    for number in (-1, 0, 1):
        try:
            found = find(observer, day + timedelta(days=number), tzinfo=UTC)
        except ValueError:
            continue
        if found.astimezone(zone).date() == day:
            return int(found.timestamp()) * 1000
    return None


def _dates_of_year(text: str, counted_from: date, year: int) -> frozenset[date]:
    days = takewhile(lambda day: day.year <= year, rule_dates(text, counted_from))
    return frozenset(day for day in days if day.year == year)
