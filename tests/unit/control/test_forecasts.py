# SPDX-License-Identifier: Apache-2.0
"""Forecasts: what is kept, which counts, and what is asked of them."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from control import audit, forecasts
from control.audit import Trail
from control.database import Database
from control.errors import Invalid, NotFound
from control.forecasts import Forecast, ForecastCache, ForecastEntry
from tests.unit.control.conftest import START_MS

HOUR = 3_600_000
TRAIL = Trail("cuaca", "token", START_MS)


def hours(*rain: float, probability: float | None = None, start_ms: int = START_MS) -> list[ForecastEntry]:
    return [
        ForecastEntry(start_ms + number * HOUR, start_ms + (number + 1) * HOUR, mm, probability)
        for number, mm in enumerate(rain)
    ]


def keep(
    database: Database, entries: list[ForecastEntry], *, issued_ms: int = START_MS, source: str = "BMKG", now_ms: int = START_MS
) -> tuple[Forecast, bool]:
    with database.session() as session:
        return forecasts.keep_forecast(session, "pilot", source, issued_ms, entries, now_ms=now_ms, trail=TRAIL)


def in_force(database: Database, cache: ForecastCache | None = None) -> Forecast | None:
    with database.reader() as session:
        return forecasts.load_forecasts(session, cache or ForecastCache(), ["pilot", "elsewhere"]).get("pilot")


def test_keep_forecast_twice_replaces_it_and_is_told_both_times(pilot: Database) -> None:
    first, new = keep(pilot, hours(1.0, 2.0))
    second, again = keep(pilot, hours(4.0), now_ms=START_MS + HOUR)

    assert (new, again, first.id == second.id) == (True, False, True)
    with pilot.reader() as session:
        found, _ = forecasts.list_forecasts(session, site="pilot")
        entries, _ = audit.list_entries(session, action="forecast.keep")
    assert [one.entries for one in found] == [tuple(hours(4.0))]
    assert [(one.before or {}).get("rain_mm") for one in entries] == [3.0, None]


def test_load_forecasts_gives_the_newest_issue_whatever_came_in_last(pilot: Database) -> None:
    keep(pilot, hours(9.0), issued_ms=START_MS)
    keep(pilot, hours(1.0), issued_ms=START_MS - HOUR, source="other", now_ms=START_MS + 1)
    cache = ForecastCache()
    found = in_force(pilot, cache)

    assert found is not None
    assert (found.source, found.entries[0].rain_mm) == ("BMKG", 9.0)
    assert in_force(pilot, cache) is found  # parsed once
    keep(pilot, hours(4.0), issued_ms=START_MS, now_ms=START_MS + 2)
    changed = in_force(pilot, cache)
    assert changed is not None
    assert changed.entries[0].rain_mm == 4.0
    with pilot.session() as session:
        forecasts.delete_forecast(session, changed.id, trail=TRAIL)
    before = in_force(pilot, cache)
    assert before is not None
    assert before.source == "other"


def test_keep_forecast_forgets_the_oldest_beyond_fifty(pilot: Database) -> None:
    for number in range(forecasts.MAX_ISSUES + 2):
        keep(pilot, hours(float(number)), issued_ms=START_MS - number * HOUR)
    with pilot.reader() as session:
        found, _ = forecasts.list_forecasts(session, site="pilot", limit=1000)

    assert [one.issued_ms for one in found] == [START_MS - number * HOUR for number in range(forecasts.MAX_ISSUES)]


def test_rain_mm_spreads_an_entry_evenly_and_leaves_out_the_unlikely(pilot: Database) -> None:
    sure = ForecastEntry(START_MS, START_MS + 24 * HOUR, 12.0)
    unlikely = ForecastEntry(START_MS + 24 * HOUR, START_MS + 48 * HOUR, 10.0, 0.3)
    forecast, _ = keep(pilot, [unlikely, sure])

    assert forecast.rain_mm(START_MS + 12 * HOUR, START_MS + 36 * HOUR) == pytest.approx(6.0 + 5.0)
    assert forecast.rain_mm(START_MS + 12 * HOUR, START_MS + 36 * HOUR, 0.5) == pytest.approx(6.0)
    assert forecast.rain_mm(START_MS - HOUR, START_MS) == 0.0


def test_et0_mm_is_none_where_an_hour_of_it_is_not_forecast(pilot: Database) -> None:
    told = [ForecastEntry(START_MS, START_MS + 24 * HOUR, et0_mm=4.8), *hours(1.0, start_ms=START_MS + 24 * HOUR)]
    forecast, _ = keep(pilot, told)

    assert forecast.et0_mm(START_MS, START_MS + 12 * HOUR) == pytest.approx(2.4)
    assert forecast.et0_mm(START_MS, START_MS + 25 * HOUR) is None


def test_believed_ends_36_hours_after_the_issue(pilot: Database) -> None:
    forecast, _ = keep(pilot, hours(1.0))

    assert forecast.believed(START_MS + 36 * HOUR)
    assert not forecast.believed(START_MS + 36 * HOUR + 1)


@pytest.mark.parametrize(
    ("entries", "field"),
    [
        ([], "entries"),
        (hours(*[0.0] * 401), "entries"),
        ([replace(hours(1.0)[0], end_ms=START_MS)], "entries.0"),
        ([replace(hours(1.0)[0], end_ms=START_MS + 26 * HOUR)], "entries.0"),
        (hours(1.0, start_ms=START_MS - 49 * HOUR), "entries.0"),
        (hours(1.0, start_ms=START_MS + 17 * 24 * HOUR), "entries.0"),
        (hours(1.0) + hours(1.0), "entries.1"),
        (hours(1.0, -1.0), "entries.1.rain_mm"),
        (hours(math.nan), "entries.0.rain_mm"),
        (hours(1.0, probability=1.5), "entries.0.rain_probability"),
        ([ForecastEntry(START_MS, START_MS + HOUR)], "entries.0"),
        ([ForecastEntry(START_MS, START_MS + HOUR, rain_probability=0.5)], "entries.0.rain_mm"),
        ([ForecastEntry(START_MS, START_MS + HOUR, temperature_min_c=9.0, temperature_max_c=8.0)], "entries.0"),
    ],
)
def test_keep_forecast_with_something_wrong_names_it_and_keeps_nothing(
    pilot: Database, entries: list[ForecastEntry], field: str
) -> None:
    with pytest.raises(Invalid) as caught:
        keep(pilot, entries)

    assert caught.value.field == field
    assert in_force(pilot) is None


@pytest.mark.parametrize("issued_ms", [START_MS + HOUR, START_MS - 31 * 24 * HOUR])
def test_keep_forecast_issued_in_the_future_or_long_ago_is_refused(pilot: Database, issued_ms: int) -> None:
    with pytest.raises(Invalid, match="issued"):
        keep(pilot, hours(1.0, start_ms=issued_ms), issued_ms=issued_ms)


def test_keep_forecast_of_no_site_is_not_found(pilot: Database) -> None:
    with pilot.session() as session, pytest.raises(NotFound):
        forecasts.keep_forecast(session, "nowhere", "BMKG", START_MS, hours(1.0), now_ms=START_MS, trail=TRAIL)
