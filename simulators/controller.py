# SPDX-License-Identifier: Apache-2.0
"""The virtual irrigation controller: beds, each with a valve, a flow meter and a soil probe.

Invariant: its valves are closed until one is opened, also after a restart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from simulators.faults import Fault
from simulators.machine import Place
from simulators.physics import Bed, Weather

__all__ = ["VirtualIrrigationController"]

_KEPT: Final = ("water_mm", "temperature", "applied_l", "rain_mm", "evaporated_mm", "drained_mm", "runoff_mm", "metered_l")


class VirtualIrrigationController:
    """Hardware of a controller with one zone a bed, numbered from 1."""

    kind = "irrigation-controller"
    actions = ("irrigate",)

    def __init__(self, beds: Sequence[Bed], weather: Weather) -> None:
        self.beds = tuple(beds)
        self._weather = weather
        self._open: set[int] = set()
        self._rain_told = [bed.rain_mm for bed in self.beds]

    @property
    def zones(self) -> int:
        return len(self.beds)

    @property
    def open_valves(self) -> frozenset[int]:
        """The zones whose valve is open."""
        return frozenset(self._open)

    def rate(self, place: Place) -> float:
        return self.beds[place[0] - 1].open_l_min / 60.0

    def switch(self, place: Place, on: bool) -> None:
        (self._open.add if on else self._open.discard)(place[0])

    def fault(self, place: Place) -> str | None:
        bed = self.beds[place[0] - 1]
        return None if bed.flow_l_min(watering=True) > 0.0 else "no-flow"

    def advance(self, now_ms: int, seconds: float) -> Mapping[Place, float]:
        sky = self._weather.at(now_ms)
        given = {}
        for zone, bed in enumerate(self.beds, start=1):
            litres = bed.advance(sky, seconds, zone in self._open)
            if zone in self._open:
                given[zone, "irrigate"] = litres
        return given

    def measure(self, zone: int, now_ms: int, random: np.random.Generator) -> dict[str, float | bool]:
        bed, sky = self.beds[zone - 1], self._weather.at(now_ms)
        noise = random.standard_normal(4)
        rain, self._rain_told[zone - 1] = bed.rain_mm - self._rain_told[zone - 1], bed.rain_mm
        return {
            "soil_moisture": round(min(max(bed.moisture + 0.0008 * float(noise[0]), 0.0), 1.0), 4),
            "soil_temperature": round(bed.temperature + 0.05 * float(noise[1]), 2),
            "air_temperature": round(sky.air_temperature + 0.1 * float(noise[2]), 2),
            "relative_humidity": round(min(max(sky.relative_humidity + float(noise[3]), 0.0), 100.0), 1),
            "flow": round(bed.flow_l_min(zone in self._open), 2),
            "litres_total": round(bed.metered_l, 2),
            "valve_open": zone in self._open,
            "rain": round(max(rain, 0.0), 2),
        }

    def suffer(self, faults: Sequence[Fault]) -> None:
        for zone, bed in enumerate(self.beds, start=1):
            now = {fault.kind: fault.value for fault in faults if fault.zone in (None, zone)}
            bed.supply = "no-water" not in now
            bed.clogged = now.get("clog", 0.0)
            bed.burst = now.get("burst", 1.0)
            bed.leak_l_min = now.get("leak", 0.0)

    def snapshot(self) -> list[dict[str, float | bool]]:
        return [{name: getattr(bed, name) for name in _KEPT} for bed in self.beds]

    def restore(self, state: list[dict[str, float | bool]]) -> None:
        self._open.clear()
        for bed, kept in zip(self.beds, state, strict=False):
            for name in _KEPT:
                setattr(bed, name, kept.get(name, getattr(bed, name)))  # an older memory knows fewer
        self._rain_told = [bed.rain_mm for bed in self.beds]
