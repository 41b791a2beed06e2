# SPDX-License-Identifier: Apache-2.0
"""The data folder: what lies where, whose it is, and that one process owns it.

clock.json          origin of a clock that is not the wall's
control.db          control database (SQLite); control.db.lock beside it is held by the service
journal.sqlite      measurements on their way
progress.sqlite     how far they are decided about
quarantine.sqlite   what did not fit
series.duckdb       the series
influxdb.cursor     how far InfluxDB has them
broker/             Tirta's own mosquitto
demo/               the simulated pilot: credentials, the devices' memory
tls/                authority, the certificate in use, those of devices
roles.json          the platform's own credentials at the broker
ready.json          where the running service answers, and its own token
listening.json      which listeners it was started with
lock                held by the running service
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from gateway.credentials import CONTROL, INGEST, Credential, new_credential
from gateway.processes import write_private
from ingest.errors import FolderInUse

__all__ = ["DataFolder"]

_LOCK_WAIT_S = 0.2  # `in_use` holds the lock for an instant; that is no other Tirta [s]


class DataFolder:
    """Paths within the data folder; made, readable by its owner only, when it is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().resolve()

    def open(self) -> None:
        """Make the folder if it is not there."""
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        # What SQLite and DuckDB create must be private too.
        os.umask(0o077)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Own the folder.

        Raises
        ------
        FolderInUse
            Another process does.
        """
        self.open()
        with (self.path / "lock").open("a") as lock:
            self._take(lock)
            yield

    def _take(self, lock: TextIO) -> None:
        until = time.monotonic() + _LOCK_WAIT_S
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as exc:
                if time.monotonic() > until:
                    message = f"another Tirta runs on {self.path}; stop it, or choose another folder with --data"
                    raise FolderInUse(message) from exc
                time.sleep(0.02)
            else:
                return

    @property
    def in_use(self) -> bool:
        """Whether a service runs on this folder."""
        if not (self.path / "lock").exists():
            return False
        try:
            with self.locked():
                return False
        except FolderInUse:
            return True

    def file(self, name: str) -> Path:
        """Return the path of one of the files above."""
        return self.path / name

    def roles(self) -> list[Credential]:
        """Return the platform's own credentials at the broker, made at the first start."""
        path = self.file("roles.json")
        with suppress(FileNotFoundError):
            return [Credential(name, password) for name, password in json.loads(path.read_text("utf-8")).items()]
        roles = [new_credential(INGEST), new_credential(CONTROL)]
        write_private(path, json.dumps({role.username: role.password for role in roles}) + "\n")
        return roles
