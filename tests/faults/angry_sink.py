# SPDX-License-Identifier: Apache-2.0
"""9: the store complains: one line in thousands that it can never take, 413, 429, 503, silence, resets, 401."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.faults.case import Conditions, FaultTest, Findings
from tests.faults.oracle import telemetry
from tests.faults.scene import Scene
from tests.servers.sink import BAD_VALUE, Sink

__all__ = ["TEST"]

_RATE = 500.0
_LATE_S = 30.0


def _wait(question: Callable[[], bool], complaint: Callable[[], str], timeout_s: float) -> float:
    begun_s = time.monotonic()
    while not question():
        assert time.monotonic() - begun_s < timeout_s, complaint()
        time.sleep(0.05)
    return time.monotonic() - begun_s


def _endure(scene: Scene, sink: Sink, mode: str, seconds: float, **more: Any) -> bool:
    """Let the sink be so for a while, then well again; return whether the trouble was told meanwhile."""
    sink.be(mode, **more)
    end_s = time.monotonic() + seconds
    told = False
    while time.monotonic() < end_s:
        told |= "store influxdb" in scene.victim.status["problems"]
        time.sleep(0.05)
    sink.be("ok")
    _wait(
        lambda: scene.victim.status["behind"] <= 100 and not scene.victim.status["problems"],
        lambda: f"after {mode} it does not go on: {scene.victim.status}",
        60.0,
    )
    return told


def _kept_for_the_store(path: Path) -> int:
    """Count the records in quarantine, each with a reason and what the store said."""
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
        found = db.execute("select count(distinct seq) from record where device = 'd-5' and reason != '' and detail != ''")
        return int(found.fetchone()[0])


def run(conditions: Conditions) -> Findings:
    """Do one after the other under load; the bad line comes from a device of its own."""
    seconds, stall_s = conditions.choose(20.0, 1.5), conditions.choose(30.0, 6.0)
    told: dict[str, bool] = {}
    with (
        Sink(conditions.folder / "sink") as sink,
        Scene(conditions.folder, devices=6, influx_url=sink.url) as scene,
        scene.victim as victim,
        scene.fleet(count=5) as fleet,
        scene.fleet(first=5) as crooked,
    ):
        victim.wait_live()
        fleet.run_at(_RATE)
        sink.be("picky")
        bad = conditions.choose(20, 3)
        for seq in range(bad):
            time.sleep(conditions.choose(1.0, 0.3))
            record = {**telemetry(1, seq), "soil_moisture": BAD_VALUE}
            crooked.devices[0].publish_raw(json.dumps(record).encode())
        _wait(lambda: victim.status["refused_rows"] >= bad, lambda: f"the bad lines are not found: {victim.status}", 30)
        for mode in ("413", "429", "503", "reset", "401"):
            told[mode] = _endure(scene, sink, mode, seconds)
        told["stall"] = _endure(scene, sink, "stall", stall_s, stall_s=stall_s)
        fleet.run_at(0)
        fleet.wait_acknowledged()
        victim.wait_drained()
        refused = victim.status["refused_rows"]
        rows, copies = sink.rows, sink.copies
        victim.stop()
    kept = _kept_for_the_store(scene.data / "quarantine.sqlite")
    lost = {key for key in fleet.acked if key not in rows}
    numbers = {
        "acked": len(fleet.acked),
        "stored": len(rows),
        "lost": len(lost),
        "dup": copies,
        "bad": bad,
        "refused": refused,
        "kept_with_reason": kept,
        "told": told,
    }
    criteria = {
        "every good row stored": not lost,
        "nothing twice": copies == 0,
        "the bad lines found, and only they": refused == bad,
        "and kept in quarantine with the store's reason": kept == bad,
        "trouble told": all(told[mode] for mode in ("429", "503", "401", "reset")),
    }
    return Findings(numbers, criteria)


TEST = FaultTest(9, "the store complains in every way", run)
