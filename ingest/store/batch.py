# SPDX-License-Identifier: Apache-2.0
"""What goes into a series store: measurements as columns, and how far they bring it.

A row is a record as a device sent it, a column a quantity. Every array of one
`Rows` has the same length; NaN in a column means that it was not measured.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "CLOCK_SERVER",
    "NOT_GIVEN",
    "RESERVED_NAMES",
    "TS_MAX_MS",
    "Batch",
    "DeviceNames",
    "Keep",
    "Reach",
    "RejectedRow",
    "Rows",
]

CLOCK_SERVER: Final = 1  # bit 0 of `flags`: the time is that of receipt, the device gave none
NOT_GIVEN: Final = -1  # in `boot` and `seq`: the device does not count them

TS_MAX_MS: Final = 9_000_000_000_000  # in 2255; nanoseconds since the Unix epoch fit an int64 until 2262

# The stores' own columns, tags and fields; "time" is taken by InfluxDB itself.
RESERVED_NAMES: Final = frozenset({"boot", "clock", "device", "flags", "place", "seq", "site", "time", "ts", "ts_ms", "zone"})

_NS_PER_MS: Final = 1_000_000


class DeviceNames(Protocol):
    """Knows the site and the name behind a device's index, which may be another one after a restart."""

    def names(self, index: int) -> tuple[str, str]:
        """Return (site, device) of a device index."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Records of one kind of device.

    Attributes
    ----------
    kind : str
        Kind of device that the records come from.
    device : ndarray of int32, shape (n,)
        Index of the device, named by `DeviceNames`.
    zone : ndarray of uint8, shape (n,)
        Bed or pond of that device.
    ts_ms : ndarray of int64, shape (n,)
        Time of measurement since the Unix epoch, UTC. [ms]
    boot, seq : ndarray of int64, shape (n,)
        The device's counts of restarts and records; `NOT_GIVEN` where it has none.
    place : ndarray of int64, shape (n,)
        Place of the record in its journal row.
    flags : ndarray of uint8, shape (n,)
        Bit 0 is `CLOCK_SERVER`.
    values : dict of str to ndarray of float64, shape (n,)
        A column for each quantity, in its one unit; booleans are 0.0 and 1.0.

    Raises
    ------
    ValueError
        If the lengths differ, a time is outside [0, `TS_MAX_MS`), or a quantity bears a name that the stores use.
    """

    kind: str
    device: NDArray[np.int32]
    zone: NDArray[np.uint8]
    ts_ms: NDArray[np.int64]
    boot: NDArray[np.int64]
    seq: NDArray[np.int64]
    place: NDArray[np.int64]
    flags: NDArray[np.uint8]
    values: dict[str, NDArray[np.float64]]

    def __post_init__(self) -> None:
        own = (self.device, self.zone, self.ts_ms, self.boot, self.seq, self.place, self.flags)
        shapes = {*(column.shape for column in own), *(column.shape for column in self.values.values())}
        if shapes != {(len(self),)}:
            raise ValueError(f"columns of {self.kind!r} differ in length")
        if len(self) and not (self.ts_ms.min() >= 0 and self.ts_ms.max() < TS_MAX_MS):
            raise ValueError(f"ts_ms of {self.kind!r} is outside [0, {TS_MAX_MS})")
        if taken := RESERVED_NAMES.intersection(self.values):
            raise ValueError(f"quantities of {self.kind!r} bear names of the store itself: {', '.join(sorted(taken))}")

    def __len__(self) -> int:
        return len(self.ts_ms)

    def timestamp_ns(self) -> NDArray[np.int64]:
        """Return each row's instant, made different within a millisecond.

        The part below the millisecond is `seq` mod 1,000,000, or the place in the
        journal row where the device does not count. The same record always gets
        the same instant, so that writing it again changes nothing. [ns]
        """
        below = np.where(self.seq >= 0, self.seq, self.place) % _NS_PER_MS
        return np.asarray(self.ts_ms * _NS_PER_MS + below, dtype=np.int64)

    def without(self, indexes: Sequence[int]) -> Rows:
        """Return the rows but for those at some indexes."""
        keep = np.ones(len(self), np.bool_)
        keep[list(indexes)] = False
        return Rows(
            kind=self.kind,
            device=self.device[keep],
            zone=self.zone[keep],
            ts_ms=self.ts_ms[keep],
            boot=self.boot[keep],
            seq=self.seq[keep],
            place=self.place[keep],
            flags=self.flags[keep],
            values={name: column[keep] for name, column in self.values.items()},
        )


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a store has been brought.

    Attributes
    ----------
    position : int
        Of the journal, 0 at first.
    records : int or None
        New records that stood in the journal up to there, None where that is not known.
    received_ms : int or None
        When what stands there was received, None where that is not known. [ms since the Unix epoch]
    """

    position: int
    records: int | None = None
    received_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows to be written together, and the journal position that they bring a store to; see `Reach`."""

    rows: tuple[Rows, ...]
    upto: int
    records: int | None = None
    received_ms: int | None = None

    @property
    def reach(self) -> Reach:
        """How far they bring a store."""
        return Reach(self.upto, self.records, self.received_ms)

    def __len__(self) -> int:
        return sum(len(rows) for rows in self.rows)


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A row that a store does not accept: its `Rows` in the batch, its index in them, and why.

    Attributes
    ----------
    expired : bool
        It was young enough when it was decided about and has grown older than rows are kept since: nothing is wrong with it.
    """

    rows: int
    index: int
    reason: str
    expired: bool = False


Keep = Callable[[Sequence[RejectedRow]], None]
