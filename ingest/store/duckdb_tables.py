# SPDX-License-Identifier: Apache-2.0
"""What a DuckDB file holds, and how a batch adds to it inside the store's transaction.

Ids of devices belong to the file: the device indexes of a batch may be others after a restart, the names are not.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from ingest.store import duckdb_sql as sql
from ingest.store.batch import Batch, DeviceNames, Rows
from ingest.store.duckdb_tiers import TIER_PREFIX
from ingest.store.holes import Hole
from ingest.store.protocol import TierName
from ingest.store.tiers import TIERS

__all__ = ["Known", "insert", "read_holes", "read_known", "read_tier_columns", "with_columns", "with_devices"]


@dataclass(frozen=True, slots=True)
class Known:
    """What the file holds: quantities of each kind, ids of devices, and the ids by this run's device indexes."""

    kinds: dict[str, frozenset[str]]
    ids: dict[tuple[str, str], int]
    id_of_index: NDArray[np.int32]


def read_known(connection: duckdb.DuckDBPyConnection) -> Known:
    """Read what an opened file holds."""
    columns = connection.execute(
        "SELECT table_name, column_name FROM duckdb_columns() "
        "WHERE database_name = current_database() AND starts_with(table_name, $1)",
        [sql.KIND_PREFIX],
    ).fetchall()
    kinds: dict[str, frozenset[str]] = {}
    for table, column in columns:
        kind = table.removeprefix(sql.KIND_PREFIX)
        kinds[kind] = kinds.get(kind, frozenset()) | ({column} - sql.COLUMNS.keys())
    devices = connection.execute("SELECT site, name, id FROM device").fetchall()
    return Known(kinds, {(site, name): number for site, name, number in devices}, np.empty(0, dtype=np.int32))


def read_holes(connection: duckdb.DuckDBPyConnection) -> tuple[Hole, ...]:
    """Read what the file never got, oldest first."""
    columns = "start_position, end_position, positions, records, start_ms, end_ms"
    found = connection.execute(f"SELECT {columns} FROM hole ORDER BY start_position")  # noqa: S608
    return tuple(Hole(*row) for row in found.fetchall())


def read_tier_columns(
    connection: duckdb.DuckDBPyConnection, kinds: Iterable[str]
) -> dict[tuple[TierName, str], frozenset[str]]:
    """Read which statistics an opened file keeps, by tier and kind."""
    found = connection.execute(
        "SELECT table_name, column_name FROM duckdb_columns() "
        "WHERE database_name = current_database() AND starts_with(table_name, $1) ORDER BY ALL",
        [TIER_PREFIX],
    ).fetchall()
    columns: dict[str, set[str]] = {}
    for table, column in found:
        columns.setdefault(table, set()).add(column)
    named = {(tier.name, kind): f"{TIER_PREFIX}{tier.name}_{kind}" for tier in TIERS for kind in kinds}
    return {key: frozenset(columns[table]) for key, table in named.items() if table in columns}


def with_devices(connection: duckdb.DuckDBPyConnection, known: Known, batch: Batch, names: DeviceNames) -> Known:
    """Give ids to the devices that the batch brings for the first time."""
    indexes = np.unique(np.concatenate([np.empty(0, dtype=np.int32), *(rows.device for rows in batch.rows)]))
    room = max(0, int(indexes.max(initial=-1)) + 1 - len(known.id_of_index))
    id_of_index = np.concatenate([known.id_of_index, np.full(room, -1, dtype=np.int32)])
    unseen = indexes[id_of_index[indexes] < 0].tolist()
    if not unseen:
        return known
    ids = dict(known.ids)
    new: list[tuple[str, str, int]] = []
    number = max(ids.values(), default=0)
    for index in unseen:
        key = names.names(index)
        if key not in ids:
            number += 1
            ids[key] = number
            new.append((*key, number))
        id_of_index[index] = ids[key]
    if new:
        sites, devices, numbers = map(list, zip(*new, strict=True))
        connection.execute(
            "INSERT INTO device BY NAME SELECT unnest($1) AS site, unnest($2) AS name, unnest($3) AS id",
            [sites, devices, numbers],
        )
    return replace(known, ids=ids, id_of_index=id_of_index)


def with_columns(connection: duckdb.DuckDBPyConnection, known: Known, rows: Rows) -> Known:
    """Make the table of a new kind and the columns of new quantities."""
    there = known.kinds.get(rows.kind)
    if there is None:
        connection.execute(sql.create_kind(rows.kind))
        there = frozenset()
    missing = [name for name in rows.values if name not in there]
    for name in missing:
        connection.execute(sql.add_column(rows.kind, name))
    return replace(known, kinds={**known.kinds, rows.kind: there.union(missing)})


def insert(connection: duckdb.DuckDBPyConnection, rows: Rows, device: NDArray[np.int32]) -> None:
    """Append rows to the table of their kind; `device` are the ids in the file."""
    arriving: dict[str, NDArray[Any]] = {
        "device": device,
        "zone": rows.zone,
        "ts_ms": rows.ts_ms,
        "boot": rows.boot,
        "seq": rows.seq,
        "place": np.where(rows.seq >= 0, 0, rows.place),  # it orders only what has no `seq`
        "flags": rows.flags,
    }
    for name, column in rows.values.items():
        arriving[name] = np.where(np.isfinite(column), column, np.nan)  # NaN becomes NULL
    connection.register("arriving", arriving)
    connection.execute(sql.insert_rows(rows.kind))
    connection.unregister("arriving")
