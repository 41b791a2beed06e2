# SPDX-License-Identifier: Apache-2.0
"""What a store can never take is in quarantine exactly once, wherever the process dies on the way there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from gateway.clock import SteppedClock
from ingest.decode import BurstDecoder
from ingest.journal import JournalConfig, SqliteJournal
from ingest.judge import Judge
from ingest.latest import LatestState
from ingest.progress import Progress
from ingest.quarantine import Quarantine, QuarantineConfig
from ingest.sequences import Sequences
from ingest.store import InfluxConfig, InfluxStore
from ingest.store.cursor_file import CursorFile
from ingest.store.influx_client import InfluxClient
from ingest.tail import DecodedTail
from ingest.writer import StoreWriter, WriterConfig
from tests.servers.sink import BAD_VALUE, Sink
from tests.unit.ingest.fleet import CATALOGUE, NOW_MS, burst_of, make_devices, telemetry

RECORDS, BAD = 6, (1, 4)
QUICK = WriterConfig(batch_rows=3, batch_s=0.001, backoff_min_s=0.0005, backoff_max_s=0.001, refused_s=0.001)


class Died(Exception):
    """The process ended here."""


class Steps:
    """Counts what is done to files and to the database, and dies before or after one of these."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.names: list[str] = []
        self.dies_at: int | None = None
        for owner, name in ((InfluxClient, "write"), (CursorFile, "add_marks"), (Quarantine, "keep"), (CursorFile, "put")):
            patch.setattr(owner, name, self._counted(f"{owner.__name__}.{name}", getattr(owner, name)))

    def _counted(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any) -> Any:
            self._step(f"before {name}")
            done = call(*arguments)
            self._step(f"after {name}")
            return done

        return counted

    def _step(self, name: str) -> None:
        self.names.append(name)
        if len(self.names) - 1 == self.dies_at:
            raise Died(name)


def bring(folder: Path, url: str, boot: int) -> list[tuple[str, int | None]]:
    """Bring the records of a boot to the store, from what lies in the folder; return what is in quarantine."""
    folder.mkdir(exist_ok=True)
    devices = make_devices()
    with ExitStack() as stack:
        journal = SqliteJournal(JournalConfig(folder / "journal.sqlite"))
        progress = Progress(folder / "progress.sqlite")
        quarantine = Quarantine(QuarantineConfig(folder / "quarantine.sqlite"))
        config = InfluxConfig(url, "tirta", "tirta", "token", folder / "cursor.sqlite")
        store = InfluxStore(config, devices, frozenset(), clock=SteppedClock(NOW_MS))
        for part in (journal, progress, quarantine, store):
            stack.callback(part.close)
        judge = Judge(
            BurstDecoder(devices, CATALOGUE), devices, Sequences(), quarantine, LatestState(devices, CATALOGUE), progress
        )
        fence = journal.claim(0, "test")
        for half in (range(3), range(3, RECORDS)):
            records = [telemetry(boot=boot, seq=seq, soil_moisture=BAD_VALUE if seq in BAD else 0.3) for seq in half]
            journal.append(0, burst_of(*((0, record) for record in records)), f"burst-{half}", fence)
        tail = DecodedTail(judge.position + 1)
        tail.append(judge.judge(journal.read_from(0, 1, 2**20, 0.0)).bursts)
        tail.close()
        writer = StoreWriter(store, tail, journal, judge, QUICK)
        asyncio.run(writer.run())
        assert writer.rejected <= len(BAD)
        return sorted((record.reason, record.seq) for record in quarantine.list()[0])


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[Sink]:
    with Sink(tmp_path / "sink") as running:
        yield running


def test_run_that_dies_at_any_step_keeps_each_refused_row_in_quarantine_once(
    sink: Sink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = Steps(monkeypatch)
    expected = [("store-refused", seq) for seq in BAD]
    assert bring(tmp_path / "whole", sink.url, 1) == expected
    names = list(steps.names)
    assert {"before Quarantine.keep", "after Quarantine.keep", "before CursorFile.put", "after CursorFile.put"} <= set(names)
    for number, name in enumerate(names):
        folder, boot = tmp_path / f"step-{number}", number + 2
        steps.names, steps.dies_at = [], number
        with pytest.raises(Died, match=name):
            bring(folder, sink.url, boot)
        steps.dies_at = None
        assert bring(folder, sink.url, boot) == expected, name
        assert sorted(key[2] for key in sink.rows if key[1] == boot) == sorted(set(range(RECORDS)) - set(BAD)), name
    assert sink.copies == 0
