# SPDX-License-Identifier: Apache-2.0
"""A real InfluxDB 2.7 for a test session, on a free port of loopback, with a token made for it.

Found on PATH, else in the cache, else built (see influxd/README.md). Where it is not to be had the tests are skipped
with the reason, but not where `CI=true` and the tools to build it are there.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

__all__ = ["InfluxServer", "find_influxd", "influx_server", "running_influxd"]

_BUILD = Path(__file__).parent / "influxd" / "build.sh"
_READY_MAX_S = 60


@dataclass(frozen=True, slots=True)
class InfluxServer:
    """A running server with one organisation and one bucket."""

    url: str
    org: str
    bucket: str
    token: str = field(repr=False)

    def make_bucket(self, name: str, retention_s: int = 0) -> InfluxServer:
        """Make another bucket and return the same server with it; a retention of 0 keeps for ever."""
        org_id = _call(self.url, f"/api/v2/orgs?org={self.org}", self.token)["orgs"][0]["id"]
        rules = [{"type": "expire", "everySeconds": retention_s}] if retention_s else []
        _call(self.url, "/api/v2/buckets", self.token, {"name": name, "orgID": org_id, "retentionRules": rules})
        return InfluxServer(self.url, self.org, name, self.token)


@pytest.fixture(scope="session")
def influx_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[InfluxServer]:
    """Start a server for the session and stop it after."""
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():  # a build of minutes is watched while it goes on
        influxd = find_influxd()
    with running_influxd(influxd, tmp_path_factory.mktemp("influxd")) as server:
        yield server


def find_influxd() -> str:
    """Return the path of an influxd 2.7, building it if need be; skip or fail the test where there is none."""
    on_path = shutil.which("influxd")
    if on_path and _is_version_2(on_path):
        return on_path
    # The script alone knows where the cache is; a binary that is there it names at once.
    said: list[str] = []
    with subprocess.Popen([_BUILD], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as build:
        assert build.stdout is not None
        assert build.stderr is not None
        for line in build.stderr:
            said.append(line)
            if line.startswith("influxd: "):
                print(line, end="", file=sys.stderr, flush=True)
        path = build.stdout.read().strip()
    if build.returncode == 0:
        return path
    if os.environ.get("CI") == "true" and shutil.which("rustup") and _go_is_new_enough():
        pytest.fail(f"influxd could not be built:\n{''.join(said[-40:])}", pytrace=False)
    pytest.skip(f"no InfluxDB 2.7 here: {said[-1].strip() if said else build.returncode}")


@contextmanager
def running_influxd(influxd: str, folder: Path) -> Iterator[InfluxServer]:
    """Run a server that keeps its data in `folder`, set up with a random token."""
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    command = [
        influxd,
        f"--bolt-path={folder / 'influxd.bolt'}",
        f"--engine-path={folder / 'engine'}",
        f"--sqlite-path={folder / 'influxd.sqlite'}",
        f"--http-bind-address=127.0.0.1:{port}",
        "--reporting-disabled",
    ]
    with (folder / "influxd.log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            _wait_until_ready(url, process, folder / "influxd.log")
            server = InfluxServer(url, "tirta", "series", secrets.token_urlsafe(32))
            asked = {"username": "tests", "password": secrets.token_urlsafe(16), "org": server.org}
            _call(url, "/api/v2/setup", None, {**asked, "bucket": server.bucket, "token": server.token})
            yield server
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + _READY_MAX_S
    while time.monotonic() < end and process.poll() is None:
        try:
            if _call(url, "/health", None)["status"] == "pass":
                return
        except OSError:
            time.sleep(0.1)
    pytest.fail(f"influxd did not get ready:\n{log.read_text()[-2000:]}", pytrace=False)


def _call(url: str, path: str, token: str | None, body: dict[str, object] | None = None) -> dict[str, object]:
    headers = {"Authorization": f"Token {token}"} if token else {}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url + path, data, headers)
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _is_version_2(influxd: str) -> bool:
    said = subprocess.run([influxd, "version"], capture_output=True, text=True, timeout=20).stdout
    return re.search(r"InfluxDB v?2\.", said) is not None


def _go_is_new_enough() -> bool:
    if not shutil.which("go"):
        return False
    said = subprocess.run(["go", "env", "GOVERSION"], capture_output=True, text=True, timeout=20).stdout
    found = re.match(r"go1\.(\d+)", said)
    return found is not None and int(found[1]) >= 26
