# SPDX-License-Identifier: Apache-2.0
"""A small world: one site, one server, a bed's controller and a pond's feeder, clients, and an oracle over all of it.

The oracle reads the control database with SQL of its own and counts what moved in the field; it shares no code with the
product. Invariant: the same seed is the same world, to the last event.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Final, Self

from control import registry, schedules
from control.controller import LatestValues
from control.database import Database, open_database
from control.ids import is_id
from control.records import ZoneParameters, ZoneSpec
from gateway.topics import Address
from simulators.controller import VirtualIrrigationController
from simulators.device import VirtualDevice
from simulators.feeder import VirtualPondFeeder
from simulators.physics import Bed, BedSite, Climate, Pond, PondSite, Weather
from tests.faults.simulation.broker import Broker, Mishaps
from tests.faults.simulation.field import Field
from tests.faults.simulation.points import Points
from tests.faults.simulation.server import Server, ServerClock, watched_commits
from tests.faults.simulation.timeline import SECOND_US, Timeline
from tests.unit.control.fakes import FixedLatest

__all__ = ["BED", "BED_BY_HAND", "FINAL", "POND", "START_MS", "ActFound", "Request", "Verdict", "World", "memory_folder"]

START_MS: Final = 1_795_294_800_000  # 2026-11-22, 05:00 in Makassar
BED: Final = "pilot:garden:1"
BED_BY_HAND: Final = "pilot:garden:2"
POND: Final = "pilot:pond:1"
FINAL: Final = frozenset({"done", "failed", "rejected", "expired", "indeterminate", "skipped", "cancelled", "superseded"})
_MAY_HAVE_RUN: Final = frozenset({"accepted", "running", "done", "failed", "unknown", "indeterminate"})
_VALUES: Final = {
    (("pilot", "garden", 1), "soil_moisture"): 0.16,
    (("pilot", "pond", 1), "dissolved_oxygen"): 6.0,
}
_ASKS_AGAIN_S: Final = (1.0, 8.0)  # a client without an answer
_ASKS_FOR_S: Final = 1800.0  # and then gives up [s]


@dataclass(frozen=True, slots=True)
class ActFound:
    """One row of the ledger, as SQL finds it."""

    id: str
    reference: str
    zone: str | None
    action: str
    state: str
    reason: str | None
    origin: str
    planned_ms: int
    issued_ms: int
    expires_ms: int
    max_seconds: int | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the oracle finds at the end of a story.

    Attributes
    ----------
    exec_max : int
        How often at most something was executed that was to be done once: an id, or what a client asked for under one key.
    contradictions : list of str
        What moved and the ledger says it did not, or the other way round.
    unaccounted : int
        What clients asked for, and have no answer to, or one that the ledger does not know.
    """

    executions: int
    exec_max: int
    contradictions: list[str]
    open: list[str]
    unaccounted: int
    errors: list[str]


@dataclass(slots=True, eq=False)
class Request:
    """What a client asks for, again and again under one key, until it has an answer.

    Attributes
    ----------
    answers : list
        Each an act's id, or the error's name.
    """

    key: str
    work: Callable[[Any], Any]
    answers: list[str] = field(default_factory=list)
    begun_us: int = 0


