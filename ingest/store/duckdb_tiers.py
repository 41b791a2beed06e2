# SPDX-License-Identifier: Apache-2.0
"""The tiers in a DuckDB file.

    touched                 kind, device, zone, hour      a row a mark; an hour may be marked more than once
    "tier_5m_…" "tier_1h_…" device, zone, began, ended, then a DOUBLE a statistic of a quantity

The windows of a zone-hour are replaced and its marks taken away in one transaction. A mark that was written after that
transaction began is not seen by it and stays: whatever dies, and whoever writes meanwhile, no touched hour is forgotten.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import duckdb
import numpy as np
from numpy.typing import NDArray

from ingest.store.duckdb_sql import INSTANT, quoted, table_of
from ingest.store.protocol import HOUR_MS
from ingest.store.tiers import TIERS, Span, Tier
from ingest.store.touched import ZoneHour
from ingest.store.windows import Windows, column_of, statistics

__all__ = [
    "TIER_PREFIX",
    "closed_zones",
    "delete_rows",
    "forget_marks",
    "insert_marks",
    "kept_columns",
    "make_windows",
    "mark_everything",
    "read_marks",
    "read_rows",
    "read_tier",
    "tier_table",
    "touched_hours",
    "with_tier_columns",
]

TIER_PREFIX: Final = "tier_"
_COLUMNS: Final = "device INTEGER NOT NULL, zone UTINYINT NOT NULL, began BIGINT NOT NULL, ended BIGINT NOT NULL"
_STATISTICS: Final = {
    "count": "nullif(count(v{0}), 0)::DOUBLE",
    "mean": "avg(v{0})",
    "min": "min(v{0})",
    "max": "max(v{0})",
    "last": "arg_max(v{0}, instant)",
    "first": "arg_min(v{0}, instant)",
    "rise": "CASE WHEN count(v{0}) > 0 THEN coalesce(sum(s{0}), 0.0) END",
}

_MERGED: Final = {
    "count": "sum(count{0})",
    "mean": "sum(mean{0} * count{0}) / sum(count{0})",
    "min": "min(min{0})",
    "max": "max(max{0})",
    "last": "arg_max(last{0}, part)",
    "first": "arg_min(first{0}, part)",
    "rise": "sum(rise{0}) + coalesce(sum(step{0}), 0.0)",
}


def tier_table(tier: Tier, kind: str) -> str:
    """Return the table of a tier of a kind, as an identifier."""
    return quoted(f"{TIER_PREFIX}{tier.name}_{kind}")


def insert_marks(connection: duckdb.DuckDBPyConnection, marks: Sequence[ZoneHour], ids: Mapping[tuple[str, str], int]) -> None:
    """Mark zone-hours, inside the transaction that writes their rows."""
    if not marks:
        return
    columns = [
        [mark.kind for mark in marks],
        [ids[mark.site, mark.device] for mark in marks],
        [mark.zone for mark in marks],
        [mark.hour for mark in marks],
    ]
    connection.execute("INSERT INTO touched SELECT unnest($1), unnest($2), unnest($3), unnest($4)", columns)


def mark_everything(connection: duckdb.DuckDBPyConnection, kinds: Iterable[str]) -> None:
    """Mark every zone-hour that has rows."""
    for kind in kinds:
        rows = f"SELECT DISTINCT $1, device, zone, ts_ms // {HOUR_MS} FROM {table_of(kind)}"  # noqa: S608
        connection.execute(f"INSERT INTO touched {rows}", [kind])


def read_marks(connection: duckdb.DuckDBPyConnection) -> list[ZoneHour]:
    """Return every marked zone-hour."""
    found = connection.execute(
        "SELECT DISTINCT kind, site, name, zone, hour FROM touched JOIN device ON device.id = touched.device"
    )
    return [ZoneHour(*row) for row in found.fetchall()]


def touched_hours(connection: duckdb.DuckDBPyConnection, device: int, zone: int) -> list[int]:
    """Return the marked hours of a zone."""
    found = connection.execute("SELECT DISTINCT hour FROM touched WHERE device = $1 AND zone = $2", [device, zone])
    return [int(row[0]) for row in found.fetchall()]


def with_tier_columns(
    connection: duckdb.DuckDBPyConnection, there: frozenset[str] | None, tier: Tier, kind: str, wanted: Iterable[str]
) -> frozenset[str]:
    """Make a tier's table and the columns that it lacks; return all its columns of statistics."""
    table = tier_table(tier, kind)
    if there is None:
        connection.execute(f"CREATE TABLE {table} ({_COLUMNS})")
        there = frozenset()
    missing = [name for name in wanted if name not in there]
    for name in missing:
        connection.execute(f"ALTER TABLE {table} ADD COLUMN {quoted(name)} DOUBLE")
    return there.union(missing)


