# SPDX-License-Identifier: Apache-2.0
"""A fish pond as one well-mixed tank, with the hopper of feed that stands beside it.

Invariant (mass balance of feed): dispensed = eaten + spoilt + still in the water; hopper = at first + refilled - dispensed.
Oxygen at saturation after Elmore and Hayes (1960), J. Sanit. Eng. Div. 86(4), valid 0 to 30 degC and close enough to 40.
The rest are the simulator's own formulas, of the size found in green ponds of nila.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from simulators.physics.weather import Sky

__all__ = ["Pond", "PondSite", "oxygen_at_saturation"]

PHOTOSYNTHESIS: Final = 1.0  # of a green pond under full sun [mg L-1 h-1]
HALF_LIGHT: Final = 300.0  # radiation at which photosynthesis is half of that [W m-2]
PLANKTON_BREATH: Final = 0.20  # of all that lives in the water except fish, at 28 degC [mg L-1 h-1]
FISH_BREATH: Final = 180.0  # at 28 degC [mg kg-1 h-1]
WARMTH: Final = 1.07  # breathing grows so per degree [1]
REAERATION: Final = 0.06  # exchange with the air [h-1]
AERATION: Final = 0.6  # added by a paddle wheel [h-1]
WATER_LAG_HOURS: Final = 14.0  # with which the water follows the air's temperature [h]
SUN_WARMING: Final = 0.0009  # of a pond a metre deep [degC h-1 per W m-2]
APPETITE: Final = 0.03  # share of their own mass that fish eat in an hour when well [h-1]
SPOIL_HOURS: Final = 2.0  # in which most uneaten feed goes bad [h]
GROWTH: Final = 1.0 / 1.6  # kilograms of fish from a kilogram eaten [1]
NITROGEN: Final = 0.03  # ammonia nitrogen from feed eaten or spoilt [1]
NITRIFICATION: Final = 0.04  # ammonia taken up by algae and bacteria [h-1]
REFILL_HOUR: Final = 7.0  # the keeper comes by at this solar time [h]
REFILL_BELOW: Final = 0.2  # and fills the hopper when less than this share is left [1]


@dataclass(frozen=True, slots=True)
class PondSite:
    """What does not change about a pond.

    Attributes
    ----------
    volume_m3, depth_m : float
        Of the water. [m3, m]
    hopper_size_g : float
        What the hopper holds when full. [g]
    feeder_g_s : float
        What the feeder's motor throws. [g s-1]
    keeper : bool
        Whether somebody refills the hopper in the morning.
    """

    volume_m3: float = 50.0
    depth_m: float = 1.0
    hopper_size_g: float = 20_000.0
    feeder_g_s: float = 5.0
    keeper: bool = True


@dataclass(slots=True)
class Pond:
    """What changes. [kg, mg L-1, degC, mg L-1, g]

    Attributes
    ----------
    jammed : bool
        The motor pulls and nothing falls.
    emptied : bool
        The hopper stands empty, whatever is counted for it: its feed is back when this is over.
    """

    site: PondSite
    biomass_kg: float = 40.0
    oxygen: float = 5.5
    temperature: float = 28.5
    ammonia: float = 0.2
    hopper_g: float = 15_000.0
    uneaten_g: float = 0.0
    eaten_g: float = 0.0
    spoilt_g: float = 0.0
    dispensed_g: float = 0.0
    refilled_g: float = 0.0
    jammed: bool = False
    emptied: bool = False

    @property
    def in_hopper_g(self) -> float:
        """What the scale under the hopper feels. [g]"""
        return 0.0 if self.emptied else self.hopper_g

    def advance(self, sky: Sky, seconds: float, feeding: bool, aerating: bool) -> float:
        """Let time pass, at most some minutes at once; return what the feeder threw. [g]"""
        hours = seconds / 3600.0
        thrown = 0.0 if self.jammed or not feeding else min(self.site.feeder_g_s * seconds, self.in_hopper_g)
        self.hopper_g -= thrown
        self.dispensed_g += thrown
        self.uneaten_g += thrown
        self._refill(sky, hours)
        self._eat(hours)
        self._breathe(sky, hours, aerating)
        follow = min(hours / WATER_LAG_HOURS, 1.0)
        self.temperature += (sky.air_temperature - self.temperature) * follow
        self.temperature += SUN_WARMING / self.site.depth_m * sky.solar_radiation * hours
        return thrown

    def _refill(self, sky: Sky, hours: float) -> None:
        comes = REFILL_HOUR <= sky.solar_hour < REFILL_HOUR + max(hours, 0.5)
        if self.site.keeper and comes and self.hopper_g < REFILL_BELOW * self.site.hopper_size_g:
            self.refilled_g += self.site.hopper_size_g - self.hopper_g
            self.hopper_g = self.site.hopper_size_g

    def _eat(self, hours: float) -> None:
        well = min(max((self.oxygen - 1.0) / 3.0, 0.0), 1.0)  # short of breath they do not come to the feed
        eaten = min(self.biomass_kg * 1000.0 * APPETITE * well * hours, self.uneaten_g)
        spoilt = (self.uneaten_g - eaten) * min(hours / SPOIL_HOURS, 1.0)
        self.uneaten_g -= eaten + spoilt
        self.eaten_g += eaten
        self.spoilt_g += spoilt
        self.biomass_kg += eaten / 1000.0 * GROWTH
        # A gram in a cubic metre is a milligram in a litre.
        self.ammonia += NITROGEN * (eaten + spoilt) / self.site.volume_m3
        self.ammonia *= math.exp(-NITRIFICATION * hours)

    def _breathe(self, sky: Sky, hours: float, aerating: bool) -> None:
        light = sky.solar_radiation / (sky.solar_radiation + HALF_LIGHT)
        warmth = WARMTH ** (self.temperature - 28.0)
        fish = FISH_BREATH * self.biomass_kg / (self.site.volume_m3 * 1000.0)
        made = PHOTOSYNTHESIS * light - (PLANKTON_BREATH + fish) * warmth
        exchange = REAERATION + (AERATION if aerating else 0.0)
        # Within one step light and warmth stand still, so the exchange with the air has an exact solution.
        rest = oxygen_at_saturation(self.temperature) + made / exchange
        self.oxygen = max(rest + (self.oxygen - rest) * math.exp(-exchange * hours), 0.0)


def oxygen_at_saturation(temperature: float) -> float:
    """Return the oxygen that fresh water takes up from the air. [mg L-1]"""
    return 14.652 - 0.41022 * temperature + 0.0079910 * temperature**2 - 0.000077774 * temperature**3
