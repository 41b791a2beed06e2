# SPDX-License-Identifier: Apache-2.0
"""The page about metrics against what the running parts count."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from prometheus_client.core import Metric

from control.alarms_keeper import AlarmKeeper
from control.controller import Controller
from control.database import open_database
from gateway import SteppedClock, load_catalogue
from gateway.link import Link, LinkConfig
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
from ingest.store.duckdb_store import DuckDBConfig, DuckDBStore
from tirta.metrics import Measured, make_registry

PAGE = Path(__file__).parents[3] / "docs" / "metrics.md"


@pytest.fixture
def measured(tmp_path: Path) -> Iterator[Measured]:
    """Every part whose counters are shown, none of them running."""
    catalogue, devices, clock, feed, sequences = load_catalogue(), DeviceTable(), SteppedClock(0), LiveFeed(), Sequences()
    latest = LatestState(devices, catalogue)
    link = Link(LinkConfig("127.0.0.1", 1883, "trial", "", "trial"), rng=random.Random(1))
    with ExitStack() as stack:
        quarantine = Quarantine(QuarantineConfig(tmp_path / "quarantine.sqlite"))
        journal = SqliteJournal(JournalConfig(tmp_path / "journal.sqlite"))
        progress = Progress(tmp_path / "progress.sqlite")
        store = DuckDBStore(DuckDBConfig(tmp_path / "series.duckdb"), devices)
        database = open_database(f"sqlite:///{tmp_path}/control.db")
        for part in (quarantine, journal, progress, store, database):
            stack.callback(part.close)
        judge = Judge(BurstDecoder(devices, catalogue), devices, sequences, quarantine, latest, progress)
        notes = Notes(link, judge, devices, feed, clock)
        ingest = Ingest(IngestConfig(), link=link, journal=journal, judge=judge, stores=[store], notes=notes, clock=clock)
        controller = Controller(database, latest, link.publish, clock, feed)
        yield Measured(ingest, controller, link, link, quarantine, journal, sequences, AlarmKeeper(database, clock, feed))


def listed() -> dict[str, tuple[str, set[str]]]:
    """Return each metric of the page with its sort and labels."""
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in PAGE.read_text("utf-8").splitlines() if "| `" in line]
    return {name.strip("`"): (sort, set(labels.replace("`", "").split(", ")) - {""}) for name, sort, labels, _ in rows}


def test_metrics_page_has_exactly_what_is_counted(measured: Measured) -> None:
    families: list[Metric] = list(make_registry(measured).collect())
    shown = {each.name: (each.type, {label for sample in each.samples for label in sample.labels}) for each in families}

    assert shown == listed()
