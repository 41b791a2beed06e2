# SPDX-License-Identifier: Apache-2.0
"""A day that went wrong, stepped in one process: each planned moment has its row, its end and its reason.

The same with real processes at sixty times the pace of the wall is a fault test (`make faults TEST=day`).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from control import registry, schedules
from gateway import Address
from gateway.clock import save_clock
from simulators.scenario import parse_scenario
from tests.acceptance.stepped import SteppedField
from tests.faults.day_plan import DAY, ZONE, Plan, faults_of
from tests.faults.field import FINAL
from tests.unit.api.house import open_house
from tirta.cli import app
from tirta.client.reports import DayReport
from tirta.demo import zone_specs

SCENARIO = """
seed = 3
[[sites]]
name = "field"
timezone = "Asia/Makassar"
[[sites.devices]]
name = "bed-0"
kind = "irrigation-controller"
[[sites.devices.beds]]
[[sites.devices]]
name = "bed-1"
kind = "irrigation-controller"
[[sites.devices.beds]]
[[sites.devices]]
name = "bed-2"
kind = "irrigation-controller"
[[sites.devices.beds]]
[[sites.devices]]
name = "pond-0"
kind = "pond-feeder"
[[sites.devices.ponds]]
"""
HOUR_S = 3600
DAILY, TUESDAYS, THIRD = "FREQ=DAILY", "FREQ=WEEKLY;BYDAY=TU", "FREQ=DAILY;INTERVAL=3"


def at(time: str) -> int:
    return int(datetime.fromisoformat(f"{DAY}T{time}:00").replace(tzinfo=ZONE).timestamp() * 1000)


def timer(zone: str, *times: tuple[str, str], **more: object) -> Plan:
    days = {
        DAILY: {"type": "daily"},
        TUESDAYS: {"type": "weekly", "weekdays": ["tu"]},
        # dateutil counts from seventy days before: this is the same day of three
        THIRD: {"type": "interval", "every_days": 3, "counted_from": (DAY - timedelta(days=70)).isoformat()},
    }
    starts = [{"time": time, "litres": 60.0, "days": days[rule]} for time, rule in times]
    definition = {"type": "timer", "starts": starts, "litres_day": 400.0, **more}
    return Plan(zone, definition, [(rule, time) for time, rule in times])


PLANS = [
    timer("field:bed-0:1", ("05:30", DAILY), ("06:05", DAILY), ("07:00", TUESDAYS), ("09:00", DAILY), ("17:00", THIRD)),
    timer("field:bed-1:1", ("06:02", DAILY), ("06:12", DAILY), ("08:40", TUESDAYS), ("12:00", DAILY), missed="once"),
    timer("field:bed-2:1", ("06:08", TUESDAYS), ("07:40", DAILY), ("08:20", DAILY), ("15:00", THIRD), missed="carry"),
    Plan(
        "field:pond-0:1",
        {
            "type": "feeding",
            "meals": [{"time": time, "grams": 200.0} for time in ("06:11", "08:50", "12:30", "16:30")],
            "grams_day": 1000.0,
        },
        [(DAILY, time) for time in ("06:11", "08:50", "12:30", "16:30")],
    ),
]


async def live_through(field: SteppedField, beds: list[Address], clock: object) -> None:
    """Break one after another: broker at 06:00, server at 06:10, power mid-watering, replies for ten minutes, the clock."""
    await field.go_on(at("06:00"))
    field.kill_broker()
    await field.go_on(at("06:03"))
    field.start_broker()
    await field.go_on(at("06:10"))
    field.kill_server()
    await field.go_on(at("06:20"))
    field.start_server()
    await field.go_on(at("07:02"))
    assert field.waters(beds[0])
    field.power(beds[0], on=False)
    await field.go_on(at("07:10"))
    field.power(beds[0], on=True)
    field.power(beds[2], on=False)
    field.faults.append("field/bed-2=dropped-replies@29m..39m")  # 07:39 to 07:49
    field.power(beds[2], on=True)
    await field.go_on(at("08:10"))
    await clock.advance(HOUR_S)  # type: ignore[attr-defined]
    await field.go_on(at("17:30"))


@pytest.mark.slow
async def test_report_of_a_day_that_went_wrong_has_no_gap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = parse_scenario(SCENARIO)
    with open_house(tmp_path) as house:
        clock = house.services.clock
        with house.services.database.session() as session:
            registry.create_site(session, "field", "Field", "Asia/Makassar", now_ms=clock.now_ms())
            for spec in scenario.sites[0].devices:
                zones = zone_specs(spec)
                registry.create_device(session, "field", spec.name, spec.kind, spec.name, zones, "$7$", now_ms=clock.now_ms())
            for plan in PLANS:
                schedules.create_schedule(session, plan.zone, plan.definition, now_ms=at("00:00") - 60_000)
        await clock.advance((at("05:00") - clock.now_ms()) / 1000)
        field = SteppedField(house, scenario)
        addresses = [Address("field", spec.name) for spec in scenario.sites[0].devices]
        for address in addresses:
            field.power(address, on=True)
        await live_through(field, addresses, clock)
        async with house.client() as client:
            answer = await client.get("/api/v1/reports/day", params={"site": "field", "date": DAY.isoformat()})
        report = msgspec.json.decode(answer.content, type=DayReport)
        assert faults_of(report, PLANS, field.begun, FINAL) == []
        assert max(field.begun.values()) == 1
        assert report.totals.done >= 8
        assert {"skipped: not-running", "indeterminate"} <= report.totals.not_done.keys()

        save_clock(tmp_path / "clock.json", clock)  # type: ignore[arg-type]
        monkeypatch.setattr("os.umask", lambda mask: mask)  # the process's own is not the command's to change here
        shown = CliRunner().invoke(
            app, ["report", "day", "--site", "field", "--date", DAY.isoformat(), "--data", str(tmp_path)]
        )
        assert shown.exit_code == 0
        assert shown.stdout.rstrip().endswith("WITHOUT A ROW = 0")
        assert f"planned = {report.totals.planned}, done = {report.totals.done}" in shown.stdout
