# SPDX-License-Identifier: Apache-2.0
"""5: the rule engine crashes within an hour of decisions, and the journal is replayed, by simulation.

Measurements go into the product's own journal; each process of the server reads all of it anew before it decides. A crash
costs no time here, so the log of decisions must be that of an hour without one, to the last bit. Then the whole hour is
decided once more, on the database as it is and the journal from its beginning: no command may come of that. A control that
replays nothing must be caught.
"""

from __future__ import annotations

import json
import random
import sqlite3
import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gateway import load_catalogue
from gateway.topics import Address
from ingest.bursts import StoredBurst
from ingest.decode import BurstDecoder
from ingest.devices import DeviceTable
from ingest.journal import JournalConfig, SqliteJournal
from ingest.latest import LatestState
from tests.faults.case import Conditions, FaultTest, Findings
from tests.faults.simulation.many import hash_elsewhere, run_many
from tests.faults.simulation.points import Point
from tests.faults.simulation.server import ServerClock
from tests.faults.simulation.world import BED, POND, START_MS, World, memory_folder

__all__ = ["TEST", "story_hash"]

_MINUTES: Final = 60
_ENGINE: Final = ("await", "commit")
_PLANS: Final[dict[str, dict[str, Any]]] = {
    BED: {"type": "irrigation", "low": 0.22, "high": 0.24, "max_seconds": 20, "soak_s": 120, "litres_day": 4000},
    POND: {
        "type": "feeding",
        "grams_day": 4000,
        "min_gap_s": 60,
        "late_s": 120,
        "meals": [{"time": f"05:{minute:02}", "grams": 40} for minute in range(4, 60, 4)],
    },
}
# Counted by hand and not by the product's calendars: a meal every fourth minute.
_PLANNED: Final = [(POND, START_MS + minute * 60_000) for minute in range(4, 60, 4)]


class _Measured:
    """The journal and what comes of it: each process of the server makes its latest values from all of it."""

    def __init__(self, path: Path, *, replays: bool) -> None:
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        self._catalogue = load_catalogue()
        self._devices = DeviceTable()
        self._devices.put(Address("pilot", "garden"), self._catalogue.kinds["irrigation-controller"])
        self._devices.put(Address("pilot", "pond"), self._catalogue.kinds["pond-feeder"])
        self._decoder = BurstDecoder(self._devices, self._catalogue)
        self._journal = SqliteJournal(JournalConfig(path))
        self._fence = self._journal.claim(0, "hour")
        self._replays = replays
        self._latest: LatestState | None = None

    def close(self) -> None:
        """Close the journal."""
        self._journal.close()

    def anew(self, clock: ServerClock) -> LatestState:
        """Return the latest values of a process that begins: the journal is replayed."""
        self._latest = LatestState(self._devices, self._catalogue)
        bounds = self._journal.bounds(0)
        position = bounds.first if self._replays else bounds.end
        while position < bounds.end:
            for entry in self._journal.read_from(0, position, 2**22, 0.0):
                self._latest.update(self._decoder.decode(entry.position, entry.burst).rows)
                position = entry.position + 1
        return self._latest

    def take(self, now_ms: int, device: str, values: dict[str, float]) -> None:
        """Put a measurement into the journal, and then into what is known."""
        payload = json.dumps({"ts": now_ms, "zone": 1, **values}).encode()
        burst = StoredBurst(now_ms, [f"tirta/v1/pilot/{device}/telemetry"], [payload])
        position = self._journal.append(0, burst, f"{device}-{now_ms}", self._fence)
        if self._latest is not None:
            self._latest.update(self._decoder.decode(position, burst).rows)


@dataclass(frozen=True, slots=True)
class _Told:
    seed: int
    folder: str
    point: Point | None = None
    replays: bool = True
    again: bool = False


@dataclass(slots=True)
class _Lived:
    told: _Told
    hash: str
    decisions: list[tuple[Any, ...]]
    acts: list[str]
    points: list[Point]
    died: bool
    created_by_replay: int
    exec_max: int
    skipped: int
    wrong: list[str]


