# SPDX-License-Identifier: Apache-2.0
"""How fast the newest values of many zones are answered over HTTP.

    python -m benchmarks.api --json [--zones N] [--requests N]

The server is a process of its own, set up as the service is: a control database in a file, a token that is looked up for
each request, eight quantities a zone, the collector spared what stays. One client asks on one kept connection, one request
after the other, and reads each answer to its end; it decodes none, so that its own work is not measured. `cpu_ms` is the
server's processor time, which tells more than the clock does where a machine is shared.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import http.client
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from prometheus_client import CollectorRegistry

from api.app import create_app
from api.services import Issued, Services
from control import registry, tokens
from control.access import Grant
from control.audit import Trail
from control.controller import Controller
from control.database import Database, open_database
from control.records import ZoneParameters, ZoneSpec
from gateway import Address, Catalogue, WallClock, load_catalogue
from gateway.errors import LinkLost
from ingest.devices import DeviceTable
from ingest.feed import LiveFeed
from ingest.gaps import GapBook, SessionLosses
from ingest.latest import LatestState
from ingest.quarantine import Quarantine, QuarantineConfig, QuarantinedRecord
from ingest.sequences import Sequences
from ingest.store.batch import Rows
from ingest.store.duckdb_store import DuckDBConfig, DuckDBStore
from tirta.web import listen, make_server

__all__ = ["main"]

SEED = 20_251_122
KIND = "irrigation-controller"
ZONES_A_DEVICE = 4
QUANTITIES = 8  # of a zone
WARM_UP = 20  # requests before those that are measured
PAGE = 1000  # zones in an answer


class NoBroker:
    """Stands where devices are let in and told; nobody comes and nothing is sent."""

    async def provision(self, address: Address) -> Issued:
        """Refuse."""
        raise LinkLost(address.key)

    async def rotate(self, address: Address, trail: Trail | None = None) -> Issued:
        """Refuse."""
        del trail
        raise LinkLost(address.key)

    async def revoke(self, address: Address) -> str | None:
        """Refuse."""
        raise LinkLost(address.key)

    async def publish(
        self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False, message_expiry_s: int | None = None
    ) -> None:
        """Refuse."""
        raise LinkLost(f"{topic}: {len(payload)} bytes, {qos=}, {retain=}, {message_expiry_s=}")


def main() -> None:
    """Run the benchmark, or, started by itself, the server that is measured."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON line only")
    parser.add_argument("--zones", type=int, default=1000, help="zones in the registry")
    parser.add_argument("--requests", type=int, default=400, help="requests of each sort")
    parser.add_argument("--server", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.server:
        import uvloop

        with tempfile.TemporaryDirectory(prefix="tirta-bench-") as folder:
            uvloop.run(_serve(Path(folder), options.zones))
        return
    if options.zones < 1 or options.requests < 2:
        parser.error("--zones has to be 1 or more, --requests 2 or more")
    result = _measure(options.zones, options.requests)
    if options.json:
        print(json.dumps(result))
    else:
        print("\n".join(f"{name:>14} {value}" for name, value in result.items()))


def _measure(zones: int, requests: int) -> dict[str, Any]:
    with _server(zones) as (process, ready):
        connection = http.client.HTTPConnection("127.0.0.1", ready["port"])
        headers = {"authorization": f"Bearer {ready['token']}"}
        result: dict[str, Any] = {"zones": zones, "requests": requests}
        for name, path in (("list", f"/api/v1/zones?limit={PAGE}"), ("zone", f"/api/v1/zones/{ready['zone']}")):
            for _ in range(WARM_UP):
                _ask(connection, path, headers)
            before, times, size = _cpu_s(process), [], 0
            for _ in range(requests):
                took_ms, size = _ask(connection, path, headers)
                times.append(took_ms)
            parts = statistics.quantiles(times, n=100, method="inclusive")
            result |= {
                f"{name}_p50_ms": round(parts[49], 2),
                f"{name}_p99_ms": round(parts[98], 2),
                f"{name}_cpu_ms": round((_cpu_s(process) - before) / requests * 1000, 2),
                f"{name}_bytes": size,
            }
        connection.close()
    return result


def _ask(connection: http.client.HTTPConnection, path: str, headers: dict[str, str]) -> tuple[float, int]:
    """Ask once; return the time until the last byte and the size of the answer. [ms], [B]"""
    began = time.perf_counter()
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    took_ms = (time.perf_counter() - began) * 1000
    if answer.status != 200:
        raise SystemExit(f"{path} was answered with {answer.status}: {body[:200]!r}")
    return took_ms, len(body)


def _cpu_s(process: psutil.Process) -> float:
    used = process.cpu_times()
    return float(used.user + used.system)


@contextmanager
def _server(zones: int) -> Iterator[tuple[psutil.Process, dict[str, Any]]]:
    command = [sys.executable, "-m", "benchmarks.api", "--server", "--zones", str(zones)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as started:
        assert started.stdin is not None
        assert started.stdout is not None
        line = started.stdout.readline()
        if not line:
            raise SystemExit("the server did not start")
        try:
            yield psutil.Process(started.pid), json.loads(line)
        finally:
            started.stdin.close()  # it ends with its input


async def _replay_nothing(record: QuarantinedRecord) -> None:
    del record


async def _serve(folder: Path, zones: int) -> None:
    """Answer until standard input ends."""
    catalogue, devices, clock = load_catalogue(), DeviceTable(), WallClock()
    database = open_database(f"sqlite:///{folder}/control.db")
    latest = LatestState(devices, catalogue)
    token = _fill(database, devices, latest, catalogue, zones, clock.now_ms())
    store = DuckDBStore(DuckDBConfig(folder / "series.duckdb"), devices)
    quarantine = Quarantine(QuarantineConfig(folder / "quarantine.db"))
    feed, broker = LiveFeed(), NoBroker()
    services = Services(
        database=database,
        latest=latest,
        store=store,
        quarantine=quarantine,
        replay=_replay_nothing,
        gaps=GapBook(devices, Sequences(), SessionLosses()),
        controller=Controller(database, latest, broker.publish, clock, feed),
        provisioner=broker,
        feed=feed,
        clock=clock,
        catalogue=catalogue,
        health=lambda: (),
        metrics=CollectorRegistry(),
        version="0",
        stopping=lambda: False,
    )
    listener = listen("127.0.0.1", 0)
    server = make_server(create_app(services))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    await server.ready.wait()
    gc.collect()
    gc.freeze()
    print(json.dumps({"port": listener.getsockname()[1], "token": token, "zone": "bench:device-0000:1"}), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    gc.unfreeze()
    server.should_exit = True
    await serving
    quarantine.close()
    store.close()
    database.close()


def _fill(database: Database, devices: DeviceTable, latest: LatestState, catalogue: Catalogue, zones: int, now_ms: int) -> str:
    """Make a site of so many beds, each measured within the last minute, and a viewer's token, which is returned."""
    random = np.random.default_rng(SEED)
    parameters = ZoneParameters(area_m2=6.0, root_depth_m=0.3, flow_l_min=8.5)
    measured = [quantity.name for quantity in catalogue.kinds[KIND].quantities][:QUANTITIES]
    with database.session() as session:
        token, _ = tokens.create(session, "bench", (Grant("viewer"),), now_ms=now_ms)
        registry.create_site(session, "bench", "Bench", "Asia/Makassar", now_ms=now_ms)
        for first in range(0, zones, ZONES_A_DEVICE):
            name = f"device-{first // ZONES_A_DEVICE:04}"
            numbers = range(1, min(ZONES_A_DEVICE, zones - first) + 1)
            specs = [ZoneSpec(number, f"Bedeng {first + number}", "bed", parameters) for number in numbers]
            registry.create_device(session, "bench", name, KIND, f"Kebun {name}", specs, "$7$", now_ms=now_ms)
            index, n = devices.put(Address("bench", name), catalogue.kinds[KIND]), len(specs)
            rows = Rows(
                kind=KIND,
                device=np.full(n, index, np.int32),
                zone=np.array(numbers, np.uint8),
                ts_ms=now_ms - random.integers(0, 60_000, n),
                boot=np.ones(n, np.int64),
                seq=np.arange(n, dtype=np.int64),
                place=np.arange(n, dtype=np.int64),
                flags=np.zeros(n, np.uint8),
                values={quantity: np.round(random.uniform(0.0, 1.0, n), 3) for quantity in measured},
            )
            latest.update([rows])
    return token


if __name__ == "__main__":
    main()
