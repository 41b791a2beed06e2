# SPDX-License-Identifier: Apache-2.0
"""18: everything that devices say is lost for ten minutes, from the moment at which an act begins, by simulation.

The act must become unknown in time, be settled by the device's own ledger when that can be heard again, and not be done
twice, however often the command was sent meanwhile. A control without a ledger must be caught.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.faults.case import Conditions, FaultTest, Findings
from tests.faults.command_kills import ForgetfulDevice
from tests.faults.simulation.broker import Mishaps
from tests.faults.simulation.many import hash_elsewhere, run_many
from tests.faults.simulation.timeline import SECOND_US
from tests.faults.simulation.world import BED_BY_HAND, POND, World, memory_folder

__all__ = ["TEST", "story_hash"]

_DROPPED_S: Final = 600.0
_UNKNOWN_S: Final = 5.0  # past its expiry
_SETTLED_S: Final = 60.0  # after the device can be heard again


@dataclass(frozen=True, slots=True)
class _Told:
    seed: int
    folder: str
    forgetful: bool = False


@dataclass(frozen=True, slots=True)
class _Lived:
    hash: str
    executions: int
    exec_max: int
    unknown_after_s: float
    settled_s: float
    states: tuple[str, ...]
    wrong: tuple[str, ...]


def live(told: _Told) -> _Lived:
    """Live through one such outage."""
    options: dict[str, Any] = {"devices": ForgetfulDevice} if told.forgetful else {}
    with World(told.seed, Path(told.folder), mishaps=Mishaps(twice=0.1, late=0.1), **options) as world:
        world.timeline.run(world.timeline.between(0.0, 60.0))
        world.broker.mishaps.loses = lambda topic, payload: topic.endswith(("/ack", "/status"))
        world.ask(BED_BY_HAND, "irrigate", seconds=5.0)
        world.ask(POND, "feed", grams=20.0)
        world.timeline.run(_DROPPED_S)
        world.broker.mishaps.loses = lambda topic, payload: False
        begun_us = world.timeline.now_us
        world.timeline.run_until(world.settled, 1200.0)
        verdict, acts, unknown = world.judge(), world.acts(), world.transitions("unknown")
        late_s = [(unknown[act.id] - act.expires_ms) / 1000 if act.id in unknown else 1e9 for act in acts.values()]
        return _Lived(
            world.timeline.hash,
            verdict.executions,
            verdict.exec_max,
            max(late_s),
            (world.timeline.now_us - begun_us) / SECOND_US,
            tuple(act.state for act in acts.values()),
            (*verdict.contradictions, *verdict.errors, *verdict.open),
        )


def story_hash(seed: int) -> str:
    """Return the hash of one story."""
    with memory_folder(Path(tempfile.gettempdir())) as folder:
        return live(_Told(seed, str(folder))).hash


def run(conditions: Conditions) -> Findings:
    """Live through many, and through some with the control."""
    with memory_folder(conditions.folder) as folder:
        told = [_Told(conditions.seed + i, str(folder)) for i in range(conditions.choose(1000, 6))]
        lives = run_many(live, told, here=conditions.quick)
        control = [live(_Told(conditions.seed + i, str(folder), forgetful=True)) for i in range(conditions.choose(20, 2))]
    hashes = {story_hash(conditions.seed), hash_elsewhere(__name__, conditions.seed)}
    wrong = [text for one in lives for text in one.wrong]
    states = [state for one in lives for state in one.states]
    numbers = {
        "stories": len(lives),
        "executions": sum(one.executions for one in lives),
        "exec_max": max(one.exec_max for one in lives),
        "silently_skipped": 2 * len(lives) - len(states),
        "unknown_after_s": round(max(one.unknown_after_s for one in lives), 3),
        "settled_s": max(one.settled_s for one in lives),
        "done": states.count("done"),
        "wrong": wrong[:5],
        "hashes": len(hashes),
        "control_exec_max": max(one.exec_max for one in control),
    }
    criteria = {
        "unknown within 5 s of its expiry": numbers["unknown_after_s"] <= _UNKNOWN_S + 0.2,
        "then done, by the device's ledger": numbers["done"] == len(states) == 2 * len(lives),
        "settled within 60 s of hearing the device again": numbers["settled_s"] <= _SETTLED_S + 5.0,
        "executed once": numbers["exec_max"] == 1 and numbers["executions"] == len(states),
        "the ledger contradicts nothing": not wrong,
        "the same seed is the same story": len(hashes) == 1,
        "the control is caught": numbers["control_exec_max"] > 1,
    }
    return Findings(numbers, criteria)


TEST = FaultTest(18, "what devices say is lost for ten minutes", run)