def live(told: _Told) -> _Lived:
    """Live through an hour, and then, where that is asked for, let all of it be decided again."""
    measured = _Measured(Path(told.folder) / "journal.sqlite", replays=told.replays)
    values = random.Random(told.seed)
    with (
        closing(measured),
        World(told.seed, Path(told.folder), plans=_PLANS, latest=measured.anew, steady=True) as world,
    ):
        points = world.server_points
        points.begin(told.point, lambda: world.kill_server(0.0))
        for minute in range(_MINUTES):
            # Between two ticks, and not within: a measurement comes at half past.
            world.timeline.run((START_MS + minute * 60_000 + 30_000 - world.timeline.now_ms) / 1000)
            now_ms = world.timeline.now_ms
            if values.random() < 0.7:
                measured.take(now_ms, "garden", {"soil_moisture": round(values.uniform(0.17, 0.28), 3)})
            if values.random() < 0.7:
                measured.take(now_ms, "pond", {"dissolved_oxygen": round(values.uniform(2.0, 7.0), 2)})
        world.timeline.run((START_MS + _MINUTES * 60_000 + 30_000 - world.timeline.now_ms) / 1000)
        decisions, acts, listed = world.decisions(), sorted(world.acts()), points.listed(most=100_000)
        died = points.died
        points.begin()
        skipped = len(world.silently_skipped(_PLANNED, world.timeline.now_ms - 300_000))
        verdict, story = world.judge(), world.timeline.hash
        return _Lived(
            told,
            story,
            decisions,
            acts,
            [point for point in listed if point[0].startswith(_ENGINE)],
            died,
            _decide_again(world, set(acts)) if told.again else 0,
            verdict.exec_max,
            skipped,
            [*verdict.contradictions, *verdict.errors],
        )


def _decide_again(world: World, before: set[str]) -> int:
    """Put the clock, and what the controller remembers of it, back by the hour; return how many acts the replay plans."""
    world.server.kill()
    with closing(sqlite3.connect(world.path)) as db, db:
        db.execute("update controller_state set last_tick_ms = ?", (START_MS - 60_000,))
    world.server.clock.wrong_ms = START_MS - world.timeline.now_ms
    world.server.start()
    world.timeline.run(_MINUTES * 60.0)
    return len(set(world.acts()) - before)


def story_hash(seed: int) -> str:
    """Return the hash of one hour."""
    with memory_folder(Path(tempfile.gettempdir())) as folder:
        return live(_Told(seed, str(folder), ("commit: before", 30))).hash


def _own(told: _Told) -> _Lived:
    """Live in a folder of its own, for the journal's file."""
    with memory_folder(Path(told.folder)) as folder:
        return live(_Told(told.seed, str(folder), told.point, told.replays, told.again))


def run(conditions: Conditions) -> Findings:
    """Live an hour without a crash, then with one at each step, or at some."""
    folder = str(conditions.folder)
    whole = _own(_Told(conditions.seed, folder, again=True))
    chosen = conditions.rng.sample(whole.points, min(conditions.choose(1000, 3), len(whole.points)))
    lives = run_many(
        _own,
        [_Told(conditions.seed, folder, point, again=i % 10 == 9) for i, point in enumerate(chosen)],
        here=conditions.quick,
    )
    # Crashed in the middle of the hour, with all that was measured before it forgotten.
    middle = (_Told(conditions.seed, folder, ("commit: before", nth), replays=False) for nth in range(40, 60))
    caught = any(_own(told).decisions != whole.decisions for told in middle)
    hashes = {story_hash(conditions.seed), hash_elsewhere(__name__, conditions.seed)}
    other = [one.told.point for one in lives if one.decisions != whole.decisions or one.acts != whole.acts]
    wrong = [text for one in lives for text in one.wrong]
    numbers = {
        "steps": len(whole.points),
        "crashes": sum(one.died for one in lives),
        "decisions": len(whole.decisions),
        "acts": len(whole.acts),
        "other_logs": len(other),
        "other_first": other[:3],
        "created_by_replay": sum(one.created_by_replay for one in [whole, *lives]),
        "exec_max": max(one.exec_max for one in lives),
        "silently_skipped": sum(one.skipped for one in [whole, *lives]),
        "wrong": wrong[:5],
        "hashes": len(hashes),
        "control_other_log": caught,
    }
    criteria = {
        "the log of decisions is the same to the last bit": not other,
        "no command by replaying": numbers["created_by_replay"] == 0,
        "executed at most once": numbers["exec_max"] <= 1,
        "nothing silently skipped": numbers["silently_skipped"] == 0,
        "the ledger contradicts nothing that moved": not wrong,
        "nine tenths of the crashes happened": numbers["crashes"] >= 0.9 * len(lives),
        "the same seed is the same story": len(hashes) == 1,
        "the control is caught": caught,
    }
    return Findings(numbers, criteria)


TEST = FaultTest(5, "the rule engine crashes and its journal is replayed", run)
