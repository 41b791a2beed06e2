# SPDX-License-Identifier: Apache-2.0
"""Weather ahead, by site and issue: `/forecasts`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator

from api.access import Caller, CallersTrail
from api.bodies import Body, Name, Title
from api.errors import InvalidField
from api.instants import Instant, When, format_instant
from api.names import RecordId
from api.pages import Listing, Page, Sort
from api.permissions import require
from api.problems import refusals
from api.services import Needs, Services
from control import forecasts, registry
from control.access import Permission, Principal
from control.calendars import instant
from control.forecasts import BOUNDS, Forecast, ForecastEntry
from gateway.topics import NAME_PATTERN

__all__ = ["router"]

router = APIRouter(prefix="/forecasts", tags=["forecasts"])

HOUR_MS: Final = 3_600_000
_HOUR: Final[dict[str, Any]] = {"start": "2026-11-22T06:00:00+08:00", "rain_mm": 2.5, "rain_probability": 0.7}
_DAY: Final[dict[str, Any]] = {
    "day": "2026-11-23",
    "rain_mm": 12.0,
    "rain_probability": 0.8,
    "temperature_min_c": 24.0,
    "temperature_max_c": 31.5,
    "et0_mm": 4.2,
}


class Weather(Body):
    """What is forecast; null is not said."""

    rain_mm: float | None = Field(default=None, ge=0, le=1000, description="Rain in all of it. [mm]", examples=[12.0])
    rain_probability: float | None = Field(
        default=None, ge=0, le=1, description="How likely that rain is; without it, it counts as sure. [1]", examples=[0.8]
    )
    temperature_min_c: float | None = Field(default=None, ge=-60, le=60, description="Of the air. [degC]", examples=[24.0])
    temperature_max_c: float | None = Field(default=None, ge=-60, le=60, description="Of the air. [degC]", examples=[31.5])
    temperature_mean_c: float | None = Field(default=None, ge=-60, le=60, description="Of the air. [degC]", examples=[27.0])
    et0_mm: float | None = Field(
        default=None, ge=0, le=30, description="Reference evapotranspiration in all of it. [mm]", examples=[4.2]
    )


class NewForecastEntry(Weather):
    """What is forecast for some hours, or for a day of the site."""

    model_config = ConfigDict(json_schema_extra={"examples": [_HOUR, _DAY]})

    start: Instant | None = Field(default=None, description="When its hours begin; or say `day`.", examples=[_HOUR["start"]])
    hours: int = Field(default=1, ge=1, le=24, description="How many, from `start` on. [h]", examples=[1])
    day: Annotated[date, Field(strict=False)] | None = Field(
        default=None, description="Of the site, from midnight to midnight; or say `start`.", examples=["2026-11-23"]
    )

    @model_validator(mode="after")
    def _one_time(self) -> NewForecastEntry:
        if (self.start is None) == (self.day is None):
            raise ValueError("say start (with hours) or day, one of them")
        if self.day is not None and "hours" in self.model_fields_set:
            raise ValueError("hours go with start; a day is a whole one")
        return self

    def kept(self, zone: ZoneInfo) -> ForecastEntry:
        """Return it as it is kept, in the time zone of its site."""
        if self.start is not None:
            start_ms, end_ms = self.start, self.start + self.hours * HOUR_MS
        else:
            assert self.day is not None
            start_ms, end_ms = instant(self.day, 0, zone), instant(self.day + timedelta(days=1), 0, zone)
        return ForecastEntry(start_ms, end_ms, **{name: getattr(self, name) for name in BOUNDS})


class NewForecast(Body):
    """One issue of a forecast; the same site, source and issue again takes the place of what was there."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"site": "taman-kota", "source": "BMKG", "issued": "2026-11-22T04:00:00Z", "entries": [_HOUR]},
                {"site": "taman-kota", "source": "BMKG", "issued": "2026-11-22T04:00:00Z", "entries": [_DAY]},
            ]
        }
    )

    site: Name = Field(description="Name of the site.", examples=["taman-kota"])
    source: Annotated[Title, Field(max_length=64)] = Field(description="Who forecasts.", examples=["BMKG"])
    issued: Instant = Field(description="When it was issued.", examples=["2026-11-22T04:00:00Z"])
    entries: list[NewForecastEntry] = Field(
        min_length=1, max_length=400, description="Hours or days, none over another.", examples=[[_DAY]]
    )


class ForecastAnswer(BaseModel):
    """One issue of a forecast, without its entries."""

    id: str = Field(description="Id.", examples=["01KAQZ7J5RT0M3Q4W1D0V6B3NM"])
    site: str = Field(description="Name of the site.", examples=["taman-kota"])
    source: str = Field(description="Who forecasts.", examples=["BMKG"])
    issued: When = Field(description="When it was issued.", examples=["2026-11-22T04:00:00Z"])
    received: When = Field(description="When it came in last.", examples=["2026-11-22T04:12:00Z"])
    received_by: str = Field(description="By whom.", examples=["cuaca"])
    start: When = Field(description="From when on it forecasts.", examples=["2026-11-22T16:00:00Z"])
    end: When = Field(description="Up to when.", examples=["2026-11-29T16:00:00Z"])
    in_force: bool = Field(description="Whether it is the site's newest issue, the one that counts.", examples=[True])
    believed: bool = Field(description="Whether it is young enough to act on: at most 36 h from its issue.", examples=[True])


