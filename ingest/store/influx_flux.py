# SPDX-License-Identifier: Apache-2.0
"""The questions asked of InfluxDB, in Flux.

Invariant: what comes from outside reaches a question only as a parameter, never as text. A measurement is a kind, tags
are site, device and zone, fields are the quantities and `boot`, `seq` and `flags`; `flags` is in every row.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from ingest.store.batch import TS_MAX_MS
from ingest.store.line_protocol import stored_name
from ingest.store.protocol import SeriesQuery
from ingest.store.touched import Zone

__all__ = [
    "COUNT",
    "FIRST",
    "HOURS",
    "LATEST",
    "Parameters",
    "count_parameters",
    "latest_parameters",
    "range_parameters",
    "select_rows",
    "select_series",
    "select_windows",
]

Parameters = dict[str, str | int | datetime | timedelta]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

COUNT: Final = """
from(bucket: bucket)
  |> range(start: start, stop: stop)
  |> filter(fn: (r) => r.site == site and r.device == device and r._field == "flags")
  |> count()
  |> group()
  |> sum()
"""

LATEST: Final = """
from(bucket: bucket)
  |> range(start: start, stop: stop)
  |> filter(fn: (r) => r._field != "boot" and r._field != "seq" and r._field != "flags")
  |> last()
  |> toFloat()
  |> keep(columns: ["_measurement", "_field", "site", "device", "zone", "_time", "_value"])
  |> group()
"""

FIRST: Final = """
from(bucket: bucket)
  |> range(start: start, stop: stop)
  |> filter(fn: (r) => r._field == "flags")
  |> first()
  |> keep(columns: ["_time"])
  |> group()
"""

HOURS: Final = """
from(bucket: bucket)
  |> range(start: start, stop: stop)
  |> filter(fn: (r) => r._field == "flags")
  |> aggregateWindow(every: 1h, fn: count, createEmpty: false, timeSrc: "_start")
  |> keep(columns: ["_measurement", "site", "device", "zone", "_time"])
  |> group()
"""

_ROWS_OF_ZONES: Final = """
from(bucket: bucket)
  |> range(start: start, stop: stop)
  |> filter(fn: (r) => ({zones}) and {others})
  |> limit(n: most)
  |> toFloat()
  |> keep(columns: ["site", "device", "zone", "_time", "_field", "_value"])
  |> group()
"""

_WINDOWS_OF_ZONE: Final = """
from(bucket: bucket)
  |> range(start: start, stop: stop)
  |> filter(fn: (r) => r.site == site and r.device == device and r.zone == zone and ({fields}))
  |> limit(n: most)
  |> keep(columns: ["_measurement", "_time", "_field", "_value"])
  |> group()
  |> pivot(rowKey: ["_time", "_measurement"], columnKey: ["_field"], valueColumn: "_value")
  |> sort(columns: ["_time"])
"""

# toFloat makes one type of floats and booleans, so that they may share a table.
_SELECT: Final = """
from(bucket: bucket)
  |> range(start: start, stop: stop)
  |> filter(fn: (r) => r.site == site and r.device == device and r.zone == zone and ({fields}))
  {rows}
  |> keep(columns: ["_time", "_field", "_value"])
  |> group()
  |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")
  |> sort(columns: ["_time"])
  |> limit(n: most)
"""

# No row beyond the first `most` of any field can be among the first `most` of all.
_ROWS: Final = "|> limit(n: most) |> toFloat()"

_WINDOWS: Final = """|> toFloat()
  |> group(columns: ["_field"])
  |> sort(columns: ["_time"])
  |> aggregateWindow(every: every, fn: {aggregate}, createEmpty: false, timeSrc: "_start")"""


def select_series(bucket: str, query: SeriesQuery) -> tuple[str, Parameters]:
    """Ask for rows or windows as columns _time and one a quantity, one row more than `limit`."""
    names = {f"q{i}": stored_name(name) for i, name in enumerate(query.quantities)}
    parameters: Parameters = {
        **range_parameters(bucket, query.start_ms, query.end_ms),
        "site": stored_name(query.site),
        "device": stored_name(query.device),
        "zone": str(query.zone),
        "most": query.limit + 1,
        **names,
    }
    rows = _ROWS
    if query.every_ms is not None:
        parameters["every"] = timedelta(milliseconds=query.every_ms)
        rows = _WINDOWS.format(aggregate=query.aggregate)
    fields = " or ".join(f"r._field == {name}" for name in names)
    return _SELECT.format(fields=fields, rows=rows), parameters


def select_rows(
    bucket: str, kind: str | None, zones: Sequence[Zone], quantities: Sequence[str], span: tuple[int, int], most: int
) -> tuple[str, Parameters]:
    """Ask for the rows of zones as columns site, device, zone, _time, _field, _value: the earliest `most` of each series."""
    parameters: Parameters = {**range_parameters(bucket, *span), "most": most}
    chosen = []
    for i, zone in enumerate(zones):
        parameters |= {f"s{i}": stored_name(zone.site), f"d{i}": stored_name(zone.device), f"z{i}": str(zone.zone)}
        chosen.append(f"(r.site == s{i} and r.device == d{i} and r.zone == z{i})")
    names = {f"q{i}": stored_name(name) for i, name in enumerate(quantities)}
    fields = " or ".join(f"r._field == {name}" for name in names)
    others = f"({fields})" if names else '(r._field != "boot" and r._field != "seq" and r._field != "flags")'
    if kind is not None:
        parameters["kind"] = stored_name(kind)
        others += " and r._measurement == kind"
    return _ROWS_OF_ZONES.format(zones=" or ".join(chosen), others=others), {**parameters, **names}


def select_windows(bucket: str, zone: Zone, fields: Sequence[str], span: tuple[int, int], most: int) -> tuple[str, Parameters]:
    """Ask for windows kept ready as columns _time, _measurement and the fields: the earliest `most` of each series."""
    names = {f"q{i}": name for i, name in enumerate(fields)}
    parameters: Parameters = {
        **range_parameters(bucket, *span),
        "site": stored_name(zone.site),
        "device": stored_name(zone.device),
        "zone": str(zone.zone),
        "most": most,
        **names,
    }
    return _WINDOWS_OF_ZONE.format(fields=" or ".join(f"r._field == {name}" for name in names)), parameters


def latest_parameters(bucket: str, since_ms: int) -> Parameters:
    """Return the parameters of LATEST."""
    return range_parameters(bucket, since_ms, TS_MAX_MS)


def count_parameters(bucket: str, site: str, device: str) -> Parameters:
    """Return the parameters of COUNT."""
    return {**range_parameters(bucket, 0, TS_MAX_MS), "site": stored_name(site), "device": stored_name(device)}


def range_parameters(bucket: str, start_ms: int, end_ms: int) -> Parameters:
    """Return the parameters that every question has: the bucket and [start, end). [ms]"""
    return {"bucket": bucket, "start": _instant(start_ms), "stop": _instant(end_ms)}


def _instant(ts_ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=min(max(ts_ms, 0), TS_MAX_MS))
