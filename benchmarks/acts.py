# SPDX-License-Identifier: Apache-2.0
"""A day of ten thousand zones on calendars: is every planned act there, and how long does a tick take?

    python -m benchmarks.acts --json [--zones N] [--minutes N] [--seed N]

Nine zones in ten are beds with a timer, one is a pond with meals: daily, by weekday, on odd and even days, every third day
and by RRULE, most at minutes of their own and a third at the four times everybody likes. The clock is stepped by a minute a
tick, over one day of the site; devices are played by a few lines that answer each command with `accepted` and, when it is
over, `done`. The ledger is on the disk. `tick_*_ms` is the time of a tick with its transaction; `plans_s` how many zones a
second of ticks were looked at; `acts` those that were done, each once; `acts_expected` what dateutil alone makes of the
calendars; `silently_skipped` those of them of which the ledger has no row.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import random
import statistics
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
from dateutil.rrule import rrulestr
from sqlalchemy import select

from control import registry, schedules
from control.controller import Controller
from control.database import Database, open_database
from control.models import ActRow, DeviceRow
from control.records import ZoneParameters, ZoneSpec
from gateway import Address, Catalogue, SteppedClock, load_catalogue
from ingest.devices import DeviceTable
from ingest.latest import LatestState
from ingest.store.batch import Rows

__all__ = ["main"]

ZONE: Final = ZoneInfo("Asia/Makassar")
DAY: Final = datetime(2026, 11, 23, tzinfo=ZONE)  # a Monday, an odd day
EVE_MS: Final = int((DAY - timedelta(minutes=5)).timestamp() * 1000)
COUNTED_FROM: Final = "2026-11-01"
MINUTE_MS: Final = 60_000
DAY_MINUTES: Final = 1440
ZONES_A_DEVICE: Final = 4
PONDS: Final = 10  # every tenth device has ponds
LIKED: Final = ("05:30", "06:00", "16:00", "17:00")
# How a schedule says on which days, and the same as a rule of dates.
DAYS: Final[tuple[tuple[dict[str, Any], str], ...]] = (
    ({"type": "daily"}, "FREQ=DAILY"),
    ({"type": "weekly", "weekdays": ["mo", "we", "fr"]}, "FREQ=WEEKLY;BYDAY=MO,WE,FR"),
    ({"type": "weekly", "weekdays": ["tu", "th"]}, "FREQ=WEEKLY;BYDAY=TU,TH"),
    ({"type": "odd"}, "FREQ=MONTHLY;BYMONTHDAY=" + ",".join(map(str, range(1, 32, 2)))),
    ({"type": "even"}, "FREQ=MONTHLY;BYMONTHDAY=" + ",".join(map(str, range(2, 32, 2)))),
    ({"type": "interval", "every_days": 3, "counted_from": COUNTED_FROM}, "FREQ=DAILY;INTERVAL=3"),
    ({"type": "rrule", "rrule": "FREQ=MONTHLY;BYDAY=4MO", "counted_from": COUNTED_FROM}, "FREQ=MONTHLY;BYDAY=4MO"),
)
Planned = tuple[str, str]  # local time, and the rule of its dates


class Field:
    """Every device at once: takes commands, and says what came of them."""

    def __init__(self, clock: SteppedClock) -> None:
        self._clock = clock
        self._words: list[tuple[str, bytes, bool]] = []
        self._under_way: list[tuple[int, str, dict[str, Any]]] = []
        self.executed: Counter[str] = Counter()

    async def send(self, topic: str, payload: bytes, **_options: Any) -> None:
        """Take a command, and begin it."""
        base, _, channel = topic.rpartition("/")
        if channel != "command":
            return
        command, now_ms = json.loads(payload), self._clock.now_ms()
        self.executed[command["id"]] += 1
        amount = command["amount"]
        seconds = amount.get("seconds") or amount.get("grams", 0.0) / 5.0
        word = {"id": command["id"], "n": command["n"], "zone": command["zone"]}
        self._say(base, word | {"state": "accepted", "ts": now_ms})
        done = {"seconds": seconds, "litres": amount.get("litres"), "grams": amount.get("grams")}
        end_ms = now_ms + int(seconds * 1000)
        self._under_way.append((end_ms, base, word | {"state": "done", "ts": end_ms, "result": done}))

    def _say(self, base: str, word: Mapping[str, Any]) -> None:
        self._words.append((f"{base}/ack", json.dumps(word).encode(), False))

    def words(self) -> list[tuple[str, bytes, bool]]:
        """Return what devices have said since they were asked last."""
        now_ms = self._clock.now_ms()
        for _, base, word in [one for one in self._under_way if one[0] <= now_ms]:
            self._say(base, word)
        self._under_way = [one for one in self._under_way if one[0] > now_ms]
        words, self._words = self._words, []
        return words

    def publish(self, name: str, data: Mapping[str, Any]) -> None:
        """Forget an event."""


def main() -> None:
    """Measure, and print one line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON line only")
    parser.add_argument("--zones", type=int, default=10_000)
    parser.add_argument("--minutes", type=int, default=DAY_MINUTES, help="of the day that are run, from its beginning")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if options.zones < 1 or not 2 <= options.minutes <= DAY_MINUTES:
        parser.error(f"--zones has to be 1 or more, --minutes 2 to {DAY_MINUTES}")
    with tempfile.TemporaryDirectory(prefix="tirta-bench-") as folder:
        result = asyncio.run(_measure(Path(folder), options.zones, options.minutes, options.seed))
    if options.json:
        print(json.dumps(result))
    else:
        print("\n".join(f"{name:>16} {value}" for name, value in result.items()))


