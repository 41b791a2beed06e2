# SPDX-License-Identifier: Apache-2.0
"""15: the server is killed at each step of a command's way, a thousand times each, by simulation.

The steps are listed by the harness: each time that a coroutine goes on after an await, each commit (before and after it),
each message on its way. Beside it the broker delivers twice and late, and clients ask again under their key. Controls: a
device without a ledger, and a server that a kill costs its last two commits, as if it had sent before committing.
"""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from gateway.messages import Command
from simulators.device import VirtualDevice
from tests.faults.case import Conditions, FaultTest, Findings
from tests.faults.simulation.broker import Mishaps
from tests.faults.simulation.many import hash_elsewhere, run_many
from tests.faults.simulation.points import Point, awaits_in_code
from tests.faults.simulation.timeline import SECOND_US
from tests.faults.simulation.world import BED, BED_BY_HAND, POND, START_MS, World, memory_folder

__all__ = ["TEST", "ForgetfulDevice", "story_hash"]

_QUICK_STEPS: Final = 48  # of a shortened run, in an order left to chance
_PER_WORLD: Final = 12  # commands, each with a kill; then a fresh world
_TERMINAL_S: Final = 60.0  # after contact every command has its end
_PATIENCE_S: Final = 1500.0  # after which a command that has none is given up
_EVERY_MS: Final = 120_000  # from one planned run to the next
_LATE_S: Final = 120
_STARTS: Final = 48
_ON_THE_WAY: Final = ("control/controller.py", "control/sending.py", "control/database.py")
_TIMER: Final[dict[str, Any]] = {
    "type": "timer",
    "litres_day": 4000,
    "min_seconds": 1,
    "missed": "late",
    "late_s": _LATE_S,
    "starts": [{"time": f"{5 + (2 + 2 * i) // 60:02}:{(2 + 2 * i) % 60:02}", "seconds": 5} for i in range(_STARTS)],
}
# Counted by hand and not by the product's calendars: every second minute from 05:02 on, one run.
_PLANNED: Final = [(BED, START_MS + 120_000 + i * _EVERY_MS) for i in range(_STARTS)]


class ForgetfulDevice(VirtualDevice):
    """A control: a board that forgets what it did, and which number it took."""

    def _take_command(self, command: Command) -> None:
        self._memory.write("delete from ledger where device = ? and state != 'running'")
        self._memory.keep("n", 0)
        super()._take_command(command)


def _by_hand(world: World) -> None:
    world.ask(BED_BY_HAND, "irrigate", seconds=5.0)


def _meal(world: World) -> None:
    world.ask(POND, "feed", grams=20.0)


def _stopped(world: World) -> None:
    world.ask(BED_BY_HAND, "irrigate", seconds=40.0)
    world.timeline.run(3.0)
    world.stop(BED_BY_HAND)


def _planned(world: World) -> None:
    world.timeline.run((-world.timeline.now_ms % _EVERY_MS) / 1000 + 0.2)


def _unheard(world: World) -> None:
    """The device's words are lost for a while."""
    world.broker.mishaps.loses = lambda topic, payload: topic.endswith("garden/ack")
    world.timeline.after(20.0, lambda: setattr(world.broker.mishaps, "loses", lambda topic, payload: False))
    world.ask(BED_BY_HAND, "irrigate", seconds=5.0)


def _away(world: World) -> None:
    """The device is away when it is asked for, and comes back."""
    garden = world.fields["garden"]
    garden.lose_link()
    world.ask(BED_BY_HAND, "irrigate", seconds=5.0)
    garden.connect_after(20.0)


_KINDS: Final[dict[str, Callable[[World], None]]] = {
    "by hand": _by_hand,
    "a meal by hand": _meal,
    "stopped": _stopped,
    "planned": _planned,
    "unheard": _unheard,
    "device away": _away,
}


@dataclass(frozen=True, slots=True)
class Job:
    """A command, and where the server is killed; None for nowhere."""

    kind: str
    point: Point | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """One world to live through."""

    seed: int
    jobs: tuple[Job, ...]
    folder: str
    control: str = ""


