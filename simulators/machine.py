# SPDX-License-Identifier: Apache-2.0
"""What hangs on a virtual device's board: valves, motors and sensors, and the nature around them.

Two machines stand behind this: the irrigation controller's and the pond feeder's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from simulators.faults import Fault

__all__ = ["Machine", "Place"]

Place = tuple[int, str]  # a zone and the action that is done to it


class Machine(Protocol):
    """The seam between a device's logic, alike for all, and its hardware."""

    @property
    def kind(self) -> str:
        """The kind of device, as in the catalogue."""

    @property
    def actions(self) -> tuple[str, ...]:
        """What can be done to a zone."""

    @property
    def zones(self) -> int:
        """How many beds or ponds there are."""

    def rate(self, place: Place) -> float:
        """Return what the actuator gives now, while nothing stops it. [L s-1, g s-1; 0 for what gives nothing]"""

    def switch(self, place: Place, on: bool) -> None:
        """Open or close a valve, start or stop a motor."""

    def advance(self, now_ms: int, seconds: float) -> Mapping[Place, float]:
        """Let time pass up to `now_ms`; return what each running actuator gave. [L, g]"""

    def fault(self, place: Place) -> str | None:
        """Return what keeps an actuator from its work, in the contract's word for it, or None."""

    def measure(self, zone: int, now_ms: int, random: np.random.Generator) -> dict[str, float | bool]:
        """Read the sensors of one zone, with their noise."""

    def suffer(self, faults: Sequence[Fault]) -> None:
        """Be broken in these ways from now on, and in no other."""

    def snapshot(self) -> list[dict[str, float | bool]]:
        """Return the state of nature, zone by zone, for `restore`."""

    def restore(self, state: list[dict[str, float | bool]]) -> None:
        """Go on from a snapshot, with every valve closed and every motor off."""
