# SPDX-License-Identifier: Apache-2.0
"""`tirta act …` on a control database."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from control import audit, ledger, registry
from control.database import open_database
from control.errors import Conflict, Invalid, NotFound
from control.ids import new_id
from control.ledger import Order
from control.models import ActRow
from control.records import ZoneParameters, ZoneSpec
from tests.servers.sqlite import fresh_sqlite
from tirta.cli import app
from tirta.errors import NotPossible

Run = Callable[..., Result]
START_MS = 1_795_323_600_000  # 2026-11-22T05:00:00Z
ACT = new_id(START_MS)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr("os.umask", lambda mask: mask)  # the process's own is not the command's to change here
    (tmp_path / "data").mkdir()
    fresh_sqlite(tmp_path / "data")
    address = f"sqlite:///{tmp_path}/data/control.db"
    database = open_database(address)
    bed = ZoneParameters(area_m2=4.0, root_depth_m=0.3, flow_l_min=12.0)
    with database.session() as session:
        registry.create_site(session, "taman", "Taman", "Asia/Makassar", now_ms=START_MS)
        zones = [ZoneSpec(1, "Bedeng 1", "bed", bed)]
        registry.create_device(session, "taman", "bedeng", "irrigation-controller", "B", zones, "$7$", now_ms=START_MS)
        order = Order("taman:bedeng", "taman:bedeng:1", "irrigate", "manual", 0, "ani", START_MS, START_MS, START_MS, 60, 12)
        ledger.plan_act(session, ACT, order, cause="asked for by hand")
        row = session.get_one(ActRow, ACT)
        for state in ("sent", "unknown"):
            ledger.step(session, row, state, "a test", "controller", START_MS + 1000)
    database.close()

    def call(*arguments: str) -> Result:
        return CliRunner().invoke(app, ["act", *arguments, "--data", str(tmp_path / "data")])

    return call


def test_act_list_tells_each_in_words_or_as_json(run: Run) -> None:
    assert run("list").stdout == (
        f"{ACT}  2026-11-22 05:00:00Z  taman:bedeng:1                Watering 12 L: unknown: no word from the device.\n"
    )
    assert run("list", "--state", "done").stdout == "no act\n"
    assert json.loads(run("list", "--zone", "taman:bedeng:1", "--json").stdout)["id"] == ACT
    assert isinstance(run("list", "--state", "finished").exception, Invalid)


def test_act_show_tells_every_step_with_its_cause_and_actor(run: Run) -> None:
    lines = run("show", ACT).stdout.splitlines()
    assert lines[1] == "  2026-11-22 05:00:00Z  planned        asked for by hand (ani)"
    assert lines[3] == "  2026-11-22 05:00:01Z  unknown        a test (controller)"
    assert isinstance(run("show", "nonsense").exception, NotFound)


def test_why_tells_of_a_zone_now_or_at_a_local_time_in_either_language(run: Run, tmp_path: Path) -> None:
    def why(*arguments: str) -> Result:
        return CliRunner().invoke(app, ["why", "taman:bedeng:1", *arguments, "--data", str(tmp_path / "data")])

    lines = why("--at", "2026-11-22T13:00").stdout.splitlines()
    assert lines[0].startswith("Watering 12 L of Bedeng 1 at 13:00")
    assert "unknown        a test (controller)" in lines[-1]
    assert "Penyiraman 12 L di Bedeng 1" in why("--at", "2026-11-22T05:00:00Z", "--language", "id").stdout
    assert "no schedule was in force" in why("--at", "2026-11-22 12:59").stdout
    assert json.loads(why("--at", "2026-11-22T13:00", "--json").stdout)["act"]["act"]["id"] == ACT
    for wrong in (("--at", "25:00"), ("--at", "2026-13-01T05:00"), ("--language", "jv")):
        assert isinstance(why(*wrong).exception, NotPossible)


def test_act_settle_ends_it_as_it_was_seen_and_enters_it_in_the_trail(run: Run, tmp_path: Path) -> None:
    told = run("settle", ACT, "--state", "done", "--litres", "11", "--reason", "the soil is wet")
    assert "Watering 11 L: done (settled by a person)." in told.stdout
    assert "seen: the soil is wet (command-line)" in run("show", ACT).stdout
    assert isinstance(run("settle", ACT, "--state", "done", "--reason", "again").exception, Conflict)
    database = open_database(f"sqlite:///{tmp_path}/data/control.db")
    with database.reader() as session:
        entries, _ = audit.list_entries(session)
    database.close()
    assert [entry.action for entry in entries][:1] == ["act.settle"]