def closed_zones(
    connection: duckdb.DuckDBPyConnection, kind: str, hour: int, columns: Sequence[tuple[str, str]]
) -> set[tuple[int, int]]:
    """Return the zones (device id, number) whose windows of an hour count more than it has rows: some were let go."""
    counted = [name for name, statistic in columns if statistic == "count"]
    span = {"start": hour * HOUR_MS, "end": (hour + 1) * HOUR_MS}
    made = " + ".join(f"coalesce({quoted(column_of(name, 'count'))}, 0)" for name in counted)
    there = " + ".join(f"count({quoted(name)})" for name in counted)
    windows = f"SELECT device, zone, {made} AS made FROM {tier_table(TIERS[-1], kind)} WHERE began = $start"  # noqa: S608
    rows = f"SELECT device, zone, {there} AS there FROM {table_of(kind)} WHERE ts_ms >= $start AND ts_ms < $end GROUP BY ALL"  # noqa: S608
    found = connection.execute(
        f"SELECT device, zone FROM ({windows}) LEFT JOIN ({rows}) USING (device, zone) WHERE made > coalesce(there, 0)",  # noqa: S608
        span,
    )
    return {(int(device), int(zone)) for device, zone in found.fetchall()}


def forget_marks(
    connection: duckdb.DuckDBPyConnection, kind: str, hour: int, zones: tuple[NDArray[np.int32], NDArray[np.uint8]]
) -> None:
    """Take the marks of an hour of some zones (device ids, numbers) away and leave their windows as they are."""
    connection.register("taken", {"device": zones[0], "zone": zones[1]})
    chosen = "(device, zone) IN (SELECT (device, zone) FROM taken)"
    connection.execute(f"DELETE FROM touched WHERE kind = $kind AND hour = $hour AND {chosen}", {"kind": kind, "hour": hour})  # noqa: S608
    connection.unregister("taken")


def make_windows(
    connection: duckdb.DuckDBPyConnection,
    kind: str,
    hour: int,
    zones: tuple[NDArray[np.int32], NDArray[np.uint8]],
    columns: Sequence[tuple[str, str]],
) -> None:
    """Replace the windows of an hour of some zones (device ids, numbers) and take their marks away."""
    connection.register("taken", {"device": zones[0], "zone": zones[1]})
    chosen = "(device, zone) IN (SELECT (device, zone) FROM taken)"
    span = {"start": hour * HOUR_MS, "end": (hour + 1) * HOUR_MS}
    made = _summarise(kind, columns, TIERS[0].unit_ms, f"ts_ms >= $start AND ts_ms < $end AND {chosen}")
    for tier in TIERS:
        table = tier_table(tier, kind)
        there = f"began >= $start AND began < $end AND {chosen}"
        connection.execute(f"DELETE FROM {table} WHERE {there}", span)  # noqa: S608
        connection.execute(f"INSERT INTO {table} BY NAME {made}", span)
        made = _merge(table, columns, HOUR_MS, there)  # the next tier is made of this one
    connection.unregister("taken")
    forget_marks(connection, kind, hour, zones)


def read_tier(
    connection: duckdb.DuckDBPyConnection,
    tier: Tier,
    kind: str,
    columns: Sequence[tuple[str, str]],
    zone: tuple[int, int],
    span: Span,
    most: int,
) -> Windows:
    """Return windows of a zone (device id, number) that are kept ready, the earliest `most`."""
    chosen = "".join(f", {quoted(column_of(*key))}" for key in columns)
    where = "device = $device AND zone = $zone AND began >= $start AND began < $end"
    statement = f"SELECT began, ended{chosen} FROM {tier_table(tier, kind)} WHERE {where} ORDER BY began LIMIT $most"  # noqa: S608
    values = {"device": zone[0], "zone": zone[1], "start": span[0], "end": span[1], "most": most}
    return _windows(connection, statement, values, columns)


