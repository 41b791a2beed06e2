# SPDX-License-Identifier: Apache-2.0
"""How long one tick of the controller takes, with its transaction on a disk.

    python -m benchmarks.control --json [--zones N] [--ticks N]

Nine zones in ten are beds and one is a pond; every one has a schedule and was measured within the last minute, and most
beds are moist enough: a minute like most. The clock is stepped by a minute a tick. `busy_ms` is the minute in which one
bed in five runs dry, and each decision and act is written; its acts wait for a sender that is not there.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from control import registry, schedules
from control.controller import Controller
from control.database import Database, open_database
from control.models import DeviceRow
from control.records import ZoneParameters, ZoneSpec
from gateway import Address, Catalogue, SteppedClock, load_catalogue
from gateway.errors import LinkLost
from ingest.devices import DeviceTable
from ingest.latest import LatestState
from ingest.store.batch import Rows

__all__ = ["main"]

START_MS: Final = 1_795_305_600_000  # 2026-11-22T08:00 in Makassar
MINUTE_S: Final = 60
ZONES_A_DEVICE: Final = 4
PONDS: Final = 10  # every tenth device has ponds
BED = {"type": "irrigation", "low": 0.22, "high": 0.30, "hours": [["05:00", "18:00"]], "litres_day": 200}
POND = {"type": "feeding", "meals": [{"time": "07:00", "grams": 250}, {"time": "12:00", "grams": 250}], "grams_day": 1000}


class Nobody:
    """Is sent commands, which fail, and told events, which go nowhere."""

    async def send(
        self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False, message_expiry_s: int | None = None
    ) -> None:
        """Refuse."""
        raise LinkLost(f"{topic}: {len(payload)} bytes, {qos=}, {retain=}, {message_expiry_s=}")

    def publish(self, name: str, data: Mapping[str, Any]) -> None:
        """Forget."""


def main() -> None:
    """Measure, and print one line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON line only")
    parser.add_argument("--zones", type=int, default=1000)
    parser.add_argument("--ticks", type=int, default=60, help="ticks of a quiet minute that are measured (2 or more)")
    options = parser.parse_args()
    if options.zones < 1 or options.ticks < 2:
        parser.error("--zones has to be 1 or more, --ticks 2 or more")
    with tempfile.TemporaryDirectory(prefix="tirta-bench-") as folder:
        result = asyncio.run(_measure(Path(folder), options.zones, options.ticks))
    if options.json:
        print(json.dumps(result))
    else:
        print("\n".join(f"{name:>12} {value}" for name, value in result.items()))


async def _measure(folder: Path, zones: int, ticks: int) -> dict[str, Any]:
    catalogue, devices, clock = load_catalogue(), DeviceTable(), SteppedClock(START_MS)
    latest = LatestState(devices, catalogue)
    database = open_database(f"sqlite:///{folder}/control.db")
    try:
        counts = _fill(database, devices, catalogue, zones)
        controller = Controller(database, latest, Nobody().send, clock, Nobody())
        gc.collect()
        gc.freeze()
        times, cpu = [], []
        for number in range(ticks + 3):
            await clock.advance(MINUTE_S)
            _measured(latest, counts, clock.now_ms(), 0.26)
            spent = time.process_time()
            await controller.tick()
            if number >= 3:  # those before warm up, and write the first decision of every zone
                times.append(controller.counters.tick_ms)
                cpu.append((time.process_time() - spent) * 1000)
        planned = controller.counters.acts_planned
        await clock.advance(MINUTE_S)
        _measured(latest, counts, clock.now_ms(), 0.15)
        spent = time.process_time()
        await controller.tick()
        busy_cpu_ms = (time.process_time() - spent) * 1000
        parts = statistics.quantiles(times, n=100, method="inclusive")
        return {
            "zones": zones,
            "ticks": ticks,
            "tick_p50_ms": round(parts[49], 1),
            "tick_p99_ms": round(parts[98], 1),
            "tick_cpu_ms": round(statistics.median(cpu), 1),
            "busy_ms": round(controller.counters.tick_ms, 1),
            "busy_cpu_ms": round(busy_cpu_ms, 1),
            "busy_acts": controller.counters.acts_planned - planned,
        }
    finally:
        gc.unfreeze()
        database.close()


def _fill(database: Database, devices: DeviceTable, catalogue: Catalogue, zones: int) -> list[tuple[str, int, int]]:
    """Make the site; return kind, number and zones of each device."""
    counts = []
    with database.session() as session:
        registry.create_site(session, "bench", "Bench", "Asia/Makassar", now_ms=START_MS)
        for first in range(0, zones, ZONES_A_DEVICE):
            place = first // ZONES_A_DEVICE
            name, pond = f"device-{place:05}", place % PONDS == PONDS - 1
            kind = "pond-feeder" if pond else "irrigation-controller"
            numbers = range(1, min(ZONES_A_DEVICE, zones - first) + 1)
            parameters = ZoneParameters(grams_per_s=5.0) if pond else ZoneParameters(6.0, 0.3, 8.5)
            specs = [ZoneSpec(number, f"Petak {number}", "pond" if pond else "bed", parameters) for number in numbers]
            registry.create_device(session, "bench", name, kind, name, specs, "$7$", now_ms=START_MS)
            session.get_one(DeviceRow, f"bench:{name}").online = True
            for number in numbers:
                definition = POND if pond else BED
                schedules.create_schedule(session, f"bench:{name}:{number}", definition, now_ms=START_MS)
            counts.append((kind, devices.put(Address("bench", name), catalogue.kinds[kind]), len(numbers)))
    return counts


def _measured(latest: LatestState, counts: list[tuple[str, int, int]], now_ms: int, dry: float) -> None:
    """Give every zone a new reading: one bed in five at `dry`, the others moist, the ponds with oxygen."""
    for kind in ("irrigation-controller", "pond-feeder"):
        chosen = [(index, zone) for name, index, zones in counts if name == kind for zone in range(1, zones + 1)]
        if not chosen:
            continue
        n = len(chosen)
        moisture = np.where(np.arange(n) % 5 == 0, dry, 0.28)
        values = {"dissolved_oxygen": np.full(n, 6.0)} if kind == "pond-feeder" else {"soil_moisture": moisture}
        rows = Rows(
            kind=kind,
            device=np.array([index for index, _ in chosen], np.int32),
            zone=np.array([zone for _, zone in chosen], np.uint8),
            ts_ms=np.full(n, now_ms - 30_000, np.int64),
            boot=np.ones(n, np.int64),
            seq=np.arange(n, dtype=np.int64),
            place=np.arange(n, dtype=np.int64),
            flags=np.zeros(n, np.uint8),
            values=values,
        )
        latest.update([rows])


if __name__ == "__main__":
    main()
