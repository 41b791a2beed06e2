# SPDX-License-Identifier: Apache-2.0
"""16: the device's power is cut at every point between taking a command and having told its end, by simulation.

The points are listed by the harness: before and after each write to the device's memory and each of its commits, each
switch of a valve or motor, each message. Valves are of the latching sort. A control that forgets what it began must be
caught.
"""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from simulators.device import VirtualDevice
from simulators.memory import Memory
from tests.faults.case import Conditions, FaultTest, Findings
from tests.faults.simulation.broker import Mishaps
from tests.faults.simulation.many import hash_elsewhere, run_many
from tests.faults.simulation.points import Point
from tests.faults.simulation.world import BED_BY_HAND, POND, World, memory_folder

__all__ = ["TEST", "story_hash"]

_PER_WORLD: Final = 8
_REPORTED_S: Final = 10.0  # after it has power again
_GRAMS: Final = 20.0


class _Amnesic(VirtualDevice):
    """A control: a board that knows nothing after a restart."""

    def __init__(self, address: Any, machine: Any, memory: Memory, *told: Any, **named: Any) -> None:
        memory.write("delete from ledger where device = ?")
        memory.keep("n", 0)
        super().__init__(address, machine, memory, *told, **named)


@dataclass(frozen=True, slots=True)
class _Told:
    seed: int
    jobs: tuple[tuple[str, Point | None], ...]
    folder: str
    amnesic: bool = False


@dataclass(slots=True)
class _Lived:
    hash: str = ""
    executions: int = 0
    exec_max: int = 0
    skipped: int = 0
    open_at_boot: int = 0
    grams_over: float = 0.0
    reported_s: float = 0.0
    indeterminate: int = 0
    wrong: list[str] = field(default_factory=list)
    cuts: Counter[tuple[str, Point]] = field(default_factory=Counter)
    points: dict[str, list[Point]] = field(default_factory=dict)


def live(told: _Told) -> _Lived:
    """Live through one world and judge it."""
    lived = _Lived()
    options: dict[str, Any] = {"devices": _Amnesic} if told.amnesic else {}
    with World(told.seed, Path(told.folder), mishaps=Mishaps(twice=0.1, late=0.05), **options) as world:
        for kind, point in told.jobs:
            _do(world, kind, point, lived)
        verdict = world.judge()
        lived.hash, lived.executions, lived.exec_max = world.timeline.hash, verdict.executions, verdict.exec_max
        lived.skipped = verdict.unaccounted
        lived.wrong += [*verdict.contradictions, *verdict.errors]
        lived.open_at_boot = sum(each.open_at_boot for each in world.fields.values())
        given = world.fields["pond"].actuators.given
        lived.grams_over = max((grams - _GRAMS for grams in given.values()), default=0.0)
    return lived


def _do(world: World, kind: str, point: Point | None, lived: _Lived) -> None:
    device = world.fields["pond" if kind == "feed" else "garden"]
    off_s = world.random.choice((world.random.uniform(0.5, 5.0), world.random.uniform(5.0, 400.0)))
    away: list[int] = []

    def cut() -> None:
        device.cut_power()
        away.append(world.timeline.now_us)
        world.timeline.after(off_s, device.switch_on)

    before = world.transitions("indeterminate")
    world.device_points.begin(point, cut)
    if kind == "feed":
        world.ask(POND, "feed", grams=_GRAMS)
    else:
        world.ask(BED_BY_HAND, "irrigate", seconds=5.0)
    if not world.timeline.run_until(world.settled, 1500.0):
        lived.wrong.append(f"{kind} {point}: no end: {[(act.action, act.state) for act in world.open_acts()]}")
    if point is None:
        lived.points[kind] = world.device_points.listed(most=1000)
    elif world.device_points.died:
        lived.cuts[kind, point] += 1
    for act, at_ms in world.transitions("indeterminate").items():
        if act not in before:
            lived.indeterminate += 1
            lived.reported_s = max(lived.reported_s, at_ms / 1000 - device.booted_us / 1e6)
    # What is told of the last act of all is still on its way when the ledger has its end.
    world.timeline.run(3.0)
    world.timeline.run_until(lambda: device.connected, 60.0)


