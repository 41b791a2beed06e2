# SPDX-License-Identifier: Apache-2.0
"""3: the power fails. A simulated disk keeps what was synced and of the rest any part in any order, sector by sector.

Each seed is one story: bursts are appended and trimmed by the journal's own code, the power fails at some call of the
file system, and the journal is opened on what the disk has. The same seed gives the same story, shown by a hash of all calls
and of the disk's last state. A control that never syncs must lose.
"""

from __future__ import annotations

import hashlib
import random
import shutil
import tempfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import apsw

from ingest.bursts import StoredBurst
from ingest.errors import JournalError
from ingest.journal import JournalConfig, SqliteJournal
from tests.faults.case import Conditions, FaultTest, Findings
from tests.faults.disk import WatchedDisk, place_under_journal

__all__ = ["TEST"]

_SECTOR = 512
_PAGE = 4096
_CALLS_MAX = 160  # the power fails before so many calls of the file system
_NAME = "journal.sqlite"
_MIB = 2**20


@dataclass(slots=True)
class _File:
    durable: bytearray
    pending: list[tuple[str, int, bytes]] = field(default_factory=list)


@dataclass(slots=True)
class PowerDisk:
    """What a disk would hold, beside the files that SQLite really writes."""

    cut: int
    files: dict[str, _File] = field(default_factory=dict)
    calls: int = 0
    over: bool = False
    trace: hashlib._Hash = field(default_factory=hashlib.sha256)

    def happened(self, what: str, name: str, offset: int, data: bytes) -> None:
        """Note a call; from the cut on every call fails."""
        if self.over:
            return
        self.calls += 1
        if self.calls >= self.cut:
            raise apsw.IOError("the power is gone")
        self.trace.update(f"{what} {name} {offset} {len(data)} {zlib.crc32(data)}\n".encode())
        file = self.files.setdefault(name, _File(bytearray()))
        if what == "sync":
            for change in file.pending:
                _apply(file.durable, change)
            file.pending.clear()
        elif what in ("write", "truncate"):
            file.pending.append((what, offset, data))

    def after_the_cut(self, rng: random.Random) -> dict[str, bytes]:
        """Return what is found: all that was synced, and of the rest any sectors, in any order."""
        kept = rng.choice((0.0, 0.5, 0.9, 1.0))
        found = {}
        for name, file in sorted(self.files.items()):
            parts = [part for change in file.pending for part in _sectors(change) if rng.random() < kept]
            if rng.random() < 0.5:
                rng.shuffle(parts)
            image = bytearray(file.durable)
            for part in parts:
                _apply(image, part)
            found[name] = bytes(image)
            self.trace.update(image)
        return found


def _sectors(change: tuple[str, int, bytes]) -> list[tuple[str, int, bytes]]:
    what, offset, data = change
    if what == "truncate":
        return [change]
    return [(what, offset + at, data[at : at + _SECTOR]) for at in range(0, len(data), _SECTOR)]


def _apply(image: bytearray, change: tuple[str, int, bytes]) -> None:
    what, offset, data = change
    if what == "truncate":
        del image[offset:]
        return
    if len(image) < offset:
        image.extend(bytes(offset - len(image)))
    image[offset : offset + len(data)] = data


@dataclass(frozen=True, slots=True)
class Story:
    """What came of one seed."""

    acked: int
    lost: int
    refused: bool
    hash: str


def _burst(rng: random.Random) -> StoredBurst:
    return StoredBurst(rng.randrange(2**40), ["tirta/v1/a/b/telemetry"], [rng.randbytes(rng.choice((20, 900, 6000)))])


