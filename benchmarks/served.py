# SPDX-License-Identifier: Apache-2.0
"""A whole Tirta as a user runs it, with registered devices, for benchmarks that look from outside."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from control import registry, tokens
from control.access import Grant
from control.database import open_database
from control.records import ZoneSpec
from gateway.credentials import Credential, hash_password, new_credential

__all__ = ["Served", "serve_tirta"]

SITE = "bench"
_START_S = 180.0  # a machine that is shared starts slowly
_STOP_S = 30.0


@dataclass(frozen=True, slots=True)
class Served:
    """Where it answers, and who its devices are."""

    process: psutil.Process
    http_port: int
    mqtt_port: int
    token: str
    users: list[Credential]
    tokens: list[str]

    def connect(self) -> http.client.HTTPConnection:
        """Return a kept-alive connection to its HTTP API."""
        return http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=60)

    def ask(
        self, connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None = None
    ) -> tuple[float, bytes]:
        """Ask once; return the time until the last byte [ms] and the body."""
        headers = {"authorization": f"Bearer {self.token}"} | ({} if body is None else {"content-type": "application/json"})
        began = time.perf_counter()
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        told = answer.read()
        took_ms = (time.perf_counter() - began) * 1000
        if answer.status != 200:
            raise SystemExit(f"{method} {path} was answered with {answer.status}: {told[:200]!r}")
        return took_ms, told

    def metric(self, name: str) -> int:
        """Return what a metric counts, over all its labels."""
        connection = self.connect()
        lines = self.ask(connection, "GET", "/metrics")[1].decode().splitlines()
        connection.close()
        return int(sum(float(line.split()[-1]) for line in lines if line.startswith((f"{name}{{", f"{name} "))))


@contextmanager
def serve_tirta(folder: Path, *, devices: int, zones: int, speed: float = 1.0, viewers: int = 0) -> Iterator[Served]:
    """Run `tirta up` on a new data folder of so many devices and zones of each; stop it after.

    Parameters
    ----------
    viewers : int
        Tokens of viewers to make.
    """
    data, ready_file = folder / "data", folder / "ready.json"
    users, texts = _register(data, devices, zones, viewers)
    command = [sys.executable, "-m", "tirta", "up", "--data", str(data), "--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0"]
    command += ["--speed", str(speed), "--ready-file", str(ready_file)]
    with (folder / "tirta.log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as started:
        try:
            until = time.monotonic() + _START_S
            while not ready_file.exists():
                if started.poll() is not None or time.monotonic() > until:
                    raise SystemExit(f"tirta up did not start: {(folder / 'tirta.log').read_text()[-500:]}")
                time.sleep(0.02)
            ready = json.loads(ready_file.read_text())
            ports = [int(ready[name].rsplit(":", 1)[1]) for name in ("http", "mqtt")]
            yield Served(psutil.Process(started.pid), ports[0], ports[1], ready["token"], users, texts)
        finally:
            started.terminate()
            started.wait(_STOP_S)


def _register(data: Path, devices: int, zones: int, viewers: int) -> tuple[list[Credential], list[str]]:
    data.mkdir(mode=0o700)
    users = [new_credential(f"{SITE}/device-{i}") for i in range(devices)]
    specs = [ZoneSpec(number, f"Bed {number}", "bed") for number in range(1, zones + 1)]
    database = open_database(f"sqlite:///{data}/control.db")
    now_ms = time.time_ns() // 1_000_000
    with database.session() as session:
        registry.create_site(session, SITE, "Bench", "Asia/Makassar", now_ms=now_ms)
        for i, user in enumerate(users):
            hashed = hash_password(user.password)
            registry.create_device(
                session, SITE, f"device-{i}", "irrigation-controller", f"Device {i}", specs, hashed, now_ms=now_ms
            )
        texts = [tokens.create(session, f"viewer-{i}", (Grant("viewer"),), now_ms=now_ms)[0] for i in range(viewers)]
    database.close()
    return users, texts
