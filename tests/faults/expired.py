# SPDX-License-Identifier: Apache-2.0
"""17: commands whose time is over, clocks that are wrong or jump, and a queue full of what has expired, by simulation.

    back late      the device comes back one second after the command expired; the broker still has it, or has dropped it
    wrong clock    the device's clock, or the server's, is five minutes wrong, either way
    jump           the server's clock jumps by an hour while a command is on its way, either way
    full queue     expired commands, each issued by the server itself, wait before a live one at a broker that drops none

A control that does not look at `expires` must be caught.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from gateway.messages import Command
from simulators.device import VirtualDevice
from tests.faults.case import Conditions, FaultTest, Findings
from tests.faults.simulation.broker import Mishaps
from tests.faults.simulation.many import hash_elsewhere, run_many
from tests.faults.simulation.world import BED_BY_HAND, FINAL, World, memory_folder

__all__ = ["TEST", "story_hash"]

_TTL_S: Final = 300.0
_GRACE_S: Final = 5.0
_LIVE_S: Final = 5.0
_SETTLED_S: Final = 60.0
_SKEW_MS: Final = 300_000
_HOUR_MS: Final = 3_600_000
_STORIES: Final = (
    "back late",
    "back late, dropped",
    "device ahead",
    "device behind",
    "server ahead",
    "server behind",
    "jump on",
    "jump back",
)


class _Heedless(VirtualDevice):
    """A control: a board that begins whatever it is told, however late."""

    def _objection(self, command: Command, expired: bool) -> str | None:
        return super()._objection(command, expired=False)


@dataclass(frozen=True, slots=True)
class _Told:
    seed: int
    story: str
    folder: str
    queue: int = 0
    heedless: bool = False


@dataclass(slots=True)
class _Lived:
    told: _Told
    hash: str = ""
    executions: int = 0
    exec_max: int = 0
    skipped: int = 0
    late: int = 0
    concluded_after_s: float = 0.0
    settled_s: float = 0.0
    live_s: float = 0.0
    wrong: list[str] = field(default_factory=list)


def live(told: _Told) -> _Lived:
    """Live through one story and judge it."""
    lived = _Lived(told)
    options: dict[str, Any] = {"devices": _Heedless} if told.heedless else {}
    mishaps = Mishaps(tidies="dropped" in told.story)
    with World(told.seed, Path(told.folder), mishaps=mishaps, **options) as world:
        world.timeline.run(world.timeline.between(0.0, 60.0))
        if told.queue:
            _full_queue(world, told.queue, lived)
        elif told.story.startswith("back late"):
            _back_late(world)
        else:
            _wrong_clock(world, told.story)
        begun_us = world.timeline.now_us
        if not world.timeline.run_until(world.settled, 600.0):
            lived.wrong.append(f"no end: {[(act.action, act.state) for act in world.open_acts()]}")
        lived.settled_s = (world.timeline.now_us - begun_us) / 1e6
        verdict, acts = world.judge(), world.acts()
        lived.hash, lived.executions, lived.exec_max = world.timeline.hash, verdict.executions, verdict.exec_max
        lived.skipped = verdict.unaccounted
        lived.wrong += [*verdict.contradictions, *verdict.errors]
        moved = world.fields["garden"].actuators.moved_ms
        skew = world.fields["garden"].wrong_ms
        # By the clock of whoever begins, for that is what the wire contract asks of it.
        lived.late = sum(at_ms + skew > acts[key].expires_ms for key, at_ms in moved.items() if key in acts)
        if "jump" not in told.story:
            lived.concluded_after_s = max(_concluded_after(world))
    return lived


def _concluded_after(world: World) -> list[float]:
    """Return how long after its expiry each act that did not begin in time was final or unknown, by the server's clock. [s]"""
    told = [world.transitions(state) for state in sorted({"unknown", "accepted", "running"} | FINAL)]
    return [
        (min(times[act.id] for times in told if act.id in times) - act.expires_ms) / 1000
        for act in world.acts().values()
        if any(act.id in times for times in told)
    ]


def _back_late(world: World) -> None:
    """The connection is gone, the server does not know, and the device is back a second late."""
    garden = world.fields["garden"]
    garden.lose_link(noticed=False)
    world.ask(BED_BY_HAND, "irrigate", seconds=5.0)
    world.timeline.run(_TTL_S + 1.0)
    garden.connect_after(0.0)
    world.timeline.run(1.0)


