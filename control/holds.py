# SPDX-License-Identifier: Apache-2.0
"""Holds: what keeps zones from acting now for causes outside their rules, as a pause by a person.

Each source names the zones it holds, the reason, and what a sentence needs to say of it. Invariant: holds are looked up
anew each tick, so what is lifted holds no longer; no source can make a zone act.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from control.proofs import disproved_holds
from control.records import Hold, Seen
from control.suspended import suspension_holds
from control.valve_holds import valve_holds

__all__ = ["Holds", "Source", "load_holds"]

# Called once a tick with the instant [ms since the Unix epoch, UTC]; names every zone that it holds, in a few queries.
Source: TypeAlias = Callable[[Session, int], Iterable[Hold]]

SOURCES: Final[tuple[Source, ...]] = (suspension_holds, disproved_holds, valve_holds)


class Holds:
    """What holds which zones; a zone that nothing holds is not there."""

    def __init__(self, holds: Iterable[Hold] = ()) -> None:
        self._bits: dict[str, int] = {}
        self._inputs: dict[str, dict[str, Seen]] = {}
        for hold in holds:
            self.add(hold)

    def __len__(self) -> int:
        return len(self._bits)

    def add(self, hold: Hold) -> None:
        """Add one; of two that tell the same input, the first is told."""
        self._bits[hold.zone_key] = self._bits.get(hold.zone_key, 0) | int(hold.reason)
        self._inputs[hold.zone_key] = {**hold.inputs, **self._inputs.get(hold.zone_key, {})}

    def bits(self, zone_key: str) -> int:
        """Return the bits of `rules.Reason` that hold a zone; 0 where nothing does."""
        return self._bits.get(zone_key, 0)

    def column(self, zone_keys: Sequence[str]) -> NDArray[np.int64]:
        """Return the bits of many zones, as the rules take them."""
        if not self._bits:
            return np.zeros(len(zone_keys), dtype=np.int64)
        return np.array([self._bits.get(key, 0) for key in zone_keys], dtype=np.int64)

    def inputs(self, zone_key: str) -> Mapping[str, Seen]:
        """Return what is kept with a decision about a zone that is held, so that a sentence can say it."""
        return self._inputs.get(zone_key, {})


def load_holds(session: Session, now_ms: int) -> Holds:
    """Return what holds which zones now."""
    return Holds(hold for source in SOURCES for hold in source(session, now_ms))
