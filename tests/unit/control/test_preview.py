# SPDX-License-Identifier: Apache-2.0
"""What is previewed, on what it counts, and what it refuses."""

from __future__ import annotations

import pytest

from control import forecasts, ledger, schedules
from control.database import Database
from control.errors import Invalid, NotFound, PreviewTooLong
from control.forecasts import ForecastEntry
from control.preview import PreviewLimits, Wanted
from control.sentences.previews import assumptions
from tests.unit.control.foreseen import DAY, DRY, TIMER, TRAIL, in_force, look, stage
from tests.unit.control.stage import BED, at


async def test_preview_of_a_dry_bed_fills_it_once_where_no_forecast_dries_it(pilot: Database) -> None:
    there = await stage(pilot, (BED, DRY))
    foreseen = look(there, Wanted(BED, in_force(pilot, BED)), days=5)

    # 0.14 x 0.3 m x 4 m2 = 168 L, at 60 L a day.
    assert [round(one.act.litres or 0) for one in foreseen.acts] == [60, 60, 48]
    assert [code for code, _ in assumptions(foreseen)] == ["persistence", "soil-does-not-dry", "devices-obey"]


async def test_preview_of_a_bed_that_dries_by_the_forecast_waters_it_again(pilot: Database) -> None:
    there = await stage(pilot, (BED, {**DRY, "litres_day": 400.0, "low": 0.27}))
    entry = ForecastEntry(at("00:00"), at("00:00") + DAY, et0_mm=6.0)
    with pilot.session() as session:
        forecasts.keep_forecast(session, "pilot", "BMKG", at("04:00"), [entry], now_ms=at("04:30"), trail=TRAIL)
    foreseen = look(there, Wanted(BED, in_force(pilot, BED)), days=6)

    # 0.03 x 300 mm are gone after a day and a half of 6 mm.
    assert len(foreseen.acts) in (4, 5)
    assert [code for code, _ in assumptions(foreseen)] == ["forecast", "soil-dries", "devices-obey"]


async def test_preview_of_a_new_schedule_takes_the_place_of_what_is_in_force_and_writes_nothing(pilot: Database) -> None:
    there = await stage(pilot, (BED, DRY))
    foreseen = look(there, Wanted(BED, None, TIMER), days=1)

    assert not foreseen.saved
    assert all("dry" in (one.why or pytest.fail("no reason")).reasons for one in foreseen.before)
    assert [one.runs for one in foreseen.acts] == [True, True, False]
    with pilot.reader() as session:
        assert [one.kind for one in schedules.list_schedules(session)[0]] == ["irrigation"]
        assert ledger.list_acts(session)[0] == []


async def test_preview_tells_conflicts_and_foresees_nothing_of_what_would_not_be_saved(pilot: Database) -> None:
    there = await stage(pilot)
    twice = {**TIMER, "starts": [{"time": "06:00", "litres": 9.0}] * 2}
    unsaved = {**TIMER, "starts": [{"time": "06:00", "litres": 9.0}, {"time": "06:00", "litres": 8.0,
               "days": {"type": "odd"}}]}  # fmt: skip
    with pytest.raises(Invalid):
        look(there, Wanted(BED, None, twice))
    foreseen = look(there, Wanted(BED, None, unsaved))

    assert "error" in {one.severity for one in foreseen.conflicts}
    assert (foreseen.acts, foreseen.schedule) == ((), None)


async def test_preview_names_what_is_not_as_it_assumes(pilot: Database) -> None:
    there = await stage(pilot, (BED, DRY))
    there.latest.values = {}
    await there.say("garden", "status", {"online": False, "boot": 1, "n": 0})
    foreseen = look(there, Wanted(BED, in_force(pilot, BED)), days=1)

    assert [code for code, _ in assumptions(foreseen)][-2:] == ["offline", "no-reading"]
    assert foreseen.acts == ()


async def test_preview_that_takes_too_long_or_is_of_nothing_says_so(pilot: Database) -> None:
    there = await stage(pilot, (BED, TIMER))
    key = in_force(pilot, BED)

    with pytest.raises(PreviewTooLong):
        look(there, Wanted(BED, key), limits=PreviewLimits(ticks=3, seconds=1e9))
    with pytest.raises(PreviewTooLong):
        look(there, Wanted(BED, key), limits=PreviewLimits(seconds=2.0))
    with pytest.raises(NotFound):
        look(there, Wanted("pilot:nothing:1", None, TIMER))
    with pytest.raises(Invalid):
        look(there, Wanted(BED))
