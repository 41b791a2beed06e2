# SPDX-License-Identifier: Apache-2.0
"""The tiers in InfluxDB: buckets `…_5m` and `…_1h` beside the one with the rows.

A window is a point like a row's: its measurement is the kind, its tags are site, device and zone, its instant is the
window's start, its fields are `{quantity}_{statistic}` and `ended`. Written again it replaces itself.

Rows are read series by series in pages: no page holds more than so many rows of a series, whatever the range.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ingest.store import influx_flux as flux
from ingest.store.batch import Rows
from ingest.store.influx_client import InfluxClient
from ingest.store.line_protocol import encode_lines, read_name, stored_name
from ingest.store.protocol import HOUR_MS
from ingest.store.tiers import DAY_MS, Span
from ingest.store.touched import Zone, ZoneHour
from ingest.store.windows import Windows, column_of, from_rows, join_windows, merge

__all__ = ["encode_windows", "hours_with_rows", "nanoseconds", "read_tier", "row_windows"]

_ENDED: Final = "ended"
_PAGE_ROWS: Final = 2_000  # of each series


def row_windows(
    client: InfluxClient,
    bucket: str,
    kind: str | None,
    zones: Sequence[Zone],
    quantities: Sequence[str],
    unit_ms: int,
    span: Span,
) -> dict[Zone, list[Windows]]:
    """Make windows of the rows of some zones; each part is of one quantity and in order of time.

    Parameters
    ----------
    kind : str or None
        The one measurement that is read; None for all.
    quantities : sequence of str
        None of them means all.
    """
    found: defaultdict[Zone, list[Windows]] = defaultdict(list)
    for page in _pages(client, bucket, kind, zones, quantities, span):
        for (zone, quantity), (times, values) in page.items():
            order = np.argsort(times, kind="stable")
            found[zone].append(merge(from_rows(times[order] // 1_000_000, {quantity: values[order]}), unit_ms))
    return found


def _pages(
    client: InfluxClient, bucket: str, kind: str | None, zones: Sequence[Zone], quantities: Sequence[str], span: Span
) -> Iterator[dict[tuple[Zone, str], tuple[NDArray[np.int64], NDArray[np.float64]]]]:
    start, most = span[0], _PAGE_ROWS
    while start < span[1]:
        found = client.ask(*flux.select_rows(bucket, kind, zones, quantities, (start, span[1]), most))
        columns = _by_series(found)
        # A series that fills its page may go on: the page ends, for all of them, where the first such series does.
        ends = [int(times.max()) // 1_000_000 for times, _ in columns.values() if len(times) >= most]
        end = min(ends, default=span[1])
        if end <= start:
            most *= 4  # so many rows in one millisecond
            continue
        kept = {key: times < end * 1_000_000 for key, (times, _) in columns.items()}
        yield {key: (columns[key][0][keep], columns[key][1][keep]) for key, keep in kept.items() if keep.any()}
        start, most = end, _PAGE_ROWS


def _by_series(found: dict[str, list[str]]) -> dict[tuple[Zone, str], tuple[NDArray[np.int64], NDArray[np.float64]]]:
    if not found:
        return {}
    places: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
    for i, key in enumerate(zip(found["site"], found["device"], found["zone"], found["_field"], strict=True)):
        places[key].append(i)
    times = nanoseconds(found["_time"])
    values = np.array(found["_value"], np.float64)
    return {
        (Zone(read_name(site), read_name(device), int(zone)), read_name(field)): (times[index], values[index])
        for (site, device, zone, field), index in places.items()
    }


def read_tier(
    client: InfluxClient, bucket: str, zone: Zone, columns: Sequence[tuple[str, str]], span: Span, most: int
) -> list[Windows]:
    """Return windows of a zone that are kept ready, the earliest `most` of each kind."""
    names = {key: stored_name(column_of(*key)) for key in columns}
    found = client.ask(*flux.select_windows(bucket, zone, [*names.values(), _ENDED], span, most))
    if not found:
        return []
    began = nanoseconds(found["_time"]) // 1_000_000
    ended = _floats(found[_ENDED]).astype(np.int64)
    values = {key: _floats(found[name]) for key, name in names.items() if name in found}
    return [Windows(began, ended, values)]


def encode_windows(
    kind: str, windows: dict[Zone, Windows], columns: Sequence[tuple[str, str]], kept_from_ms: int
) -> list[bytes]:
    """Write windows of some zones as lines, but for those that begin before `kept_from_ms`."""
    zones = list(windows)
    parts = [windows[zone].chosen(windows[zone].began_ms >= kept_from_ms) for zone in zones]
    lengths = [len(part) for part in parts]
    n = sum(lengths)
    if not n:
        return []
    absent = np.full(n, -1, np.int64)
    values = {
        column_of(*key): np.concatenate([part.columns.get(key, np.full(len(part), np.nan)) for part in parts])
        for key in columns
    }
    values[_ENDED] = np.concatenate([part.ended_ms for part in parts]).astype(np.float64)
    rows = Rows(
        kind=kind,
        device=np.repeat(np.arange(len(zones), dtype=np.int32), lengths),
        zone=np.repeat(np.array([zone.zone for zone in zones], np.uint8), lengths),
        ts_ms=np.concatenate([part.began_ms for part in parts]),
        boot=absent,
        seq=absent,
        place=np.zeros(n, np.int64),
        flags=np.zeros(n, np.uint8),
        values=values,
    )
    return encode_lines(rows, lambda index: (zones[index].site, zones[index].device), frozenset())


def joined(parts: Iterable[Windows], columns: Sequence[tuple[str, str]], unit_ms: int) -> Windows:
    """Return one window for each start, out of parts of several quantities and pages."""
    return merge(join_windows(parts, columns), unit_ms)


def hours_with_rows(client: InfluxClient, bucket: str, until_ms: int) -> Iterator[list[ZoneHour]]:
    """Give the zone-hours in which a bucket has rows, day by day."""
    first = client.ask(flux.FIRST, flux.range_parameters(bucket, 0, until_ms)).get("_time")
    if not first:
        return
    day = int(nanoseconds(first).min()) // 1_000_000 // DAY_MS * DAY_MS
    while day < until_ms:
        found = client.ask(flux.HOURS, flux.range_parameters(bucket, day, day + DAY_MS))
        day += DAY_MS
        if found:
            keys = zip(found["_measurement"], found["site"], found["device"], found["zone"], strict=True)
            hours = (nanoseconds(found["_time"]) // 1_000_000 // HOUR_MS).tolist()
            yield [
                ZoneHour(read_name(kind), read_name(site), read_name(device), int(zone), hour)
                for (kind, site, device, zone), hour in zip(keys, hours, strict=True)
            ]


def nanoseconds(times: list[str]) -> NDArray[np.int64]:
    """Read instants as InfluxDB writes them, RFC 3339 in UTC. [ns]"""
    return np.array([time.removesuffix("Z") for time in times], dtype="datetime64[ns]").astype(np.int64)


def _floats(cells: list[str]) -> NDArray[np.float64]:
    return np.array([float(cell) if cell else np.nan for cell in cells], dtype=np.float64)
