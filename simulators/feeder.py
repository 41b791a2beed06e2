# SPDX-License-Identifier: Apache-2.0
"""The virtual pond feeder: ponds, each with a hopper on a scale, a feeding motor, an aerator and probes in the water.

Invariant: its motors stand still until one is started, also after a restart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from simulators.faults import Fault
from simulators.machine import Place
from simulators.physics import Pond, Weather

__all__ = ["VirtualPondFeeder"]

AERATOR_AMPERES: Final = 3.4
MOTOR_AMPERES: Final = 1.2  # while it throws feed
JAM_AMPERES: Final = 4.5  # while it pulls and nothing falls
LIGHT_AMPERES: Final = 0.4  # while it turns in an empty hopper
_KEPT: Final = (
    "biomass_kg", "oxygen", "temperature", "ammonia",
    "hopper_g", "uneaten_g", "eaten_g", "spoilt_g", "dispensed_g", "refilled_g",
)  # fmt: skip


class VirtualPondFeeder:
    """Hardware of a feeder with one zone a pond, numbered from 1."""

    kind = "pond-feeder"
    actions = ("feed", "aerate")

    def __init__(self, ponds: Sequence[Pond], weather: Weather) -> None:
        self.ponds = tuple(ponds)
        self._weather = weather
        self._running: set[Place] = set()

    @property
    def zones(self) -> int:
        return len(self.ponds)

    @property
    def running(self) -> frozenset[Place]:
        """The motors that turn."""
        return frozenset(self._running)

    def rate(self, place: Place) -> float:
        return self.ponds[place[0] - 1].site.feeder_g_s if place[1] == "feed" else 0.0

    def switch(self, place: Place, on: bool) -> None:
        (self._running.add if on else self._running.discard)(place)

    def fault(self, place: Place) -> str | None:
        pond = self.ponds[place[0] - 1]
        if place[1] != "feed":
            return None
        if pond.in_hopper_g <= 0.0:
            return "hopper-empty"
        return "jam" if pond.jammed or pond.site.feeder_g_s <= 0.0 else None

    def advance(self, now_ms: int, seconds: float) -> Mapping[Place, float]:
        sky = self._weather.at(now_ms)
        given = {}
        for zone, pond in enumerate(self.ponds, start=1):
            feeding, aerating = (zone, "feed") in self._running, (zone, "aerate") in self._running
            grams = pond.advance(sky, seconds, feeding, aerating)
            if feeding:
                given[zone, "feed"] = grams
            if aerating:
                given[zone, "aerate"] = 0.0
        return given

    def measure(self, zone: int, now_ms: int, random: np.random.Generator) -> dict[str, float | bool]:
        pond, noise = self.ponds[zone - 1], random.standard_normal(5)
        aerating, feeding = (zone, "aerate") in self._running, (zone, "feed") in self._running
        amperes = _amperes(pond) if feeding else 0.0
        sun = self._weather.at(now_ms).solar_radiation  # on the panel that charges the battery
        # By day algae take the carbon dioxide from the water, and its acid with it: pH goes with the oxygen.
        acidity = 7.2 + 0.12 * (pond.oxygen - 5.0)
        return {
            "water_temperature": round(pond.temperature + 0.03 * float(noise[0]), 2),
            "dissolved_oxygen": round(min(max(pond.oxygen + 0.05 * float(noise[1]), 0.0), 40.0), 2),
            "ph": round(min(max(acidity + 0.02 * float(noise[2]), 4.0), 10.0), 2),
            "ammonia_total": round(max(pond.ammonia + 0.01 * float(noise[3]), 0.0), 3),
            "water_level": round(pond.site.depth_m + 0.002 * float(noise[4]), 3),
            "hopper_mass": round(pond.in_hopper_g, 1),
            "feed_dispensed_total": round(pond.dispensed_g, 1),
            "aerator_on": aerating,
            "aerator_current": AERATOR_AMPERES if aerating else 0.0,
            "motor_current": amperes,
            "battery": round(12.6 + 1.6 * sun / (sun + 100.0) - 0.02 * amperes, 2),
        }

    def suffer(self, faults: Sequence[Fault]) -> None:
        for zone, pond in enumerate(self.ponds, start=1):
            now = {fault.kind for fault in faults if fault.zone in (None, zone)}
            pond.jammed, pond.emptied = "jam" in now, "empty-hopper" in now

    def snapshot(self) -> list[dict[str, float | bool]]:
        return [{name: getattr(pond, name) for name in _KEPT} for pond in self.ponds]

    def restore(self, state: list[dict[str, float | bool]]) -> None:
        self._running.clear()
        for pond, kept in zip(self.ponds, state, strict=False):
            for name in _KEPT:
                setattr(pond, name, kept[name])


def _amperes(pond: Pond) -> float:
    """Return the current of a feeding motor that is on. [A]"""
    if pond.jammed:
        return JAM_AMPERES
    return LIGHT_AMPERES if pond.in_hopper_g <= 0.0 else MOTOR_AMPERES
