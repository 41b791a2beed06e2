# SPDX-License-Identifier: Apache-2.0
"""Read docker-compose.yml and start its services on this machine, without containers.

Each service's own command runs with its own environment and is asked by its own health check; only what a container would
give is put in: a host's name becomes loopback, a port a free one, a volume a folder. InfluxDB and Grafana bring a start-up
of their own in their images: of these two the first is set up here from its environment, the second is not run.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.servers.mosquitto import free_port

__all__ = ["COMPOSE_FILE", "ROOT", "Machine", "program", "read_compose", "read_env"]

ROOT = Path(__file__).parents[3]
COMPOSE_FILE = ROOT / "docker-compose.yml"

_HEALTHY_MAX_S = 60.0
_STOP_MAX_S = 20.0  # the longest that a container is given here
_PORTS = ("1883", "8080", "8086", "8443", "8883")
_VARIABLE = re.compile(r"\$(?:(\$)|\{(\w+)(?:(:[?-])([^}]*))?\})")
_HOST = re.compile(r"\b(?:mosquitto|influxdb|tirta|0\.0\.0\.0)(?=:\d)")
_IMAGE_HEALTH = re.compile(r"^HEALTHCHECK .*?^\s+CMD (\[.*?\])$", re.MULTILINE | re.DOTALL)


def program(name: str, package: str) -> str:
    """Find a program, or skip the test (under CI=true: fail it)."""
    found = shutil.which(name)
    if found is None:
        reason = f"{name} is not installed: apt-get install {package}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def read_env(path: Path) -> dict[str, str]:
    """Read an .env file."""
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def read_compose(variables: Mapping[str, str]) -> dict[str, Any]:
    """Read the file with its variables put in, as docker-compose does it."""
    return _filled_in(yaml.safe_load(COMPOSE_FILE.read_text()), variables)


def _filled_in(part: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(part, dict):
        return {name: _filled_in(inner, variables) for name, inner in part.items()}
    if isinstance(part, list):
        return [_filled_in(inner, variables) for inner in part]
    return _VARIABLE.sub(lambda found: _value(found, variables), part) if isinstance(part, str) else part


def _value(found: re.Match[str], variables: Mapping[str, str]) -> str:
    dollar, name, rule, text = found.groups()
    if dollar:
        return "$"
    if variables.get(name):
        return variables[name]
    assert rule == ":-", f"{name}: {text}"
    return text


class Machine:
    """This machine in the place of the containers; a context manager that stops what it started."""

    def __init__(self, folder: Path, services: Mapping[str, Any]) -> None:
        self.folder = folder
        self.services = services
        self.ports = {port: free_port() for port in _PORTS}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Machine:
        return self

    def __exit__(self, *exc: object) -> None:
        for name in reversed(list(self.processes)):
            self.stop(name)

    @property
    def api(self) -> str:
        """Tirta's address."""
        return f"http://127.0.0.1:{self.ports['8080']}"

    def volume(self, name: str) -> Path:
        """Return the folder that stands for a volume."""
        path = self.folder / "volumes" / name
        path.mkdir(mode=0o700, parents=True, exist_ok=True)  # as the image has them
        return path

    def start(self, name: str) -> None:
        """Start a service and wait until its health check passes."""
        log = (self.folder / f"{name}.log").open("ab")
        with log:
            self.processes[name] = subprocess.Popen(
                self._command(name),
                env=self.environment(name),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.wait_healthy(name)

    def _command(self, name: str) -> list[str]:
        return [self.here(name, word) for word in self.services[name]["command"]]

    def start_influxdb(self, influxd: str) -> None:
        """Start InfluxDB and set it up from the service's environment, as its image does at the first start."""
        data = self.volume("influxdb")
        port = self.ports["8086"]
        command = [influxd, f"--bolt-path={data / 'influxd.bolt'}", f"--engine-path={data / 'engine'}"]
        command += [f"--sqlite-path={data / 'influxd.sqlite'}", f"--http-bind-address=127.0.0.1:{port}"]
        environment = self.environment("influxdb")
        with (self.folder / "influxdb.log").open("ab") as log:
            self.processes["influxdb"] = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        self._wait("influxdb", lambda: self._influxdb_answers(port))
        asked = {key: environment[f"DOCKER_INFLUXDB_INIT_{key.upper()}"] for key in ("username", "password", "org", "bucket")}
        asked["token"] = environment["DOCKER_INFLUXDB_INIT_ADMIN_TOKEN"]
        self.influx("/api/v2/setup", asked)

    def influx(self, path: str, body: object, **headers: str) -> bytes:
        """Ask InfluxDB directly."""
        url = f"http://127.0.0.1:{self.ports['8086']}{path}"
        request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json", **headers})
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=20) as answer:
            content: bytes = answer.read()
            return content

    def _influxdb_answers(self, port: int) -> bool:
        try:
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with opener.open(f"http://127.0.0.1:{port}/health", timeout=60) as answer:
                return bool(json.load(answer)["status"] == "pass")
        except OSError:
            return False

    def stop(self, name: str, *, kill: bool = False) -> int:
        """Stop a service as its container would be stopped; return its exit status."""
        process = self.processes.pop(name)
        process.kill() if kill else process.terminate()
        try:
            return process.wait(_STOP_MAX_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise

    def run(self, name: str, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in a service's surroundings, as `docker-compose exec` does."""
        return subprocess.run(command, env=self.environment(name), cwd=self.folder, capture_output=True, text=True, timeout=60)

    def environment(self, name: str) -> dict[str, str]:
        """Return a service's environment, and where programs are."""
        given = {key: self.here(name, str(value)) for key, value in self.services[name].get("environment", {}).items()}
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin"
        return {"PATH": path, "HOME": str(self.folder), "LC_ALL": "C.UTF-8", **given}

    def here(self, name: str, text: str) -> str:
        """Put this machine's names for a container's hosts, ports and folders."""
        text = _HOST.sub("127.0.0.1", text)
        text = re.sub(rf"\b({'|'.join(self.ports)})\b", lambda found: str(self.ports[found[1]]), text)
        mounts = dict(reversed(volume.split(":")[:2]) for volume in self.services[name].get("volumes", ()))
        if not mounts:
            return text
        pattern = rf"(?<![\w./])({'|'.join(map(re.escape, mounts))})(?=[/\s\"')]|$)"
        return re.sub(pattern, lambda found: str(self.volume(mounts[found[1]])), text)

    def wait_healthy(self, name: str) -> None:
        """Wait until a service's own health check passes."""
        self._wait(name, lambda: self.is_healthy(name))

    def is_healthy(self, name: str) -> bool:
        """Run a service's health check once: the file's, or else its image's."""
        how, *words = self.services[name].get("healthcheck", {}).get("test") or _image_health_check()
        command = [self.here(name, word) for word in words]
        if how == "CMD-SHELL":
            command = ["sh", "-c", *command]
        return self.run(name, *command).returncode == 0

    def _wait(self, name: str, ready: Any) -> None:
        end = time.monotonic() + _HEALTHY_MAX_S
        while not ready():
            ended = self.processes[name].poll()
            if ended is not None or time.monotonic() > end:
                told = (self.folder / f"{name}.log").read_text()[-2000:]
                pytest.fail(f"{name} {'is not healthy' if ended is None else f'ended with {ended}'}:\n{told}", pytrace=False)
            time.sleep(0.1)


def _image_health_check() -> list[str]:
    found = _IMAGE_HEALTH.search((ROOT / "Dockerfile").read_text())
    assert found is not None, "the Dockerfile has no health check"
    return ["CMD", *json.loads(found[1])]
