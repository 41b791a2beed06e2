# SPDX-License-Identifier: Apache-2.0
"""7: the store is away for hours. All is held, memory does not grow, the rules notice nothing, and it is made good quickly.

Four hours of a pilot (1,000 devices, a message a minute) are 240,000 messages: in the full run as many come in a few
minutes, with `--long` in more than half an hour.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

from tests.faults.case import Conditions, FaultTest, Findings
from tests.faults.scene import Scene
from tests.servers.sink import Sink
from tests.servers.victim import Victim

__all__ = ["TEST"]

_GROWTH = 1.10
_BATCH_BYTES = 64e6  # what a batch that waits to be written takes, decoded and encoded, at most
_LATENCY = 1.20
_LATENCY_FLOOR_MS = 50.0  # below it a share says nothing: it is the machine's own unrest
_DRAIN = 3.0


def _watch(victim: Victim, seconds: float) -> tuple[float, int]:
    """Look for a while; return the median of the p99 of the way to the rules [ms] and the most memory [bytes]."""
    lags, most = [], 0
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        said = victim.status
        most = max(most, said["rss"])
        if said["lag_p99_ms"] is not None:
            lags.append(said["lag_p99_ms"])
        time.sleep(0.1)
    return median(lags), most


def _wait(question: Callable[[], bool], complaint: Callable[[], str], timeout_s: float) -> float:
    begun_s = time.monotonic()
    while not question():
        assert time.monotonic() - begun_s < timeout_s, complaint()
        time.sleep(0.05)
    return time.monotonic() - begun_s


def run(conditions: Conditions) -> Findings:
    """Publish all the time; take the store away in the middle."""
    if conditions.long:
        rate, down_s = 130.0, 1850.0
    else:
        rate, down_s = conditions.choose(1000.0, 400.0), conditions.choose(240.0, 8.0)
    with (
        Sink(conditions.folder / "sink") as sink,
        Scene(conditions.folder, devices=20, influx_url=sink.url, flush_horizon_s=5.0) as scene,
        scene.victim as victim,
        scene.fleet() as fleet,
    ):
        victim.wait_live()
        fleet.run_at(rate)
        time.sleep(conditions.choose(20.0, 3.0))
        before_ms, memory = _watch(victim, conditions.choose(30.0, 4.0))
        sink.kill(keep=True)
        _, memory_soon = _watch(victim, down_s / 4)
        down_ms, memory_down = _watch(victim, down_s * 3 / 4)
        held = victim.status["behind"]
        told = "store influxdb" in victim.status["problems"]
        rows_before = victim.status["stored_rows"]
        sink.start()
        _wait(lambda: not victim.status["problems"], lambda: f"it does not go on: {victim.status}", 60)
        drain_s = _wait(lambda: victim.status["behind"] <= 50, lambda: f"it does not drain: {victim.status}", 600)
        drained = (victim.status["stored_rows"] - rows_before) / max(drain_s, 0.05)
        fleet.run_at(0)
        fleet.wait_acknowledged()
        victim.wait_drained()
        rows, copies = sink.rows, sink.copies
    lost = {key for key in fleet.acked if key not in rows}
    numbers = {
        "down_s": down_s,
        "acked": len(fleet.acked),
        "held_bursts": held,
        "lost": len(lost),
        "dup": copies,
        "rss_mb": [round(one / 1e6) for one in (memory, memory_soon, memory_down)],
        "rule_latency_p99_ms": [round(before_ms, 1), round(down_ms, 1)],
        "drain_rate": round(drained),
        "live_rate": rate,
    }
    criteria = {
        "nothing lost": not lost,
        "nothing twice": copies == 0,
        "told": told,
        "memory grows by 10 % at most while more is held": memory_down <= _GROWTH * memory_soon,
        "and by one batch in hand at most before": memory_down <= memory + _BATCH_BYTES,
        "the rules see as fast within 20 %": down_ms <= max(_LATENCY * before_ms, _LATENCY_FLOOR_MS),
        "drained three times as fast as it comes": drained >= _DRAIN * rate,
    }
    return Findings(numbers, criteria)


TEST = FaultTest(7, "the store is away for hours", run)
