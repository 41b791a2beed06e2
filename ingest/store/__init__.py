# SPDX-License-Identifier: Apache-2.0
"""Series stores: where measurements stay, behind one protocol with two engines."""

from __future__ import annotations

from ingest.store.batch import CLOCK_SERVER, NOT_GIVEN, RESERVED_NAMES, TS_MAX_MS, Batch, DeviceNames, Reach, RejectedRow, Rows
from ingest.store.duckdb_store import DuckDBConfig, DuckDBStore
from ingest.store.errors import StoreError, StoreRefused, StoreRejected, StoreUnavailable
from ingest.store.holes import Hole
from ingest.store.influx_store import InfluxConfig, InfluxStore
from ingest.store.protocol import ROWS_IN_ANSWER_MAX, Aggregate, Latest, Series, SeriesQuery, SeriesStore, TierName
from ingest.store.tiers import Retention

__all__ = [
    "CLOCK_SERVER",
    "NOT_GIVEN",
    "RESERVED_NAMES",
    "ROWS_IN_ANSWER_MAX",
    "TS_MAX_MS",
    "Aggregate",
    "Batch",
    "DeviceNames",
    "DuckDBConfig",
    "DuckDBStore",
    "Hole",
    "InfluxConfig",
    "InfluxStore",
    "Latest",
    "Reach",
    "RejectedRow",
    "Retention",
    "Rows",
    "Series",
    "SeriesQuery",
    "SeriesStore",
    "StoreError",
    "StoreRefused",
    "StoreRejected",
    "StoreUnavailable",
    "TierName",
]
