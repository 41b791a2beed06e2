# SPDX-License-Identifier: Apache-2.0
"""Weather ahead, by site and issue."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime

import msgspec
from msgspec import UNSET, UnsetType

from tirta.client.calls import Calls, given

__all__ = ["Forecast", "ForecastDetail", "ForecastEntry", "Forecasts", "NewForecastEntry"]


class NewForecastEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is forecast for `hours` from `start` on, or for a `day` of the site. [mm], [1], [degC]"""

    start: datetime | UnsetType = UNSET
    hours: int | UnsetType = UNSET
    day: date | UnsetType = UNSET
    rain_mm: float | UnsetType | None = UNSET
    rain_probability: float | UnsetType | None = UNSET
    temperature_min_c: float | UnsetType | None = UNSET
    temperature_max_c: float | UnsetType | None = UNSET
    temperature_mean_c: float | UnsetType | None = UNSET
    et0_mm: float | UnsetType | None = UNSET


class ForecastEntry(msgspec.Struct, frozen=True):
    """What is forecast for [start, end); None is not said. [mm], [1], [degC]"""

    start: datetime
    end: datetime
    rain_mm: float | None
    rain_probability: float | None
    temperature_min_c: float | None
    temperature_max_c: float | None
    temperature_mean_c: float | None
    et0_mm: float | None


class Forecast(msgspec.Struct, frozen=True):
    """One issue of a forecast, without its entries."""

    id: str
    site: str
    source: str
    issued: datetime
    received: datetime
    received_by: str
    start: datetime
    end: datetime
    in_force: bool
    believed: bool


class ForecastDetail(Forecast, frozen=True):
    """One issue of a forecast."""

    entries: list[ForecastEntry]


class Forecasts:
    """`client.forecasts`."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def list(self, *, site: str | None = None, sort: str | None = None) -> Iterator[Forecast]:
        """Yield issues, the latest first unless told otherwise."""
        return self._calls.every(Forecast, "/api/v1/forecasts", site=site, sort=sort)

    def get(self, forecast: str) -> ForecastDetail:
        """Return one issue with its entries."""
        return self._calls.one(ForecastDetail, "GET", f"/api/v1/forecasts/{forecast}")

    def keep(self, site: str, source: str, issued: datetime, entries: Sequence[NewForecastEntry]) -> ForecastDetail:
        """Keep an issue of a source for a site; the same issue again takes the place of what was there."""
        body = given(site=site, source=source, issued=issued, entries=list(entries))
        return self._calls.one(ForecastDetail, "POST", "/api/v1/forecasts", body=body)

    def delete(self, forecast: str) -> None:
        """Withdraw an issue; the one before it counts again."""
        self._calls.send("DELETE", f"/api/v1/forecasts/{forecast}")
