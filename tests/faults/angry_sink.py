# SPDX-License-Identifier: Apache-2.0
"""9: the store complains: one line in thousands that it can never take, 413, 429, 503, silence, resets, 401.

The device that sends the bad lines sends a good one after each, so that the bad one stands between good ones of its own series.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.faults.case import Conditions, FaultTest, Findings
from tests.faults.oracle import Fleet, telemetry
from tests.faults.scene import Scene
from tests.servers.sink import BAD_VALUE, Sink

__all__ = ["TEST"]

_RATE = 500.0
_LATE_S = 30.0  # from the broker's acknowledgement to the store, for everybody else while bad lines are looked for
_ATTEMPTS_PER_S = 4.0  # at a store that refuses; more would be no waiting
_COMPLAINT = "told not to take this value"


def _wait(question: Callable[[], bool], complaint: Callable[[], str], timeout_s: float) -> float:
    begun_s = time.monotonic()
    while not question():
        assert time.monotonic() - begun_s < timeout_s, complaint()
        time.sleep(0.05)
    return time.monotonic() - begun_s


def _provoke(scene: Scene, crooked: Fleet, bad: int, pause_s: float) -> float:
    """Send lines that the sink can never take, under load; return when all of them were found. [s since the Unix epoch]"""
    device = crooked.devices[0]
    for seq in range(0, 2 * bad, 2):
        time.sleep(pause_s)
        device.publish_raw(json.dumps({**telemetry(1, seq), "soil_moisture": BAD_VALUE}).encode())
        device.publish_raw(json.dumps(telemetry(1, seq + 1)).encode())
    crooked.wait_acknowledged()
    victim = scene.victim
    _wait(lambda: victim.status["refused_rows"] >= bad, lambda: f"the bad lines are not found: {victim.status}", 30)
    return time.time()


def _endure(scene: Scene, sink: Sink, mode: str, seconds: float, **more: Any) -> tuple[bool, int, int]:
    """Let the sink be so for a while, then well again.

    Returns whether the trouble was told meanwhile, how often it was tried again, and how many rows it took all the same.
    """
    retries, rows = scene.victim.status["retries"], len(sink.rows)
    sink.be(mode, **more)
    end_s = time.monotonic() + seconds
    told = False
    while time.monotonic() < end_s:
        told |= "store influxdb" in scene.victim.status["problems"]
        time.sleep(0.05)
    if mode == "401":  # somebody has to correct that, so it is an alarm at once
        victim = scene.victim
        _wait(lambda: "store-refused" in victim.status["alarms"], lambda: f"401 is no alarm: {victim.status}", 60.0)
    retries, rows = scene.victim.status["retries"] - retries, len(sink.rows) - rows
    sink.be("ok")
    _wait(
        lambda: scene.victim.status["behind"] <= 100 and not scene.victim.status["problems"],
        lambda: f"after {mode} it does not go on: {scene.victim.status}",
        60.0,
    )
    return told, retries, rows


def _kept_for_the_store(path: Path) -> set[int]:
    """Return the numbers of the records in quarantine for what the store said; nothing else may be there."""
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
        found = db.execute("select device, seq, reason, detail from record").fetchall()
    strange = [one for one in found if one[0] != "d-5" or one[2] != "store-refused" or _COMPLAINT not in one[3]]
    assert not strange, f"in quarantine, and not for what the store said: {strange[:3]}"
    return {seq for _, seq, _, _ in found}


def run(conditions: Conditions) -> Findings:
    """Do one after the other under load; the bad line comes from a device of its own."""
    seconds, stall_s = conditions.choose(20.0, 1.5), conditions.choose(30.0, 6.0)
    bad = conditions.choose(20, 3)
    endured: dict[str, tuple[bool, int, int]] = {}
    with (
        Sink(conditions.folder / "sink") as sink,
        Scene(conditions.folder, devices=6, influx_url=sink.url, alarms=True) as scene,
        scene.victim as victim,
        scene.fleet(count=5) as fleet,
        scene.fleet(first=5) as crooked,
    ):
        victim.wait_live()
        fleet.run_at(_RATE)
        picky_until_s = _provoke(scene, crooked, bad, conditions.choose(1.0, 0.3))
        for mode in ("413", "429", "503", "reset", "401"):
            endured[mode] = _endure(scene, sink, mode, seconds)
        endured["stall"] = _endure(scene, sink, "stall", stall_s, stall_s=stall_s)
        fleet.run_at(0)
        fleet.wait_acknowledged()
        victim.wait_drained()
        refused = victim.status["refused_rows"]
        rows, copies = sink.rows, sink.copies
        victim.stop()
    kept = _kept_for_the_store(scene.data / "quarantine.sqlite")
    name = crooked.devices[0].username
    good = fleet.acked | {(name, 1, seq) for seq in range(1, 2 * bad, 2)}
    lost = good - rows.keys()
    delays_s = [rows[key] - at for key, at in fleet.acked_at.items() if at < picky_until_s and key in rows]
    told = {mode: one[0] for mode, one in endured.items()}
    retries = {mode: one[1] for mode, one in endured.items()}
    numbers = {
        "acked": len(fleet.acked),
        "stored": len(rows),
        "lost": len(lost),
        "dup": copies,
        "bad": bad,
        "refused": refused,
        "kept_with_reason": len(kept),
        "longest_beside_bad_lines_s": round(max(delays_s), 1),
        "told": told,
        "retries": retries,
    }
    criteria = {
        "every good row stored": not lost,
        "nothing twice": copies == 0,
        "nothing stored that nobody sent": rows.keys() <= good,  # of the bad lines none is there
        "the bad lines found, and only they": refused == bad,
        "and kept in quarantine with the store's reason": kept == set(range(0, 2 * bad, 2)),
        "nobody else late beside the bad lines": max(delays_s) <= _LATE_S,
        "trouble told": all(told[mode] for mode in ("429", "503", "401", "reset", "stall")),
        "a store that refuses is given time": all(
            count <= 5 + _ATTEMPTS_PER_S * seconds for mode, count in retries.items() if mode != "413"
        ),
        "a store that takes small bodies only is given small ones": endured["413"][2] > 0,
    }
    return Findings(numbers, criteria)


TEST = FaultTest(9, "the store complains in every way", run)
