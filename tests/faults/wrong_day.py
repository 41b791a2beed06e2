# SPDX-License-Identifier: Apache-2.0
"""21: a day that went wrong, on a fast clock: and its report has no gap.

The broker is killed at 06:00, the server at 06:10; the devices' power is cut while one waters; one device's replies are dropped
for ten minutes; the clock jumps an hour ahead. Then each planned moment is a row with its end and its reason.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from datetime import datetime
from typing import Any, Final

import msgspec

from tests.faults.case import Conditions, FaultTest, Findings
from tests.faults.day_plan import DAY, ZONE, Plan, faults_of, planned
from tests.faults.field import FINAL, Field
from tests.servers.tirta import eventually
from tirta.client import Client
from tirta.client.reports import DayReport

__all__ = ["TEST"]

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
_SETTLE_S: Final = 120.0
_DAILY, _TUESDAYS = "FREQ=DAILY", "FREQ=WEEKLY;BYDAY=TU"


def _timer(zone: str, *times: str, rule: str = _DAILY, last: str, **more: Any) -> Plan:
    days = {"type": "weekly", "weekdays": ["tu"]} if rule == _TUESDAYS else {"type": "daily"}
    kept = [at for at in times if at <= last]
    starts = [{"time": at, "litres": 60.0, "days": days, "first": DAY.isoformat()} for at in kept]
    definition = {"type": "timer", "starts": starts, "litres_day": 400.0, "late_s": 3600, **more}
    return Plan(f"{zone}:1", definition, [(rule, at) for at in kept])


def _plans(last: str) -> list[Plan]:
    meals = [at for at in ("06:15", "08:30", "10:00", "16:30") if at <= last]
    times = [{"time": at, "grams": 200.0, "first": DAY.isoformat()} for at in meals]
    feeding = {"type": "feeding", "meals": times, "grams_day": 1000.0}
    return [
        _timer("field:bed-0", "05:45", "06:05", "07:00", "09:00", "17:00", last=last),
        _timer("field:bed-1", "06:02", "06:12", "07:20", "08:40", "12:00", last=last, missed="once"),
        _timer("field:bed-2", "06:08", "07:40", "08:20", "15:00", rule=_TUESDAYS, last=last, missed="carry"),
        Plan("field:pond-0:1", feeding, [(_DAILY, at) for at in meals]),
    ]


def _ms(at: str) -> int:
    return int(datetime.fromisoformat(f"{DAY}T{at}:00").replace(tzinfo=ZONE).timestamp() * 1000)


def _wait_until(here: Field, at: str) -> None:
    wanted_ms = _ms(at)
    while here.now_ms() < wanted_ms:
        time.sleep(0.02)


def _begin_day(here: Field, plans: list[Plan]) -> None:
    """Ask for the schedules the day before, so that all of the day counts, however long a start takes; then go to its dawn."""
    with here.tirta.client() as client:
        for plan in plans:
            client.calls.send("POST", "/api/v1/schedules", body={"zone": plan.zone, "definition": plan.definition})
    here.cut_power()
    here.tirta.stop()
    here.shift_clock(_ms("05:50") - here.now_ms())
    here.tirta.start()
    here.start_devices()


def _go_wrong(here: Field) -> dict[str, str]:
    """Let it all happen; return when, by the clock of the day."""
    when = {}

    def note(what: str) -> None:
        when[what] = f"{datetime.fromtimestamp(here.now_ms() / 1000, ZONE):%H:%M}"

    _wait_until(here, "06:00")
    note("broker killed")
    here.kill_broker()
    _wait_until(here, "06:10")
    note("server killed")
    here.tirta.kill()
    here.tirta.start()
    here.wait_online()
    eventually(lambda: any(run["ended"] is None for run in here.runs().values()), "a device waters", 120.0)
    note("power cut")
    here.cut_power()
    now_ms = here.now_ms()
    dropped_s = max((_ms("07:38") - now_ms) // 1000, 60)
    here.start_devices(f"field/bed-2=dropped-replies@{dropped_s}s..{dropped_s + 600}s")
    _wait_until(here, "08:10")
    note("clock put forward")
    here.tirta.kill()
    here.cut_power()
    here.shift_clock(HOUR_MS)
    here.tirta.start()
    here.start_devices()
    return when


def _report(here: Field, client: Client) -> tuple[DayReport, DayReport, int]:
    """Return the report over the API and by the command line, and how the command ended."""
    ended = here.tirta.run("report", "day", "--site", "field", "--date", DAY.isoformat(), "--json")
    return client.reports.day("field", DAY), msgspec.json.decode(ended.stdout, type=DayReport), ended.returncode


def run(conditions: Conditions) -> Findings:
    """Live through the day and read its report."""
    speed, last, end = conditions.choose((60.0, "17:00", "17:45"), (300.0, "09:00", "09:45"))
    plans = _plans(last)
    with Field(conditions.folder, beds=3, ponds=1, seed=conditions.seed, speed=speed, start_ms=_ms("00:00") - DAY_MS) as here:
        _begin_day(here, plans)
        when = _go_wrong(here)
        _wait_until(here, end)
        with here.tirta.client() as client:
            settled_s, left = here.settle(client, _SETTLE_S)
            report, by_command, code = _report(here, client)
        (conditions.folder / "report.txt").write_text(here.tirta.run("report", "day", "--date", DAY.isoformat()).stdout)
        exec_max, began = here.exec_max(), Counter(here.begun())
        here.tirta.stop()
    wrong = faults_of(report, plans, began, FINAL)
    numbers: dict[str, Any] = {
        "speed": speed,
        **when,
        "planned": planned(plans).total(),
        "done": report.totals.done,
        "not_done": report.totals.not_done,
        "wrong": wrong[:5],
        "exec_max": exec_max,
        "silently_skipped": report.totals.without_row,
        "unknown_after_s": round(settled_s, 1),
    }
    criteria = {
        "each planned moment has its row, its end and its reason": not wrong,
        "no moment without a row": report.totals.without_row == 0 and code == 0,
        "the command tells the same": by_command.rows == report.rows,
        "no act twice": exec_max == 1,
        "every act has its end": not left,
        "something was not done": bool(report.totals.not_done),
    }
    if not conditions.quick:  # a start takes hours of the shortened run's clock
        criteria["something was done"] = report.totals.done > 0
    return Findings(json.loads(json.dumps(numbers)), criteria)


TEST = FaultTest(21, "a day that went wrong", run)
