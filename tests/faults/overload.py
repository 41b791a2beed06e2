# SPDX-License-Identifier: Apache-2.0
"""20: ten times as much as usual for a minute, while rules for a million zones are computed on the same machine."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil

from tests.faults.case import Conditions, FaultTest, Findings
from tests.faults.oracle import Fleet, compare, rows_in_duckdb
from tests.servers.bench import add_device
from tests.servers.tirta import Tirta
from tirta.client import Client

__all__ = ["TEST"]

_RSS_MAX = 600e6  # DuckDB's 256 MiB, the queues' bounds, and the rest [bytes]
_API_S = 0.5
_LIVE_S = 120.0
_RATE = 100.0  # QoS 1 messages a second as usual; a burst is ten times that, and as much again with QoS 0
_TICKS = """
import numpy as np
from benchmarks.rules import draw_beds
from rules import irrigation
random = np.random.default_rng(1)
state, params, calendar = draw_beds(1_000_000, random)
while True:
    irrigation.evaluate(state, params, calendar, 1_763_770_800.0)
    print(flush=True)
"""


class _Asker(threading.Thread):
    """Asks the API all the time, and watches memory."""

    def __init__(self, tirta: Tirta, zone: str) -> None:
        super().__init__(name="asker")
        self.took_s: list[float] = []
        self.rss = 0
        self._tirta, self._zone = tirta, zone
        self._stop_asking = threading.Event()

    def run(self) -> None:
        assert self._tirta.process is not None
        process = psutil.Process(self._tirta.process.pid)
        questions: list[tuple[str, dict[str, Any]]] = [
            ("/api/v1/zones", {}),
            (
                f"/api/v1/zones/{self._zone}/series",
                {"quantities": "soil_moisture", "start": "2026-01-01T00:00:00Z", "limit": 100},
            ),
        ]
        with self._tirta.client() as client:
            while not self._stop_asking.wait(0.02):
                for path, wanted in questions:
                    begun_s = time.monotonic()
                    client.calls.send("GET", path, query=wanted, patient=False)
                    self.took_s.append(time.monotonic() - begun_s)
                self.rss = max(self.rss, process.memory_info().rss)

    def stop(self) -> float:
        """Stop, and return the p99. [s]"""
        self._stop_asking.set()
        self.join()
        return sorted(self.took_s)[int(0.99 * (len(self.took_s) - 1))]


def _shown_missing(client: Client, usernames: list[str]) -> int:
    found = (client.devices.gaps(name.replace("/", ":")) for name in usernames)
    return sum(gaps.missing + gaps.lost for gaps in found)


def _burst(tirta: Tirta, kept: Fleet, shed: Fleet, seconds: float) -> tuple[float, int, int]:
    """Ten times as usual; return the API's p99 [s], the most memory [bytes], and ticks of a million zones meanwhile."""
    asker = _Asker(tirta, kept.devices[0].username.replace("/", ":") + ":1")
    command = [sys.executable, "-c", _TICKS]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=root) as ticking:
        asker.start()
        kept.run_at(10 * _RATE)
        shed.run_at(10 * _RATE)
        time.sleep(seconds)
        kept.run_at(_RATE)
        shed.run_at(_RATE)
        ticking.kill()
        assert ticking.stdout is not None
        ticks = len(ticking.stdout.read())
    return asker.stop(), asker.rss, ticks


def run(conditions: Conditions) -> Findings:
    """Burst, calm down, and count."""
    with Tirta(conditions.folder) as tirta, tirta.client() as client:
        logins = dict(add_device(client, f"d-{i}", site="faults") for i in range(10))
        host, port = tirta.mqtt
        names = list(logins)
        with (
            Fleet({name: logins[name] for name in names[:5]}, host, port, outbox=True) as kept,
            Fleet({name: logins[name] for name in names[5:]}, host, port, qos=0, shed_each=50) as shed,
        ):
            kept.run_at(_RATE)
            shed.run_at(_RATE)
            time.sleep(conditions.choose(10.0, 1.0))
            api_s, rss, ticks = _burst(tirta, kept, shed, conditions.choose(60.0, 8.0))
            begun_s = time.monotonic()
            kept.run_at(0)
            shed.run_at(0)
            kept.wait_acknowledged()
            kept.wait_stored(2 * _LIVE_S)
            live_s = time.monotonic() - begun_s
            for _ in range(20):  # after the rush, one by one: numbers that go on are how a gap is seen
                for device in shed.devices:
                    device.send_next()
                time.sleep(0.05)
            for device in shed.devices:
                if device.sheds(device.seq - 1):  # a last one that is lost is not seen by anybody
                    device.send_next()
            time.sleep(2.0)
            shown = _shown_missing(client, names)
        tirta.stop()
    stored = rows_in_duckdb(tirta.data / "series.duckdb")
    counts = compare(kept.acked, stored)
    shed_truly = sum(device.sent for device in shed.devices) - sum(key[0] in names[5:] for key in stored)
    numbers = {
        **counts,
        "rss_mb": round(rss / 1e6),
        "api_p99_ms": round(api_s * 1000, 1),
        "live_again_s": round(live_s, 1),
        "million_zone_ticks": ticks,
        "qos0_shed": shed_truly,
        "qos0_counted": shown,
    }
    criteria = {
        "nothing of QoS 1 lost": counts["lost"] == 0,
        "nothing twice": counts["dup"] == 0,
        "memory under its bound": rss <= _RSS_MAX,
        "the count of QoS 0 that was shed is the true one": 0 < shed_truly == shown,
        "the API answers in half a second": api_s < _API_S,
        "live again within two minutes": live_s <= _LIVE_S,
        "rules were computed meanwhile": ticks > 0,
    }
    return Findings(numbers, criteria)


TEST = FaultTest(20, "ten times as much, and a million zones to decide", run)
