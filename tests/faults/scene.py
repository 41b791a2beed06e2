# SPDX-License-Identifier: Apache-2.0
"""The scene most fault tests play in: a real mosquitto, an ingest process of its own, a fleet of devices."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from gateway.credentials import INGEST
from tests.faults.case import lacking
from tests.faults.oracle import Fleet, compare, rows_in_duckdb
from tests.servers.mosquitto import Mosquitto
from tests.servers.victim import Victim, VictimConfig

__all__ = ["Scene", "small_volume"]


class Scene:
    """Broker, victim and names of devices; a context manager that starts the broker and ends both.

    Parameters
    ----------
    folder : Path
        The test's own.
    devices : int
        How many; their names are `faults/d-0` and so on.
    data : Path, optional
        Where the victim keeps its data; within `folder` where not said.
    broker : Mosquitto, optional
        One that is made already.
    **victim
        Further fields of `VictimConfig`.
    """

    def __init__(
        self, folder: Path, devices: int = 10, *, data: Path | None = None, broker: Mosquitto | None = None, **victim: Any
    ) -> None:
        self.names = tuple(f"faults/d-{i}" for i in range(devices))
        self.broker = broker or Mosquitto(folder, devices=self.names)
        login = self.broker[INGEST]
        told = {"host": self.broker.host, "port": self.broker.port, **victim}
        self.data = data or folder / "data"
        self.victim = Victim(
            VictimConfig(folder=str(self.data), username=login.username, password=login.password, devices=self.names, **told)
        )

    def __enter__(self) -> Scene:
        self.broker.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        try:
            self.victim.__exit__(*exc)
        finally:
            self.broker.stop()

    def fleet(self, first: int = 0, count: int | None = None, **options: Any) -> Fleet:
        """Return a fleet of some of the devices, as a context manager."""
        names = self.names[first : None if count is None else first + count]
        return Fleet({name: self.broker[name].password for name in names}, self.broker.host, self.broker.port, **options)

    def start_victim_once(self) -> None:
        """Start the victim and end it, so that the broker holds its session from then on."""
        self.victim.start()
        self.victim.wait_live()
        self.victim.stop()

    def drain_and_compare(self, *fleets: Fleet, timeout_s: float = 120.0) -> dict[str, int]:
        """Wait until all is stored, stop the victim, and compare its store with what the devices saw."""
        for fleet in fleets:
            fleet.run_at(0)
            fleet.wait_acknowledged()
        self.victim.wait_drained(timeout_s)
        self.victim.stop()
        acked = set().union(*(fleet.acked for fleet in fleets))
        return compare(acked, rows_in_duckdb(self.data / "series.duckdb"))


@contextmanager
def small_volume(folder: Path, mib: int) -> Iterator[Path]:
    """Mount a volume of a few MiB for as long as the context lasts."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={mib}m,mode=0700", "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lacking(f"a small volume needs the right to mount one (root): {done.stderr.strip()}")
    try:
        yield folder
    finally:
        for options in ([], ["-l"]):
            with suppress(OSError):
                if subprocess.run(["umount", *options, str(folder)], capture_output=True, check=False).returncode == 0:
                    break