def _wrong_clock(world: World, story: str) -> None:
    """A clock is wrong when something is asked for, or jumps a moment later."""
    who, way = story.split()
    sign = 1 if way in ("ahead", "on") else -1
    if who == "device":
        world.fields["garden"].wrong_ms = sign * _SKEW_MS
    elif who == "server":
        world.server.clock.wrong_ms = sign * _SKEW_MS
    world.ask(BED_BY_HAND, "irrigate", seconds=5.0)
    if who == "jump":
        world.timeline.run(world.timeline.between(0.0, 7.0))
        world.server.clock.wrong_ms = sign * _HOUR_MS


def _full_queue(world: World, count: int, lived: _Lived) -> None:
    """One command after the other expires unheard and is let go of by a person; then the device comes back to a live one."""
    garden = world.fields["garden"]
    garden.lose_link(noticed=False)
    for _ in range(count):
        request = world.ask(BED_BY_HAND, "irrigate", seconds=5.0)
        world.timeline.run(_TTL_S + 10.0)
        [act_id] = request.answers
        world.server.call(lambda controller, act_id=act_id: controller.stop_act(act_id, actor="ani"), lambda found: None)
        world.timeline.run(1.0)
    before = set(world.acts())
    world.ask(BED_BY_HAND, "irrigate", seconds=5.0)
    world.timeline.run(2.0)
    garden.connect_after(0.0)
    world.timeline.run_until(lambda: bool(garden.actuators.executed), 60.0, 0.1)
    lived.live_s = (world.timeline.now_us - garden.contact_us) / 1e6
    if not all(key not in before for key in garden.actuators.executed):
        lived.wrong.append("an expired command was executed")


def story_hash(seed: int) -> str:
    """Return the hash of one story."""
    with memory_folder(Path(tempfile.gettempdir())) as folder:
        return live(_Told(seed, "jump back", str(folder))).hash


def run(conditions: Conditions) -> Findings:
    """Live through many of each, one full queue or some, and the control."""
    each, queues, waiting = conditions.choose((200, 10, 100), (2, 1, 12))
    with memory_folder(conditions.folder) as folder:
        told = [_Told(conditions.seed + i, story, str(folder)) for story in _STORIES for i in range(each)]
        told += [_Told(conditions.seed + i, "full queue", str(folder), queue=waiting) for i in range(queues)]
        lives = run_many(live, told, here=conditions.quick)
        control = live(_Told(conditions.seed, "back late", str(folder), heedless=True))
    hashes = {story_hash(conditions.seed), hash_elsewhere(__name__, conditions.seed)}
    wrong = [f"{one.told.story}, seed {one.told.seed}: {text}" for one in lives for text in one.wrong]
    numbers = {
        "stories": len(lives),
        "queued": waiting,
        "executions": sum(one.executions for one in lives),
        "exec_max": max(one.exec_max for one in lives),
        "silently_skipped": sum(one.skipped for one in lives),
        "late": sum(one.late for one in lives),
        "unknown_after_s": round(max(one.concluded_after_s for one in lives), 3),
        "settled_s": max(one.settled_s for one in lives),
        "live_s": round(max(one.live_s for one in lives), 2),
        "wrong": len(wrong),
        "wrong_first": wrong[:5],
        "hashes": len(hashes),
        "control_late": control.late,
    }
    criteria = {
        "nothing begun late": numbers["late"] == 0,
        "executed at most once": numbers["exec_max"] <= 1,
        "nothing silently skipped": numbers["silently_skipped"] == 0,
        "expired or unknown within 5 s of the expiry": numbers["unknown_after_s"] <= _GRACE_S + 0.2,
        "settled within 60 s of contact": numbers["settled_s"] <= _SETTLED_S + 5.0,
        "the live command within 5 s behind the expired ones": numbers["live_s"] <= _LIVE_S,
        "the ledger contradicts nothing that moved": not wrong,
        "the same seed is the same story": len(hashes) == 1,
        "the control is caught": control.late > 0,
    }
    return Findings(numbers, criteria)


TEST = FaultTest(17, "commands whose time is over, and clocks that are wrong", run)
