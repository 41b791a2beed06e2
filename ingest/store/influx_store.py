# SPDX-License-Identifier: Apache-2.0
"""The series store on an InfluxDB 2.x server, through its v2 API.

InfluxDB has no transaction, but a row's series and instant are always the same: a batch written again changes nothing.
So the cursor, in a file of our own, is moved only after every row of a batch is kept or rejected, and the marks of the
hours that it touches are kept there before the first of them is sent. The buckets are Tirta's alone.
"""

from __future__ import annotations

import logging
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.clock import Clock, WallClock
from ingest.store import influx_flux as flux
from ingest.store.answers import Kept, answer_query, needed_columns, tier_series
from ingest.store.batch import Batch, DeviceNames, Keep, Reach, RejectedRow
from ingest.store.cursor_file import CursorFile
from ingest.store.errors import StoreRefused, StoreRejected, StoreUnavailable
from ingest.store.holes import Hole
from ingest.store.line_protocol import encode_lines, read_name, stored_name
from ingest.store.protocol import HOUR_MS, Latest, Series, SeriesQuery
from ingest.store.tiers import DAY_MS, TIERS, Retention, Span, Tier, is_old, kept_from_ms, too_old, without
from ingest.store.touched import TOUCHED_MAX, Touched, Turn, Zone
from ingest.store.windows import Windows, merge, statistics

__all__ = ["InfluxConfig", "InfluxStore"]