class World:
    """Put together from a seed; a context manager that takes all of it down.

    Parameters
    ----------
    schedules : mapping
        Zone to the definition that is in force there.
    devices : mapping
        The class of their logic, where that is not the product's own.
    latest : callable or None
        Gives each process of the server its latest values; None for some that are always fresh.
    steady : bool
        Everything takes the least time that it can, so that a crash costs none.
    forgets_commits : bool
        A control: the last two commits are gone when the server is killed, that of the plan and that of its handing over,
        as if it had sent before committing.
    """

    def __init__(
        self,
        seed: int,
        folder: Path,
        *,
        plans: Mapping[str, dict[str, Any]] | None = None,
        mishaps: Mishaps | None = None,
        devices: Callable[..., VirtualDevice] = VirtualDevice,
        start_ms: int = START_MS,
        forgets_commits: bool = False,
        latest: Callable[[ServerClock], LatestValues] | None = None,
        steady: bool = False,
    ) -> None:
        self.timeline = Timeline(seed, start_ms, steady=steady)
        self.random = self.timeline.random
        self.server_points, self.device_points = Points(), Points()
        self.broker = Broker(self.timeline, mishaps)
        self.path, database, template = _ground(folder, _frozen(plans or {}), start_ms)
        with closing(sqlite3.connect(self.path)) as fresh:
            template.backup(fresh)
        self.server = Server(self.timeline, self.broker, database, self.server_points, latest or _fixed)
        weather = Weather(Climate(), 7)
        beds = [Bed.at_moisture(BedSite(flow_l_min=12.0), 0.16) for _ in range(2)]
        pond = Pond(PondSite(feeder_g_s=5.0))
        machines = {"garden": VirtualIrrigationController(beds, weather), "pond": VirtualPondFeeder([pond], weather)}
        self.fields = {
            name: Field(self.timeline, self.broker, Address("pilot", name), machine, self.device_points, device=devices)
            for name, machine in machines.items()
        }
        self.requests: list[Request] = []
        self._db = sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, isolation_level=None)
        self._before: deque[sqlite3.Connection] = deque(maxlen=2)
        self._forgets = forgets_commits
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._stack.enter_context(watched_commits(self.server_points, self.timeline, self._keep if self._forgets else None))
        self.server.start()
        for each in self.fields.values():
            each.switch_on()
        self.timeline.run(5.0)
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        self.server.end()
        for each in self.fields.values():
            each.end()
        self._stack.close()
        self._db.close()

    # What people and chance do

    def ask(self, zone: str, action: str, **amounts: float) -> Request:
        """Have a client ask for an act by hand, under a key of its own, until it is answered."""
        key = f"key-{len(self.requests)}"
        request = Request(
            key,
            lambda controller: controller.request_act(zone, action, actor="ani", idempotency_key=key, **amounts),
            begun_us=self.timeline.now_us,
        )
        self.requests.append(request)
        self._ask(request)
        return request

    def stop(self, zone: str) -> Request:
        """Have a client stop a zone, until it is answered."""
        request = Request(f"stop-{len(self.requests)}", lambda controller: controller.stop(zone, actor="ani"))
        request.begun_us = self.timeline.now_us
        self.requests.append(request)
        self._ask(request)
        return request

    def kill_server(self, away_s: float) -> None:
        """Kill the server, and start it again after a while. [s]"""
        self.server.kill()
        self.timeline.after(away_s, self._start_again)

    def _start_again(self) -> None:
        if self._before:
            with closing(sqlite3.connect(self.path)) as found:
                self._before[0].backup(found)
        self.server.start()

    def _keep(self) -> None:
        """Keep what was committed before the commit that begins now, and before the one before it."""
        before = sqlite3.connect(":memory:", check_same_thread=False)
        self._db.backup(before)
        self._before.append(before)

    def _ask(self, request: Request) -> None:
        def answered(found: Any) -> None:
            self.timeline.note("answer", request.key, getattr(found, "id", type(found).__name__))
            request.answers.append(getattr(found, "id", type(found).__name__))

        def again() -> None:
            asked_s = (self.timeline.now_us - request.begun_us) / SECOND_US
            if not request.answers and asked_s < _ASKS_FOR_S:
                self._ask(request)

        self.server.call(request.work, answered)
        self.timeline.after(self.timeline.between(*_ASKS_AGAIN_S), again)

    # What the oracle sees

    @property
    def executed(self) -> Counter[str]:
        """How often each id was executed, by what moved."""
        found: Counter[str] = Counter()
        for each in self.fields.values():
            found.update(each.actuators.executed)
        return found

    @property
    def contact_us(self) -> int:
        """Since when server and devices are all there; far ahead while one is away."""
        there = self.server.connected and all(each.connected for each in self.fields.values())
        latest = max(self.server.contact_us, *(each.contact_us for each in self.fields.values()))
        return latest if there else 2**62

    def acts(self) -> dict[str, ActFound]:
        """Return the ledger, by reference."""
        rows = self._db.execute(
            "select id, reference, zone_key, action, state, reason, origin, planned_ms, issued_ms, expires_ms, max_seconds"
            " from act"
        )
        return {row[1]: ActFound(*row) for row in rows}

    def decisions(self) -> list[tuple[Any, ...]]:
        """Return the log of decisions, to the last bit."""
        return self._db.execute("select * from decision order by id").fetchall()

    def transitions(self, state: str) -> dict[str, int]:
        """Return when each act first came to a state. [ms since the Unix epoch]"""
        return dict(self._db.execute("select act_id, min(at_ms) from act_transition where state = ? group by 1", (state,)))

    def open_acts(self) -> list[ActFound]:
        """Return acts that are not final, oldest first."""
        return sorted((act for act in self.acts().values() if act.state not in FINAL), key=lambda act: act.issued_ms)

    def settled(self) -> bool:
        """Tell whether everybody has an answer, every act has an end and nothing moves."""
        return (
            all(request.answers for request in self.requests)
            and not any(each.actuators.on for each in self.fields.values())
            and not self.open_acts()
        )

    def silently_skipped(self, planned: Iterable[tuple[str, int]], until_ms: int) -> list[tuple[str, int]]:
        """Return planned moments, (zone, ms), up to an instant, of which the ledger says nothing."""
        told = set(self._db.execute("select zone_key, planned_ms from act where origin != 'manual'"))
        return [moment for moment in planned if moment[1] <= until_ms and moment not in told]

    def judge(self) -> Verdict:
        """Compare what moved with what the ledger says."""
        acts, executed = self.acts(), self.executed
        wrong = [f"{act.state} {act.reason}" for key, act in acts.items() if executed[key] and act.state not in _MAY_HAVE_RUN]
        false = [f"{act.action} {act.reason}" for key, act in acts.items() if act.state == "done" and not _moved(act, executed)]
        by_hand = sum(act.origin == "manual" and act.action != "stop" and executed[key] > 0 for key, act in acts.items())
        strangers = [key for key in executed if key not in acts]
        answered = {found for request in self.requests for found in request.answers if is_id(found)}
        forgotten = [f"answered and not in the ledger {one}" for one in sorted(answered - {act.id for act in acts.values()})]
        asked = sum(request.key.startswith("key-") for request in self.requests)
        return Verdict(
            executions=sum(executed.values()),
            exec_max=max(executed.values(), default=0) + max(by_hand + len(strangers) - asked, 0),
            contradictions=[*wrong, *false, *forgotten, *(f"not in the ledger {one}" for one in strangers)],
            open=[f"{act.action} {act.state}" for act in self.open_acts()],
            unaccounted=sum(not request.answers for request in self.requests) + len(forgotten),
            errors=self.server.found_errors,
        )


