# SPDX-License-Identifier: Apache-2.0
"""10: the journal's volume is full, then answers EIO. Nothing is acknowledged meanwhile, and all goes on by itself."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from tests.faults.case import Conditions, FaultTest, Findings
from tests.faults.scene import Scene, small_volume

__all__ = ["TEST"]

_MIB = 48
_TOLD_S = 2.0
_RECOVERED_S = 30.0


def _wait(question: Callable[[], bool], complaint: Callable[[], str], timeout_s: float = 30.0) -> float:
    begun_s = time.monotonic()
    while not question():
        assert time.monotonic() - begun_s < timeout_s, complaint()
        time.sleep(0.02)
    return time.monotonic() - begun_s


def _outage(conditions: Conditions, name: str, begin: Callable[[Path], None], end: Callable[[Path], None]) -> dict[str, float]:
    """Let devices publish before, during and after the outage; look at the process all the time."""
    folder = conditions.folder / name
    folder.mkdir()
    with (
        small_volume(folder / "volume", _MIB) as volume,
        Scene(folder, devices=5, data=volume, failing_sync=name == "eio") as scene,
        scene.victim as victim,
        scene.fleet() as fleet,
    ):
        victim.wait_live()
        process = victim.process
        fleet.run_at(300)
        time.sleep(conditions.choose(5.0, 1.0))
        begin(scene.data)
        failed = _wait(lambda: "journal" in victim.status["problems"], lambda: f"no problem is told: {victim.status}")
        time.sleep(0.3)
        acks = victim.status["acks_sent"]
        time.sleep(conditions.choose(60.0, 2.0))
        acks_meanwhile = victim.status["acks_sent"] - acks
        end(scene.data)
        took = _wait(
            lambda: not victim.status["problems"] and victim.status["acks_sent"] > acks,
            lambda: f"it does not recover: {victim.status} {victim.log[-1500:]}",
            2 * _RECOVERED_S,
        )
        time.sleep(1.0)
        same = victim.alive and victim.process is process
        counts = scene.drain_and_compare(fleet)
    return {**counts, "told_s": failed, "acks_meanwhile": acks_meanwhile, "recovered_s": took, "restarts": int(not same)}


def _fill(data: Path) -> None:
    """Take all room, down to the last block."""
    with (data / "ballast").open("wb", buffering=0) as file:
        for size in (2**20, 4096, 1):
            try:
                while file.write(b"\0" * size):
                    pass
            except OSError:
                continue


def run(conditions: Conditions) -> Findings:
    """Do one after the other."""
    full = _outage(conditions, "enospc", _fill, lambda data: (data / "ballast").unlink())
    broken = _outage(conditions, "eio", lambda data: (data / "eio").touch(), lambda data: os.unlink(data / "eio"))
    both = (full, broken)
    numbers = {
        "lost": sum(one["lost"] for one in both),
        "dup": sum(one["dup"] for one in both),
        "acks_meanwhile": [one["acks_meanwhile"] for one in both],
        "told_s": [round(one["told_s"], 2) for one in both],
        "recovered_s": [round(one["recovered_s"], 2) for one in both],
    }
    criteria = {
        "nothing lost": numbers["lost"] == 0,
        "nothing twice": numbers["dup"] == 0,
        "no acknowledgement after the error": not any(numbers["acks_meanwhile"]),
        "told within 2 s": max(numbers["told_s"]) <= _TOLD_S,
        "goes on by itself within 30 s": max(numbers["recovered_s"]) <= _RECOVERED_S,
        "no restart": not any(one["restarts"] for one in both),
    }
    return Findings(numbers, criteria)


TEST = FaultTest(10, "the journal's disk is full, then broken", run)
