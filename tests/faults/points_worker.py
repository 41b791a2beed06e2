# SPDX-License-Identifier: Apache-2.0
"""Crash the way of a measurement at one point after the other, each in a forked process, and look what the next start finds.

    list     run three times, and write down every line of the path that is executed, in any thread, and every call of the
             journal's file system, with how often at least: each occurrence is a point, of a line up to one a record sent
    crash    run again and end by SIGKILL at one of them (a write may be done by half before)
    recover  start on what is left, be given again what was not acknowledged, and compare the store with everything sent

Called as `python -m tests.faults.points_worker FOLDER POINTS`: writes the list. With `FIRST STEP REPORT` behind: takes each
STEP-th point of the list from FIRST on and adds a line of JSON for each. Single-threaded itself, so that it may fork.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import ingest.judge
import ingest.pipeline
import ingest.progress
import ingest.quarantine
import ingest.store.duckdb_store
from gateway.clock import WallClock
from gateway.framing import Burst
from gateway.link_config import LinkCounters
from gateway.quantities import load_catalogue
from gateway.topics import Address
from ingest.decode import BurstDecoder
from ingest.devices import DeviceTable
from ingest.feed import LiveFeed
from ingest.journal import JournalConfig, SqliteJournal
from ingest.latest import LatestState
from ingest.notes import Notes
from ingest.sequences import Sequences
from ingest.writer import WriterConfig
from tests.faults.disk import WatchedDisk, place_under_journal
from tests.faults.oracle import compare, rows_in_duckdb, telemetry

__all__: list[str] = []

_BURSTS: Final = 6
_PER_BURST: Final = 4
_DEVICES: Final = ("faults/d-0", "faults/d-1")
_PATH: Final = "ingest/"  # every file of it that is run is on the way
_LIMIT_S: Final = 30.0
_MARGIN_S: Final = 0.012  # between bursts, so that commits, checkpoints and trims lie in between

_LISTINGS: Final = 3  # how often a line is executed differs from run to run, with what falls together
_OCCURRENCES: Final = _BURSTS * _PER_BURST  # of one line: once a record; beyond that the record's own columns are turned

Point = tuple[str, int]  # what ("file:line", or "disk whole" and "disk half"), and which time


def messages() -> list[tuple[str, int, bytes]]:
    """Give everything the devices send: (device, seq, payload); the last of each burst is poison and has no number."""
    found = []
    seq = 0
    for number in range(_BURSTS):
        for i in range(_PER_BURST - 1):
            device = _DEVICES[i % 2]
            found.append((device, seq, json.dumps(telemetry(1, seq)).encode()))
            seq += 1
        found.append((_DEVICES[0], -1, b'{"poison": ' + str(number).encode()))
    return found


class Script:
    """The link's side of the story: gives bursts, notes acknowledgements on the spot."""

    connected = True
    session_present = True
    state = "connected"

    def __init__(self, waiting: list[int], sent: list[tuple[str, int, bytes]], log: Path) -> None:
        self._bursts = [waiting[i : i + _PER_BURST] for i in range(0, len(waiting), _PER_BURST)]
        self._sent = sent
        self._log = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self.counters = LinkCounters()
        self.done = asyncio.Event()

    async def bursts(self) -> AsyncIterator[Burst]:
        for members in self._bursts:
            topics = [f"tirta/v1/{self._sent[i][0]}/telemetry" for i in members]
            yield Burst(1, topics, [self._sent[i][2] for i in members], None, json.dumps(members).encode())
            await asyncio.sleep(_MARGIN_S)
        self.done.set()

    def acknowledge(self, burst: Burst) -> bool:
        os.write(self._log, burst.acks + b"\n")
        return True

    def stop_receiving(self) -> None:
        return

    async def wait_caught_up(self) -> bool:
        return False

    async def publish(self, topic: str, payload: bytes, *, qos: int = 1) -> None:
        return


async def play(folder: Path, waiting: list[int], sent: list[tuple[str, int, bytes]]) -> float:
    """Start the whole path on a folder, give it these messages, and stop it; return how long the start took. [s]"""
    begun_s = time.monotonic()
    catalogue = load_catalogue(None)
    devices = DeviceTable()
    for name in _DEVICES:
        devices.put(Address(*name.split("/")), catalogue.kinds["irrigation-controller"])
    latest, sequences = LatestState(devices, catalogue), Sequences()
    link: Any = Script(waiting, sent, folder / "acks")
    with ExitStack() as stack:
        quarantine = ingest.quarantine.Quarantine(ingest.quarantine.QuarantineConfig(folder / "quarantine.sqlite"))
        stack.callback(quarantine.close)
        store = ingest.store.duckdb_store.DuckDBStore(ingest.store.duckdb_store.DuckDBConfig(folder / "series.duckdb"), devices)
        stack.callback(store.close)
        journal = SqliteJournal(JournalConfig(folder / "journal.sqlite"))
        stack.callback(journal.close)
        progress = ingest.progress.Progress(folder / "progress.sqlite")
        stack.callback(progress.close)
        judge = ingest.judge.Judge(BurstDecoder(devices, catalogue), devices, sequences, quarantine, latest, progress)
        config = ingest.pipeline.IngestConfig(
            checkpoint_s=0.03, flush_horizon_s=0.0, writer=WriterConfig(batch_s=0.01, backoff_min_s=0.01)
        )
        clock = WallClock()
        notes = Notes(link, judge, devices, LiveFeed(), clock)
        async with ingest.pipeline.Ingest(
            config, link=link, journal=journal, judge=judge, stores=[store], notes=notes, clock=clock
        ):
            took_s = time.monotonic() - begun_s
            await link.done.wait()
            await asyncio.sleep(0.05)
    return took_s


