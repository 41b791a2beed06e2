# SPDX-License-Identifier: Apache-2.0
"""8: a store that answers before its disk has the rows is killed soon after; the journal gives them to it again."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.faults.case import Conditions, FaultTest, Findings
from tests.faults.scene import Scene
from tests.servers.sink import Sink

__all__ = ["TEST"]

_RATE = 300.0


def _wait(question: Callable[[], bool], complaint: Callable[[], str], timeout_s: float) -> None:
    end_s = time.monotonic() + timeout_s
    while not question():
        assert time.monotonic() < end_s, complaint()
        time.sleep(0.05)


def run(conditions: Conditions) -> Findings:
    """Kill the sink again and again; it keeps on its disk only what is older than `durable_s`."""
    durable_s = conditions.choose(20.0, 4.0)
    kills = conditions.choose([0.2, 2.0, 6.0, 15.0], [0.2, 2.0])
    forgotten = 0
    with (
        Sink(conditions.folder / "sink", durable_s=durable_s) as sink,
        Scene(conditions.folder, devices=5, influx_url=sink.url, flush_horizon_s=conditions.choose(60.0, 6.0)) as scene,
        scene.victim as victim,
        scene.fleet() as fleet,
    ):
        victim.wait_live()
        fleet.run_at(_RATE)
        for after_s in kills:
            stored = len(sink.rows)
            _wait(lambda stored=stored: len(sink.rows) > stored, lambda: f"nothing is stored: {victim.status}", 60)
            time.sleep(after_s)
            before = set(sink.rows)
            sink.kill()
            if after_s == kills[-1]:  # and ingest with it: what it remembers of its cursor must not be trusted either
                victim.kill()
                victim.start()
            time.sleep(1.0)
            sink.start()
            forgotten += len(before - set(sink.rows))
            _wait(
                lambda: not victim.status.get("problems", True) and victim.status["behind"] <= 200,
                lambda: f"it does not go on: {victim.status}",
                60,
            )
        fleet.run_at(0)
        fleet.wait_acknowledged()
        victim.wait_drained()
        rows, copies = sink.rows, sink.copies
    lost = {key for key in fleet.acked if key not in rows}
    numbers = {
        "kills": len(kills),
        "acked": len(fleet.acked),
        "stored": len(rows),
        "forgotten_by_sink": forgotten,
        "lost": len(lost),
        "dup": copies,
    }
    criteria = {"the sink forgot something": forgotten > 0, "nothing lost": not lost, "nothing twice": copies == 0}
    return Findings(numbers, criteria)


TEST = FaultTest(8, "the store says yes and is killed before it has it", run)
