# SPDX-License-Identifier: Apache-2.0
"""What people do by hand from the command line, against one running service and a board on the bench."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from click.testing import Result
from typer.testing import CliRunner

from control.errors import ControlError
from tests.servers.bench import BenchDevice
from tests.servers.tirta import Tirta, eventually
from tirta.cli import app
from tirta.client import Client
from tirta.errors import TirtaError

ZONES = [f"byhand:board:{number}" for number in (1, 2)]
ID = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}")
TIMER = {"type": "timer", "starts": [{"time": "05:30", "litres": 20.0}], "litres_day": 100.0}


class Board(BenchDevice):
    """A board that is online and hears its commands."""

    def commands(self, action: str) -> list[dict[str, Any]]:
        return [told for topic, told in self.heard if topic.endswith("/command") and told["action"] == action]

    def finish(self, command: dict[str, Any]) -> None:
        """Say that a command was done as it was asked for."""
        answer = {"id": command["id"], "state": "done", "reason": None}
        if "n" in command:
            answer |= {"n": command["n"], "result": command["amount"]}
        self.publish(answer, channel="ack")


@pytest.fixture(scope="module")
def board(tirta: Tirta) -> Iterator[Board]:
    made = done(tirta, "device", "add", "byhand:board", "--kind", "irrigation-controller", "--zones", "2")
    login = re.search(r"^username +(\S+)\npassword +(\S+)$", made, re.MULTILINE)
    assert login is not None
    with Board(tirta, (login[1], login[2])) as board, tirta.client() as client:
        for zone in ZONES:
            client.zones.change(zone, area_m2=4.0, root_depth_m=0.3, flow_l_min=12.0)
        board.listen()
        board.publish({"online": True, "kind": "irrigation-controller", "boot": 1, "n": 0, "zones": 2}, channel="status")
        eventually(lambda: client.devices.get("byhand:board").online, "the board is online")
        yield board


def run(tirta: Tirta, *arguments: str) -> Result:
    """Run a command within this process: there are many, and each start of Python takes longer than what it asks."""
    return CliRunner().invoke(app, [*arguments, "--data", str(tirta.data)])


def done(tirta: Tirta, *arguments: str) -> str:
    """Run a command that is to go well, and return what it said."""
    ended = run(tirta, *arguments)
    assert ended.exit_code == 0, ended.exception
    return ended.stdout


def refused(tirta: Tirta, *arguments: str) -> str:
    """Run a command that is to be refused, and return why."""
    ended = run(tirta, *arguments)
    assert isinstance(ended.exception, (ControlError, TirtaError)), ended.stdout
    return str(ended.exception)


def test_an_act_is_run_stopped_and_told_of(tirta: Tirta, board: Board) -> None:
    act = ID.match(done(tirta, "act", "run", ZONES[0], "irrigate", "--seconds", "60"))
    assert act is not None
    command = eventually(lambda: board.commands("irrigate"), "the board is told")[-1]
    assert (command["id"], command["zone"]) == (act[0], 1)
    done(tirta, "act", "stop", ZONES[0])
    eventually(lambda: board.commands("stop"), "the board is told to stop")
    board.finish(command)
    eventually(lambda: "done" in done(tirta, "act", "show", act[0]), "its end is known")

    assert "done" in refused(tirta, "act", "stop", act[0])


def test_all_of_a_site_is_stopped_and_paused(tirta: Tirta, board: Board, client: Client) -> None:
    before = len(board.commands("stop"))
    assert done(tirta, "act", "stop-all", "site:byhand", "--pause", "5") == (
        "1 devices are told to stop, 0 acts that waited are withdrawn\n"
    )
    eventually(lambda: len(board.commands("stop")) > before, "the board is told to stop")
    assert [one.on for one in client.suspensions.list(on="site:byhand", open=True)] == ["site:byhand"]
    assert "resumed" in done(tirta, "suspension", "resume", "site:byhand")
    assert "name a site" in refused(tirta, "act", "stop-all", "*")


def test_valves_are_tested_one_after_the_other(tirta: Tirta, board: Board, client: Client) -> None:
    before = len(board.commands("irrigate"))
    test = ID.match(done(tirta, "act", "test-valves", "byhand:board"))
    assert test is not None
    for number in (1, 2):
        command = eventually(lambda more=before + number: board.commands("irrigate")[more - 1 : more], "a valve is opened")[0]
        assert (command["zone"], command["amount"]["seconds"]) == (number, 10.0)
        board.finish(command)
    eventually(lambda: client.valve_tests.get(test[0]).state == "done", "the test is through")
    assert [valve.state for valve in client.valve_tests.get(test[0]).valves] == ["done", "done"]


def test_the_configuration_is_shown_and_changed(tirta: Tirta, board: Board) -> None:
    done(tirta, "device", "config", "byhand:board", "--telemetry-s", "30")
    eventually(lambda: [one for one in board.said("config") if one["telemetry_s"] == 30], "the board is told")
    assert re.search(r"^telemetry_s +30  ", done(tirta, "device", "config", "byhand:board"), re.MULTILINE)


def test_what_is_put_off_is_told_as_an_event_at_once(tirta: Tirta, client: Client, board: Board) -> None:
    told: list[dict[str, Any]] = []
    following = threading.Event()
    header = {"authorization": f"Bearer {tirta.ready['token']}"}

    def follow() -> None:
        with httpx2.stream(
            "GET",
            f"{tirta.ready['http']}/api/v1/events",
            params={"event": "suspension"},
            headers=header,
            timeout=60,
            trust_env=False,
        ) as stream:
            for line in stream.iter_lines():
                following.set()
                if line.startswith("data:"):
                    told.append(json.loads(line.removeprefix("data:")))
                if len(told) == 4:
                    return

    listener = threading.Thread(target=follow, daemon=True)
    listener.start()
    assert following.wait(60)
    client.schedules.create(ZONES[1], TIMER)
    pause = done(tirta, "suspension", "pause", f"zone:{ZONES[1]}", "--hours", "2", "--note", "new plants")
    assert "new plants" in pause
    assert "pause" in done(tirta, "suspension", "list")
    assert "resumed" in done(tirta, "suspension", "resume", pause.split()[0])
    assert "rain-delay" in done(tirta, "suspension", "rain-delay", "site:byhand", "--hours", "1")
    assert "skip" in done(tirta, "suspension", "skip", ZONES[1])
    listener.join(60)

    assert [one["kind"] for one in told] == ["pause", "pause", "rain-delay", "skip"]
    assert "city:NAME" in refused(tirta, "suspension", "pause", "nowhere")
    assert "resumed" in done(tirta, "suspension", "resume", "site:byhand")
    assert "site:byhand" in refused(tirta, "suspension", "resume", "site:byhand")


def test_a_pump_is_added_changed_shown_and_removed(tirta: Tirta, board: Board) -> None:
    added = done(tirta, "resources", "add", "byhand:pump", "--title", "North pump", "--max-zones", "1", "--zone", ZONES[0])
    assert added.split() == ["byhand:pump", "pump", "North", "pump:", "1", "zones", "at", "once;", "1", "beds"]
    changed = done(tirta, "resources", "change", "byhand:pump", "--max-zones", "none", "--max-flow", "30", "--min-rest", "5")
    assert "30 L/min, rests 5 s; 1 beds" in changed
    assert "byhand:pump" in done(tirta, "resources", "list", "--zone", ZONES[0])
    assert done(tirta, "resources", "show", "byhand:pump").splitlines()[1] == f"  {ZONES[0]}"
    assert "SITE:NAME" in refused(tirta, "resources", "add", "pump")
    assert "--help" in refused(tirta, "resources", "change", "byhand:pump")
    assert "--max-flow" in refused(tirta, "resources", "change", "byhand:pump", "--max-flow", "much")
    done(tirta, "resources", "remove", "byhand:pump")
    assert "byhand:pump" in refused(tirta, "resources", "show", "byhand:pump")
    assert done(tirta, "resources", "list", "--site", "byhand").startswith("no pump")