async def _measure(folder: Path, zones: int, minutes: int, seed: int) -> dict[str, Any]:
    catalogue, devices, clock = load_catalogue(), DeviceTable(), SteppedClock(EVE_MS)
    latest = LatestState(devices, catalogue)
    database = open_database(f"sqlite:///{folder}/control.db")
    try:
        planned, ponds = _fill(database, devices, catalogue, zones, random.Random(seed))
        field = Field(clock)
        controller = Controller(database, latest, field.send, clock, field)
        gc.collect()
        gc.freeze()
        await controller.tick()  # the first one reads everything
        await clock.advance((int(DAY.timestamp() * 1000) - EVE_MS) / 1000 - 60)
        times, acts_a_tick = [], []
        for minute in range(minutes):
            await clock.advance(60)
            _measured(latest, ponds, clock.now_ms())
            before = controller.counters.acts_planned
            await controller.tick()
            times.append(controller.counters.tick_ms)
            acts_a_tick.append(controller.counters.acts_planned - before)
            await _carry_out(controller, field)
            if minute % 60 == 59:
                print(f"{minute // 60 + 1:2} h, {controller.counters.acts_planned} acts", file=sys.stderr)
        for _ in range(20):  # what began last ends
            await clock.advance(60)
            await _carry_out(controller, field)
        expected = {key: _moments(starts, minutes) for key, starts in planned.items()}
        return _result(database, field, zones, minutes, times, acts_a_tick, expected)
    finally:
        gc.unfreeze()
        database.close()


async def _carry_out(controller: Controller, field: Field) -> None:
    """Send and hear until nobody has anything to say: a device takes its next command after a word on the one before."""
    await controller.send_due()
    while words := field.words():
        await controller.on_messages(words)
        await controller.send_due()


def _fill(
    database: Database, devices: DeviceTable, catalogue: Catalogue, zones: int, chance: random.Random
) -> tuple[dict[str, list[Planned]], list[tuple[int, int]]]:
    """Make the site; return what is planned for each zone, and index and zones of the devices of ponds."""
    planned: dict[str, list[Planned]] = {}
    ponds = []
    with database.session() as session:
        registry.create_site(session, "bench", "Bench", str(ZONE), now_ms=EVE_MS)
        for first in range(0, zones, ZONES_A_DEVICE):
            place = first // ZONES_A_DEVICE
            name, pond = f"device-{place:05}", place % PONDS == PONDS - 1
            kind = "pond-feeder" if pond else "irrigation-controller"
            numbers = range(1, min(ZONES_A_DEVICE, zones - first) + 1)
            parameters = ZoneParameters(grams_per_s=5.0) if pond else ZoneParameters(6.0, 0.3, 8.5)
            specs = [ZoneSpec(number, f"Petak {number}", "pond" if pond else "bed", parameters) for number in numbers]
            registry.create_device(session, "bench", name, kind, name, specs, "$7$", now_ms=EVE_MS)
            session.get_one(DeviceRow, f"bench:{name}").online = True
            for number in numbers:
                key = f"bench:{name}:{number}"
                planned[key], definition = _calendar(pond, chance)
                schedules.create_schedule(session, key, definition, now_ms=EVE_MS)
            index = devices.put(Address("bench", name), catalogue.kinds[kind])
            if pond:
                ponds.append((index, len(numbers)))
    return planned, ponds


