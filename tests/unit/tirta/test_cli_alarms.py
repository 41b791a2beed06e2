# SPDX-License-Identifier: Apache-2.0
"""`tirta alarms …` on a control database."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from control import alarms
from control.alarms import Alarm
from control.database import open_database
from control.errors import NotFound, NotWritten
from control.ids import new_id
from tirta.cli import app
from tirta.client import Alarm as ServiceAlarm
from tirta.client import Client, Sentence
from tirta.client.troubles import Alarms
from tirta.errors import NotPossible, ServiceUnavailable
from tirta.folder import DataFolder

Run = Callable[..., Result]
FULL = Alarm("0" * 25 + "1", "journal-stopped", "critical", "journal", None, None, {"said": "no room"}, 1_795_323_600_000)
OVER = Alarm("0" * 26, "broker-down", "critical", "broker", None, None, {}, 1_795_323_600_000, 1_795_323_660_000)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr("os.umask", lambda mask: mask)  # the process's own is not the command's to change here
    (tmp_path / "data").mkdir()
    database = open_database(f"sqlite:///{tmp_path}/data/control.db")
    with database.session() as session:
        alarms.keep(session, [OVER, FULL])
    database.close()

    def call(*arguments: str) -> Result:
        return CliRunner().invoke(app, ["alarms", *arguments, "--data", str(tmp_path / "data")])

    return call


def test_alarms_lists_what_is_open_in_words_with_what_the_part_said(run: Run) -> None:
    listed = run().stdout
    assert listed.count("\n") == 1
    assert listed.startswith(f"{FULL.id}  2026-11-22 05:00:00Z  critical  journal-stopped: The journal takes nothing")
    assert listed.rstrip().endswith("no room")
    assert run("--code", "broker-down").stdout == "no alarm is open\n"
    assert "until 2026-11-22 05:01:00Z" in run("--all", "--code", "broker-down").output
    assert "--limit shows more" in run("--all", "--limit", "1").output
    assert json.loads(run("--json").stdout)["details"] == {"said": "no room"}
    assert isinstance(run("--severity", "grave").exception, NotPossible)


def test_alarms_says_beside_the_list_what_is_wrong_now(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run().stderr == "now: Tirta does not run, so no alarm is raised and none ends\n"

    def health(client: Client) -> None:
        raise ServiceUnavailable(503, "journal: its volume is full")

    folder = DataFolder(tmp_path / "data")
    with folder.locked():
        assert run().stderr == "now: Tirta is starting or stopping\n"
        folder.file("ready.json").write_text('{"http": "http://127.0.0.1:9", "token": "t"}')
        monkeypatch.setattr(Client, "health", health)
        # The disk took no alarm of this: an empty list alone would say that all is well.
        listed = run("--code", "disk-full")
        assert (listed.stdout, "its volume is full" in listed.stderr) == ("no alarm is open\n", True)
        monkeypatch.setattr(Client, "health", lambda client: None)
        assert run().stderr == ""


def test_alarms_of_a_running_tirta_are_those_it_holds_too(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words, since = Sentence("penuh", "full"), datetime(2026, 11, 22, 5, tzinfo=UTC)
    held = ServiceAlarm(
        new_id(1), "disk-full", "disk:data", "critical", None, None, since, None, None, None, {"said": "2 %"}, words, 1
    )
    monkeypatch.setattr(Client, "health", lambda client: None)
    monkeypatch.setattr(Alarms, "list", lambda alarms, **asked: iter([held] * 3 if asked["code"] is None else []))
    monkeypatch.setattr(Alarms, "get", lambda alarms, name: held)
    folder = DataFolder(tmp_path / "data")
    with folder.locked():
        folder.file("ready.json").write_text('{"http": "http://127.0.0.1:9", "token": "t"}')
        assert run("--limit", "2").stdout.count(f"{held.id}  2026-11-22 05:00:00Z  critical  disk-full") == 2
        assert "--limit shows more" in run("--limit", "2").stdout
        assert json.loads(run("--json", "--limit", "1").stdout)["since_ms"] == 1_795_323_600_000
        assert run("--code", "journal-stopped").stdout == "no alarm is open\n"
        assert isinstance(run("seen", held.id).exception, NotWritten)


def test_alarms_seen_marks_one_once_with_who_and_why_in_the_trail(run: Run, tmp_path: Path) -> None:
    assert run("seen", FULL.id, "--why", "on my way").output == f"{FULL.id} is marked as seen\n"
    assert "was seen by" in run("seen", FULL.id).output
    assert "(seen by " in run().output
    assert isinstance(run("seen", replace(FULL, id="x").id).exception, NotFound)
    trail = CliRunner().invoke(app, ["audit", "list", "--data", str(tmp_path / "data")]).output
    assert (trail.count("alarm.see"), "on my way" in trail) == (1, True)
