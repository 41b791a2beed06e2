# SPDX-License-Identifier: Apache-2.0
"""The series store on an InfluxDB 2.x server, through its v2 API.

InfluxDB has no transaction, but a row's series and instant are always the same: a batch written again changes nothing.
So the cursor, in a file of our own, is moved only after every row of a batch is kept or rejected. The bucket is
Tirta's alone.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ingest.store import influx_flux as flux
from ingest.store.batch import Batch, DeviceNames, RejectedRow
from ingest.store.cursor_file import CursorFile
from ingest.store.errors import StoreRejected
from ingest.store.line_protocol import encode_lines, read_name, stored_name
from ingest.store.protocol import Latest, Series, SeriesQuery

__all__ = ["InfluxConfig", "InfluxStore"]

_DROPPED: Final = re.compile(r"partial write:.* dropped=(\d+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class InfluxConfig:
    """Where the series are kept.

    Attributes
    ----------
    url, org, bucket : str
        Server, organisation and bucket; the bucket must exist and belong to Tirta alone.
    token : str
        API token that may read and write the bucket.
    cursor_path : Path
        SQLite file with how far each bucket has been brought.
    batch_rows : int
        Most lines in a request.
    timeout_s : float
        Longest wait for an answer. [s]
    """

    url: str
    org: str
    bucket: str
    token: str = field(repr=False)
    cursor_path: Path
    batch_rows: int = 5_000
    timeout_s: float = 10.0


class InfluxStore:
    """Keeps measurements in InfluxDB; see `SeriesStore`.

    Parameters
    ----------
    config : InfluxConfig
        Server, bucket and bounds. Nothing is sent until the first call.
    names : DeviceNames
        Names of the device indexes in the batches.
    booleans : frozenset of str
        Quantities kept as booleans. InfluxDB fixes a field's type at its first value, so this may not change.
    """

    name = "influxdb"

    def __init__(self, config: InfluxConfig, names: DeviceNames, booleans: frozenset[str]) -> None:
        # Imported here because it takes a third of a second that a start with DuckDB should not wait.
        from ingest.store.influx_client import InfluxClient

        self._config = config
        self._names = names
        self._booleans = booleans
        self._writing = Lock()
        self._client = InfluxClient(config.url, config.org, config.bucket, config.token, config.timeout_s)
        self._cursors = CursorFile(config.cursor_path)
        self._address = f"{config.url.rstrip('/')} {config.org} {config.bucket}"

    def cursor(self) -> int:
        """Return the journal position that this bucket has been brought to."""
        return self._cursors.get(self._address)

    def put_back(self, upto: int) -> None:
        """Move the cursor back: what was written after it may be forgotten, and is written again over itself."""
        with self._writing:
            self._cursors.put(self._address, min(upto, self.cursor()))

    def write(self, batch: Batch) -> tuple[RejectedRow, ...]:
        """Write rows, then the cursor; rows that InfluxDB rejects are found by halving."""
        with self._writing:
            if batch.upto <= self.cursor():
                return ()
            rejected: list[RejectedRow] = []
            for number, rows in enumerate(batch.rows):
                lines = encode_lines(rows, self._names.names, self._booleans)
                for start in range(0, len(lines), self._config.batch_rows):
                    stop = min(start + self._config.batch_rows, len(lines))
                    found = self._send(lines, start, stop)
                    rejected.extend(RejectedRow(number, index, reason) for index, reason in found)
            self._cursors.put(self._address, batch.upto)
        return tuple(rejected)

    def flush(self) -> None:
        """Return at once: InfluxDB answers a write only after its own log has it on disk."""

    def series(self, query: SeriesQuery) -> Series:
        """Return rows or windows of one zone, in order of time."""
        found: dict[str, list[str]] = {}
        if query.start_ms < query.end_ms:
            found = self._client.ask(*flux.select_series(self._config.bucket, query))
        ts_ms = _milliseconds(found.get("_time", []))
        if query.every_ms is not None:
            ts_ms -= ts_ms % query.every_ms  # InfluxDB begins the first window at `start`
        empty = 0.0 if query.every_ms is not None and query.aggregate == "count" else np.nan
        missing = [""] * len(ts_ms)
        values = {name: _floats(found.get(stored_name(name), missing), empty)[: query.limit] for name in query.quantities}
        return Series(ts_ms[: query.limit], values, truncated=len(ts_ms) > query.limit)

    def latest(self, since_ms: int) -> list[Latest]:
        """Return the newest values measured at or after an instant."""
        found = self._client.ask(flux.LATEST, flux.latest_parameters(self._config.bucket, since_ms))
        if not found:
            return []
        groups: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        for i, key in enumerate(zip(found["_measurement"], found["_field"], strict=True)):
            groups[key].append(i)
        ts_ms = _milliseconds(found["_time"])
        value = _floats(found["_value"], np.nan)
        zone = np.array(found["zone"], dtype=np.uint8)
        return [
            Latest(
                read_name(kind),
                read_name(quantity),
                tuple(read_name(found["site"][i]) for i in index),
                tuple(read_name(found["device"][i]) for i in index),
                zone[index],
                ts_ms[index],
                value[index],
            )
            for (kind, quantity), index in sorted(groups.items())
        ]

    def count(self, site: str, device: str) -> int:
        """Return how many rows are kept of a device."""
        found = self._client.ask(flux.COUNT, flux.count_parameters(self._config.bucket, site, device))
        return sum(map(int, found.get("_value", [])))

    def close(self) -> None:
        """Let the connections and the cursor file go."""
        self._client.close()
        self._cursors.close()

    def _send(self, lines: list[bytes], start: int, stop: int) -> list[tuple[int, str]]:
        """Write lines [start, stop) and return those rejected, by index, with the reason.

        A rejected request is sent again in halves, down to single lines: at most twice as many requests as lines.
        """
        rejected: list[tuple[int, str]] = []
        waiting = [(start, stop)]
        while waiting:
            low, high = waiting.pop()
            try:
                self._client.write(b"\n".join(lines[low:high]))
            except StoreRejected as exc:
                dropped = _DROPPED.search(exc.detail)
                if high - low == 1 or (dropped and int(dropped[1]) >= high - low):
                    rejected.extend((index, exc.detail) for index in range(low, high))
                else:
                    middle = (low + high) // 2
                    waiting += [(middle, high), (low, middle)]
        return rejected


def _milliseconds(times: list[str]) -> NDArray[np.int64]:
    """Read instants as InfluxDB writes them, RFC 3339 in UTC with nanoseconds."""
    nanoseconds = np.array([time.removesuffix("Z") for time in times], dtype="datetime64[ns]")
    return nanoseconds.astype(np.int64) // 1_000_000


def _floats(cells: list[str], empty: float) -> NDArray[np.float64]:
    return np.array([float(cell) if cell else empty for cell in cells], dtype=np.float64)
