# SPDX-License-Identifier: Apache-2.0
"""4: the broker dies with a full queue. Asked to stop it loses nothing; killed, only what devices without an outbox sent,
and that is counted exactly."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

from tests.faults.case import Conditions, FaultTest, Findings
from tests.faults.oracle import compare, rows_in_duckdb
from tests.faults.scene import Scene

__all__ = ["TEST"]

_TOLD_S = 60.0
_KEEP_ALIVE_S = 2


def _terminated(conditions: Conditions, count: int) -> dict[str, int]:
    """Fill the queue while ingest is away, end the broker by SIGTERM, start it again."""
    folder = conditions.folder / "term"
    folder.mkdir()
    with Scene(folder, devices=5) as scene:
        scene.start_victim_once()
        with scene.fleet() as fleet:
            fleet.publish(count)
            scene.broker.stop(signal.SIGTERM)
            scene.broker.start()
            scene.victim.start()
            scene.victim.wait_live()
            return scene.drain_and_compare(fleet, timeout_s=180)


def _killed(conditions: Conditions, count: int) -> tuple[dict[str, int], dict[str, int], float]:
    """Fill the queue while ingest is paused, kill the broker; return outbox devices, plain devices, and when it was told."""
    folder = conditions.folder / "kill"
    folder.mkdir()
    with (
        Scene(folder, devices=6, keep_alive_s=_KEEP_ALIVE_S) as scene,
        scene.victim as victim,
        scene.fleet(0, 3, outbox=True) as keeping,
        scene.fleet(3, 3) as plain,
    ):
        victim.wait_live()
        for fleet in (keeping, plain):
            fleet.publish(300)
        victim.wait_drained()
        victim.signal(signal.SIGSTOP)
        time.sleep(2 * _KEEP_ALIVE_S)  # the broker gives the connection up, so that it queues and no socket does
        for fleet in (keeping, plain):
            fleet.publish(count // 2)
        scene.broker.stop(signal.SIGKILL)
        victim.signal(signal.SIGCONT)
        scene.broker.start()
        begun_s = time.monotonic()
        _wait(lambda: victim.status["sessions_lost"] > 0, "the loss of the session is not told")
        told_s = time.monotonic() - begun_s
        for fleet in (keeping, plain):
            _wait(lambda fleet=fleet: all(device.connected for device in fleet.devices), "the devices do not come back")
            fleet.publish(30)  # numbers that go on are how a gap is seen
        keeping.wait_stored(120)
        victim.wait_drained(120)
        told = victim.status["missing"]
        victim.stop()
        stored = rows_in_duckdb(scene.data / "series.duckdb")
        kept = compare(keeping.acked, {key: value for key, value in stored.items() if key[0] in scene.names[:3]})
        bare = compare(plain.acked, {key: value for key, value in stored.items() if key[0] in scene.names[3:]})
        counted = sum(told.get(name, 0) for name in scene.names)
        return kept, {"true_loss": bare["lost"], "counted_loss": counted, "dup": bare["dup"]}, told_s


def _wait(question: Callable[[], bool], complaint: str, timeout_s: float = 60.0) -> None:
    end_s = time.monotonic() + timeout_s
    while not question():
        assert time.monotonic() < end_s, complaint
        time.sleep(0.05)


def run(conditions: Conditions) -> Findings:
    """Do both."""
    count = conditions.choose(100_000, 4_000)
    asked = _terminated(conditions, count)
    kept, plain, told_s = _killed(conditions, count)
    numbers = {
        "undrained": count,
        "lost": asked["lost"] + kept["lost"],
        "dup": asked["dup"] + kept["dup"] + plain["dup"],
        "lost_of_plain_devices": plain["true_loss"],
        "counted_and_shown": plain["counted_loss"],
        "told_after_s": round(told_s, 1),
    }
    criteria = {
        "SIGTERM loses nothing": asked["lost"] == 0,
        "kill -9 loses nothing of devices with an outbox": kept["lost"] == 0,
        "nothing twice": numbers["dup"] == 0,
        "the control loses something": plain["true_loss"] > 0,
        "the count shown is the true loss": plain["counted_loss"] == plain["true_loss"],
        "told within 60 s": told_s <= _TOLD_S,
    }
    return Findings(numbers, criteria)


TEST = FaultTest(4, "the broker dies with a full queue", run)
