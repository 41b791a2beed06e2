# SPDX-License-Identifier: Apache-2.0
"""A bed of plants as one bucket of soil: watered from above, dried by the sun, drained below.

Invariant (mass balance): water held = water held at first + applied + rain - evaporated - drained - run off. What the meter
counted is more than what was applied where a pipe behind it has burst.
The formulas are the simulator's own on purpose: rules judged against themselves would always be right.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from simulators.physics.weather import Sky

__all__ = ["Bed", "BedSite"]

LATENT_HEAT: Final = 2.45e6  # to evaporate a kilogram of water [J kg-1]
SUN_TO_VAPOUR: Final = 0.65  # share of the sun's energy that evaporates water from a well-watered bed [1]
NIGHT_VAPOUR: Final = 0.01  # what evaporates without any sun [mm h-1]
DRAIN_HOURS: Final = 6.0  # in which about two thirds of the water above field capacity drain away [h]
SOIL_LAG_HOURS: Final = 5.0  # with which the soil follows the air's temperature [h]
BURST_REACHES: Final = 0.2  # of the rated flow, what still comes to the bed when the pipe behind the meter has burst [1]
EASY_SHARE: Final = 0.5  # of the water between field capacity and wilting point, plants take so much with ease [1]


@dataclass(frozen=True, slots=True)
class BedSite:
    """What does not change about a bed.

    Attributes
    ----------
    area_m2, root_depth_m : float
        Size of the bucket. [m2, m]
    saturation, field_capacity, wilting_point : float
        Volumetric water content when full, when drained, and when plants can take no more. [m3 m-3]
    crop_factor : float
        Water used, against a well-watered lawn's. [1]
    flow_l_min : float
        What its valve lets through. [L min-1]
    """

    area_m2: float = 8.0
    root_depth_m: float = 0.2
    saturation: float = 0.45
    field_capacity: float = 0.32
    wilting_point: float = 0.10
    crop_factor: float = 1.0
    flow_l_min: float = 12.0


@dataclass(slots=True)
class Bed:
    """What changes: the water held, the warmth, the running sums, and what is broken. [mm, degC, mm, L]

    Attributes
    ----------
    supply : bool
        False: the main is shut, the valve opens and nothing flows.
    clogged : float
        Share of the flow that is lost in clogged emitters. [1]
    burst : float
        The flow through an open valve as a multiple of the rated one: above 1 the pipe behind the meter has burst. [1]
    leak_l_min : float
        What runs through the valve while it is shut. [L min-1]
    """

    site: BedSite
    water_mm: float
    temperature: float = 26.0
    applied_l: float = 0.0
    rain_mm: float = 0.0
    evaporated_mm: float = 0.0
    drained_mm: float = 0.0
    runoff_mm: float = 0.0
    metered_l: float = 0.0
    supply: bool = True
    clogged: float = 0.0
    burst: float = 1.0
    leak_l_min: float = 0.0

    @classmethod
    def at_moisture(cls, site: BedSite, soil_moisture: float) -> Bed:
        """Return a bed of that moisture. [m3 m-3]"""
        return cls(site, soil_moisture * site.root_depth_m * 1000.0)

    @property
    def moisture(self) -> float:
        """Volumetric water content. [m3 m-3]"""
        return self.water_mm / (self.site.root_depth_m * 1000.0)

    @property
    def open_l_min(self) -> float:
        """What the open valve lets through while there is water. [L min-1]"""
        return self.site.flow_l_min * (1.0 - self.clogged) * self.burst

    def flow_l_min(self, watering: bool) -> float:
        """Return what the meter sees, the valve being open or shut. [L min-1]"""
        if not self.supply:
            return 0.0
        return self.open_l_min if watering else self.leak_l_min

    def advance(self, sky: Sky, seconds: float, watering: bool) -> float:
        """Let time pass, at most some minutes at once; return what the meter counted. [L]"""
        site, hours = self.site, seconds / 3600.0
        litres = self.flow_l_min(watering) * seconds / 60.0
        reached = litres / self.burst * BURST_REACHES if watering and self.burst > 1.0 else litres
        rain = sky.rain_mm_h * hours
        self.water_mm += reached / site.area_m2 + rain
        self.applied_l += reached
        self.metered_l += litres
        self.rain_mm += rain
        self._evaporate(sky, seconds)
        depth = site.root_depth_m * 1000.0
        drained = max(self.water_mm - site.field_capacity * depth, 0.0) * min(hours / DRAIN_HOURS, 1.0)
        self.water_mm -= drained
        self.drained_mm += drained
        runoff = max(self.water_mm - site.saturation * depth, 0.0)
        self.water_mm -= runoff
        self.runoff_mm += runoff
        self.temperature += (sky.air_temperature - self.temperature) * min(hours / SOIL_LAG_HOURS, 1.0)
        return litres

    def _evaporate(self, sky: Sky, seconds: float) -> None:
        site, depth = self.site, self.site.root_depth_m * 1000.0
        wanted = site.crop_factor * (
            sky.solar_radiation * SUN_TO_VAPOUR / LATENT_HEAT * seconds + NIGHT_VAPOUR * seconds / 3600.0
        )
        held = self.water_mm - site.wilting_point * depth
        hard = (site.field_capacity - site.wilting_point) * depth * (1.0 - EASY_SHARE)
        ease = min(max(held / hard, 0.0), 1.0)  # below the easy half plants close their leaves, more and more
        evaporated = min(wanted * ease, max(held, 0.0))
        self.water_mm -= evaporated
        self.evaporated_mm += evaporated
