# SPDX-License-Identifier: Apache-2.0
"""`tirta device`, `token` and `doctor`, while the service runs and while it is stopped."""

from __future__ import annotations

import re
from pathlib import Path

import httpx2
import pytest

from tests.servers.bench import BenchDevice
from tests.servers.tirta import Tirta, eventually, run_tirta, series

KIND = ("--kind", "irrigation-controller")


def told(output: str) -> tuple[str, str]:
    """Return the credential that a command printed."""
    username, password = re.search(r"^username +(\S+)\npassword +(\S+)$", output, re.MULTILINE).groups()  # type: ignore[union-attr]
    return username, password


def enters(tirta: Tirta, login: tuple[str, str]) -> bool:
    """Tell whether the broker takes a credential."""
    with BenchDevice(tirta, login) as device:
        return not device.refused


def takes(tirta: Tirta, token: str) -> bool:
    """Tell whether the API takes a token."""
    answer = httpx2.get(f"{tirta.ready['http']}/api/v1/sites", headers={"authorization": f"Bearer {token}"}, trust_env=False)
    assert answer.status_code in (200, 401)
    return answer.status_code == 200


@pytest.mark.slow
def test_devices_and_tokens_are_made_and_ended_while_it_runs_and_while_it_is_stopped(tmp_path: Path) -> None:
    with Tirta(tmp_path) as tirta:
        added = tirta.run("device", "add", "plaza:one", *KIND, "--zones", "2")
        assert added.returncode == 0, added.stderr
        first, token = told(added.stdout), tirta.run("token", "create", "running").stdout.strip()
        assert takes(tirta, token)
        with BenchDevice(tirta, first) as device, tirta.client() as client:
            device.publish({"zone": 2, "soil_moisture": 0.24})
            eventually(lambda: series(client, "plaza:one:2", "soil_moisture"), "it is stored")
            second = told(tirta.run("device", "rotate", "plaza:one").stdout)
            eventually(lambda: device.disconnects, "the old credential is put out at once")
        assert not enters(tirta, first)
        assert enters(tirta, second)
        assert tirta.run("token", "revoke", "running").returncode == 0
        assert not takes(tirta, token)
        assert tirta.stop() == 0

        stopped, third = (
            told(tirta.run("device", "add", "plaza:two", *KIND).stdout),
            told(tirta.run("device", "rotate", "plaza:one").stdout),
        )
        token = tirta.run("token", "create", "stopped", "--rights", "viewer").stdout.strip()
        assert re.findall(r"plaza:\w+", tirta.run("device", "list").stdout) == ["plaza:one", "plaza:two"]
        listed = tirta.run("token", "list").stdout
        assert "stopped" in listed
        assert "running" not in listed
        assert token not in listed
        tirta.start()
        assert not enters(tirta, second)
        assert enters(tirta, third)
        assert takes(tirta, token)
        with BenchDevice(tirta, stopped) as device, tirta.client() as client:
            device.publish({"soil_moisture": 0.23})
            eventually(lambda: series(client, "plaza:two:1", "soil_moisture"), "it is stored")
            assert tirta.run("device", "revoke", "plaza:two").returncode == 0
            eventually(lambda: device.disconnects, "who is revoked is put out at once")
        assert not enters(tirta, stopped)
        assert tirta.stop() == 0

        assert tirta.run("device", "revoke", "plaza:one").returncode == 0
        assert tirta.run("token", "revoke", "stopped").returncode == 0
        assert tirta.run("device", "list").stdout == ""
        tirta.start()
        assert not enters(tirta, third)
        assert not takes(tirta, token)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("device", "add", "plaza", *KIND), "SITE:DEVICE"),
        (("device", "add", "PLAZA:one", *KIND), "site"),
        (("device", "add", "plaza:one", "--kind", "toaster"), "toaster"),
        (("device", "add", "plaza:one", *KIND, "--timezone", "Mars/Olympus"), "timezone"),
        (("device", "rotate", "plaza:none"), "plaza:none"),
        (("device", "revoke", "plaza:none"), "plaza:none"),
        (("token", "revoke", "none"), "none"),
        (("token", "create", "x", "--rights", "king"), "viewer"),
        (("token", "create", "x", "--config", "/no/such.toml"), "/no/such.toml"),
    ],
)
def test_a_wrong_command_says_why_in_one_line(tirta: Tirta, arguments: tuple[str, ...], named: str) -> None:
    ended = tirta.run(*arguments)
    assert ended.returncode == 1
    assert ended.stdout == ""
    (line,) = ended.stderr.splitlines()
    assert line.startswith("tirta: ")
    assert named in line


def test_a_wrong_command_while_it_is_stopped_says_why_in_one_line(tmp_path: Path) -> None:
    with Tirta(tmp_path) as tirta:
        tirta.stop()
    for arguments, named in (
        (("device", "add", "PLAZA:one", *KIND), "PLAZA"),
        (("device", "revoke", "plaza:none"), "plaza:none"),
    ):
        ended = run_tirta(*arguments, "--data", tirta.data)
        assert ended.returncode == 1
        (line,) = ended.stderr.splitlines()
        assert named in line


def test_doctor_says_what_is_wrong_by_words_and_exit_code(tmp_path: Path) -> None:
    absent = run_tirta("doctor", "--data", tmp_path / "none")
    assert absent.returncode == 1
    assert "tirta up" in absent.stdout
    assert not (tmp_path / "none").exists(), "who looks changes nothing"
    with Tirta(tmp_path) as tirta:
        well = tirta.run("doctor")
        bad = [line for line in well.stdout.splitlines() if line.startswith("BAD")]
        # Of this machine only the disk may be short; all else is ours.
        assert [line for line in bad if " disk " not in line] == []
        assert well.returncode == (1 if bad else 0)
        assert "store duckdb" in well.stdout
        tirta.data.chmod(0o755)
        assert "chmod 700" in tirta.run("doctor").stdout
        assert tirta.stop() == 0
        ended = tirta.run("doctor")
        assert ended.returncode == 1
        assert "not running" in ended.stdout
        # While it ran, what it listens on counted, and not what the next start may be told.
        open_one = tirta.run("doctor", environment={"TIRTA_HTTP": "0.0.0.0:8080"})
        assert any(line.startswith("BAD") and "--behind-proxy" in line for line in open_one.stdout.splitlines())
    silent = run_tirta("doctor", "--data", tmp_path / "data", environment={"TIRTA_BROKER_URL": "mqtt://127.0.0.1:1"})
    assert "TIRTA_BROKER_URL" in silent.stdout


def test_help_of_every_command_teaches() -> None:
    top = run_tirta("--help").stdout
    assert all(command in top for command in ("up", "init", "simulate", "device", "token", "doctor", "version"))
    for command, option in (("up", "--ready-file"), ("simulate", "--token-file"), ("device", "rotate")):
        assert option in run_tirta(command, "--help").stdout
    assert run_tirta("version").stdout.startswith("tirta ")
