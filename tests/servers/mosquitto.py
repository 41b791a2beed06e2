# SPDX-License-Identifier: Apache-2.0
"""A real mosquitto for tests: the generated configuration on a free port of loopback, stopped by its process id.

Where mosquitto is not installed a test is skipped with the reason, and fails under CI=true.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from gateway.broker_config import BrokerFiles, BrokerLimits, acl_text, configuration_text, passwords_text
from gateway.credentials import CONTROL, INGEST, Credential, hash_password, new_credential

__all__ = ["Mosquitto", "free_port", "mosquitto_executable"]

_START_TIMEOUT_S = 60.0


def free_port() -> int:
    """Find a port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def mosquitto_executable() -> str:
    """Find mosquitto, or skip the test (under CI=true: fail it)."""
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        reason = "mosquitto is not installed: apt-get install mosquitto"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


class Mosquitto:
    """One broker in a folder of its own; a context manager.

    Parameters
    ----------
    folder : Path
        A test's tmp_path.
    devices : tuple of str
        User names `{site}/{device}`. The platform's roles are always there.
    """

    def __init__(self, folder: Path, *, devices: tuple[str, ...] = (), limits: BrokerLimits | None = None) -> None:
        self.executable = mosquitto_executable()
        self.files = BrokerFiles(folder / "mosquitto")
        self.limits = limits or BrokerLimits()
        self.host = "127.0.0.1"
        self.port = free_port()
        self.credentials: dict[str, Credential] = {}
        for username in (INGEST, CONTROL, *devices):
            self.credentials[username] = new_credential(username)
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Mosquitto:
        self.files.store.mkdir(parents=True, exist_ok=True)
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def __getitem__(self, username: str) -> Credential:
        return self.credentials[username]

    def write_files(self) -> None:
        """Write the three files from the credentials as they stand."""
        user = "root" if os.geteuid() == 0 else None
        self.files.configuration.write_text(
            configuration_text(
                self.files, host=self.host, port=self.port, limits=self.limits, log=self.files.folder / "log", user=user
            )
        )
        self.files.passwords.write_text(
            passwords_text({name: hash_password(one.password) for name, one in self.credentials.items()})
        )
        self.files.acl.write_text(acl_text())
        for path in (self.files.passwords, self.files.acl):
            path.chmod(0o600)

    def start(self) -> None:
        """Start it and wait until it listens."""
        self.write_files()
        self.process = subprocess.Popen(
            [self.executable, "-c", str(self.files.configuration)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        end = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < end and self.process.poll() is None:
            try:
                socket.create_connection((self.host, self.port), timeout=1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        self.stop()
        pytest.fail(f"mosquitto did not start: {(self.files.folder / 'log').read_text()[-500:]}")

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Stop this very process, and wait."""
        if self.process is not None:
            self.process.send_signal(number)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(60)
            self.process = None

    def reload(self) -> None:
        """Write the files again and have them read."""
        self.write_files()
        assert self.process is not None
        self.process.send_signal(signal.SIGHUP)
        time.sleep(0.3)
