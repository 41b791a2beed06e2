# SPDX-License-Identifier: Apache-2.0
"""How far decoding has come, kept so that a restart decides about every record as it was decided before.

A checkpoint holds a journal position, what came of each device up to there (`ingest.sequences`) and which records before it
were duplicates or went to quarantine. Invariant: decoding the journal from the checkpoint on, with what it holds, gives the
same rows again; so a store that is behind is fed the same rows as one that is ahead.
"""

from __future__ import annotations

import json
import sqlite3
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.topics import Address
from ingest.boots import BootState, DeviceState
from ingest.volume import SqliteFile

__all__ = ["Progress"]

_NAME: Final = "checkpoint"
_SCHEMA: Final = """
create table if not exists checkpoint (
    id       integer primary key check (id = 0),
    position integer not null
) strict;
insert or ignore into checkpoint values (0, 0);
create table if not exists sequence (
    site   text not null,
    device text not null,
    state  text not null,
    primary key (site, device)
) strict;
create table if not exists duplicate (
    position integer not null,
    kind     text not null,
    places   blob not null,
    primary key (position, kind)
) strict;
create table if not exists note (
    name text primary key,
    text text not null
) strict;
"""


class Progress:
    """The checkpoint's file. Thread-safe."""

    def __init__(self, path: Path) -> None:
        self._file = SqliteFile(path, _NAME, _SCHEMA)

    @property
    def _db(self) -> sqlite3.Connection:
        return self._file.db

    def position(self) -> int:
        """Return the last position that is decoded and accounted for; 0 at first."""
        with self._file.use():
            return int(self._db.execute("select position from checkpoint").fetchone()[0])

    def states(self) -> list[tuple[Address, DeviceState]]:
        """Return what had come of each device at the checkpoint."""
        with self._file.use():
            rows = self._db.execute("select site, device, state from sequence").fetchall()
        return [(Address(site, device), _parse_state(text)) for site, device, text in rows]

    def note(self, name: str) -> str | None:
        """Return what was kept under a name, or None."""
        with self._file.use():
            found = self._db.execute("select text from note where name = ?", (name,)).fetchone()
        return None if found is None else str(found[0])

    def duplicates(self, start: int, end: int) -> dict[tuple[int, str], NDArray[np.int64]]:
        """Return (position, kind) -> what `save` was given, for positions in [start, end)."""
        with self._file.use():
            rows = self._db.execute(
                "select position, kind, places from duplicate where position >= ? and position < ?", (start, end)
            ).fetchall()
        return {(position, kind): np.frombuffer(places, "<i8") for position, kind, places in rows}

    def save(
        self,
        position: int,
        states: Iterable[tuple[Address, DeviceState]],
        duplicates: Mapping[tuple[int, str], NDArray[np.int64]],
        forget_below: int,
        notes: Mapping[str, str] | None = None,
    ) -> None:
        """Move the checkpoint, in one transaction; duplicates of positions below `forget_below` are no longer needed.

        `notes` replace those of the same name, see `note`.

        Raises Full or Unavailable, and has then changed nothing.
        """
        rows = [(address.site, address.device, _format_state(state)) for address, state in states]
        marks = [(at, kind, places.astype("<i8").tobytes()) for (at, kind), places in duplicates.items()]
        with self._file.use(), self._db:
            self._db.executemany("insert or replace into sequence values (?, ?, ?)", rows)
            self._db.executemany("insert or replace into duplicate values (?, ?, ?)", marks)
            self._db.execute("delete from duplicate where position < ?", (forget_below,))
            self._db.executemany("insert or replace into note values (?, ?)", list((notes or {}).items()))
            self._db.execute("update checkpoint set position = ?", (position,))

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def _format_state(state: DeviceState) -> str:
    boots = {boot: [part.high, part.missing, part.floor, part.ended, part.held] for boot, part in state.boots.items()}
    recent = {zone: list(times) for zone, times in state.recent.items()}
    return json.dumps({"boots": boots, "lost": state.lost, "recent": recent}, separators=(",", ":"))


def _parse_state(text: str) -> DeviceState:
    kept = json.loads(text)
    boots = {int(boot): _parse_boot(*fields) for boot, fields in kept["boots"].items()}
    recent = {int(zone): OrderedDict.fromkeys(times) for zone, times in kept["recent"].items()}
    return DeviceState(boots, kept["lost"], recent)


def _parse_boot(
    high: int, missing: list[list[int]], floor: int, ended: bool = False, held: Iterable[tuple[int, int]] = ()
) -> BootState:
    # A file of before these were kept has shorter lists.
    ranges = [(start, end, since[0] if since else 0) for start, end, *since in missing]
    return BootState(high, ranges, floor, ended, [(start, end) for start, end in held])
