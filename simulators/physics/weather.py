# SPDX-License-Identifier: Apache-2.0
"""Sun, air and rain over one site.

A function of the instant and a seed, without state: whoever asks about a moment, in whatever order, is told the same.
Declination after Cooper (1969), Solar Energy 12(3), doi:10.1016/0038-092X(69)90047-4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

__all__ = ["Climate", "Sky", "Weather"]

SOLAR_CONSTANT: Final = 1361.0  # above the atmosphere [W m-2]
CLEAR_SKY: Final = 0.75  # share of it that reaches the ground without clouds [1]
CLOUD_LOSS: Final = 0.7  # share of that which a closed cover of clouds takes [1]
WARMEST_HOUR: Final = 14.0  # solar time of the day's highest air temperature [h]
SHOWER_HOUR: Final = 15.0  # solar time at which a shower begins; it lasts one hour [h]
MS_PER_HOUR: Final = 3_600_000
MS_PER_DAY: Final = 24 * MS_PER_HOUR


@dataclass(frozen=True, slots=True)
class Climate:
    """Where a site lies and what its days are like.

    Attributes
    ----------
    latitude, longitude : float
        North and east are positive. [deg]
    air_mean, air_swing : float
        A day's mean air temperature and how far its warmest hour lies above it. [degC]
    cloudiness : float
        Mean share of the sky under clouds, 0 to 1.
    rain_chance : float
        Probability of a shower on any one day, 0 to 1.
    rain_mm : float
        Mean depth of a shower. [mm]
    """

    latitude: float = -1.27
    longitude: float = 116.83
    air_mean: float = 27.5
    air_swing: float = 3.5
    cloudiness: float = 0.35
    rain_chance: float = 0.0
    rain_mm: float = 12.0


@dataclass(frozen=True, slots=True)
class Sky:
    """The weather at one instant: W m-2, degC, %, mm h-1, and the solar hour of the day."""

    solar_radiation: float
    air_temperature: float
    relative_humidity: float
    rain_mm_h: float
    solar_hour: float


class Weather:
    """Tell the weather of one site at any instant."""

    def __init__(self, climate: Climate, seed: int) -> None:
        self._climate = climate
        self._seed = seed
        self._day: tuple[int, float, float, float] = (-1, 0.0, 0.0, 0.0)

    def at(self, now_ms: int) -> Sky:
        """Return the weather at an instant. [ms since the Unix epoch]"""
        climate = self._climate
        solar_ms = now_ms + round(climate.longitude / 15.0 * MS_PER_HOUR)
        day, hour = solar_ms // MS_PER_DAY, (solar_ms % MS_PER_DAY) / MS_PER_HOUR
        cloud, warmer, shower_mm = self._of_day(day)
        sun = _sine_of_elevation(climate.latitude, day, hour)
        radiation = SOLAR_CONSTANT * CLEAR_SKY * max(sun, 0.0) * (1.0 - CLOUD_LOSS * cloud)
        turn = math.cos(2.0 * math.pi * (hour - WARMEST_HOUR) / 24.0)
        air = climate.air_mean + warmer + climate.air_swing * turn
        humidity = min(max(78.0 - 4.0 * (air - climate.air_mean), 20.0), 100.0)
        rain = shower_mm if SHOWER_HOUR <= hour < SHOWER_HOUR + 1.0 else 0.0
        return Sky(radiation, air, humidity, rain, hour)

    def _of_day(self, day: int) -> tuple[float, float, float]:
        if self._day[0] != day:
            # A generator of its own for each day, so that a day is the same whichever was asked for before it.
            random = np.random.default_rng([self._seed, day])
            cloud = float(np.clip(random.normal(self._climate.cloudiness, 0.15), 0.0, 1.0))
            warmer = float(random.normal(0.0, 0.6))
            shower = random.random() < self._climate.rain_chance
            depth = float(random.exponential(self._climate.rain_mm))
            self._day = (day, cloud, warmer, min(depth, 100.0) if shower else 0.0)
        return self._day[1:]


def _sine_of_elevation(latitude: float, day: int, hour: float) -> float:
    declination = math.radians(23.45) * math.sin(2.0 * math.pi * (284 + day % 365.25) / 365.0)
    north, angle = math.radians(latitude), math.radians(15.0 * (hour - 12.0))
    return math.sin(north) * math.sin(declination) + math.cos(north) * math.cos(declination) * math.cos(angle)
