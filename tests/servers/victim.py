# SPDX-License-Identifier: Apache-2.0
"""The way of a measurement as a process of its own, to be killed, stopped and starved.

It is put together as `tirta up` puts it together: link, journal, judge, stores; it says ten times a second in `status.json`
how it is. `Victim` starts and ends such a process. Invariant: the process shares nothing with the test but its folder.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["Victim", "VictimConfig"]

_STATUS_S = 0.1
_LAGS_KEPT = 20_000
_EARLY_S = 0.02  # by which the control acknowledges before it begins to write: no test should hang on a race


@dataclass(frozen=True, slots=True)
class VictimConfig:
    """What the process is told.

    Attributes
    ----------
    devices : tuple of str
        User names `{site}/{device}`, all irrigation controllers.
    influx_url : str or None
        Store the series there instead of in DuckDB.
    ack_early : bool
        A control that must be caught: acknowledge before the commit.
    failing_sync : bool
        Let the journal's fsync answer EIO while the file `eio` is in the folder.
    journal_max_mib : int
        Bound of the journal. [MiB]
    alarms : bool
        Raise alarms, in a control database beside the data; the codes of those that are open are `alarms` in its status.
    broker_folder : str or None
        With `alarms`: whose volume is looked at besides that of the data.
    """

    folder: str
    host: str
    port: int
    username: str
    password: str
    devices: tuple[str, ...]
    influx_url: str | None = None
    ack_early: bool = False
    failing_sync: bool = False
    journal_max_mib: int = 8192
    keep_alive_s: int = 30
    flush_horizon_s: float = 60.0
    backoff_max_s: float = 2.0
    alarms: bool = False
    broker_folder: str | None = None


@dataclass(slots=True)
class Victim:
    """One such process; a context manager that starts it."""

    config: VictimConfig
    process: subprocess.Popen[bytes] | None = field(default=None)
    starts: int = 0

    def __enter__(self) -> Victim:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self.process is not None:
            with suppress(ProcessLookupError):
                self.process.send_signal(signal.SIGCONT)
            self.kill()

    @property
    def folder(self) -> Path:
        """Where its data are."""
        return Path(self.config.folder)

    @property
    def log(self) -> str:
        """What it has printed."""
        return self._log.read_text("utf-8")

    @property
    def _log(self) -> Path:
        return self.folder.with_name(self.folder.name + ".log")

    @property
    def _status(self) -> Path:
        # Beside the data: their volume may be full on purpose.
        return self.folder.with_name(self.folder.name + ".status.json")

    def start(self) -> None:
        """Start it; it is live when `status` says that it is connected."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._status.unlink(missing_ok=True)
        with self._log.open("ab") as log:
            told = {**asdict(self.config), "status": str(self._status)}
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.servers.victim", json.dumps(told)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=Path(__file__).parents[2],
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
            )
        self.starts += 1

    def wait_live(self, timeout_s: float = 20.0) -> float:
        """Wait until it is connected; return how long that took. [s]"""
        begun_s = time.monotonic()
        while not self.status.get("connected"):
            assert self.process is not None
            if self.process.poll() is not None or time.monotonic() - begun_s > timeout_s:
                raise AssertionError(f"the process is not live after {timeout_s:g} s: {self.status} {self.log[-2000:]}")
            time.sleep(0.02)
        return time.monotonic() - begun_s

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self.process is not None and self.process.poll() is None

    @property
    def status(self) -> dict[str, Any]:
        """What it said last; empty before its first word."""
        try:
            said: dict[str, Any] = json.loads(self._status.read_text("utf-8"))
        except (FileNotFoundError, json.JSONDecodeError):
            return {}
        return said

    def signal(self, number: int) -> None:
        """Send this very process a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """End it as a crash would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(60)
        self.process = None

    def stop(self, timeout_s: float = 30.0) -> None:
        """End it by SIGTERM: it drains and closes its files."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout_s)
        self.process = None
        assert code == 0, f"the process ended with {code}: {self.log[-2000:]}"

    def wait_drained(self, timeout_s: float = 60.0) -> None:
        """Wait until nothing has arrived for a second and every store has everything."""
        end_s = time.monotonic() + timeout_s
        before, since_s = -1, time.monotonic()
        while time.monotonic() < end_s:
            said = self.status
            now_s = time.monotonic()
            if said.get("received") != before or not said.get("connected") or said.get("behind"):
                before, since_s = said.get("received", -1), now_s
            if now_s - since_s > 1.0:
                return
            time.sleep(0.05)
        raise AssertionError(f"not drained within {timeout_s:g} s: {self.status} {self.log[-1000:]}")


def _main() -> None:
    told = json.loads(sys.argv[1])
    status = Path(told.pop("status"))
    config = VictimConfig(**{**told, "devices": tuple(told["devices"])})
    try:
        import uvloop
    except ImportError:
        asyncio.run(_run(config, status))
    else:
        uvloop.run(_run(config, status))


async def _run(config: VictimConfig, status: Path) -> None:
    import logging

    from gateway.clock import WallClock
    from gateway.link import Link, LinkConfig
    from gateway.quantities import load_catalogue
    from gateway.topics import Address, Channel, channel_filter
    from ingest.decode import BurstDecoder
    from ingest.devices import DeviceTable
    from ingest.feed import LiveFeed
    from ingest.journal import JournalConfig, SqliteJournal
    from ingest.judge import Judge
    from ingest.latest import LatestState
    from ingest.notes import Notes
    from ingest.pipeline import Ingest, IngestConfig
    from ingest.progress import Progress
    from ingest.quarantine import Quarantine, QuarantineConfig
    from ingest.sequences import Sequences
    from ingest.writer import WriterConfig

    logging.basicConfig(level="INFO", format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    folder = Path(config.folder)
    catalogue = load_catalogue(None)
    devices = DeviceTable()
    for username in config.devices:
        site, _, device = username.partition("/")
        devices.put(Address(site, device), catalogue.kinds["irrigation-controller"])
    clock = WallClock()
    lags: list[float] = []

    class Timed(LatestState):
        """What the rules look at, noting how old each record is when they can see it."""

        def update(self, parts: Any) -> None:
            rows = list(parts)
            super().update(rows)
            now_ms = time.time() * 1000
            for one in rows:
                lags.extend((now_ms - one.ts_ms).tolist())
            del lags[:-_LAGS_KEPT]

    class Early(Link):
        """A control: it acknowledges what nobody has written yet."""

        async def bursts(self) -> AsyncIterator[Any]:
            async for burst in super().bursts():
                super().acknowledge(burst)
                await asyncio.sleep(_EARLY_S)
                yield burst

        def acknowledge(self, burst: Any) -> bool:
            return True

    if config.failing_sync:
        from tests.faults.disk import use_failing_sync

        use_failing_sync(folder / "eio")
    latest = Timed(devices, catalogue)
    sequences = Sequences()
    async with AsyncExitStack() as stack:
        quarantine = Quarantine(QuarantineConfig(folder / "quarantine.sqlite"))
        stack.callback(quarantine.close)
        store = _open_store(config, folder, devices, catalogue)
        stack.callback(store.close)
        link = await stack.enter_async_context(
            (Early if config.ack_early else Link)(
                LinkConfig(
                    config.host,
                    config.port,
                    config.username,
                    config.password,
                    config.username,
                    ((channel_filter(Channel.TELEMETRY), 1),),
                    keep_alive_s=config.keep_alive_s,
                    backoff_max_s=config.backoff_max_s,
                    connect_timeout_s=5.0,
                ),
                rng=random.Random(),
            )
        )
        journal = SqliteJournal(JournalConfig(folder / "journal.sqlite", config.journal_max_mib * 2**20))
        stack.callback(journal.close)
        progress = Progress(folder / "progress.sqlite")
        stack.callback(progress.close)
        judge = Judge(BurstDecoder(devices, catalogue), devices, sequences, quarantine, latest, progress)
        ingest = await stack.enter_async_context(
            Ingest(
                IngestConfig(
                    checkpoint_s=1.0,
                    flush_horizon_s=config.flush_horizon_s,
                    writer=WriterConfig(backoff_max_s=config.backoff_max_s, refused_s=2.0),
                ),
                link=link,
                journal=journal,
                judge=judge,
                stores=[store],
                notes=Notes(link, judge, devices, LiveFeed(), clock),
                clock=clock,
            )
        )
        keeper = await _raise_alarms(config, ingest, journal, clock, stack) if config.alarms else None
        told = asyncio.create_task(_tell(status, ingest, link, journal, judge, sequences, devices, lags, keeper))
        await stop.wait()
        told.cancel()


async def _raise_alarms(config: VictimConfig, ingest: Any, journal: Any, clock: Any, stack: AsyncExitStack) -> Any:
    """Look after the parts as the service does."""
    from api.services import HealthCheck
    from control.alarms_keeper import AlarmKeeper
    from control.database import open_database
    from ingest.feed import LiveFeed
    from tirta.alarms import AlarmWatch
    from tirta.alarms_sources import JOURNAL, MIB, disk_source, level_source, parts_source, sessions_source

    folder = Path(config.folder)
    database = open_database(f"sqlite:///{folder.with_name(folder.name + '.control.db')}")
    stack.callback(database.close)
    keeper = AlarmKeeper(database, clock, LiveFeed())
    volumes = {"data": folder} | ({"broker": Path(config.broker_folder)} if config.broker_folder else {})
    sources = (
        parts_source(
            lambda: [HealthCheck(name, ok=False, detail=said) for name, said in ingest.problems.items()],
            lambda: {writer.name for writer in ingest.writers if writer.refused},
        ),
        sessions_source(ingest.sessions, clock),
        level_source("journal-filling", "journal", lambda: journal.bounds(0).size, config.journal_max_mib * MIB, JOURNAL),
        disk_source(volumes),
    )
    await stack.enter_async_context(AlarmWatch(keeper, sources))
    return keeper


def _open_store(config: VictimConfig, folder: Path, devices: Any, catalogue: Any) -> Any:
    if config.influx_url is None:
        from ingest.store.duckdb_store import DuckDBConfig, DuckDBStore

        return DuckDBStore(DuckDBConfig(folder / "series.duckdb"), devices)
    from ingest.store.influx_store import InfluxConfig, InfluxStore

    booleans = frozenset(q.name for q in catalogue.quantities.values() if q.boolean)
    described = InfluxConfig(config.influx_url, "tirta", "tirta", "any", folder / "influxdb.cursor", timeout_s=5.0)
    return InfluxStore(described, devices, booleans=booleans)


async def _tell(
    status: Path, ingest: Any, link: Any, journal: Any, judge: Any, sequences: Any, devices: Any, lags: list[float], keeper: Any
) -> None:
    import psutil

    process = psutil.Process()
    while True:
        bounds = journal.bounds(0)
        writer = ingest.writers[0]
        missing = {}
        for index in range(len(devices)):
            state = sequences.state(index)
            if state is not None:
                waited = sum(end - start for part in state.boots.values() for start, end in part.waited_for)
                missing["/".join(devices.names(index))] = waited + state.lost
        recent = lags[:]
        lags.clear()
        said = {
            "at": time.time(),
            "connected": link.connected,
            "link": link.state,
            "problems": ingest.problems,
            "received": ingest.counters.messages,
            "rows": ingest.counters.rows,
            "behind": bounds.end - 1 - writer.cursor,
            "stored_rows": writer.rows,
            "refused_rows": writer.rejected,
            "retries": writer.retries,
            "first": bounds.first,
            "journal_bytes": bounds.size,
            "acks_sent": link.counters.acks_sent,
            "acks_dropped": link.counters.acks_dropped,
            "connections": link.counters.connections,
            "sessions_lost": link.counters.sessions_lost,
            "alarms": [] if keeper is None or keeper.unwritten else [code for code, count in keeper.counts.items() if count],
            "windows": [(window.start_ms, window.end_ms) for window in ingest.sessions.windows],
            "missing": missing,
            "rss": process.memory_info().rss,
            "lag_p99_ms": float(np.percentile(recent, 99)) if recent else None,
        }
        fresh = status.with_suffix(".new")
        fresh.write_text(json.dumps(said), "utf-8")
        fresh.replace(status)
        await asyncio.sleep(_STATUS_S)


if __name__ == "__main__":
    _main()
