# SPDX-License-Identifier: Apache-2.0
"""What the broker last wrote of its sessions and queues, and whether that was everything when it ended.

mosquitto writes them each `autosave_s` and when it is asked to end. One that ends otherwise has acknowledged messages since
its last writing that nobody has any more, although it knows its sessions again at the next start. Two files tell of it:

    ended.json    which database the broker ended with, in order; taken away before each start
    lost.json     a start found no such mark, or another database; stays until the loss is noted

Invariant: between the death of a broker and the note of it lies always one of the two on disk, also over a power cut.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from gateway.broker_config import BrokerFiles
from gateway.clock import Clock
from gateway.processes import write_private

__all__ = ["BrokerLoss", "BrokerSave", "SavedFile"]

_SECOND_NS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class SavedFile:
    """Names one writing of the database; all 0 where there is none."""

    size: int = 0
    mtime_ns: int = 0
    inode: int = 0


@dataclass(frozen=True, slots=True)
class BrokerLoss:
    """Deaths of the broker that are not noted yet.

    Attributes
    ----------
    deaths : int
        How many.
    saved_ms : int
        When it had last written its queues before the first of them: what it acknowledged until then is in them. 0: there
        is no such file. [ms since the Unix epoch, on the wall]
    """

    deaths: int
    saved_ms: int


class BrokerSave:
    """The database of one broker's folder.

    Parameters
    ----------
    files : BrokerFiles
        Where it is; the folder must exist by the first use.
    clock : Clock
        The wall's, which also dates files.
    """

    def __init__(self, files: BrokerFiles, clock: Clock) -> None:
        self._database = files.store / "mosquitto.db"
        self._configuration = files.configuration
        self._mark = files.folder / "ended.json"
        self._lost = files.folder / "lost.json"
        self._clock = clock
        self._loss: BrokerLoss | None = None
        self._read = False

    def look(self) -> SavedFile:
        """Return which writing of the database is there now."""
        try:
            found = self._database.stat()
        except OSError:
            return SavedFile()
        return SavedFile(found.st_size, found.st_mtime_ns, found.st_ino)

    def note_end(self) -> None:
        """Note that the broker ended and the database holds everything. Not to be noted is never wrong."""
        with contextlib.suppress(OSError):
            write_private(self._mark, json.dumps(asdict(self.look())))

    def begin(self) -> None:
        """Prepare for a start: note a loss unless the last end left everything; to be called while none runs.

        Raises
        ------
        OSError
            It cannot be noted; the broker must not be started.
        """
        found = self.look()
        first = not self._configuration.exists()
        if not first and not self._is_marked(found):
            loss = BrokerLoss(1, found.mtime_ns // 1_000_000)
            if (before := self.loss) is not None:
                loss = BrokerLoss(before.deaths + 1, min(before.saved_ms, loss.saved_ms))
            write_private(self._lost, json.dumps(asdict(loss)))
            self._loss = loss
        self._mark.unlink(missing_ok=True)
        _sync_folder(self._mark.parent)

    @property
    def loss(self) -> BrokerLoss | None:
        """What is not noted yet; asked with each burst, so kept in memory."""
        if not self._read:
            try:
                self._loss = BrokerLoss(**json.loads(self._lost.read_text(encoding="utf-8")))
            except FileNotFoundError:
                self._loss = None
            except (OSError, ValueError, TypeError):
                self._loss = BrokerLoss(1, 0)  # a loss all the same, of unknown extent
            self._read = True
        return self._loss

    def age_s(self, loss: BrokerLoss) -> float | None:
        """Return how long ago the queues of before the loss were written, or None where that is not known. [s]"""
        age_s = (self._clock.now_ms() - loss.saved_ms) / 1000
        return age_s if loss.saved_ms and age_s >= 0 else None

    def settle(self, loss: BrokerLoss) -> None:
        """Forget this loss, for it is noted elsewhere; one that has grown since stays."""
        if self.loss == loss:
            self._loss = None
            with contextlib.suppress(OSError):  # then the next start notes it once more
                self._lost.unlink(missing_ok=True)

    def _is_marked(self, found: SavedFile) -> bool:
        try:
            marked = SavedFile(**json.loads(self._mark.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return False
        # Not by the inode: a folder that was put back from a backup has other ones, and by tar times in whole seconds.
        whole_s = found.mtime_ns % _SECOND_NS == 0
        marked_ns = marked.mtime_ns - marked.mtime_ns % _SECOND_NS if whole_s else marked.mtime_ns
        return (marked.size, marked_ns) == (found.size, found.mtime_ns)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