_LOGGER = logging.getLogger(__name__)
_DROPPED: Final = re.compile(r"partial write:.* dropped=(\d+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class InfluxConfig:
    """Where the series are kept.

    Attributes
    ----------
    url, org, bucket : str
        Server, organisation and bucket; the bucket must exist and belong to Tirta alone, as do `{bucket}_5m` and
        `{bucket}_1h`, which are made if the token may.
    token : str
        API token that may read and write the three buckets.
    cursor_path : Path
        SQLite file with how far each bucket has been brought.
    batch_rows : int
        Most lines in a request.
    timeout_s : float
        Longest wait for an answer. [s]
    zones_a_turn : int
        Zones whose rows of an hour are read together when their windows are made.
    """

    url: str
    org: str
    bucket: str
    token: str = field(repr=False)
    cursor_path: Path
    batch_rows: int = 5_000
    timeout_s: float = 10.0
    zones_a_turn: int = 8


class InfluxStore:
    """Keeps measurements in InfluxDB; see `SeriesStore`.

    Parameters
    ----------
    config : InfluxConfig
        Server, bucket and bounds. Nothing is sent until `prepare` or another call.
    names : DeviceNames
        Names of the device indexes in the batches.
    booleans : frozenset of str
        Quantities kept as booleans. InfluxDB fixes a field's type at its first value, so this may not change.
    retention, totals, clock, wall_s
        As of `DuckDBStore`.
    """

    name = "influxdb"

    def __init__(
        self,
        config: InfluxConfig,
        names: DeviceNames,
        booleans: frozenset[str],
        *,
        retention: Retention | None = None,
        totals: frozenset[str] = frozenset(),
        clock: Clock | None = None,
        wall_s: Callable[[], float] = time.monotonic,
    ) -> None:
        # Imported here because it takes a third of a second that a start with DuckDB should not wait.
        from ingest.store import influx_buckets, influx_tiers
        from ingest.store.influx_client import InfluxClient

        self._tiers, self._buckets = influx_tiers, influx_buckets
        self._config = config
        self._names = names
        self._booleans = booleans
        self._retention = retention or Retention()
        self._totals = totals
        self._clock = clock or WallClock()
        self._writing = Lock()
        self._tending = Lock()  # taken before `_writing` by who needs both
        self._client = InfluxClient(config.url, config.org, config.bucket, config.token, config.timeout_s)
        self._cursors = CursorFile(config.cursor_path)
        self._address = f"{config.url.rstrip('/')} {config.org} {config.bucket}"
        self._touched = Touched(self._cursors.marks(self._address), wall_s)
        self._prepared = False
        self._raw_bounded = False

    def cursor(self) -> int:
        """Return the journal position that this bucket has been brought to."""
        return self._cursors.get(self._address).position

    def reach(self) -> Reach:
        """Return the cursor and what was told with it."""
        return self._cursors.get(self._address)

    def skip(self, hole: Hole, reach: Reach) -> None:
        """Keep the hole and move the cursor, both in the file beside."""
        with self._writing:
            self._cursors.skip(self._address, hole, reach)

    def holes(self) -> tuple[Hole, ...]:
        """Return what this bucket never got."""
        return self._cursors.holes(self._address)

    def put_back(self, upto: int) -> None:
        """Move the cursor back: what was written after it may be forgotten, and is written again over itself."""
        with self._writing:
            if upto < self.cursor():
                self._cursors.put(self._address, Reach(upto))

    def prepare(self) -> None:
        """Find or make the buckets, and mark what was there before there were marks."""
        with self._writing:
            self._prepare()

    def write(self, batch: Batch, keep: Keep | None = None) -> tuple[RejectedRow, ...]:
        """Keep marks, write rows, hand on those that InfluxDB rejects, found by halving, then move the cursor."""
        with self._writing:
            if batch.upto <= self.cursor():
                return ()
            self._prepare()
            if len(self._touched) > TOUCHED_MAX:
                raise StoreUnavailable(f"{len(self._touched)} hours of zones wait for their windows.")
            expired = too_old(batch, self._retention, self._clock.now_ms())
            places = _places(batch, expired)
            batch = without(batch, expired)
            marks = self._touched.new_marks(batch, self._names.names)
            self._cursors.add_marks(self._address, marks)
            self._touched.add(marks)
            rejected: list[RejectedRow] = []
            for number, rows in enumerate(batch.rows):
                lines = encode_lines(rows, self._names.names, self._booleans)
                for start in range(0, len(lines), self._config.batch_rows):
                    stop = min(start + self._config.batch_rows, len(lines))
                    found = self._send(lines, start, stop)
                    rejected.extend(RejectedRow(number, int(places[number][index]), reason) for index, reason in found)
            if rejected and keep is not None:
                keep(rejected)
            self._cursors.put(self._address, batch.reach)
        return (*expired, *rejected)

    def _prepare(self) -> None:
        if self._prepared:
            return
        self._raw, *_ = self._buckets.with_buckets(
            self._client, self._config.org, self._config.bucket, self._retention
        ).values()
        if not self._cursors.is_surveyed(self._address):
            until_ms = self._clock.now_ms() + 2 * DAY_MS
            for marks in self._tiers.hours_with_rows(self._client, self._config.bucket, until_ms):
                self._cursors.add_marks(self._address, marks)
                self._touched.add(marks)
            self._cursors.set_surveyed(self._address)
        self._prepared = True

    def tend(self) -> bool:
        """Make the windows of some zones of an hour; InfluxDB itself lets go of what is past its age."""
        with self._tending:
            with self._writing:
                self._prepare()
                turn = self._touched.take_turn(self._clock.now_ms(), self._config.zones_a_turn)
                upto = self._cursors.last_mark()
            if turn is None:
                self._bound_rows()
                return False
            try:
                self._make_turn(turn)
                self._cursors.remove_marks(self._address, turn, upto)
            except BaseException:
                with self._writing:
                    self._touched.add(turn.marks())
                raise
        return True

    def _make_turn(self, turn: Turn) -> None:
        span = (turn.hour * HOUR_MS, (turn.hour + 1) * HOUR_MS)
        parts = self._tiers.row_windows(self._client, self._config.bucket, turn.kind, turn.zones, (), TIERS[0].unit_ms, span)
        quantities = sorted({name for found in parts.values() for part in found for name, _ in part.columns})
        columns = [(name, statistic) for name in quantities for statistic in statistics(name, self._totals)]
        windows = {zone: self._tiers.joined(found, columns, TIERS[0].unit_ms) for zone, found in parts.items()}
        if is_old(turn.hour, self._clock.now_ms()):
            windows = {zone: found for zone, found in windows.items() if not self._is_closed(zone, found, quantities, span)}
        for tier in TIERS:
            kept = kept_from_ms(self._retention, tier.name, self._clock.now_ms()) or 0
            made = {zone: merge(found, tier.unit_ms) for zone, found in windows.items()}
            self._write_windows(tier, self._tiers.encode_windows(turn.kind, made, columns, kept))

    def _is_closed(self, zone: Zone, made: Windows, quantities: list[str], span: Span) -> bool:
        """Tell whether the windows of an hour that are kept count more than those that its rows would make."""
        tier, counts = TIERS[-1], [(name, "count") for name in quantities]
        bucket = self._buckets.tier_bucket(self._config.bucket, tier.name)
        kept = self._tiers.read_tier(self._client, bucket, zone, counts, span, 1)
        return sum(map(_counted, kept)) > _counted(made)

    def _write_windows(self, tier: Tier, lines: list[bytes]) -> None:
        bucket = self._buckets.tier_bucket(self._config.bucket, tier.name)
        for start in range(0, len(lines), self._config.batch_rows):
            try:
                self._client.write(b"\n".join(lines[start : start + self._config.batch_rows]), bucket)
            except StoreRejected as exc:  # written again it would be again; the rows stay
                _LOGGER.warning("windows of %s are not all kept: %s", bucket, exc, extra={"action": "windows_rejected"})

    def _bound_rows(self) -> None:
        """Let the bucket of the rows forget by age, once the windows of what it forgets are made."""
        kept = kept_from_ms(self._retention, "raw", self._clock.now_ms())
        keep_s = self._buckets.retention_s(self._retention.raw_days)
        with self._writing:
            first_hour = self._touched.first_hour
        if self._raw_bounded or (kept and first_hour is not None and first_hour * HOUR_MS < kept):
            return
        if self._raw.retention_s != keep_s:
            self._buckets.set_retention(self._client, self._raw, keep_s)
        self._raw_bounded = True

    def flush(self) -> None:
        """Return at once: InfluxDB answers a write only after its own log has it on disk."""

    def series(self, query: SeriesQuery) -> Series:
        """Return rows or windows of one zone, in order of time."""
        zone = Zone(query.site, query.device, query.zone)

        def read_rows(unit_ms: int, spans: list[Span]) -> list[Windows]:
            bucket, quantities = self._config.bucket, query.quantities
            found = (self._tiers.row_windows(self._client, bucket, None, (zone,), quantities, unit_ms, span) for span in spans)
            return [part for parts in found for part in parts.get(zone, ())]

        def from_tier(tier: Tier, kept: Kept) -> Series:
            def read_tier(span: Span, most: int) -> list[Windows]:
                bucket = self._buckets.tier_bucket(self._config.bucket, tier.name)
                try:
                    found: list[Windows] = self._tiers.read_tier(self._client, bucket, zone, needed_columns(query), span, most)
                except StoreRefused:
                    if self._client.bucket(bucket) is None:
                        return []  # it is made at the start, and that has not come about yet
                    raise
                return found

            # Read before the windows: an hour made meanwhile is answered from its rows.
            touched = self._cursors.touched_hours(self._address, zone)
            return tier_series(query, tier, kept, touched, read_tier, lambda spans: read_rows(tier.unit_ms, spans))

        limits = (self._retention, self._clock.now_ms(), self._totals)
        return answer_query(query, limits, self._from_rows, read_rows, from_tier)

    def _from_rows(self, query: SeriesQuery) -> Series:
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
        with self._tending, self._writing:
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


def _places(batch: Batch, rejected: Iterable[RejectedRow]) -> list[NDArray[np.intp]]:
    """Return where each row that is left stands in the batch."""
    left = [np.ones(len(rows), np.bool_) for rows in batch.rows]
    for row in rejected:
        left[row.rows][row.index] = False
    return [np.flatnonzero(each) for each in left]


def _counted(windows: Windows) -> float:
    """Return how many measurements windows are made of."""
    return float(sum(np.nansum(column) for (_, statistic), column in windows.columns.items() if statistic == "count"))


def _milliseconds(times: list[str]) -> NDArray[np.int64]:
    """Read instants as InfluxDB writes them, RFC 3339 in UTC with nanoseconds."""
    nanoseconds = np.array([time.removesuffix("Z") for time in times], dtype="datetime64[ns]")
    return nanoseconds.astype(np.int64) // 1_000_000


def _floats(cells: list[str], empty: float) -> NDArray[np.float64]:
    return np.array([float(cell) if cell else empty for cell in cells], dtype=np.float64)