def on_each_line(reached: Callable[[str], None]) -> None:
    """Call `reached("file:line")` before each line of the path, in this thread and those to come."""
    root = f"{Path(__file__).parents[2]}{os.sep}"
    known: dict[str, str | None] = {}

    def trace(frame: Any, event: str, argument: object) -> Any:
        name = frame.f_code.co_filename
        if name not in known:
            short = name.removeprefix(root)
            known[name] = short if short.startswith(_PATH) else None
        short = known[name]
        if short is None:
            return None
        if event == "line":
            reached(f"{short}:{frame.f_lineno}")
        return trace

    threading.settrace(trace)
    sys.settrace(trace)


def in_a_fork(work: Callable[[], None]) -> int:
    """Do it in a forked process; return its exit status, minus the signal that ended it."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException:  # noqa: BLE001 - a fork must never return into its parent's code
            import traceback

            traceback.print_exc()
        finally:
            os._exit(code)
    end_s = time.monotonic() + _LIMIT_S
    while time.monotonic() < end_s:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return 99


def list_points(folder: Path) -> list[Point]:
    """Run to the end some times; return the points in a fixed order."""
    listings = [_count_hits(folder / f"listing-{i}") for i in range(_LISTINGS)]
    hits = {place: min(one[place] for one in listings) for place in set.intersection(*(set(one) for one in listings))}
    calls = hits.pop("disk")
    lines = [(place, nth) for place, count in sorted(hits.items()) for nth in range(1, min(count, _OCCURRENCES) + 1)]
    return lines + [(f"disk {how}", nth) for nth in range(1, calls + 1) for how in ("whole", "half")]


def _count_hits(folder: Path) -> dict[str, int]:
    """Run to the end; return how often each line, and the disk, was reached."""
    folder.mkdir()
    out = folder / "points"

    def work() -> None:
        hits: Counter[str] = Counter()
        watched = WatchedDisk("listing", lambda what, name, at, data: hits.update(["disk"]))
        place_under_journal(watched.vfs_name)
        on_each_line(lambda place: hits.update([place]))
        asyncio.run(play(folder, list(range(_BURSTS * _PER_BURST)), messages()))
        sys.settrace(None)
        threading.settrace(None)  # type: ignore[arg-type]
        out.write_text(json.dumps(hits))

    assert in_a_fork(work) == 0, "the run without a crash failed"
    hits: dict[str, int] = json.loads(out.read_text())
    return hits


def crash(folder: Path, point: Point) -> None:
    """Run until the point, and die there."""
    place, nth = point
    seen = 0

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def reached(here: str) -> None:
        nonlocal seen
        if here == place:
            seen += 1
            if seen == nth:
                die()

    def happened(what: str, name: str, offset: int, data: bytes) -> None:
        nonlocal seen
        seen += 1
        if seen == nth:
            if place == "disk half" and what == "write":
                with (folder / name).open("r+b") as file:
                    file.seek(offset)
                    file.write(data[: len(data) // 2])
            die()

    if place.startswith("disk"):
        watched = WatchedDisk("crashing", happened)
        place_under_journal(watched.vfs_name)
    else:
        on_each_line(reached)
    asyncio.run(play(folder, list(range(_BURSTS * _PER_BURST)), messages()))


def recover(folder: Path, out: Path) -> None:
    """Start again as after a crash, be given what was not acknowledged, and compare."""
    sent = messages()
    log = folder / "acks"
    acked = {i for line in log.read_text().splitlines() for i in json.loads(line)} if log.exists() else set()
    waiting = [i for i in range(len(sent)) if i not in acked]
    took_s = asyncio.run(play(folder, waiting, sent))
    stored = rows_in_duckdb(folder / "series.duckdb")
    counts = compare({(device, 1, seq) for device, seq, _ in sent if seq >= 0}, stored)
    import sqlite3

    with sqlite3.connect(folder / "quarantine.sqlite") as db:
        kept = db.execute("select count(distinct payload) from record").fetchone()[0]
    out.write_text(json.dumps({**counts, "start_s": took_s, "poison_lost": _BURSTS - kept}))


def try_points(base: Path, points: Iterable[Point], report: Path) -> None:
    """Crash at each of them, recover, and add a line to the report."""
    for number, point in enumerate(points):
        folder = base / f"run-{number}"
        folder.mkdir()
        result: dict[str, Any] = {"point": f"{point[0]} #{point[1]}"}
        code = in_a_fork(lambda folder=folder, point=point: crash(folder, point))  # type: ignore[misc]
        result["crashed"] = code == -signal.SIGKILL
        out = folder / "result"
        code = in_a_fork(lambda folder=folder, out=out: recover(folder, out))  # type: ignore[misc]
        result |= json.loads(out.read_text()) if code == 0 else {"refused": True}
        with report.open("a") as file:
            file.write(json.dumps(result) + "\n")
        shutil.rmtree(folder)


def _main() -> None:
    base, points_file = Path(sys.argv[1]), Path(sys.argv[2])
    base.mkdir(parents=True)
    if len(sys.argv) == 3:
        points = list_points(base)
        random.Random(1).shuffle(points)  # so that each part, and a shortened run, has some of every kind
        points_file.write_text(json.dumps(points))
        return
    first, step, report = int(sys.argv[3]), int(sys.argv[4]), Path(sys.argv[5])
    try_points(base, [(place, nth) for place, nth in json.loads(points_file.read_text())][first::step], report)


if __name__ == "__main__":
    _main()