@contextmanager
def memory_folder(fallback: Path) -> Iterator[Path]:
    """Give a folder in memory where that is to be had: no disk is tested here."""
    with TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else fallback) as folder:
        try:
            yield Path(folder)
        finally:
            _ground.cache_clear()


def _fixed(clock: ServerClock) -> LatestValues:
    found = FixedLatest(clock)  # type: ignore[arg-type]
    found.values.update(_VALUES)
    return found


def _moved(act: ActFound, executed: Counter[str]) -> bool:
    return act.action == "stop" or executed[act.reference] > 0


def _frozen(plans: Mapping[str, dict[str, Any]]) -> tuple[tuple[str, str], ...]:
    return tuple((zone, json.dumps(plan)) for zone, plan in sorted(plans.items()))


@cache
def _ground(folder: Path, plans: tuple[tuple[str, str], ...], start_ms: int) -> tuple[Path, Database, sqlite3.Connection]:
    """Make a control database with the site, its devices and its plans; return it, open, and a copy for each world."""
    path = folder / f"{len(list(folder.iterdir()))}.db"
    database = open_database(f"sqlite:///{path}")
    bed = ZoneParameters(area_m2=4.0, root_depth_m=0.3, flow_l_min=12.0, max_seconds=900, litres_day=5000.0, grams_day=1.0)
    pond = ZoneParameters(grams_per_s=5.0, max_seconds=300, litres_day=1.0, grams_day=50_000.0)
    before_ms = start_ms - 60_000
    with database.session() as session:
        registry.create_site(session, "pilot", "Pilot", "Asia/Makassar", now_ms=before_ms)
        for name, kind, specs in (
            ("garden", "irrigation-controller", [ZoneSpec(1, "Bed", "bed", bed), ZoneSpec(2, "Bed", "bed", bed)]),
            ("pond", "pond-feeder", [ZoneSpec(1, "Pond", "pond", pond)]),
        ):
            registry.create_device(session, "pilot", name, kind, name, specs, "$7$hash", now_ms=before_ms)
        for zone, plan in plans:
            schedules.create_schedule(session, zone, json.loads(plan), now_ms=before_ms)
    with closing(sqlite3.connect(path)) as made, made:
        # Ids that nobody can guess would make the ids of planned acts differ from world to world.
        for number, (found,) in enumerate(made.execute("select id from schedule order by zone_key").fetchall()):
            name = f"{number:026}"
            made.execute("update schedule set id = ? where id = ?", (name, found))
            made.execute("update schedule_version set schedule_id = ? where schedule_id = ?", (name, found))
    template = sqlite3.connect(":memory:", check_same_thread=False)
    with closing(sqlite3.connect(path)) as made:
        made.backup(template)
    return path, database, template
