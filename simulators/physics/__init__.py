# SPDX-License-Identifier: Apache-2.0
"""What surrounds a virtual device: sky, soil and water, in formulas of their own."""

from __future__ import annotations

from simulators.physics.bed import Bed, BedSite
from simulators.physics.pond import Pond, PondSite
from simulators.physics.weather import Climate, Sky, Weather

__all__ = ["Bed", "BedSite", "Climate", "Pond", "PondSite", "Sky", "Weather"]