@dataclass(slots=True)
class Lived:
    """What came of one world.

    Attributes
    ----------
    points : dict
        Of each kind, the steps it took where nobody died.
    kills : Counter
        Steps at which the server was killed.
    slowest_s : float
        From contact to the end of the command that took longest. [s]
    """

    seed: int
    hash: str = ""
    commands: int = 0
    executions: int = 0
    exec_max: int = 0
    skipped: int = 0
    slowest_s: float = 0.0
    wrong: list[str] = field(default_factory=list)
    kills: Counter[Point] = field(default_factory=Counter)
    points: dict[str, list[Point]] = field(default_factory=dict)
    lines: set[str] = field(default_factory=set)


def live(told: Told) -> Lived:
    """Live through one world and judge it."""
    lived = Lived(told.seed)
    options: dict[str, Any] = {"devices": ForgetfulDevice} if told.control == "forgetful device" else {}
    options["forgets_commits"] = told.control == "sends before it commits"
    mishaps = Mishaps(twice=0.15, late=0.1)
    with World(told.seed, Path(told.folder), plans={BED: _TIMER}, mishaps=mishaps, **options) as world:
        for job in told.jobs:
            _do(world, job, lived)
        lived.lines = world.server_points.lines
        verdict = world.judge()
        if not told.control:
            lived.skipped = len(world.silently_skipped(_PLANNED, world.timeline.now_ms - (_LATE_S + 180) * 1000))
        lived.hash, lived.executions, lived.exec_max = world.timeline.hash, verdict.executions, verdict.exec_max
        lived.wrong += [*verdict.contradictions, *verdict.errors]
    return lived


def _do(world: World, job: Job, lived: Lived) -> None:
    """Do one command, killing the server at its point, and wait for its end."""
    rng = world.random
    away_s = rng.choice((rng.uniform(0.05, 3.0), rng.uniform(0.05, 3.0), rng.uniform(3.0, 60.0), rng.uniform(60.0, 400.0)))
    world.server_points.begin(job.point, lambda: world.kill_server(away_s))
    _KINDS[job.kind](world)
    begun_us = world.timeline.now_us
    ended = world.timeline.run_until(world.settled, _PATIENCE_S)
    lived.commands += 1
    if job.point is None:
        lived.points[job.kind] = world.server_points.listed(most=1000)
    elif world.server_points.died:
        lived.kills[job.point] += 1
    if not ended:
        lived.wrong.append(f"{job}: no end: {[(act.action, act.state) for act in world.open_acts()]}")
        return
    issued_us = max((act.issued_ms * 1000 for act in world.acts().values()), default=begun_us)
    since_us = max(begun_us, world.contact_us, issued_us)
    took_s = (world.timeline.now_us - since_us) / SECOND_US
    lived.slowest_s = max(lived.slowest_s, took_s)


def _listed(conditions: Conditions, folder: Path) -> tuple[dict[Point, list[str]], set[str]]:
    """Return every step with the kinds of command that take it, and the lines with an await that were met."""
    runs = conditions.choose(8, 3)
    jobs = tuple(Job(kind) for kind in _KINDS)
    lives = [live(Told(conditions.seed + number, jobs, str(folder))) for number in range(runs)]
    assert not any(lived.wrong for lived in lives), [lived.wrong for lived in lives]
    found: dict[Point, list[str]] = {}
    for kind in _KINDS:
        # How often a place is reached differs with what chance makes of the way; a step is what each of them took.
        for point in set.intersection(*(set(lived.points[kind]) for lived in lives)):
            found.setdefault(point, []).append(kind)
    return found, set().union(*(lived.lines for lived in lives))


def _worlds(conditions: Conditions, points: dict[Point, list[str]], each: int, folder: Path, control: str = "") -> list[Told]:
    """Share the kills among worlds: each step so many times, in an order left to chance."""
    rng = random.Random(conditions.seed)
    jobs = [Job(rng.choice(points[point]), point) for point in sorted(points) for _ in range(each)]
    rng.shuffle(jobs)
    parts = [tuple(jobs[at : at + _PER_WORLD]) for at in range(0, len(jobs), _PER_WORLD)]
    return [Told(conditions.seed + 1000 + number, part, str(folder), control) for number, part in enumerate(parts)]