class ForecastEntryAnswer(BaseModel):
    """What is forecast for [start, end); null is not said."""

    start: When = Field(description="When it begins.", examples=["2026-11-22T16:00:00Z"])
    end: When = Field(description="When it ends.", examples=["2026-11-23T16:00:00Z"])
    rain_mm: float | None = Field(description="Rain in all of it. [mm]", examples=[12.0])
    rain_probability: float | None = Field(description="How likely that rain is. [1]", examples=[0.8])
    temperature_min_c: float | None = Field(description="Of the air. [degC]", examples=[24.0])
    temperature_max_c: float | None = Field(description="Of the air. [degC]", examples=[31.5])
    temperature_mean_c: float | None = Field(description="Of the air. [degC]", examples=[27.0])
    et0_mm: float | None = Field(description="Reference evapotranspiration in all of it. [mm]", examples=[4.2])


class ForecastDetail(ForecastAnswer):
    """One issue of a forecast."""

    entries: list[ForecastEntryAnswer] = Field(description="In order of time.")


class ForecastFilter(Page):
    """Which issues are wanted."""

    site: str | None = Field(default=None, pattern=NAME_PATTERN, description="Only of this site.", examples=["taman-kota"])
    sort: str | None = Sort("issued")


@router.get("")
def list_forecasts(services: Needs, caller: Caller, request: Annotated[ForecastFilter, Query()]) -> Listing[ForecastAnswer]:
    """List issues of forecasts, the latest first unless told otherwise."""
    with services.database.reader() as session:
        found, after = forecasts.list_forecasts(
            session, site=request.site, seen_by=caller, sort=request.sort, limit=request.limit, after=request.after
        )
        in_force = forecasts.load_forecasts(session, forecasts.ForecastCache(), {one.site for one in found})
    now_ms = services.clock.now_ms()
    items = [ForecastAnswer(**_plain(one, in_force.get(one.site), now_ms)) for one in found]
    return Listing(items=items, next=after)


@router.post("", status_code=201, responses={200: {"model": ForecastDetail, "description": "Replaced"}, **refusals(404)})
def keep_forecast(
    body: NewForecast, services: Needs, caller: Caller, trail: CallersTrail, response: Response
) -> ForecastDetail:
    """Keep an issue of a forecast for a site; 200 where the same issue was there and is replaced."""
    require(services, caller, Permission.SCHEDULE, body.site, "site", body.site)
    now_ms = services.clock.now_ms()
    with services.database.session() as session:
        zone = registry.get_site(session, body.site).zone
        entries = list(_entries(body.entries, zone))
        kept, new = forecasts.keep_forecast(session, body.site, body.source, body.issued, entries, now_ms=now_ms, trail=trail)
        in_force = forecasts.load_forecasts(session, forecasts.ForecastCache(), [body.site])
    response.headers["location"] = f"/api/v1/forecasts/{kept.id}"
    if not new:
        response.status_code = 200
    return _detail(kept, in_force.get(kept.site), now_ms)


@router.get("/{record}", responses=refusals(404))
def show_forecast(record: RecordId, services: Needs, caller: Caller) -> ForecastDetail:
    """Show one issue with its entries."""
    found = _allowed(record, services, caller, Permission.SEE)
    with services.database.reader() as session:
        in_force = forecasts.load_forecasts(session, forecasts.ForecastCache(), [found.site])
    return _detail(found, in_force.get(found.site), services.clock.now_ms())


@router.delete("/{record}", status_code=204, responses=refusals(404))
def delete_forecast(record: RecordId, services: Needs, caller: Caller, trail: CallersTrail) -> None:
    """Withdraw an issue; the one before it counts again."""
    _allowed(record, services, caller, Permission.SCHEDULE)
    with services.database.session() as session:
        forecasts.delete_forecast(session, record, trail=trail)


def _entries(given: Sequence[NewForecastEntry], zone: ZoneInfo) -> Iterator[ForecastEntry]:
    for number, entry in enumerate(given):
        try:
            yield entry.kept(zone)
        except (OverflowError, ValueError) as exc:
            raise InvalidField(f"entries.{number}", "a day or an hour of these years") from exc


def _allowed(record: str, services: Services, caller: Principal, permission: Permission) -> Forecast:
    with services.database.reader() as session:
        found = forecasts.get_forecast(session, record)
    require(services, caller, permission, found.site, "forecast", record)
    return found


def _plain(one: Forecast, in_force: Forecast | None, now_ms: int) -> dict[str, Any]:
    return {
        "id": one.id,
        "site": one.site,
        "source": one.source,
        "issued": format_instant(one.issued_ms),
        "received": format_instant(one.received_ms),
        "received_by": one.received_by,
        "start": format_instant(one.entries[0].start_ms),
        "end": format_instant(one.entries[-1].end_ms),
        "in_force": in_force is not None and in_force.id == one.id,
        "believed": one.believed(now_ms),
    }


def _detail(one: Forecast, in_force: Forecast | None, now_ms: int) -> ForecastDetail:
    entries = [
        ForecastEntryAnswer(
            start=format_instant(entry.start_ms),
            end=format_instant(entry.end_ms),
            **{name: getattr(entry, name) for name in BOUNDS},
        )
        for entry in one.entries
    ]
    return ForecastDetail(entries=entries, **_plain(one, in_force, now_ms))
