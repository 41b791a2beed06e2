# SPDX-License-Identifier: Apache-2.0
"""1: kill -9 of ingest at random times, under load. Nothing is lost, nothing is twice; a control that cheats is caught."""

from __future__ import annotations

import random
import time

from tests.faults.case import Conditions, FaultTest, Findings
from tests.faults.scene import Scene

__all__ = ["TEST"]

_LIVE_S = 10.0
_CONTROL_KILLS = 4


def _kill_often(scene: Scene, rng: random.Random, kills: int, between_s: float, rate: float) -> tuple[dict[str, int], float]:
    slowest_s = 0.0
    with scene.victim as victim, scene.fleet() as fleet:
        victim.wait_live()  # before its first subscription the broker keeps nothing for it
        fleet.run_at(rate)
        for _ in range(kills):
            slowest_s = max(slowest_s, victim.wait_live())
            time.sleep(rng.uniform(0, 2 * between_s))
            victim.kill()
            time.sleep(rng.uniform(0, 0.5))
            victim.start()
        slowest_s = max(slowest_s, victim.wait_live())
        return scene.drain_and_compare(fleet), slowest_s


def run(conditions: Conditions) -> Findings:
    """Kill it again and again."""
    kills, between_s = conditions.choose(50, 3), conditions.choose(10.0, 1.0)
    folder = conditions.folder / "real"
    folder.mkdir()
    with Scene(folder, devices=10) as scene:
        counts, slowest_s = _kill_often(scene, conditions.rng, kills, between_s, 1000.0)
    folder = conditions.folder / "control"
    folder.mkdir()
    with Scene(folder, devices=10, ack_early=True) as scene:  # a control that acknowledges before the commit
        lost_by_control = _kill_often(scene, conditions.rng, _CONTROL_KILLS, 0.3, 2000.0)[0]["lost"]
    numbers = {"kills": kills, **counts, "live_again_s": round(slowest_s, 2), "control_lost": lost_by_control}
    criteria = {
        "nothing lost": counts["lost"] == 0,
        "nothing twice": counts["dup"] == 0,
        "live again within 10 s": slowest_s <= _LIVE_S,
        "the control is caught": lost_by_control > 0,
    }
    return Findings(numbers, criteria)


TEST = FaultTest(1, "kill -9 of ingest at random times", run)
