# SPDX-License-Identifier: Apache-2.0
"""A whole Tirta with virtual devices in a process of their own, and what these saw with their own eyes.

The devices write a line for each beginning and each end of an act that truly moved; nothing else is believed. EXEC is how often
an act began, whatever the ledger says. Invariant: on leaving nothing of it runs.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.faults.oracle import Position
from tests.servers.mosquitto import free_port
from tests.servers.tirta import COMMAND, Tirta, eventually, plain_environment
from tirta.client import Act, Client

__all__ = ["FINAL", "Field", "Run"]

FINAL = frozenset({"done", "failed", "rejected", "expired", "indeterminate", "skipped", "cancelled", "superseded"})
_SEEDS = 10**9  # a scenario takes smaller ones
_HEAD = """seed = {seed}
[[sites]]
name = "field"
title = "Field"
timezone = "Asia/Makassar"
"""
_BED = """[[sites.devices]]
name = "{name}"
kind = "irrigation-controller"
[[sites.devices.beds]]
soil_moisture = 0.16
"""
_POND = """[[sites.devices]]
name = "{name}"
kind = "pond-feeder"
[[sites.devices.ponds]]
biomass_kg = 40.0
"""
Run = dict[str, Any]  # of one act: when it began and ended [ms], what it gave [L, g], why it ended


class Field:
    """One service on a fixed port, one process of devices; a context manager that starts both.

    Parameters
    ----------
    folder : Path
        The test's own.
    beds, ponds : int
        How many devices of each sort; they are `field:bed-0` and so on, each with one zone.
    speed : float
        Of the one clock of both.
    start_ms : int, optional
        When that clock begins; the wall's time unless told. [ms since the Unix epoch, UTC]
    faults : sequence of str
        Of the devices, as of `tirta simulate --fault`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        beds: int = 0,
        ponds: int = 0,
        seed: int = 1,
        speed: float = 1.0,
        start_ms: int | None = None,
        faults: Sequence[str] = (),
    ) -> None:
        self.beds = tuple(f"field:bed-{number}" for number in range(beds))
        self.ponds = tuple(f"field:pond-{number}" for number in range(ponds))
        self.state = folder / "devices"
        self._faults = tuple(faults)
        self._folder = folder
        self._scenario = folder / "field.toml"
        names = [key.partition(":")[2] for key in (*self.beds, *self.ponds)]
        parts = [(_BED if name.startswith("bed") else _POND).format(name=name) for name in names]
        self._scenario.write_text("\n".join([_HEAD.format(seed=seed % _SEEDS), *parts]), "utf-8")
        self._port = free_port()
        self.tirta = Tirta(folder, "--mqtt", f"127.0.0.1:{self._port}", "--speed", f"{speed:g}")
        self._clock = self.tirta.data / "clock.json"
        if start_ms is not None or speed != 1:
            self.tirta.data.mkdir(mode=0o700)
            wall_ms = time.time_ns() // 1_000_000
            self._write_clock({"wall_ms": wall_ms, "origin_ms": wall_ms if start_ms is None else start_ms, "speed": speed})
        self._devices: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Field:
        self.tirta.__enter__()
        try:
            self.start_devices(*self._faults)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        try:
            self.cut_power()
        finally:
            self.tirta.clean_up()

    def start_devices(self, *faults: str) -> None:
        """Start the devices, with their memory of before, and wait until all are online."""
        command = [*COMMAND, "simulate", str(self._scenario), "--broker", f"mqtt://127.0.0.1:{self._port}"]
        command += ["--api", self.tirta.ready["http"], "--token-file", str(self.tirta.ready_file)]
        command += ["--state", str(self.state), "--oracle"]
        command += ["--clock", str(self._clock)] if self._clock.exists() else []
        command += [part for fault in faults for part in ("--fault", fault)]
        with (self._folder / "devices.log").open("ab") as log:
            self._devices = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=plain_environment())
        eventually(lambda: self._is_online() or self._devices_ended(), "the devices are online")
        assert not self._devices_ended(), (self._folder / "devices.log").read_text("utf-8")[-2000:]

    def wait_online(self) -> None:
        """Wait until the service sees every device."""
        eventually(self._is_online, "the devices are online")

    def cut_power(self) -> None:
        """End the devices as a cut of their power would: nothing is said, nothing is closed in order."""
        if self._devices is not None:
            self._devices.kill()
            self._devices.wait(60)
            self._devices = None

    def kill_broker(self) -> None:
        """End the broker as a crash would."""
        record = self.tirta.broker
        assert record is not None, "no broker runs"
        os.kill(record.pid, 9)
        eventually(lambda: self.tirta.broker is None, "the broker is gone", 10.0)

    def shift_clock(self, by_ms: int) -> None:
        """Put the clock of what is started from now on forward. [ms]"""
        kept = json.loads(self._clock.read_text("utf-8"))
        self._write_clock({**kept, "origin_ms": kept["origin_ms"] + by_ms})

    def now_ms(self) -> int:
        """Return the time on the one clock. [ms since the Unix epoch, UTC]"""
        now_ms = time.time_ns() // 1_000_000
        if not self._clock.exists():
            return now_ms
        kept = json.loads(self._clock.read_text("utf-8"))
        return int(kept["origin_ms"] + (now_ms - kept["wall_ms"]) * kept["speed"])

    def runs(self) -> dict[str, Run]:
        """Return what truly moved, by the act's id: `device`, `begun`, `ended` (None while it moves), `litres`, `grams`."""
        found: dict[str, Run] = {}
        for device, line in self._lines():
            if line["event"] == "begin":
                found.setdefault(
                    line["id"], {"device": device, "begun": line["ts"], "ended": None, "litres": 0.0, "grams": 0.0}
                )
            elif (run := found.get(line["id"])) is not None:
                amounts = {"litres": line["litres"] or 0.0, "grams": line["grams"] or 0.0}
                run.update(ended=line["ts"], reason=line["reason"], **amounts)
        return found

    def acked(self) -> set[Position]:
        """Return every record that a device saw acknowledged."""
        found = set()
        for path in self.state.glob("*.acked.log"):
            device = path.name.removesuffix(".acked.log").replace("__", "/")
            found |= {(device, int(boot), int(seq)) for boot, seq in map(str.split, path.read_text("utf-8").splitlines())}
        return found

    def written_ms(self) -> dict[str, float]:
        """Return when each device wrote its last beginning or end, by the wall. [ms since the Unix epoch, UTC]"""
        return {self._device(path): path.stat().st_mtime * 1000 for path in self.state.glob("*.acts.log")}

    def begun(self) -> Counter[str]:
        """Return how often each act truly began, by its id."""
        return Counter(line["id"] for _, line in self._lines() if line["event"] == "begin")

    def exec_max(self) -> int:
        """Return how often the act began that began most often."""
        return max(self.begun().values(), default=0)

    def acts(self, client: Client) -> list[Act]:
        """Return the ledger, but for what only stops others."""
        return [act for act in client.acts.list() if act.action != "stop"]

    def settle(self, client: Client, timeout_s: float) -> tuple[float, list[str]]:
        """Wait until the ledger has an end for every act; return how long that took [s], and the states that stayed open."""
        begun_s = time.monotonic()
        while True:
            left = [act.state for act in self.acts(client) if act.state not in FINAL]
            took_s = time.monotonic() - begun_s
            if not left or took_s > timeout_s:
                return took_s, left
            time.sleep(0.1)

    def without_row(self, client: Client) -> int:
        """Return how many planned moments of today and yesterday the ledger knows nothing of."""
        today = client.reports.day("field")
        before = client.reports.day("field", today.date - timedelta(days=1))
        return today.totals.without_row + before.totals.without_row

    def _lines(self) -> Sequence[tuple[str, Run]]:
        found = []
        for path in sorted(self.state.glob("*.acts.log")):
            found += [(self._device(path), json.loads(line)) for line in path.read_text("utf-8").splitlines()]
        return found

    def _is_online(self) -> bool:
        with self.tirta.client() as client:
            return len(list(client.devices.list(online=True))) == len(self.beds) + len(self.ponds)

    def _devices_ended(self) -> bool:
        return self._devices is not None and self._devices.poll() is not None

    @staticmethod
    def _device(path: Path) -> str:
        return path.name.removesuffix(".acts.log").replace("__", ":")

    def _write_clock(self, content: dict[str, float]) -> None:
        self._clock.write_text(json.dumps(content) + "\n", "utf-8")