def story_hash(seed: int) -> str:
    """Live through one world with kills and return the hash of all that happened."""
    jobs = tuple(Job(kind, ("commit: after", 3)) for kind in _KINDS)
    with memory_folder(Path(tempfile.gettempdir())) as folder:
        return live(Told(seed, jobs, str(folder))).hash


def run(conditions: Conditions) -> Findings:
    """List the steps, kill at each of them, and try the controls."""
    with memory_folder(conditions.folder) as folder:
        points, lines = _listed(conditions, folder)
        each = conditions.choose(1000, 1)
        taken = dict(conditions.rng.sample(sorted(points.items()), _QUICK_STEPS)) if conditions.quick else points
        worlds = _worlds(conditions, taken, each, folder)
        results = run_many(live, worlds, here=conditions.quick)
        controls = {
            "forgetful device": [Job(kind, ("commit: after", 3)) for kind in _KINDS] * 2,
            "sends before it commits": [Job("by hand", ("send command: confirmed", 1))] * 6,
        }
        tried = {
            name: [live(Told(conditions.seed + i, tuple(jobs), str(folder), name)) for i in range(conditions.choose(10, 1))]
            for name, jobs in controls.items()
        }
    seed = conditions.seed
    hashes = {story_hash(seed), story_hash(seed), hash_elsewhere(__name__, seed)}
    return _findings(points, taken, lines, results, tried, hashes, each)


def _findings(
    points: dict[Point, list[str]],
    taken: dict[Point, list[str]],
    lines: set[str],
    results: list[Lived],
    controls: dict[str, list[Lived]],
    hashes: set[str],
    each: int,
) -> Findings:
    kills = sum((one.kills for one in results), Counter[Point]())
    wrong = [f"seed {one.seed}: {text}" for one in results for text in one.wrong]
    awaits = set().union(*(awaits_in_code(module) for module in _ON_THE_WAY))
    slowest_s = max(one.slowest_s for one in results)
    numbers: dict[str, Any] = {
        "steps": len(points),
        "places": len({place for place, _ in points}),
        "awaits": len(lines & awaits),
        "awaits_in_code": len(awaits),
        "commits": max((nth for place, nth in points if place == "commit: after"), default=0),
        "kills": sum(kills.values()),
        "kills_least": min((kills[point] for point in taken), default=0),
        "steps_never_reached": sum(not kills[point] for point in taken),
        "commands": sum(one.commands for one in results),
        "executions": sum(one.executions for one in results),
        "exec_max": max(one.exec_max for one in results),
        "silently_skipped": sum(one.skipped for one in results),
        "terminal_s": round(slowest_s, 1),
        "awaits_elsewhere": sorted(awaits - lines),
        "wrong": len(wrong),
        "wrong_first": wrong[:5],
        "hashes": len(hashes),
    }
    for control, lives in controls.items():
        numbers[f"control_{control.replace(' ', '_')}"] = {
            "exec_max": max(one.exec_max for one in lives),
            "wrong": sum(len(one.wrong) for one in lives),
            "terminal_s": max(one.slowest_s for one in lives),
        }
    criteria = {
        "executed at most once": numbers["exec_max"] <= 1,
        "the ledger contradicts nothing that moved": not wrong,
        "nothing silently skipped": numbers["silently_skipped"] == 0,
        "every command has its end within 60 s of contact": slowest_s <= _TERMINAL_S,
        "nine tenths of the kills happened": numbers["kills"] >= 0.9 * each * len(taken),
        "the same seed is the same story": len(hashes) == 1,
        "the control without a ledger is caught": max(one.exec_max for one in controls["forgetful device"]) > 1,
        "the control that sends before it commits is caught": any(
            one.exec_max > 1 or one.wrong for one in controls["sends before it commits"]
        ),
    }
    return Findings(numbers, criteria)


TEST = FaultTest(15, "the server is killed at each step of a command", run)
