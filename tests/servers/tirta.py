# SPDX-License-Identifier: Apache-2.0
"""The whole Tirta for tests: `tirta up` as a process of its own on free ports, with data in the test's folder.

Invariant: whatever the test did to it, on leaving nothing of it runs: the broker and the demo's devices outlive a killed
Tirta on purpose, and are ended here by their own records.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import pytest

from gateway.processes import DetachedProcess, ProcessRecord
from tests.servers.mosquitto import mosquitto_executable
from tirta.client import Client

__all__ = ["COMMAND", "Tirta", "eventually", "plain_environment", "run_tirta", "series"]

COMMAND = (sys.executable, "-m", "tirta")
START_S = 60.0  # until it answers, on a machine that is busy [s]
STOP_S = 60.0  # for SIGTERM: ten seconds are promised, and a machine that tests keep busy is slower [s]
_POLL_S = 0.05

T = TypeVar("T")


def eventually(question: Callable[[], T], what: str, timeout_s: float = 60.0) -> T:
    """Ask until the answer is true, and return it; fail the test with `what` and the last answer after `timeout_s`."""
    end_s = time.monotonic() + timeout_s
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > end_s:
            pytest.fail(f"not within {timeout_s:g} s: {what}; last seen: {answer!r}")
        time.sleep(_POLL_S)


def plain_environment(**more: str) -> dict[str, str]:
    """Return the environment without settings of Tirta that whoever runs the tests may have, and with `more`."""
    return {name: value for name, value in os.environ.items() if not name.startswith("TIRTA_")} | more


def run_tirta(
    *arguments: str | Path,
    environment: Mapping[str, str] | None = None,
    command: Sequence[str] = COMMAND,
    cwd: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command of Tirta to its end."""
    return subprocess.run(
        [*command, *map(str, arguments)],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env=plain_environment(**(environment or {})),
        cwd=cwd,
        timeout=START_S,
        check=False,
    )


class Tirta:
    """One service in a folder of its own; a context manager that starts it.

    Parameters
    ----------
    folder : Path
        A test's tmp_path; the data are in `data` within it.
    *arguments : str
        Further ones of `tirta up`.
    environment : mapping, optional
        Settings as `TIRTA_…`.
    command : sequence of str
        How `tirta` is called.
    cwd : Path, optional
        Where it runs.
    """

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        command: Sequence[str] = COMMAND,
        cwd: Path | None = None,
    ) -> None:
        mosquitto_executable()
        self.folder = folder
        self.data = folder / "data"
        self.ready_file = folder / "ready.json"
        self.arguments: tuple[str, ...] = arguments
        self.environment = dict(environment or {})
        self.process: subprocess.Popen[bytes] | None = None
        self._command = tuple(command)
        self._cwd = cwd

    def __enter__(self) -> Tirta:
        try:
            self.start()
        except BaseException:
            self.clean_up()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self.clean_up()

    def spawn(self, *more: str) -> subprocess.Popen[bytes]:
        """Start the process and do not wait for it; its output is added to `out` and `err`."""
        command = [*self._command, "up", "--data", str(self.data), "--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0"]
        command += ["--ready-file", str(self.ready_file), *self.arguments, *more]
        with (self.folder / "out").open("ab") as out, (self.folder / "err").open("ab") as err:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=plain_environment(**self.environment),
                cwd=self._cwd,
            )

    def start(self) -> float:
        """Start it and wait until it is ready; return how long that took. [s]"""
        begin_s = time.monotonic()
        self.ready_file.unlink(missing_ok=True)
        process = self.process = self.spawn()
        eventually(lambda: self.ready_file.exists() or process.poll() is not None, "tirta is ready", START_S)
        if process.poll() is not None:
            pytest.fail(f"tirta ended with {process.returncode}: {self.err[-2000:]}")
        return time.monotonic() - begin_s

    def stop(self) -> int:
        """End it by SIGTERM and return its exit code; fail where that takes longer than promised."""
        process = self._running()
        process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            pytest.fail(f"tirta did not end within {STOP_S:g} s of SIGTERM: {self.err[-2000:]}")
        self.process = None
        return code

    def kill(self) -> None:
        """End it by SIGKILL, as a crash would."""
        process = self._running()
        process.kill()
        process.wait(STOP_S)
        self.process = None

    def clean_up(self) -> None:
        """End whatever is left, and wait for it."""
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(STOP_S)
            self.process = None
        for child in (self._broker, self._devices):
            child.signal(signal.SIGKILL)

    @property
    def ready(self) -> dict[str, str]:
        """What the ready file says."""
        content: dict[str, str] = json.loads(self.ready_file.read_text("utf-8"))
        return content

    @property
    def mqtt(self) -> tuple[str, int]:
        """Host and port of the broker."""
        host, _, port = self.ready["mqtt"].removeprefix("mqtt://").rpartition(":")
        return host, int(port)

    @property
    def out(self) -> str:
        """What it has printed."""
        return (self.folder / "out").read_text("utf-8")

    @property
    def err(self) -> str:
        """What it has printed to the standard error."""
        return (self.folder / "err").read_text("utf-8")

    @property
    def broker(self) -> ProcessRecord | None:
        """Its own mosquitto, if that runs."""
        return self._broker.find()

    @property
    def devices(self) -> ProcessRecord | None:
        """The process of the demo's devices, if that runs."""
        return self._devices.find()

    def client(self) -> Client:
        """Return a client of its HTTP API; a context manager."""
        return Client.from_ready_file(self.ready_file)

    def oracle(self, device: str, name: str) -> list[str]:
        """Return the lines that a virtual device of the demo wrote down itself: `acked` or `acts`."""
        path = self.data / "demo" / "devices" / f"{device.replace(':', '__')}.{name}.log"
        return path.read_text("utf-8").splitlines() if path.exists() else []

    def run(self, *arguments: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run another command on the same data."""
        return run_tirta(*arguments, "--data", self.data, environment={**self.environment, **(environment or {})})

    def _running(self) -> subprocess.Popen[bytes]:
        assert self.process is not None, "tirta does not run"
        return self.process

    @property
    def _broker(self) -> DetachedProcess:
        return DetachedProcess(self.data / "broker" / "mosquitto.pid.json")

    @property
    def _devices(self) -> DetachedProcess:
        return DetachedProcess(self.data / "demo" / "devices.pid.json")


def series(client: Client, zone: str, quantity: str) -> list[tuple[datetime, float]]:
    """Return every measurement of a quantity, in order: (instant, value)."""
    rows = client.zones.series(zone, [quantity], start=datetime(2020, 1, 1, tzinfo=UTC))
    return [(row.at, value) for row in rows if (value := row.values[quantity]) is not None]
