# SPDX-License-Identifier: Apache-2.0
"""Sky, soil and water behave as anybody who has stood beside them would expect."""

from __future__ import annotations

import pytest

from simulators.physics import Bed, BedSite, Climate, Pond, PondSite, Weather
from simulators.physics.pond import oxygen_at_saturation

DAWN_MS = 1_795_294_800_000  # 05:00 in Makassar
HOUR_MS = 3_600_000


def test_weather_at_night_is_dark_and_at_noon_is_bright() -> None:
    weather = Weather(Climate(cloudiness=0.2), 3)
    radiation = [weather.at(DAWN_MS + hour * HOUR_MS).solar_radiation for hour in range(24)]
    assert radiation[18] == 0.0
    assert 500.0 < max(radiation) < 1100.0
    assert radiation.index(max(radiation)) in (6, 7)


def test_weather_of_one_seed_is_the_same_in_whatever_order_it_is_asked() -> None:
    first, second = Weather(Climate(rain_chance=0.5), 3), Weather(Climate(rain_chance=0.5), 3)
    instants = [DAWN_MS + hour * HOUR_MS for hour in range(200)]
    assert [first.at(at) for at in instants] == [second.at(at) for at in reversed(instants)][::-1]
    assert first.at(DAWN_MS) != Weather(Climate(), 4).at(DAWN_MS)


def test_weather_rains_about_as_often_as_the_climate_says() -> None:
    weather = Weather(Climate(rain_chance=0.4), 5)
    depth = [sum(weather.at(DAWN_MS + (24 * day + hour) * HOUR_MS).rain_mm_h for hour in range(24)) for day in range(400)]
    assert sum(mm > 0 for mm in depth) / 400 == pytest.approx(0.4, abs=0.08)


def test_bed_dries_by_day_hardly_by_night_and_never_below_wilting() -> None:
    bed, weather = Bed.at_moisture(BedSite(), 0.25), Weather(Climate(), 3)
    moisture = []
    for minute in range(0, 60 * 24 * 60, 5):
        moisture.append(bed.moisture)
        bed.advance(weather.at(DAWN_MS + minute * 60_000), 300.0, False)
    by_day, by_night = moisture[0] - moisture[144], moisture[168] - moisture[276]
    assert 0.008 < by_day < 0.05
    assert by_night < by_day / 10
    assert moisture == sorted(moisture, reverse=True)
    assert 0.10 <= moisture[-1] < 0.12


def test_bed_above_field_capacity_drains_to_it_within_a_day() -> None:
    bed, weather = Bed.at_moisture(BedSite(), 0.45), Weather(Climate(), 3)
    for minute in range(0, 24 * 60, 5):
        bed.advance(weather.at(DAWN_MS + minute * 60_000), 300.0, False)
    assert bed.moisture == pytest.approx(0.32, abs=0.02)
    assert bed.drained_mm > 15.0


@pytest.mark.parametrize(("temperature", "oxygen"), [(0, 14.6), (10, 11.3), (20, 9.1), (30, 7.56)])
def test_oxygen_at_saturation_is_that_of_the_tables(temperature: float, oxygen: float) -> None:
    assert oxygen_at_saturation(temperature) == pytest.approx(oxygen, rel=0.02)


def test_pond_breathes_with_the_day_and_stays_alive() -> None:
    pond, weather = Pond(PondSite()), Weather(Climate(), 3)
    hours = []
    for minute in range(0, 10 * 24 * 60, 5):
        pond.advance(weather.at(DAWN_MS + minute * 60_000), 300.0, False, False)
        if minute % 60 == 0:
            hours.append((pond.oxygen, pond.temperature))
    day = hours[-24:]
    assert 3.0 < min(day)[0] < 6.0
    assert 6.0 < max(day)[0] < 12.0
    assert day.index(max(day)) in range(8, 13)  # in the afternoon
    assert all(24.0 < temperature < 34.0 for _, temperature in hours)


def test_pond_fish_eat_what_falls_within_the_hour_and_grow() -> None:
    pond, weather = Pond(PondSite()), Weather(Climate(), 3)
    sky = weather.at(DAWN_MS + 3 * HOUR_MS)
    pond.advance(sky, 50.0, True, False)
    for _ in range(60):
        pond.advance(sky, 60.0, False, False)
    assert pond.dispensed_g == 250.0
    assert pond.eaten_g > 200.0
    assert pond.uneaten_g < 5.0
    assert pond.biomass_kg > 40.1


def test_pond_keeper_fills_an_empty_hopper_in_the_morning() -> None:
    pond, weather = Pond(PondSite(), hopper_g=100.0), Weather(Climate(), 3)
    for minute in range(0, 24 * 60, 5):
        pond.advance(weather.at(DAWN_MS + minute * 60_000), 300.0, False, False)
    assert pond.hopper_g == 20_000.0
    assert pond.refilled_g == 19_900.0
