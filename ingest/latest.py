# SPDX-License-Identifier: Apache-2.0
"""The newest value of every quantity of every zone, as arrays.

Invariant: a value is replaced only by one measured at the same time or later, so data that come late never look new.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from gateway.payloads import MAX_ZONE
from gateway.quantities import Catalogue
from ingest.devices import DeviceTable
from ingest.store.batch import Rows

__all__ = ["LatestState"]

_NEVER = -1  # time of a quantity that was never measured


class LatestState:
    """Values and times by (zone row, quantity column). Thread-safe."""

    def __init__(self, devices: DeviceTable, catalogue: Catalogue) -> None:
        self._devices = devices
        self._columns = {name: i for i, name in enumerate(catalogue.quantities)}
        self._lock = threading.Lock()
        self._row = np.full((16, MAX_ZONE + 1), -1, np.int32)
        self._used = 0
        self._values = np.full((64, len(self._columns)), np.nan)
        self._ts_ms = np.full((64, len(self._columns)), _NEVER, np.int64)

    def update(self, parts: Iterable[Rows]) -> None:
        """Take in rows; of one quantity of one zone the newest counts, of several at one instant the last."""
        with self._lock:
            for rows in parts:
                self._update(rows)

    def _update(self, rows: Rows) -> None:
        if not len(rows):
            return
        zone_row = self._rows_of(rows.device, rows.zone)
        ts_ms, values = rows.ts_ms, rows.values
        if np.any(ts_ms[1:] < ts_ms[:-1]):
            # Assignment to a repeated index keeps the last: so the newest must stand last.
            order = np.argsort(ts_ms, kind="stable")
            zone_row, ts_ms = zone_row[order], ts_ms[order]
            values = {name: column[order] for name, column in values.items()}
        for name, column in values.items():
            j = self._columns[name]
            newer = (ts_ms >= self._ts_ms[zone_row, j]) & ~np.isnan(column)
            if newer.all():
                self._values[zone_row, j], self._ts_ms[zone_row, j] = column, ts_ms
            else:
                self._values[zone_row[newer], j], self._ts_ms[zone_row[newer], j] = column[newer], ts_ms[newer]

    def _rows_of(self, device: NDArray[np.int32], zone: NDArray[np.uint8]) -> NDArray[np.int32]:
        if (most := int(device.max())) >= len(self._row):
            more = np.full((max(most + 1, 2 * len(self._row)) - len(self._row), MAX_ZONE + 1), -1, np.int32)
            self._row = np.concatenate([self._row, more])
        found = self._row[device, zone]
        if (found < 0).any():
            pairs = {(int(d), int(z)) for d, z in zip(device[found < 0], zone[found < 0], strict=True)}
            for pair in sorted(pairs):
                self._row[pair] = self._used
                self._used += 1
            if self._used > len(self._values):
                more_rows = max(self._used, 2 * len(self._values)) - len(self._values)
                self._values = np.vstack([self._values, np.full((more_rows, len(self._columns)), np.nan)])
                self._ts_ms = np.vstack([self._ts_ms, np.full((more_rows, len(self._columns)), _NEVER, np.int64)])
            found = self._row[device, zone]
        return np.asarray(found, np.int32)

    def _find(self, site: str, device: str, zone: int) -> int:
        index = self._devices.by_topic.get(f"tirta/v1/{site}/{device}/telemetry")
        if index is None or index >= len(self._row) or not 0 < zone <= MAX_ZONE:
            return -1
        return int(self._row[index, zone])

    def table(
        self, keys: Sequence[tuple[str, str, int]], quantities: Sequence[str]
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return the newest values and times of some quantities of many zones, all as of one moment.

        Parameters
        ----------
        keys : sequence of (site, device, zone), length n
        quantities : sequence of names, length m

        Returns
        -------
        values : ndarray, shape (n, m)
            In each quantity's unit; NaN where never measured.
        ts_ms : ndarray of int64, shape (n, m)
            Time of measurement [ms since the Unix epoch]; -1 where never measured.
        """
        columns = np.array([self._columns[name] for name in quantities], np.int64)
        values = np.full((len(keys), len(columns)), np.nan)
        times = np.full((len(keys), len(columns)), _NEVER, np.int64)
        with self._lock:
            rows = np.fromiter((self._find(*key) for key in keys), np.int64, len(keys))
            known = rows >= 0
            cells = np.ix_(rows[known], columns)
            values[known], times[known] = self._values[cells], self._ts_ms[cells]
        return values, times

    def gather(self, keys: Sequence[tuple[str, str, int]], quantity: str) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return the newest values and times of one quantity of many zones, each of shape (n,); see `table`."""
        values, times = self.table(keys, [quantity])
        return values[:, 0], times[:, 0]
