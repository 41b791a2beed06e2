# SPDX-License-Identifier: Apache-2.0
"""The zone-hours whose windows are not up to date with their rows, and when their turn comes.

A store keeps the same in its file, written no later than the rows; here it is known which marks are there already, so that
a batch adds only new ones. An hour's turn comes a minute after it ended, by the platform's clock, and some seconds after
it was first touched, on the wall: a backlog of many batches makes its windows once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from ingest.store.batch import Batch
from ingest.store.protocol import HOUR_MS

__all__ = ["CROWDED", "GRACE_MS", "SETTLE_S", "TOUCHED_MAX", "Touched", "Turn", "Zone", "ZoneHour"]

TOUCHED_MAX: Final = 400_000  # zone-hours; a store that has more takes no rows until some are done
CROWDED: Final = 100_000  # from here on the oldest hour has its turn at once
GRACE_MS: Final = 60_000  # after an hour's end, for the last rows of it to arrive [ms]
SETTLE_S: Final = 5.0  # wall time from the first row that touches an hour to its turn [s]


class Zone(NamedTuple):
    """A zone by its names."""

    site: str
    device: str
    zone: int


class ZoneHour(NamedTuple):
    """An hour since the Unix epoch of a zone, as one kind of device measured it."""

    kind: str
    site: str
    device: str
    zone: int
    hour: int


@dataclass(frozen=True, slots=True)
class Turn:
    """Zones of one kind whose windows of one hour are to be made now."""

    kind: str
    hour: int
    zones: tuple[Zone, ...]

    def marks(self) -> list[ZoneHour]:
        """Return the zone-hours of it."""
        return [ZoneHour(self.kind, *zone, self.hour) for zone in self.zones]


class Touched:
    """Which zone-hours are marked.

    Not safe for threads: the store calls it while it holds the lock of its writes.
    """

    def __init__(self, marks: Iterable[ZoneHour], wall_s: Callable[[], float]) -> None:
        self._wall_s = wall_s
        self._groups: dict[tuple[int, str], dict[Zone, float]] = {}
        self._known: dict[str, set[int]] = {}
        self._count = 0
        self.add(marks)

    def __len__(self) -> int:
        return self._count

    @property
    def first_hour(self) -> int | None:
        """The oldest hour that is marked."""
        return min((hour for hour, _ in self._groups), default=None)

    def new_marks(self, batch: Batch, names: Callable[[int], tuple[str, str]]) -> list[ZoneHour]:
        """Return the zone-hours that a batch touches and that are not marked yet."""
        new: dict[ZoneHour, None] = {}
        for rows in batch.rows:
            known = self._known.setdefault(rows.kind, set())
            hours = rows.ts_ms // HOUR_MS
            for key in np.unique(((rows.device.astype(np.int64) << 8) | rows.zone) << 24 | hours).tolist():
                if key in known:
                    continue
                hour, zone, index = key & 0xFFFFFF, key >> 24 & 0xFF, key >> 32
                mark = ZoneHour(rows.kind, *names(index), zone, hour)
                if mark[1:4] in self._groups.get((hour, rows.kind), ()):
                    known.add(key)
                else:
                    new[mark] = None
        return list(new)

    def add(self, marks: Iterable[ZoneHour]) -> None:
        """Take note of marks that are in the store's file."""
        now = self._wall_s()
        for kind, site, device, zone, hour in marks:
            group = self._groups.setdefault((hour, kind), {})
            key = Zone(site, device, zone)
            self._count += key not in group
            group.setdefault(key, now)

    def take_turn(self, now_ms: int, zones_max: int) -> Turn | None:
        """Take out zones of the oldest hour that is due; a row that touches them from now on marks them anew."""
        due_s = self._wall_s() - SETTLE_S
        crowded = self._count > CROWDED
        for hour, kind in sorted(self._groups):
            if not crowded and now_ms < (hour + 1) * HOUR_MS + GRACE_MS:
                return None
            group = self._groups[hour, kind]
            zones = tuple(zone for zone, since in group.items() if crowded or since <= due_s)[:zones_max]
            if zones:
                for zone in zones:
                    del group[zone]
                if not group:
                    del self._groups[hour, kind]
                self._count -= len(zones)
                self._known.clear()
                return Turn(kind, hour, zones)
        return None
