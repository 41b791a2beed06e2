# SPDX-License-Identifier: Apache-2.0
"""`tirta report day` on a control database, and its text."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import delete
from typer.testing import CliRunner, Result

from control import registry, schedules
from control.database import open_database
from control.ids import act_id
from control.ledger import Order, PlannedAct, plan_acts
from control.models import ActRow, ControllerRow, TransitionRow
from control.records import ZoneParameters, ZoneSpec
from tests.unit.control.stage import at
from tirta.cli import app
from tirta.day_text import COLUMNS

Run = Callable[..., Result]
TIMER = {"type": "timer", "starts": [{"time": "05:30", "litres": 60.0}, {"time": "06:00", "litres": 60.0}], "litres_day": 200.0}


def order(schedule: str, time: str) -> Order:
    return Order(
        "pilot:garden", "pilot:garden:1", "irrigate", f"schedule:{schedule}", 1, "controller", at(time), at(time), at(time),
        litres=60.0,
    )  # fmt: skip


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr("os.umask", lambda mask: mask)  # the process's own is not the command's to change here
    (tmp_path / "data").mkdir()
    database = open_database(f"sqlite:///{tmp_path}/data/control.db")
    bed = ZoneParameters(area_m2=4.0, root_depth_m=0.3, flow_l_min=12.0)
    with database.session() as session:
        registry.create_site(session, "pilot", "Taman Pilot", "Asia/Makassar", now_ms=at("05:00"))
        registry.create_site(session, "quiet", "Taman Sepi", "Asia/Makassar", now_ms=at("05:00"))
        zones = [ZoneSpec(1, "Bedeng", "bed", bed)]
        registry.create_device(session, "pilot", "garden", "irrigation-controller", "G", zones, "$7$", now_ms=at("05:00"))
        schedule = schedules.create_schedule(session, "pilot:garden:1", TIMER, now_ms=at("05:00"))
        plans = []
        for time, state, cause in (("05:30", "planned", "planned"), ("06:00", "skipped", "missed: offline")):
            key = act_id(f"schedule:{schedule.id}", 1, "pilot:garden:1", at(time))
            plans.append(PlannedAct(key, order(schedule.id, time), state, cause))
        plan_acts(session, plans)
        row = session.get_one(ActRow, plans[0].id)
        row.state, row.begun_ms, row.ended_ms, row.result_litres = "done", at("05:30"), at("05:35"), 59.5
        session.add(ControllerRow(id=1, last_tick_ms=at("08:00")))
    database.close()

    def call(*arguments: str) -> Result:
        return CliRunner().invoke(app, ["report", "day", "--date", "2026-11-22", *arguments, "--data", str(tmp_path / "data")])

    return call


def test_report_day_shows_each_planned_moment_within_a_hundred_columns(run: Run) -> None:
    shown = run("--site", "pilot")
    lines = shown.stdout.splitlines()
    assert shown.exit_code == 0
    assert max(map(len, lines)) <= COLUMNS
    assert lines[0].startswith("Taman Pilot (pilot)  2026-11-22  Asia/Makassar  seen ")
    assert "  05:30  done                05:30  05:35       60 L     59.5 L" in lines
    assert "         Watering 60 L: skipped (missed); the device is not connected." in lines
    assert "planned = 2, done = 1, not done = 1 (skipped: the device is not connected 1), open = 0" in lines
    assert lines[-1] == "WITHOUT A ROW = 0"


def test_report_day_speaks_indonesian(run: Run) -> None:
    shown = run("--site", "pilot", "--language", "id").stdout
    assert "  05:30  selesai             05:30  05:35       60 L     59,5 L" in shown
    assert "direncanakan = 2, selesai = 1, tidak dilakukan = 1 (dilewati: perangkat tidak terhubung 1)" in shown
    assert "\n  terbuka = 0\n" in shown
    assert shown.rstrip().endswith("TANPA CATATAN = 0")


def test_report_day_of_every_site_tells_each_and_an_empty_one_says_so(run: Run) -> None:
    shown = run().stdout
    assert "Taman Pilot (pilot)" in shown
    assert "Taman Sepi (quiet)" in shown
    assert "Nothing was planned and nothing done." in shown


def test_report_day_as_json_is_what_the_service_answers(run: Run) -> None:
    found = json.loads(run("--site", "pilot", "--json").stdout)
    assert found["totals"]["without_row"] == 0
    assert [row["state"] for row in found["rows"]] == ["done", "skipped"]
    assert found["rows"][0]["result"] == {"seconds": None, "litres": 59.5, "grams": None}


def test_report_day_with_a_moment_that_the_ledger_does_not_know_says_so_loudly_and_ends_with_1(
    run: Run, tmp_path: Path
) -> None:
    database = open_database(f"sqlite:///{tmp_path}/data/control.db")
    with database.session() as session:
        session.execute(delete(TransitionRow))
        session.execute(delete(ActRow).where(ActRow.planned_ms == at("06:00")))
    database.close()
    shown = run("--site", "pilot")
    assert shown.exit_code == 1
    assert "  06:00  WITHOUT A ROW" in shown.stdout
    assert "WITHOUT A ROW = 1\n!!  The ledger has gaps" in shown.stdout
