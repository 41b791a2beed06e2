# SPDX-License-Identifier: Apache-2.0
"""Open the series stores that the settings name."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gateway import Catalogue
from gateway.clock import Clock
from gateway.topics import Address
from ingest.devices import DeviceTable
from ingest.latest import LatestState
from ingest.store.batch import NOT_GIVEN, Rows
from ingest.store.duckdb_store import DuckDBConfig, DuckDBStore
from ingest.store.errors import StoreError
from ingest.store.influx_store import InfluxConfig, InfluxStore
from ingest.store.protocol import Latest, SeriesStore
from ingest.store.tiers import Retention
from ingest.tiers import TierKeeper
from tirta.errors import InvalidSettings
from tirta.folder import DataFolder
from tirta.settings import Settings

__all__ = ["open_stores", "restore_latest"]

_LOOK_BACK_MS = 2 * 24 * 3600 * 1000  # what was not measured for two days is not "latest" to anybody


def open_stores(
    settings: Settings,
    folder: DataFolder,
    devices: DeviceTable,
    catalogue: Catalogue,
    clock: Clock,
    on_close: Callable[[Callable[[], None]], object],
) -> list[SeriesStore]:
    """Open the stores in the order of the settings and keep their tiers; what ends them is handed to `on_close`.

    Raises
    ------
    InvalidSettings
        InfluxDB is wanted and not described.
    StoreError
        One cannot be opened.
    """
    stores: list[SeriesStore] = []
    for name in settings.store_names:
        store = (_duckdb if name == "duckdb" else _influxdb)(settings, folder, devices, catalogue, clock)
        on_close(store.close)
        keeper = TierKeeper(store)
        on_close(keeper.stop)
        keeper.start()
        stores.append(store)
    return stores


def _duckdb(settings: Settings, folder: DataFolder, devices: DeviceTable, catalogue: Catalogue, clock: Clock) -> SeriesStore:
    config = DuckDBConfig(folder.file("series.duckdb"), settings.duckdb_memory_mib)
    return DuckDBStore(config, devices, retention=_retention(settings), totals=_totals(catalogue), clock=clock)


def _influxdb(settings: Settings, folder: DataFolder, devices: DeviceTable, catalogue: Catalogue, clock: Clock) -> SeriesStore:
    influx = settings.influx
    if influx.url is None or not influx.token.get_secret_value():
        raise InvalidSettings("the store influxdb needs TIRTA_INFLUX_URL and TIRTA_INFLUX_TOKEN")
    config = InfluxConfig(
        influx.url, influx.org, influx.bucket, influx.token.get_secret_value(), folder.file("influxdb.cursor")
    )
    booleans = frozenset(q.name for q in catalogue.quantities.values() if q.boolean)
    return InfluxStore(config, devices, booleans, retention=_retention(settings), totals=_totals(catalogue), clock=clock)


def _retention(settings: Settings) -> Retention:
    kept = settings.retention
    return Retention(kept.raw_days or None, kept.five_minutes_days or None, kept.hours_days or None)


def _totals(catalogue: Catalogue) -> frozenset[str]:
    return frozenset(quantity.name for quantity in catalogue.quantities.values() if quantity.total)


def restore_latest(store: SeriesStore, devices: DeviceTable, latest: LatestState, now_ms: int) -> str | None:
    """Fill the latest state from a store; return why not, where the store does not answer."""
    try:
        found = store.latest(now_ms - _LOOK_BACK_MS)
    except StoreError as exc:
        return str(exc)
    latest.update(rows for part in found if (rows := _rows(part, devices)) is not None)
    return None


def _rows(part: Latest, devices: DeviceTable) -> Rows | None:
    indexes = [devices.index(Address(site, device)) for site, device in zip(part.site, part.device, strict=True)]
    known = np.array([index is not None for index in indexes], np.bool_)
    count = int(np.count_nonzero(known))
    if not count:
        return None
    absent = np.full(count, NOT_GIVEN, np.int64)
    return Rows(
        kind=part.kind,
        device=np.array([index for index in indexes if index is not None], np.int32),
        zone=part.zone[known],
        ts_ms=part.ts_ms[known],
        boot=absent,
        seq=absent,
        place=np.zeros(count, np.int64),
        flags=np.zeros(count, np.uint8),
        values={part.quantity: part.value[known]},
    )
