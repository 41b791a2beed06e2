# SPDX-License-Identifier: Apache-2.0
"""How soon a stop of all reaches every device of a site: from the request to the last command taken by the broker's side.

    python -m benchmarks.stops --devices 1000

Prints one JSON line. Without a broker: what stands for it takes a command at once, so this is the platform's own share.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from control import registry
from control.access import Scope
from control.controller import Controller
from control.database import Database, open_database
from control.records import ZoneParameters, ZoneSpec
from gateway.clock import WallClock

__all__ = ["main"]

BED = ZoneParameters(area_m2=4.0, root_depth_m=0.3, flow_l_min=12.0)


class Nobody:
    """Listens to nothing and has measured nothing."""

    def publish(self, name: str, data: Mapping[str, Any]) -> None:
        """Take an event."""

    def gather(self, keys: Sequence[tuple[str, str, int]], quantity: str) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return nothing known."""
        del quantity
        return np.full(len(keys), np.nan), np.full(len(keys), -1, dtype=np.int64)


def furnish(database: Database, devices: int, now_ms: int) -> None:
    """Create a site with so many devices of one bed."""
    with database.session() as session:
        registry.create_site(session, "site", "Site", "Asia/Makassar", now_ms=now_ms)
        for number in range(devices):
            bed = [ZoneSpec(1, "Bed", "bed", BED)]
            registry.create_device(session, "site", f"d{number}", "irrigation-controller", "D", bed, "$7$", now_ms=now_ms)


async def measure(folder: Path, devices: int) -> dict[str, float]:
    """Return how long it took until the request was answered, and until the last device was told. [s]"""
    clock, nobody = WallClock(), Nobody()
    database = open_database(f"sqlite:///{folder}/control.db")
    furnish(database, devices, clock.now_ms())
    told, all_told = 0, asyncio.Event()

    async def publish(
        topic: str, payload: bytes, *, qos: int = 1, retain: bool = False, message_expiry_s: int | None = None
    ) -> None:
        nonlocal told
        del topic, payload, qos, message_expiry_s
        told += not retain
        if told == devices:
            all_told.set()

    controller = Controller(database, nobody, publish, clock, nobody)
    running = asyncio.create_task(controller.run())
    await asyncio.sleep(2)
    begun = time.perf_counter()
    await controller.stop_all(Scope("site", "site"), actor="benchmark")
    answered = time.perf_counter()
    await all_told.wait()
    ended = time.perf_counter()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    database.close()
    return {"answered_s": round(answered - begun, 3), "told_s": round(ended - begun, 3)}


def main() -> None:
    """Measure once, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, default=1000)
    devices = parser.parse_args().devices
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps({"benchmark": "stops", "devices": devices, **asyncio.run(measure(Path(folder), devices))}))


if __name__ == "__main__":
    main()
