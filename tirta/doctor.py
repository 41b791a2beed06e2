# SPDX-License-Identifier: Apache-2.0
"""`tirta doctor`: what is wrong with broker, stores, disk, TLS and clock, and what to do.

Looks from outside: at the files, the machine and, where the service runs, at what it says of itself.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import closing
from typing import Final

from gateway.broker_url import parse_broker_url
from gateway.processes import find_executable
from tirta.client import Client
from tirta.doctor_clock import examine_clock, examine_time_service
from tirta.doctor_tls import examine_listeners, examine_tls, network_addresses
from tirta.errors import ServiceAnswer
from tirta.findings import Finding
from tirta.folder import DataFolder
from tirta.room import room_at
from tirta.secure import as_it_runs
from tirta.settings import Settings

__all__ = ["examine"]

_TIMEOUT_S: Final = 3.0


def examine(settings: Settings) -> list[Finding]:
    """Look at everything; the order is that of the causes."""
    folder = DataFolder(settings.data)
    settings = as_it_runs(settings, folder)
    checks: list[Callable[[], Finding]] = [
        lambda: _folder(folder),
        lambda: _disk(folder, settings),
        examine_clock,
        lambda: _broker(settings),
        lambda: examine_listeners(settings),
    ]
    found = [check() for check in checks] + examine_tls(settings, folder)
    if addresses := network_addresses(settings):
        found.append(examine_time_service(addresses))
    return found + _service(folder, settings)


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


def _service(folder: DataFolder, settings: Settings) -> list[Finding]:
    if not folder.path.exists() or not folder.in_use:
        return [Finding("service", False, "not running; start it with: tirta up"), *_database(settings)]
    ready = folder.file("ready.json")
    if not ready.exists():
        return [Finding("service", False, "starting or stopping; look again in a moment")]
    try:
        with Client.from_ready_file(ready) as client:
            parts = client.health().parts or []
    except ServiceAnswer as exc:
        # Who asks is known by the control database: without it the service does not say why.
        return [Finding("service", False, str(exc)), *_database(settings)]
    found = [Finding(part.name, part.ok, part.detail or "works") for part in parts]
    return [Finding("service", True, "running"), *found]


def _database(settings: Settings) -> list[Finding]:
    """Ask a PostgreSQL ourselves; a file in the data folder needs no asking."""
    if settings.database is None or settings.database.get_secret_value().startswith("sqlite"):
        return []
    from control.database import Database
    from control.errors import DatabaseMismatch

    try:
        with closing(Database(settings.database.get_secret_value())) as database:
            problem = database.ask()
    except DatabaseMismatch as exc:
        problem = str(exc)
    return [Finding("database", not problem, problem or "answers")]
