# SPDX-License-Identifier: Apache-2.0
"""The journal on a volume that fails: no descriptor that failed is trusted again, and nothing has two positions."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from ingest.bursts import StoredBurst
from ingest.errors import Unavailable
from ingest.journal import JournalConfig, SqliteJournal
from tests.faults.disk import WatchedDisk, place_under_journal

PART = 0


class FailingDisk:
    """A disk whose forced writes fail while it is told so; notes what is done to which file."""

    def __init__(self) -> None:
        self.failing = ""
        self.done: list[tuple[str, str]] = []
        self.watched = WatchedDisk("failing-under-test", self._happened)

    def _happened(self, what: str, name: str, offset: int, data: bytes) -> None:
        self.done.append((what, name))
        if what == "sync" and self.failing and name.endswith(self.failing):
            raise apsw.IOError(errno.EIO, "the disk answers EIO")


@pytest.fixture
def disk() -> Iterator[FailingDisk]:
    made = FailingDisk()
    undo = place_under_journal(made.watched.vfs_name)
    yield made
    undo()


@pytest.fixture
def journal(disk: FailingDisk, tmp_path: Path) -> Iterator[SqliteJournal]:
    opened = SqliteJournal(JournalConfig(tmp_path / "journal.sqlite"))
    yield opened
    opened.close()


def burst(number: int) -> StoredBurst:
    return StoredBurst(number, ["tirta/v1/kebun/bed-0/telemetry"], [bytes([number])])


def positions(journal: SqliteJournal, start: int = 1) -> list[tuple[int, bytes]]:
    return [(entry.position, entry.burst.payloads[0]) for entry in journal.read_from(PART, start, 2**20, 0.0)]


def test_append_after_a_failed_fsync_opens_the_file_anew_and_forces_it_before_anything_is_appended(
    journal: SqliteJournal, disk: FailingDisk
) -> None:
    fence = journal.claim(PART, "test")
    assert journal.append(PART, burst(1), "b-1", fence) == 1
    disk.failing = "-wal"
    for _ in range(3):
        with pytest.raises(Unavailable):
            journal.append(PART, burst(2), "b-2", fence)
    disk.failing = ""
    disk.done.clear()
    assert journal.append(PART, burst(2), "b-2", fence) == 2
    # What the failed commits left in the log is in the file now, written and forced once more, on descriptors of today.
    assert {("open", "journal.sqlite"), ("open", "journal.sqlite-wal"), ("sync", "journal.sqlite")} <= set(disk.done)
    assert ("write", "journal.sqlite-wal") not in disk.done[: disk.done.index(("sync", "journal.sqlite"))]
    assert journal.append(PART, burst(3), "b-3", fence) == 3
    assert positions(journal) == [(1, b"\1"), (2, b"\2"), (3, b"\3")]


def test_append_of_another_burst_after_a_failed_fsync_gives_no_position_twice(
    journal: SqliteJournal, disk: FailingDisk
) -> None:
    fence = journal.claim(PART, "test")
    disk.failing = "-wal"
    with pytest.raises(Unavailable):
        journal.append(PART, burst(1), "b-1", fence)
    disk.failing = ""
    second = journal.append(PART, burst(2), "b-2", fence)
    first = journal.append(PART, burst(1), "b-1", fence)
    assert sorted(positions(journal)) == sorted([(first, b"\1"), (second, b"\2")])
    assert {first, second} == {1, 2}


def test_append_while_the_file_cannot_be_opened_anew_goes_on_saying_so_and_recovers(
    journal: SqliteJournal, disk: FailingDisk
) -> None:
    fence = journal.claim(PART, "test")
    journal.append(PART, burst(1), "b-1", fence)
    disk.failing = "journal.sqlite"
    journal._doubtful = True
    with pytest.raises(Unavailable):
        journal.append(PART, burst(2), "b-2", fence)
    with pytest.raises(Unavailable):
        journal.append(PART, burst(2), "b-2", fence)
    disk.failing = ""
    assert journal.append(PART, burst(2), "b-2", fence) == 2
    journal.trim(PART, 2)
    assert positions(journal, 2) == [(2, b"\2")]


def test_trim_on_a_volume_that_fails_leaves_the_bounds_as_they_are_on_disk(journal: SqliteJournal, disk: FailingDisk) -> None:
    fence = journal.claim(PART, "test")
    for number in range(1, 4):
        journal.append(PART, burst(number), f"b-{number}", fence)
    disk.failing = "-wal"
    with pytest.raises(Unavailable):
        journal.trim(PART, 3)
    disk.failing = ""
    assert journal.append(PART, burst(4), "b-4", fence) == 4
    journal.trim(PART, 3)
    assert (journal.bounds(PART).first, journal.bounds(PART).end) == (3, 5)
    assert positions(journal, 3) == [(3, b"\3"), (4, b"\4")]