def _listed(seed: int, folder: Path, runs: int) -> list[tuple[str, Point]]:
    found: list[tuple[str, Point]] = []
    lives = [live(_Told(seed + i, (("irrigate", None), ("feed", None)), str(folder))) for i in range(runs)]
    for kind in ("irrigate", "feed"):
        found += [(kind, point) for point in sorted(set.intersection(*(set(lived.points[kind]) for lived in lives)))]
    return found


def story_hash(seed: int) -> str:
    """Return the hash of one story."""
    jobs = (("feed", ("device switches on: after", 1)), ("irrigate", ("device commits: before", 1)))
    with memory_folder(Path(tempfile.gettempdir())) as folder:
        return live(_Told(seed, jobs, str(folder))).hash


def run(conditions: Conditions) -> Findings:
    """List the points, cut the power at each, and try the control."""
    rng = conditions.rng
    with memory_folder(conditions.folder) as folder:
        points = _listed(conditions.seed, folder, conditions.choose(8, 2))
        chosen = points if not conditions.quick else rng.sample(points, 48)
        worlds = _worlds(conditions.seed + 1000, chosen * conditions.choose(200, 1), folder, rng)
        lives = run_many(live, worlds, here=conditions.quick)
        control = [(kind, ("device switches on: after", 1)) for kind in ("irrigate", "feed")] * 2
        controls = [live(one) for one in _worlds(conditions.seed, control, folder, rng, amnesic=True)]
    hashes = {story_hash(conditions.seed), hash_elsewhere(__name__, conditions.seed)}
    return _findings(points, chosen, lives, controls, hashes)


def _worlds(
    seed: int, jobs: list[tuple[str, Point]], folder: Path, rng: random.Random, *, amnesic: bool = False
) -> list[_Told]:
    rng.shuffle(jobs)
    parts = [tuple(jobs[at : at + _PER_WORLD]) for at in range(0, len(jobs), _PER_WORLD)]
    return [_Told(seed + number, part, str(folder), amnesic) for number, part in enumerate(parts)]


def _findings(
    points: list[tuple[str, Point]],
    chosen: list[tuple[str, Point]],
    lives: list[_Lived],
    controls: list[_Lived],
    hashes: set[str],
) -> Findings:
    cuts = sum((one.cuts for one in lives), Counter[tuple[str, Point]]())
    wrong = [text for one in lives for text in one.wrong]
    numbers = {
        "points": len(points),
        "cuts": sum(cuts.values()),
        "points_never_reached": sum(not cuts[one] for one in set(chosen)),
        "executions": sum(one.executions for one in lives),
        "exec_max": max(one.exec_max for one in lives),
        "silently_skipped": sum(one.skipped for one in lives),
        "indeterminate": sum(one.indeterminate for one in lives),
        "reported_s": round(max(one.reported_s for one in lives), 2),
        "open_at_boot": sum(one.open_at_boot for one in lives),
        "grams_over": round(max(one.grams_over for one in lives), 3),
        "wrong": len(wrong),
        "wrong_first": wrong[:5],
        "hashes": len(hashes),
        "control_exec_max": max(one.exec_max for one in controls),
    }
    criteria = {
        "executed at most once": numbers["exec_max"] <= 1,
        "nothing silently skipped": numbers["silently_skipped"] == 0,
        "no feed given again": numbers["grams_over"] <= 1e-6,
        "indeterminate told within 10 s of having power": numbers["indeterminate"] > 0 and numbers["reported_s"] <= _REPORTED_S,
        "closed at every start": numbers["open_at_boot"] == 0,
        "the ledger contradicts nothing that moved": not wrong,
        "nine tenths of the points reached": numbers["points_never_reached"] <= 0.1 * len(set(chosen)),
        "the same seed is the same story": len(hashes) == 1,
        "the control is caught": numbers["control_exec_max"] > 1,
    }
    return Findings(numbers, criteria)


TEST = FaultTest(16, "the device's power is cut at every point", run)
