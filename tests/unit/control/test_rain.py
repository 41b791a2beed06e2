# SPDX-License-Identifier: Apache-2.0
"""Beds that are not watered because rain waters them."""

from __future__ import annotations

from typing import Any

import pytest

from control import forecasts, rain
from control.audit import Trail
from control.database import Database
from control.forecasts import ForecastEntry
from control.sentences import decision_sentence
from tests.unit.control.stage import BED, Pilot, at, prepare

HOUR = 3_600_000
TRAIL = Trail("cuaca", "token", 0)
SKIP = {"mm": 5.0, "probability": 0.6, "hours": 12}
TIMER: dict[str, Any] = {
    "type": "timer",
    "starts": [{"time": "06:00", "litres": 40.0}],
    "litres_day": 400.0,
    "late_s": 600,
    "rain_skip": SKIP,
}
DRY: dict[str, Any] = {"type": "irrigation", "low": 0.22, "high": 0.3, "litres_day": 400.0, "rain_skip": SKIP}


def forecast(database: Database, mm: float, *, issued: str = "05:00", probability: float = 0.8, age_h: int = 0) -> str:
    issued_ms = at(issued) - age_h * HOUR
    entry = ForecastEntry(at("08:00"), at("10:00"), mm, probability)
    with database.session() as session:
        kept, _ = forecasts.keep_forecast(session, "pilot", "BMKG", issued_ms, [entry], now_ms=at("05:30"), trail=TRAIL)
    return kept.id


async def stand(database: Database, definition: dict[str, Any], start: str = "06:00") -> Pilot:
    pilot = prepare(database, start, (BED, definition))
    await pilot.online("garden")
    await pilot.minute()
    return pilot


async def test_run_before_enough_rain_is_held_then_skipped_with_that_reason(pilot: Database) -> None:
    forecast(pilot, 6.0)
    stage = await stand(pilot, TIMER)
    held = stage.decisions(BED)[0]

    assert held.reasons == ("run-due", "rain-expected")
    assert decision_sentence(held, "id") == (
        "Tidak menyiram: prakiraan hujan 6 mm dalam 12 jam, batas 5 mm (BMKG, terbit 60 menit lalu)."
    )
    assert decision_sentence(held, "en") == (
        "Not watering: 6 mm of rain are forecast for 12 h, the limit is 5 mm (BMKG, issued 60 min ago)."
    )
    await stage.minute(12)
    act = stage.acts(BED)[0]
    assert (act.state, act.planned_ms) == ("skipped", at("06:00"))
    assert [one["state"] for name, one in stage.told if name == "act"] == ["skipped"]


@pytest.mark.parametrize(
    ("mm", "options", "forecast_seen"),
    [(4.9, {}, "BMKG"), (9.0, {"probability": 0.5}, "BMKG"), (9.0, {"age_h": 36}, "too-old"), (0.0, None, "none")],
)
async def test_run_without_enough_rain_that_is_believed_begins_and_shows_what_was_looked_at(
    pilot: Database, mm: float, options: dict[str, Any] | None, forecast_seen: str
) -> None:
    if options is not None:
        forecast(pilot, mm, **options)
    stage = await stand(pilot, TIMER)
    decision = stage.decisions(BED)[0]

    assert (decision.acted, decision.inputs["forecast"]) == (True, forecast_seen)
    assert decision.inputs["rain_limit_mm"] == 5.0


async def test_run_held_by_a_forecast_begins_when_that_is_withdrawn_within_its_grace(pilot: Database) -> None:
    forecast_id = forecast(pilot, 6.0)
    stage = await stand(pilot, TIMER)
    with pilot.session() as session:
        forecasts.delete_forecast(session, forecast_id, trail=TRAIL)
    await stage.minute()

    assert [act.state for act in stage.acts(BED)] == ["sent"]


async def test_litres_that_rain_gave_are_not_carried(pilot: Database) -> None:
    forecast(pilot, 6.0)
    twice = [*TIMER["starts"], {"time": "06:30", "litres": 10.0}]
    stage = await stand(pilot, {**TIMER, "missed": "carry", "starts": twice})
    await stage.minute(5)
    with pilot.session() as session:
        forecasts.delete_forecast(session, stage_forecast(pilot), trail=TRAIL)
    await stage.minute(26)

    assert [(act.state, act.litres) for act in stage.acts(BED)] == [("sent", 10.0), ("skipped", 40.0)]


def stage_forecast(database: Database) -> str:
    with database.reader() as session:
        return forecasts.list_forecasts(session)[0][0].id


async def test_dry_bed_waits_while_its_gauges_have_measured_enough_rain(pilot: Database) -> None:
    with pilot.session() as session:
        rain.keep_rain(session, "pilot", [(at("02:00"), 3.0), (at("03:00"), 1.0)])
        rain.keep_rain(session, "pilot", [(at("03:00"), 4.0)])
    stage = await stand(pilot, DRY)
    held = stage.decisions(BED)[0]

    assert (held.acted, held.reasons) == (False, ("dry", "rain-fallen"))
    assert decision_sentence(held, "en") == "Not watering: 7 mm of rain fell in 12 h, the limit is 5 mm."
    with pilot.session() as session:
        rain.keep_rain(session, "pilot", [(at("03:00"), 0.0)])
    await stage.minute()
    assert stage.decisions(BED)[0].acted


async def test_hours_of_rain_beyond_the_window_do_not_count_and_old_ones_are_forgotten(pilot: Database) -> None:
    with pilot.session() as session:
        rain.keep_rain(session, "pilot", [(at("06:00") - 13 * HOUR, 9.0), (at("06:00") - 200 * HOUR, 9.0)])
    stage = await stand(pilot, DRY)

    assert stage.decisions(BED)[0].acted
    assert stage.decisions(BED)[0].inputs["rain_fallen_mm"] is None
    with pilot.session() as session:
        rain.forget_rain(session, at("06:00"))
        rain.forget_rain(session, at("06:00") + 200 * HOUR)
        assert session.get(rain.RainHourRow, ("pilot", at("06:00") - 13 * HOUR)) is None
