# SPDX-License-Identifier: Apache-2.0
"""A small fleet for ingest's tests: devices of two kinds, rows and payloads of theirs."""

from __future__ import annotations

import json

import numpy as np

from gateway.quantities import load_catalogue
from gateway.topics import Address
from ingest.bursts import StoredBurst
from ingest.devices import DeviceTable
from ingest.store.batch import CLOCK_SERVER, NOT_GIVEN, Rows

__all__ = ["CATALOGUE", "KINDS", "NOW_MS", "burst_of", "make_devices", "rows_of", "telemetry", "topic"]

CATALOGUE = load_catalogue()
NOW_MS = 1_763_770_800_000
KINDS = ("irrigation-controller", "irrigation-controller", "water-meter")


def make_devices() -> DeviceTable:
    """Devices 0 and 1 water beds, device 2 is a meter; all measure `flow`."""
    devices = DeviceTable()
    for i, kind in enumerate(KINDS):
        devices.put(Address("kebun", f"bed-{i}"), CATALOGUE.kinds[kind])
    return devices


def topic(device: int) -> str:
    """Telemetry topic of a device."""
    return f"tirta/v1/kebun/bed-{device}/telemetry"


def telemetry(**fields: object) -> bytes:
    """One record as JSON."""
    return json.dumps(fields).encode()


def burst_of(*messages: tuple[int, bytes], at_ms: int = NOW_MS) -> StoredBurst:
    """A burst of (device, payload)."""
    return StoredBurst(at_ms, [topic(device) for device, _ in messages], [payload for _, payload in messages])


def rows_of(*records: tuple[int, int | None, int | None], ts_ms: int | None = NOW_MS, zone: int = 1, **values: float) -> Rows:
    """Rows of (device, boot, seq); `ts_ms` None is a device without a clock."""
    n = len(records)
    given = [[NOT_GIVEN if number is None else number for number in record] for record in records]
    device, boot, seq = np.array(given, np.int64).reshape(n, 3).T
    return Rows(
        kind="irrigation-controller",
        device=device.astype(np.int32),
        zone=np.full(n, zone, np.uint8),
        ts_ms=np.full(n, NOW_MS if ts_ms is None else ts_ms, np.int64),
        boot=boot,
        seq=seq,
        place=np.arange(n),
        flags=np.full(n, CLOCK_SERVER if ts_ms is None else 0, np.uint8),
        values={name: np.full(n, value) for name, value in values.items()},
    )