def _live(disk: PowerDisk, folder: Path, rng: random.Random, synchronous: str) -> tuple[dict[int, StoredBurst], int]:
    """Append and trim until the power is gone; return what was acknowledged by position, and from where it counts."""
    acked: dict[int, StoredBurst] = {}
    trimmed = 0
    apsw.randomness(0)
    watched = WatchedDisk("power", disk.happened, random.Random(rng.random()))
    checkpoint = rng.choice((2, 8, 1000))  # pages, so that the log is brought into the file at any moment
    pragmas = (f"synchronous = {synchronous}", f"wal_autocheckpoint = {checkpoint}")
    undo = place_under_journal(watched.vfs_name, pragmas, page_bytes=_PAGE)
    try:
        journal = SqliteJournal(JournalConfig(folder / _NAME))
        fence = journal.claim(0, "story")
        for number in range(rng.randrange(4, 16)):
            burst = _burst(rng)
            acked[journal.append(0, burst, f"b-{number}", fence)] = burst
            if rng.random() < 0.15:
                trimmed = max(trimmed, rng.randrange(max(acked) + 1))
                journal.trim(0, trimmed)
    except JournalError:
        pass
    finally:
        disk.over = True  # what closing would write comes too late
        undo()
        watched.unregister()
    return acked, trimmed


def tell(seed: int, folder: Path, template: Path, synchronous: str = "full") -> Story:
    """Live one story and look at its end."""
    rng = random.Random(seed)
    folder.mkdir()
    shutil.copy(template, folder / _NAME)
    disk = PowerDisk(cut=rng.randrange(1, _CALLS_MAX), files={_NAME: _File(bytearray(template.read_bytes()))})
    acked, trimmed = _live(disk, folder, rng, synchronous)
    images = disk.after_the_cut(rng)
    after = folder / "after"
    after.mkdir()
    for name, image in images.items():
        (after / name).write_bytes(image)
    found, refused = _found(after)
    wanted = {position: burst for position, burst in acked.items() if position >= trimmed}
    lost = sum(found.get(position) != burst for position, burst in wanted.items())
    shutil.rmtree(folder)
    return Story(len(wanted), lost, refused, disk.trace.hexdigest())


def _found(folder: Path) -> tuple[dict[int, StoredBurst], bool]:
    """Open the journal as the next start would, and read everything; then it must take more."""
    found: dict[int, StoredBurst] = {}
    try:
        journal = SqliteJournal(JournalConfig(folder / _NAME))
    except JournalError:
        return found, True
    try:
        bounds = journal.bounds(0)
        position = bounds.first
        while position < bounds.end:
            for entry in journal.read_from(0, position, 64 * _MIB, 0.0):
                found[entry.position] = entry.burst
                position = entry.position + 1
        new = journal.append(0, StoredBurst(1, [], []), "after", journal.claim(0, "after"))
        return found, new in found
    except JournalError:
        return found, True
    finally:
        journal.close()


def run(conditions: Conditions) -> Findings:
    """Tell many stories, some of them twice, and the control's."""
    # In memory where that is to be had: what a disk would do is simulated, the machine's own need not do it again.
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else conditions.folder) as folder:
        return _tell_all(conditions, Path(folder))


def _tell_all(conditions: Conditions, folder: Path) -> Findings:
    stories = conditions.choose(10_000, 300)
    template = folder / "template.sqlite"
    watched = WatchedDisk("plain", lambda *_: None)
    undo = place_under_journal(watched.vfs_name, page_bytes=_PAGE)
    SqliteJournal(JournalConfig(template)).close()
    undo()
    lost = acked = refused = differing = 0
    bad = []
    for number in range(stories):
        seed = conditions.seed + number
        story = tell(seed, folder / "story", template)
        acked, lost, refused = acked + story.acked, lost + story.lost, refused + story.refused
        if story.lost or story.refused:
            bad.append(seed)
        if number % 20 == 0:
            differing += tell(seed, folder / "story", template).hash != story.hash
    control = 0
    for number in range(stories // 10):
        control += tell(conditions.seed + number, folder / "story", template, "off").lost
    numbers = {
        "seeds": stories,
        "acked": acked,
        "lost": lost,
        "refused": refused,
        "bad_seeds": bad[:10],
        "differing_hashes": differing,
        "control_lost": control,
    }
    criteria = {
        "nothing lost": lost == 0,
        "no file refused": refused == 0,
        "the same seed is the same story": differing == 0,
        "the control is caught": control > 0,
    }
    return Findings(numbers, criteria)


TEST = FaultTest(3, "the power fails (a simulated disk)", run)
