# SPDX-License-Identifier: Apache-2.0
"""19: server and broker are killed with valves open. Each valve is shut at its longest run with nobody else alive."""

from __future__ import annotations

import random
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from tests.faults.case import Conditions, FaultTest, Findings
from tests.faults.field import FINAL, Field, Run
from tests.servers.tirta import eventually
from tirta.client import Act, Client
from tirta.errors import Refused

__all__ = ["TEST"]

_SHUT_MS = 1_000  # a valve is shut no further than this from its longest run [ms]
_SETTLE_S = 90.0
_FLOW = 12.0  # of each valve [L/min]
_CLOG = 0.1  # the share of it that is lost, so that time ends a run and not the amount
_TINY_L = 0.01  # rounding


@dataclass(slots=True)
class _Seen:
    """What is noted on the way.

    Attributes
    ----------
    refused : int
        Requests for more than was left of the day's water.
    alone_s, settled_s : float
        Longest time with nobody alive, and from there on until every act had its end. [s]
    late_ms : float
        By how much the wall was past the instant at which a device said that it had shut its valve. [ms]
    left : list of str
        States that stayed open.
    """

    refused: int = 0
    alone_s: float = 0.0
    late_ms: float = 0.0
    settled_s: float = 0.0
    left: list[str] = field(default_factory=list)


def _limit(client: Client, here: Field, seconds: int, litres_day: float) -> None:
    for device in here.beds:
        zone = f"{device}:1"
        client.zones.change(zone, version=client.zones.get(zone).version, max_seconds=seconds, litres_day=litres_day)

    def told() -> bool:
        reported: list[Any] = [client.devices.get(device).reported or {} for device in here.beds]
        zones = [each.get("zones", {}).get("1", {}) for each in reported]
        return all((zone.get("max_seconds"), zone.get("litres_day")) == (seconds, litres_day) for zone in zones)

    eventually(told, "each device has its limits in force")


def _open_all(client: Client, here: Field, seconds: int) -> int:
    """Open every valve that may be opened; return how many were refused."""
    refused = 0
    for device in here.beds:
        try:
            client.acts.request(f"{device}:1", "irrigate", seconds=seconds)
        except Refused:
            refused += 1
    return refused


def _die(here: Field, rng: random.Random, seconds: int, seen: _Seen) -> None:
    """Wait until valves are open, kill server and broker, and wait until all are shut."""
    eventually(lambda: any(run["ended"] is None for run in here.runs().values()), "a valve is open", 30.0)
    time.sleep(rng.uniform(0.0, 0.4 * seconds))
    dead_s = time.monotonic()
    here.tirta.kill()
    here.kill_broker()
    shut_s = 2.0 * seconds + 30.0
    eventually(lambda: all(run["ended"] is not None for run in here.runs().values()), "each valve is shut", shut_s)
    seen.alone_s = max(seen.alone_s, time.monotonic() - dead_s)
    written = here.written_ms()
    last = {run["device"]: run["ended"] for run in sorted(here.runs().values(), key=lambda run: run["begun"])}
    seen.late_ms = max(seen.late_ms, *(written[device] - ended for device, ended in last.items()))


def run(conditions: Conditions) -> Findings:
    """Kill with valves open, again and again, until the day's water is spent."""
    rounds, beds, seconds = conditions.choose(5, 1), conditions.choose(10, 3), conditions.choose(20, 5)
    litres_day = _FLOW * seconds / 60.0 * (rounds + 0.5)
    rng, seen = conditions.rng, _Seen()
    faults = [f"field/bed-{number}=clog:{_CLOG}" for number in range(beds)]
    with Field(conditions.folder, beds=beds, seed=conditions.seed, faults=faults) as here:
        with here.tirta.client() as client:
            _limit(client, here, seconds, litres_day)
        for _ in range(rounds):
            with here.tirta.client() as client:
                seen.refused += _open_all(client, here, seconds)
            _die(here, rng, seconds, seen)
            here.tirta.start()
            here.wait_online()
            with here.tirta.client() as client:
                took_s, seen.left = here.settle(client, _SETTLE_S)
            seen.settled_s = max(seen.settled_s, took_s)
        with here.tirta.client() as client:
            for _ in range(2):  # what is left of the day's water is not enough for all that is asked now
                seen.refused += _open_all(client, here, seconds)
                seen.left = here.settle(client, _SETTLE_S)[1]
            ledger, without_row = here.acts(client), here.without_row(client)
        runs, exec_max = here.runs(), here.exec_max()
        here.tirta.stop()
    numbers, criteria = _judge(runs, ledger, seen, seconds, litres_day)
    numbers |= {"rounds": rounds, "devices": beds, "exec_max": exec_max, "silently_skipped": without_row}
    if not conditions.quick:  # the shortened run may share its machine with others
        criteria["by the wall too"] = seen.late_ms <= _SHUT_MS
    criteria |= {"no act twice": exec_max == 1, "no moment without a row": without_row == 0}
    return Findings(numbers, criteria)


def _judge(
    runs: dict[str, Run], ledger: list[Act], seen: _Seen, seconds: int, litres_day: float
) -> tuple[dict[str, Any], dict[str, bool]]:
    off_ms = [abs(run["ended"] - run["begun"] - 1000 * seconds) for run in runs.values()]
    given: Counter[tuple[str, str]] = Counter()
    for run in runs.values():
        day = datetime.fromtimestamp(run["ended"] / 1000, UTC).astimezone(ZoneInfo("Asia/Makassar")).date()
        given[run["device"], day.isoformat()] += run["litres"]
    done = {act.id: act for act in ledger if act.state == "done"}
    false = [act for act in runs if act not in done or abs((done[act].result.litres or 0.0) - runs[act]["litres"]) > _TINY_L]
    numbers = {
        "runs": len(runs),
        "shut_off_by_ms": max(off_ms, default=-1),
        "shut_late_by_the_wall_ms": round(seen.late_ms),
        "alone_s": round(seen.alone_s, 1),
        "litres_max": round(max(given.values(), default=0.0), 2),
        "litres_day": litres_day,
        "refused": seen.refused,
        "unknown_after_s": round(seen.settled_s, 1),
        "states": dict(Counter(act.state for act in ledger)),
    }
    criteria = {
        "each valve shut at its longest run": bool(off_ms) and max(off_ms) <= _SHUT_MS,
        "no day's water exceeded": max(given.values(), default=0.0) <= litres_day + _TINY_L,
        "what is over the day's water is refused": seen.refused > 0,
        "every act has its end": not seen.left and all(act.state in FINAL for act in ledger),
        "what was done is in the ledger, as it was": not false,
    }
    return numbers, criteria


TEST = FaultTest(19, "server and broker die with a valve open", run)
