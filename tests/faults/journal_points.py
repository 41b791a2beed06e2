# SPDX-License-Identifier: Apache-2.0
"""2: a crash at every point of the way to the store, listed by the harness itself; the next start must make good all of it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from ingest.bursts import StoredBurst
from ingest.journal import JournalConfig, SqliteJournal
from tests.faults.case import Conditions, FaultTest, Findings

__all__ = ["TEST"]

_WORKERS = 2
_QUICK_STEP = 350  # a shortened run takes each so-manieth point
_BURST = 2 * 2**20  # [bytes]
_START_S_PER_GB = 5.0


def _worker(log: Path, *told: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.faults.points_worker", *told]
    with log.open("wb") as out:
        return subprocess.Popen(command, stdout=out, stderr=out, cwd=Path(__file__).parents[2])


def _crash_everywhere(folder: Path, step: int, timeout_s: float) -> tuple[int, list[dict[str, Any]]]:
    """List the points, share them among some processes; return how many there are and what came of those tried."""
    points = folder / "points.json"
    lister = _worker(folder / "list.log", str(folder / "list"), str(points))
    assert lister.wait(180) == 0, (folder / "list.log").read_text()[-2000:]
    reports = [folder / f"report-{i}.jsonl" for i in range(_WORKERS)]
    workers = []
    for i, report in enumerate(reports):
        told = (str(folder / f"worker-{i}"), str(points), str(i * step), str(_WORKERS * step), str(report))
        workers.append(_worker(folder / f"worker-{i}.log", *told))
    try:
        for i, worker in enumerate(workers):
            assert worker.wait(timeout_s) == 0, (folder / f"worker-{i}.log").read_text()[-2000:]
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    results = [json.loads(line) for report in reports for line in report.read_text().splitlines()]
    return len(json.loads(points.read_text())), results


def _start_s_per_gb(folder: Path, mib: int) -> float:
    """Fill a journal and open it again; return the seconds a gigabyte takes."""
    config = JournalConfig(folder / "journal.sqlite")
    journal = SqliteJournal(config)
    fence = journal.claim(0, "first")
    for i in range(mib * 2**20 // _BURST):
        journal.append(0, StoredBurst(1, ["tirta/v1/a/b/telemetry"], [i.to_bytes(8) * (_BURST // 8)]), f"b-{i}", fence)
    size = journal.bounds(0).size
    begun_s = time.monotonic()
    again = SqliteJournal(config)
    again.claim(0, "second")
    took_s = time.monotonic() - begun_s
    again.close()
    journal.close()
    return took_s / (size / 1e9)


def run(conditions: Conditions) -> Findings:
    """Crash, start again, compare; at each point."""
    listed, results = _crash_everywhere(
        conditions.folder, conditions.choose(1, _QUICK_STEP), conditions.choose(3 * 3600.0, 240.0)
    )
    start_s = _start_s_per_gb(conditions.folder, conditions.choose(1024, 64))
    refused = [result["point"] for result in results if result.get("refused")]
    bad = [r["point"] for r in results if not r.get("refused") and (r["lost"] or r["dup"] or r["poison_lost"])]
    numbers = {
        "points": listed,
        "tried": len(results),
        "crashed": sum(result["crashed"] for result in results),
        "lost": sum(result.get("lost", 0) for result in results),
        "dup": sum(result.get("dup", 0) for result in results),
        "refused": len(refused),
        "bad_points": (bad + refused)[:10],
        "start_s": round(max((result.get("start_s", 0.0) for result in results), default=0.0), 2),
        "start_s_per_gb": round(start_s, 2),
    }
    criteria = {
        "every point tried": len(results) == listed or conditions.quick,
        "at least nine tenths of them reached": numbers["crashed"] >= 0.9 * len(results),
        "nothing lost, nothing twice, no poison lost": not bad,
        "no file refused": not refused,
        "start under 5 s a gigabyte": start_s < _START_S_PER_GB,
    }
    return Findings(numbers, criteria)


TEST = FaultTest(2, "a crash at every point of the journal's way", run)