def _calendar(pond: bool, chance: random.Random) -> tuple[list[Planned], dict[str, Any]]:
    """Return the planned starts of a zone and its schedule's definition."""
    count, times = chance.randint(1, 4), set[str]()
    while len(times) < count:
        hour = chance.randrange(4, 20)
        times.add(chance.choice(LIKED) if chance.random() < 1 / 3 else f"{hour:02}:{chance.randrange(60):02}")
    starts, written = [], []
    for time in sorted(times):
        days, rule = chance.choice(DAYS)
        starts.append((time, rule))
        amount = {"grams": 100.0} if pond else {"seconds": chance.randrange(60, 601)}
        written.append({"time": time, "days": days, **amount})
    if pond:
        return starts, {"type": "feeding", "meals": written, "grams_day": 1000, "min_gap_s": 0}
    return starts, {"type": "timer", "starts": written, "litres_day": 500}


def _moments(starts: Iterable[Planned], minutes: int) -> list[int]:
    """Return the planned moments of the day, counted by dateutil alone. [ms since the Unix epoch]"""
    found = []
    for time, rule in starts:
        first = datetime.fromisoformat(f"{COUNTED_FROM}T{time}")
        day = DAY.replace(tzinfo=None)
        come = rrulestr(rule, dtstart=first).between(day, day + timedelta(minutes=minutes - 1), inc=True)
        found += [int(moment.replace(tzinfo=ZONE).astimezone(UTC).timestamp() * 1000) for moment in come]
    return sorted(found)


def _result(
    database: Database,
    field: Field,
    zones: int,
    minutes: int,
    times: list[float],
    acts_a_tick: list[int],
    expected: dict[str, list[int]],
) -> dict[str, Any]:
    with database.reader() as session:
        rows = session.execute(select(ActRow.id, ActRow.zone_key, ActRow.planned_ms, ActRow.state)).all()
    known = {(row.zone_key, row.planned_ms) for row in rows}
    done = [row for row in rows if row.state == "done" and field.executed[row.id] == 1]
    wanted = [(key, moment) for key, moments in expected.items() for moment in moments]
    parts = statistics.quantiles(times, n=100, method="inclusive")
    return {
        "zones": zones,
        "ticks": minutes,
        "plans_s": round(zones * len(times) / (sum(times) / 1000)),
        "acts": len(done),
        "acts_expected": len(wanted),
        "silently_skipped": sum(one not in known for one in wanted),
        "exec_max": max(field.executed.values(), default=0),
        "tick_p50_ms": round(parts[49], 1),
        "tick_p99_ms": round(parts[98], 1),
        "tick_max_ms": round(max(times), 1),
        "most_acts_a_tick": max(acts_a_tick),
    }


def _measured(latest: LatestState, ponds: list[tuple[int, int]], now_ms: int) -> None:
    """Give every pond a new reading of oxygen that is enough."""
    chosen = [(index, zone) for index, zones in ponds for zone in range(1, zones + 1)]
    n = len(chosen)
    if not n:
        return
    rows = Rows(
        kind="pond-feeder",
        device=np.array([index for index, _ in chosen], np.int32),
        zone=np.array([zone for _, zone in chosen], np.uint8),
        ts_ms=np.full(n, now_ms - 30_000, np.int64),
        boot=np.ones(n, np.int64),
        seq=np.arange(n, dtype=np.int64),
        place=np.arange(n, dtype=np.int64),
        flags=np.zeros(n, np.uint8),
        values={"dissolved_oxygen": np.full(n, 6.0)},
    )
    latest.update([rows])


if __name__ == "__main__":
    main()