def read_rows(
    connection: duckdb.DuckDBPyConnection,
    unit_ms: int,
    kind: str,
    columns: Sequence[tuple[str, str]],
    zone: tuple[int, int],
    span: Span,
) -> Windows:
    """Return windows of a zone (device id, number) made of its rows in a span."""
    where = "device = $device AND zone = $zone AND ts_ms >= $start AND ts_ms < $end"
    values = {"device": zone[0], "zone": zone[1], "start": span[0], "end": span[1]}
    return _windows(connection, _summarise(kind, columns, unit_ms, where), values, columns)


def delete_rows(connection: duckdb.DuckDBPyConnection, table: str, column: str, before_ms: int, most: int) -> int:
    """Delete up to `most` rows that lie before an instant; return how many. Their space is used again, not given back."""
    found = connection.execute(
        f"DELETE FROM {table} WHERE rowid IN (SELECT rowid FROM {table} WHERE {column} < $before LIMIT $most)",  # noqa: S608
        {"before": before_ms, "most": most},
    ).fetchone()
    return int(found[0]) if found else 0


def kept_columns(quantities: Iterable[str], totals: frozenset[str]) -> list[tuple[str, str]]:
    """Return the (quantity, statistic) that tiers keep."""
    return [(name, statistic) for name in sorted(quantities) for statistic in statistics(name, totals)]


def _summarise(kind: str, columns: Sequence[tuple[str, str]], unit_ms: int, where: str) -> str:
    """Make windows of a kind's rows as columns device, zone, began, ended and the statistics."""
    names = {name: i for i, name in enumerate(dict.fromkeys(name for name, _ in columns))}
    rising = [name for name, statistic in columns if statistic == "rise"]
    values = "".join(f", {quoted(name)} AS v{i}" for name, i in names.items())
    steps = "".join(f", {_step(quoted(name), quoted(name))} AS s{names[name]}" for name in rising)
    order = f" WINDOW w AS (PARTITION BY device, zone, ts_ms // {unit_ms} ORDER BY {INSTANT})" if rising else ""
    made = "".join(
        f", {_STATISTICS[statistic].format(names[name])} AS {quoted(column_of(name, statistic))}" for name, statistic in columns
    )
    return (
        f"SELECT device, zone, ts_ms - ts_ms % {unit_ms} AS began, max(ts_ms) AS ended{made} FROM "  # noqa: S608
        f"(SELECT device, zone, ts_ms, {INSTANT} AS instant{values}{steps} FROM {table_of(kind)} WHERE {where}{order}) "
        "GROUP BY ALL ORDER BY device, zone, began"
    )


def _merge(table: str, columns: Sequence[tuple[str, str]], unit_ms: int, where: str) -> str:
    """Make larger windows of those of a tier, as `ingest.store.windows.merge` does."""
    names = {name: i for i, name in enumerate(dict.fromkeys(name for name, _ in columns))}
    parts = "".join(f", {quoted(column_of(name, statistic))} AS {statistic}{names[name]}" for name, statistic in columns)
    rising = [i for name, i in names.items() if (name, "rise") in columns]
    steps = "".join(f", {_step(f'first{i}', f'last{i}')} AS step{i}" for i in rising)
    order = " WINDOW w AS (PARTITION BY device, zone ORDER BY began)" if rising else ""
    made = "".join(
        f", {_MERGED[statistic].format(names[name])} AS {quoted(column_of(name, statistic))}" for name, statistic in columns
    )
    return (
        f"SELECT device, zone, part - part % {unit_ms} AS began, max(ended) AS ended{made} FROM "  # noqa: S608
        f"(SELECT *{steps} FROM (SELECT device, zone, began, began AS part, ended{parts} FROM {table} WHERE {where}){order}) "
        f"GROUP BY device, zone, part - part % {unit_ms} ORDER BY 1, 2, 3"
    )


def _step(value: str, until: str) -> str:
    """Return how far a total rose since the row before that has it; a fall means that it began again at 0."""
    before = f"lag({until} IGNORE NULLS) OVER w"
    return f"CASE WHEN {value} >= {before} THEN {value} - {before} WHEN {before} IS NOT NULL THEN {value} END"


def _windows(
    connection: duckdb.DuckDBPyConnection, statement: str, values: dict[str, int], columns: Sequence[tuple[str, str]]
) -> Windows:
    found = connection.execute(statement, values).fetchnumpy()
    return Windows(
        np.asarray(found["began"], np.int64),
        np.asarray(found["ended"], np.int64),
        {key: np.ma.filled(found[column_of(*key)], np.nan).astype(np.float64) for key in columns},
    )
