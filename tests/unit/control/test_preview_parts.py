# SPDX-License-Identifier: Apache-2.0
"""Soil that is foreseen, and what differs between two previews."""

from __future__ import annotations

import math
from zoneinfo import ZoneInfo

import pytest

from control.forecasts import Forecast, ForecastEntry
from control.models import Row
from control.preview_difference import compare
from control.preview_ground import LEFT_OUT
from control.preview_run import Foreshown
from control.preview_weather import Soil, spells_of
from control.records import Act
from tests.unit.control.stage import BED, at

HOUR, DAY = 3_600_000, 86_400_000
ZONE = ZoneInfo("Asia/Makassar")


def forecast(*entries: ForecastEntry) -> Forecast:
    return Forecast("F", "pilot", "BMKG", 0, 0, "cuaca", entries)


def shown(planned: str, litres: float = 60.0, *, begun: str | None = None, state: str = "done", zone: str = BED) -> Foreshown:
    values: dict[str, object] = dict.fromkeys(Act.__dataclass_fields__)
    begun_ms = at(begun or planned) if state == "done" else None
    given = {"id": planned, "zone_key": zone, "state": state, "planned_ms": at(planned), "begun_ms": begun_ms, "litres": litres}
    return Foreshown(Act(**{**values, **given}))  # type: ignore[arg-type]


def test_spells_are_rain_less_evapotranspiration_and_go_on_by_the_last_day_without_end() -> None:
    found = spells_of(
        forecast(ForecastEntry(0, DAY, 10.0, 0.5, et0_mm=4.0), ForecastEntry(DAY, 2 * DAY, et0_mm=6.0)), now_ms=HOUR
    )

    assert [round(spell.gain * DAY, 6) for spell in found] == [1.0, -6.0, -6.0]
    assert (found[-1].start_ms, found[-1].end_ms) == (2 * DAY, math.inf)
    assert spells_of(forecast(ForecastEntry(0, DAY, 10.0)), 0) == ()
    assert spells_of(None, 0) == ()


def test_soil_dries_is_wetted_and_stays_within_what_it_holds() -> None:
    soil = Soil(0.30, 0, litres_full=1200.0, depth_m=0.3, spells=spells_of(forecast(ForecastEntry(0, DAY, et0_mm=6.0)), 0))

    assert soil.advance(DAY // 2) == pytest.approx(0.29)
    soil.give(12.0, DAY // 2)
    assert soil.moisture == pytest.approx(0.30)
    assert soil.falls_below(0.29, 10 * DAY) == pytest.approx(DAY)
    assert soil.falls_below(0.29, DAY - 1) is None
    soil.give(1e6, DAY)
    assert soil.moisture == 0.6
    assert soil.advance(1000 * DAY) == 0.0


def test_compare_of_the_same_finds_nothing_but_the_days() -> None:
    same = [shown("06:00"), shown("16:00", state="skipped")]
    changes, days = compare(same, same, BED, ZONE)

    assert changes == []
    assert [(day.litres_before, day.litres) for day in days] == [(60.0, 60.0)]


def test_compare_tells_added_removed_moved_and_other_amounts_in_order_of_time() -> None:
    other = "pilot:row:1"
    before = [shown("06:00"), shown("07:00"), shown("09:00"), shown("08:00", zone=other)]
    after = [
        shown("06:00", 70.0),
        shown("07:00", begun="07:05"),
        shown("10:00"),
        shown("12:00"),
        shown("13:00", state="skipped"),
    ]
    changes, days = compare(before, after, BED, ZONE)

    assert [(one.kind, (one.after or one.before or pytest.fail("nothing")).act.id) for one in changes] == [
        ("amount", "06:00"), ("moved", "07:00"), ("removed", "08:00"), ("moved", "10:00"), ("added", "12:00"),
    ]  # fmt: skip
    assert [(day.litres_before, day.litres) for day in days] == [(180.0, 250.0)]


def test_what_a_ground_leaves_out_are_tables_that_no_tick_reads() -> None:
    assert set(Row.metadata.tables) >= LEFT_OUT
    assert not LEFT_OUT & {
        "act",
        "schedule",
        "zone",
        "zone_state",
        "controller_state",
        "suspension",
        "water_budget",
        "resource",
    }
