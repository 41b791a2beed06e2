# SPDX-License-Identifier: Apache-2.0
"""`tirta doctor`: what is wrong with broker, stores, disk and clock, and what to do.

Looks from outside: at the files, the machine and, where the service runs, at what it says of itself.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.broker_url import parse_broker_url
from gateway.processes import find_executable
from tirta.client import Client
from tirta.errors import ServiceAnswer
from tirta.folder import DataFolder
from tirta.room import room_at
from tirta.settings import Settings, split_host_port
from tirta.web import is_loopback

__all__ = ["Finding", "examine"]

_EARLIEST: Final = 1_767_225_600  # 2026-01-01: a clock before it was never set [s since the Unix epoch]
_TIMEOUT_S: Final = 3.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: how it is, and what to do where it is not well."""

    part: str
    ok: bool
    text: str


def examine(settings: Settings) -> list[Finding]:
    """Look at everything; the order is that of the causes."""
    folder = DataFolder(settings.data)
    checks: list[Callable[[], Finding]] = [
        lambda: _folder(folder),
        lambda: _disk(folder, settings),
        _clock,
        lambda: _broker(settings),
        lambda: _listeners(settings),
    ]
    found = [check() for check in checks]
    return found + _service(folder)


def _folder(folder: DataFolder) -> Finding:
    if not folder.path.exists():
        return Finding("data", False, f"{folder.path} is not there yet; `tirta up` makes it, or name another with --data")
    if not os.access(folder.path, os.W_OK):
        return Finding("data", False, f"{folder.path} cannot be written; give it to the user Tirta runs as")
    mode = folder.path.stat().st_mode & 0o077
    if mode:
        return Finding("data", False, f"others can look into {folder.path}; run: chmod 700 {folder.path}")
    return Finding("data", True, str(folder.path))


def _disk(folder: DataFolder, settings: Settings) -> Finding:
    room, journal = room_at(folder.path), folder.file("journal.sqlite")
    held = journal.stat().st_size if journal.exists() else 0
    return Finding("disk", not room.low, room.describe(max(settings.journal_max_mib * 2**20 - held, 0)))


def _clock() -> Finding:
    if time.time() < _EARLIEST:
        return Finding("clock", False, "the clock was never set; set it, or install chrony: acts and schedules depend on it")
    timedatectl = shutil.which("timedatectl")
    if timedatectl and Path("/run/systemd/system").exists():
        shown = subprocess.run(
            [timedatectl, "show", "--property=NTPSynchronized", "--value"],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        ).stdout.strip()
        if shown == "no":
            return Finding("clock", False, "the clock is not synchronised; install chrony, or start systemd-timesyncd")
    return Finding("clock", True, time.strftime("%Y-%m-%d %H:%M:%S %z"))


def _broker(settings: Settings) -> Finding:
    if settings.broker.url is None:
        found = find_executable("mosquitto")
        if found is None:
            return Finding("broker", False, "mosquitto is not installed; get it with: apt-get install mosquitto")
        return Finding("broker", True, f"own mosquitto, {found}")
    address = parse_broker_url(settings.broker.url)
    try:
        socket.create_connection((address.host, address.port), _TIMEOUT_S).close()
    except OSError as exc:
        return Finding("broker", False, f"{address.host}:{address.port} is silent ({exc}); start it, or mend TIRTA_BROKER_URL")
    return Finding("broker", True, f"{address.host}:{address.port} answers")


def _listeners(settings: Settings) -> Finding:
    hosts = {"HTTP": split_host_port(settings.http)[0]}
    if settings.broker.url is None:
        hosts["MQTT"] = split_host_port(settings.mqtt)[0]
    open_ones = [f"{what} on {host}" for what, host in hosts.items() if not is_loopback(host)]
    if not open_ones:
        return Finding("listeners", True, "loopback only")
    text = f"{' and '.join(open_ones)} without TLS"
    if settings.behind_proxy:
        return Finding("listeners", True, f"{text}, as behind_proxy says: keep a private network or a proxy with TLS before it")
    return Finding("listeners", False, f"{text} will be refused: use 127.0.0.1, or set behind_proxy")


def _service(folder: DataFolder) -> list[Finding]:
    if not folder.path.exists() or not folder.in_use:
        return [Finding("service", False, "not running; start it with: tirta up")]
    ready = folder.file("ready.json")
    if not ready.exists():
        return [Finding("service", False, "starting or stopping; look again in a moment")]
    try:
        with Client.from_ready_file(ready) as client:
            answer = client.get("/readyz")
    except ServiceAnswer as exc:
        return [Finding("service", False, str(exc))]
    found = [Finding(part["name"], part["ok"], part["detail"] or "works") for part in answer["parts"]]
    return [Finding("service", True, "running"), *found]
