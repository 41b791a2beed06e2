# SPDX-License-Identifier: Apache-2.0
"""Room on the volume of the data folder: whether it is low, and whether a start is worth trying."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tirta.errors import NotPossible

__all__ = ["LOW_BYTES", "LOW_SHARE", "START_BYTES", "Room", "require_room", "room_at"]

# Low is what is below both: a tenth of a large volume is plenty, and a small one never has 512 MiB.
LOW_BYTES: Final = 512 * 2**20
LOW_SHARE: Final = 0.10
START_BYTES: Final = 2**20  # the databases make their logs when they are opened; without these they only say "I/O error"


@dataclass(frozen=True, slots=True)
class Room:
    """What is free on a volume, and how large it is. [bytes]"""

    path: Path
    free: int
    total: int

    @property
    def low(self) -> bool:
        """Whether somebody should make room now."""
        return self.free < min(LOW_BYTES, LOW_SHARE * self.total)

    def __str__(self) -> str:
        return f"{_size(self.free)} free of {_size(self.total)} at {self.path}"

    def describe(self, may_grow: int) -> str:
        """Say how much room there is, and what that means for a journal that may grow by so many bytes."""
        if self.low:
            return f"{self}; make room: when it is full nothing is acknowledged, and measurements wait at the broker"
        if self.free < may_grow:
            more = f"the journal may grow by {_size(may_grow)}: while a store is down the volume is full before it is"
            return f"{self}; {more} (TIRTA_JOURNAL_MAX_MIB)"
        return str(self)


def room_at(path: Path) -> Room:
    """Look at the volume of a path, or of what there is of it already."""
    while not path.exists():
        path = path.parent
    usage = shutil.disk_usage(path)
    return Room(path, usage.free, usage.total)


def require_room(path: Path) -> None:
    """Refuse to start on a full volume, in words that say what to do.

    Raises
    ------
    NotPossible
        It has not even room for the databases' logs.
    """
    room = room_at(path)
    if room.free < START_BYTES:
        raise NotPossible(
            f"the volume is full: {room}, and a start needs {_size(START_BYTES)}. Make room on it and start again "
            "(the runbook, docs/runbook.md, says what may be removed); nothing that was acknowledged is lost"
        )


def _size(count: float) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"
