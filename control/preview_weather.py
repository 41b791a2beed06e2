# SPDX-License-Identifier: Apache-2.0
"""What sensors will say in a preview: what they say now (persistence), but for soil that is watered and dries.

Soil moisture rises with what is given, [L] over root depth and area, at the end of the act. Where the forecast of the site has
evapotranspiration it falls by that, rises by the rain expected, and beyond the forecast goes on falling by the mean of its last
day. Without it soil does not dry. Invariant: moisture is linear between instants, so that when it falls below a threshold can
be told, and it stays within what soil holds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from control.evaluation import LatestValues
from control.forecasts import Forecast
from control.records import Zone

__all__ = ["Foreseen", "Soil", "Spell", "soils_of", "spells_of"]

DAY_MS: Final = 86_400_000
MOST: Final = 0.6  # what soil holds at most, saturated [m3 m-3]
MM_PER_M: Final = 1000.0
LITRES_PER_M3: Final = 1000.0


@dataclass(frozen=True, slots=True)
class Spell:
    """Weather that is even over [start, end): net gain of water, rain less evapotranspiration. [mm/ms]"""

    start_ms: int
    end_ms: float
    gain: float


def spells_of(forecast: Forecast | None, now_ms: int) -> tuple[Spell, ...]:
    """Return the spells of a forecast from now on, the last one without end; none where it has no evapotranspiration."""
    if forecast is None:
        return ()
    told = [entry for entry in forecast.entries if entry.end_ms > now_ms and entry.et0_mm is not None]
    if not told:
        return ()
    spells = [
        Spell(
            entry.start_ms,
            entry.end_ms,
            (
                (entry.rain_mm or 0.0) * (1.0 if entry.rain_probability is None else entry.rain_probability)
                - (entry.et0_mm or 0.0)
            )
            / (entry.end_ms - entry.start_ms),
        )
        for entry in told
    ]
    last_ms = told[-1].end_ms
    last_day = [entry for entry in told if entry.end_ms > last_ms - DAY_MS]
    mean = sum(entry.et0_mm or 0.0 for entry in last_day) / sum(entry.end_ms - entry.start_ms for entry in last_day)
    return (*spells, Spell(last_ms, math.inf, -mean))


@dataclass(slots=True)
class Soil:
    """One bed's soil; `moisture` [m3 m-3] as of `at_ms`.

    Attributes
    ----------
    litres_full : float
        Water that raises its moisture by 1: root depth by area. [L]
    depth_m : float
        Of its roots. [m]
    """

    moisture: float
    at_ms: int
    litres_full: float
    depth_m: float
    spells: Sequence[Spell] = ()

    def advance(self, now_ms: int) -> float:
        """Bring it to now, and return its moisture."""
        for start_ms, end_ms, slope in self._pieces(now_ms):
            self.moisture = _within(self.moisture + slope * (end_ms - start_ms))
        self.at_ms = max(self.at_ms, now_ms)
        return self.moisture

    def give(self, litres: float, now_ms: int) -> None:
        """Let water in, all at once."""
        self.advance(now_ms)
        self.moisture = _within(self.moisture + litres / self.litres_full)

    def falls_below(self, level: float, until_ms: int) -> float | None:
        """Return when it falls below a level, if it does before `until`. [ms since the Unix epoch, UTC]"""
        moisture = self.moisture
        for start_ms, end_ms, slope in self._pieces(until_ms):
            after = _within(moisture + slope * (end_ms - start_ms))
            if after < level <= moisture:
                return start_ms + (moisture - level) / -slope
            moisture = after
        return None

    def _pieces(self, until_ms: int) -> list[tuple[float, float, float]]:
        """Return the rest of each spell up to `until`, with the slope of moisture in it. [1/ms]"""
        return [
            (max(spell.start_ms, self.at_ms), min(spell.end_ms, until_ms), spell.gain / MM_PER_M / self.depth_m)
            for spell in self.spells
            if spell.end_ms > self.at_ms and spell.start_ms < until_ms
        ]


@dataclass(slots=True)
class Foreseen:
    """Latest values as they will be: read once, then as of whatever time it is in the preview.

    Parameters
    ----------
    latest : LatestValues
        What was measured.
    soils : mapping
        Beds whose moisture follows what they are given, by (site, device, zone).
    """

    latest: LatestValues
    now_ms: int
    soils: Mapping[tuple[str, str, int], Soil] = field(default_factory=dict)
    _kept: dict[tuple[tuple[str, str, int], str], float] = field(default_factory=dict)

    def gather(self, keys: Sequence[tuple[str, str, int]], quantity: str) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return one quantity of many zones, measured now; what was never measured is not now either."""
        unknown = [key for key in keys if (key, quantity) not in self._kept]
        if unknown:
            values, _ = self.latest.gather(unknown, quantity)
            self._kept.update(((key, quantity), value) for key, value in zip(unknown, values.tolist(), strict=True))
        found = np.array(
            [
                self.soils[key].advance(self.now_ms)
                if quantity == "soil_moisture" and key in self.soils
                else self._kept[key, quantity]
                for key in keys
            ],
            dtype=np.float64,
        )
        return found, np.where(np.isnan(found), -1, self.now_ms).astype(np.int64)


def soils_of(
    zones: Sequence[Zone], latest: LatestValues, forecast: Forecast | None, now_ms: int
) -> dict[tuple[str, str, int], Soil]:
    """Return the soil of each bed of which it is known how wet it is and how much it holds."""
    beds = [(zone.site, zone.device, zone.number) for zone in zones]
    moisture, _ = latest.gather(beds, "soil_moisture") if beds else (np.zeros(0), None)
    spells = spells_of(forecast, now_ms)
    found = {}
    for zone, key, value in zip(zones, beds, moisture.tolist(), strict=True):
        area, depth = zone.parameters.area_m2, zone.parameters.root_depth_m
        if area and depth and not math.isnan(value):
            found[key] = Soil(value, now_ms, area * depth * LITRES_PER_M3, depth, spells)
    return found


def _within(moisture: float) -> float:
    return min(max(moisture, 0.0), MOST)
