# SPDX-License-Identifier: Apache-2.0
"""The DuckDB store's tables and the questions asked of them.

    store   version, upto, records, received_ms        one row: version of this layout, the cursor and what is told with it
    hole    start_position, end_position, …            what it never got (`ingest.store.holes`), in order
    device  id, site, name                             ids of the file's own
    "kind_…"                                           a table a kind, a row a record
            device, zone, ts_ms, boot, seq, place, flags, then a DOUBLE a quantity

The tables of the tiers are told in `duckdb_tiers`.

Invariant: names from outside reach a statement only through `quoted`, values only as parameters.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from ingest.store.batch import RESERVED_NAMES
from ingest.store.protocol import SeriesQuery

__all__ = [
    "COLUMNS",
    "INSTANT",
    "KIND_PREFIX",
    "LAYOUT",
    "LAYOUT_VERSION",
    "TIERS_VERSION",
    "add_column",
    "count_rows",
    "create_kind",
    "insert_rows",
    "latest_values",
    "quoted",
    "select_series",
    "table_of",
]

LAYOUT_VERSION: Final = 3
TIERS_VERSION: Final = 2  # the first layout with marks and tiers

KIND_PREFIX: Final = "kind_"

LAYOUT: Final = """
CREATE TABLE IF NOT EXISTS store (version INTEGER NOT NULL, upto BIGINT NOT NULL, records BIGINT, received_ms BIGINT);
ALTER TABLE store ADD COLUMN IF NOT EXISTS records BIGINT;
ALTER TABLE store ADD COLUMN IF NOT EXISTS received_ms BIGINT;
CREATE TABLE IF NOT EXISTS hole (
    start_position BIGINT NOT NULL, end_position BIGINT NOT NULL, positions BIGINT NOT NULL,
    records BIGINT, start_ms BIGINT, end_ms BIGINT
);
CREATE TABLE IF NOT EXISTS device (id INTEGER PRIMARY KEY, site VARCHAR NOT NULL, name VARCHAR NOT NULL, UNIQUE (site, name));
CREATE TABLE IF NOT EXISTS touched (
    kind VARCHAR NOT NULL, device INTEGER NOT NULL, zone UTINYINT NOT NULL, hour INTEGER NOT NULL
);
INSERT INTO store SELECT 3, 0, NULL, NULL WHERE NOT EXISTS (FROM store);
"""

# Every kind's columns before its quantities. `boot` and `seq` are NULL where the device does not count.
COLUMNS: Final = {
    "device": "INTEGER NOT NULL",
    "zone": "UTINYINT NOT NULL",
    "ts_ms": "BIGINT NOT NULL",
    "boot": "BIGINT",
    "seq": "BIGINT",
    "place": "INTEGER NOT NULL",
    "flags": "UTINYINT NOT NULL",
}
assert set(COLUMNS) <= RESERVED_NAMES

# Rows.timestamp_ns in SQL: the order of rows within a millisecond.
INSTANT: Final = "ts_ms * 1000000 + coalesce(seq, place) % 1000000"

_AGGREGATES: Final = {
    "mean": "avg({})",
    "min": "min({})",
    "max": "max({})",
    "sum": "sum({})",
    "count": "count({})::DOUBLE",
    "last": "arg_max({}, instant)",
}


def quoted(name: str) -> str:
    """Return a name as an identifier of SQL."""
    return '"' + name.replace('"', '""') + '"'


def table_of(kind: str) -> str:
    """Return the table of a kind, as an identifier.

    In no schema of its own: its name could be that of the file, which DuckDB makes the name of the database.
    """
    return quoted(KIND_PREFIX + kind)


def create_kind(kind: str) -> str:
    """Make the table of a kind, without quantities."""
    columns = ", ".join(f"{name} {form}" for name, form in COLUMNS.items())
    return f"CREATE TABLE {table_of(kind)} ({columns})"


def add_column(kind: str, quantity: str) -> str:
    """Give a kind's table one more quantity; earlier rows have NULL there."""
    return f"ALTER TABLE {table_of(kind)} ADD COLUMN {quoted(quantity)} DOUBLE"


def insert_rows(kind: str) -> str:
    """Append the registered arrays `arriving`, by the names of their columns."""
    return (
        f"INSERT INTO {table_of(kind)} BY NAME "  # noqa: S608
        "SELECT * REPLACE (nullif(boot, -1) AS boot, nullif(seq, -1) AS seq) FROM arriving"
    )


def count_rows(kinds: Iterable[str]) -> str:
    """Count a device's rows over all kinds. Parameter: $device."""
    parts = (f"(SELECT count(*) FROM {table_of(kind)} WHERE device = $device)" for kind in kinds)  # noqa: S608
    return f"SELECT {' + '.join(('0', *parts))}"


def select_series(kinds: Mapping[str, frozenset[str]], query: SeriesQuery) -> str | None:
    """Ask for rows or windows as columns ts_ms, v0, v1, …

    Parameters: $device, $zone, $start_ms, $end_ms, $limit and, for windows, $every_ms.

    Returns
    -------
    str or None
        None if no table has any of the quantities.
    """
    parts = [
        _rows_of_kind(kind, known, query.quantities) for kind, known in kinds.items() if known.intersection(query.quantities)
    ]
    if not parts:
        return None
    rows = " UNION ALL ".join(parts)
    names = [f"v{i}" for i in range(len(query.quantities))]
    if query.every_ms is None:
        return f"SELECT ts_ms, {', '.join(names)} FROM ({rows}) ORDER BY instant LIMIT $limit"  # noqa: S608
    form = _AGGREGATES[query.aggregate]
    made = ", ".join(f"{form.format(name)} AS {name}" for name in names)
    return (
        f"SELECT ts_ms - ts_ms % $every_ms AS ts_ms, {made} FROM ({rows}) AS rows "  # noqa: S608
        "GROUP BY rows.ts_ms - rows.ts_ms % $every_ms ORDER BY 1 LIMIT $limit"
    )


def _rows_of_kind(kind: str, known: frozenset[str], quantities: tuple[str, ...]) -> str:
    there = [quoted(name) if name in known else "NULL::DOUBLE" for name in quantities]
    values = ", ".join(f"{name} AS v{i}" for i, name in enumerate(there))
    given = " OR ".join(f"{quoted(name)} IS NOT NULL" for name in quantities if name in known)
    return (
        f"SELECT ts_ms, {INSTANT} AS instant, {values} FROM {table_of(kind)} "  # noqa: S608
        f"WHERE device = $device AND zone = $zone AND ts_ms >= $start_ms AND ts_ms < $end_ms AND ({given})"
    )


def latest_values(kind: str, quantities: Iterable[str]) -> str:
    """Ask for each zone's newest values as columns site, name, zone and, a quantity, v0, t0, …

    Parameter: $since_ms.
    """
    newest = "".join(
        f", arg_max({name}, {INSTANT}) AS v{i}, max(ts_ms) FILTER (WHERE {name} IS NOT NULL) AS t{i}"
        for i, name in enumerate(map(quoted, quantities))
    )
    return (
        f"SELECT device.site, device.name, rows.zone{newest} FROM {table_of(kind)} AS rows "  # noqa: S608
        "JOIN device ON device.id = rows.device WHERE rows.ts_ms >= $since_ms GROUP BY ALL ORDER BY ALL"
    )
