# SPDX-License-Identifier: Apache-2.0
"""What every series store can do: keep rows exactly once, and give them back as columns.

Ranges are half-open, [start, end). Windows are aligned to the Unix epoch and
bear the instant of their start. All stores give the same answer to the same question.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from ingest.store.batch import Batch, Keep, Reach, RejectedRow
from ingest.store.holes import Hole

__all__ = [
    "HOUR_MS",
    "LOOK_BACK_MS",
    "ROWS_IN_ANSWER_MAX",
    "Aggregate",
    "Latest",
    "Series",
    "SeriesQuery",
    "SeriesStore",
    "TierName",
]

Aggregate = Literal["mean", "min", "max", "sum", "count", "last", "difference"]
TierName = Literal["raw", "5m", "1h"]

HOUR_MS: Final = 3_600_000
LOOK_BACK_MS: Final = 24 * HOUR_MS  # how long before a window the record may lie that its difference is counted from

ROWS_IN_ANSWER_MAX: Final = 100_000


@dataclass(frozen=True, slots=True)
class SeriesQuery:
    """Which measurements of one zone are wanted.

    Attributes
    ----------
    site, device : str
        Names, as in the topic.
    zone : int
        Bed or pond of the device.
    quantities : tuple of str
        Columns of the answer; one that was never measured is all NaN.
    start_ms, end_ms : int
        Half-open range [start, end) since the Unix epoch, UTC. [ms]
    every_ms : int or None
        Length of a window; None asks for the rows as they were sent. [ms]
    aggregate : str
        What a window is made into. A row without the quantity counts for nothing. `difference` is of running totals
        only: how far it rose up to the window's last record, from the record before the window if that lies less than
        `LOOK_BACK_MS` before it; a fall is taken for a meter that began again at 0. A first window that the range cuts
        counts from its own start.
    limit : int
        Most rows in the answer; the earliest are given.

    Raises
    ------
    ValueError
        If no quantity is named, or one twice, or a number is out of its range.
    """

    site: str
    device: str
    zone: int
    quantities: tuple[str, ...]
    start_ms: int
    end_ms: int
    every_ms: int | None = None
    aggregate: Aggregate = "mean"
    limit: int = 10_000

    def __post_init__(self) -> None:
        if not self.quantities or len(set(self.quantities)) != len(self.quantities):
            raise ValueError("name at least one quantity, and none twice")
        if self.every_ms is not None and self.every_ms < 1:
            raise ValueError("every_ms must be 1 or more")
        if self.aggregate not in get_args(Aggregate):
            raise ValueError(f"aggregate must be one of {', '.join(get_args(Aggregate))}")
        if not 1 <= self.limit <= ROWS_IN_ANSWER_MAX:
            raise ValueError(f"limit must be 1 to {ROWS_IN_ANSWER_MAX}")


@dataclass(frozen=True, slots=True)
class Series:
    """The answer to a `SeriesQuery`, in order of time.

    Attributes
    ----------
    ts_ms : ndarray of int64, shape (n,)
        Time of measurement, or start of the window. [ms]
    values : dict of str to ndarray of float64, shape (n,)
        A column for each quantity asked for. NaN where a row or window has no value
        of it (0 with the aggregate `count`); rows and windows without any value are left out.
    truncated : bool
        True if there was more than `limit`.
    tier : str
        What was answered from: rows ("raw") or windows kept ready. Same numbers either way.
    kept_from_ms : int or None
        Nothing older is kept in this tier; None where all of it is. [ms]
    """

    ts_ms: NDArray[np.int64]
    values: dict[str, NDArray[np.float64]]
    truncated: bool
    tier: TierName = "raw"
    kept_from_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Latest:
    """The newest value of one quantity in each zone that has one.

    Attributes
    ----------
    kind, quantity : str
        What was measured, by what kind of device.
    site, device : tuple of str, length n
        Names.
    zone : ndarray of uint8, shape (n,)
        Bed or pond of the device.
    ts_ms : ndarray of int64, shape (n,)
        Time of measurement since the Unix epoch, UTC. [ms]
    value : ndarray of float64, shape (n,)
        Newest value, in the quantity's unit.
    """

    kind: str
    quantity: str
    site: tuple[str, ...]
    device: tuple[str, ...]
    zone: NDArray[np.uint8]
    ts_ms: NDArray[np.int64]
    value: NDArray[np.float64]


class SeriesStore(Protocol):
    """Keeps measurements.

    One thread writes and one tends; any number may read meanwhile. Every method raises
    `StoreUnavailable` where trying again can help and `StoreRefused` where only
    a change of the deployment can.
    """

    @property
    def name(self) -> str:
        """Short name of the engine, for logs and metrics."""

    def cursor(self) -> int:
        """Return the journal position that this store has been brought to, 0 at first."""

    def reach(self) -> Reach:
        """Return how far it has been brought, the cursor and what was told with it."""

    def skip(self, hole: Hole, reach: Reach) -> None:
        """Move the cursor over what is gone from the journal, and keep that it is missing, in one step."""

    def holes(self) -> tuple[Hole, ...]:
        """Return what it never got, oldest first."""

    def prepare(self) -> None:
        """Make what is missing before the first row, such as buckets, and look whether rows would be let in."""

    def write(self, batch: Batch, keep: Keep | None = None) -> tuple[RejectedRow, ...]:
        """Keep a batch and move the cursor to its `upto`; a batch not beyond the cursor is passed over.

        Parameters
        ----------
        keep : callable or None
            Is given the rows that this store can never accept, where there are some, before the cursor moves: what dies
            in between finds them again. It must bear being given the same ones twice; what it raises comes out, and the
            cursor has not moved.

        Returns
        -------
        tuple of RejectedRow
            Rows that are not kept, those that have expired among them; all others are.
        """

    def tend(self) -> bool:
        """Make windows of touched hours that are due and let go of what is past its age, one bounded piece a call.

        Returns
        -------
        bool
            True if more is due already.
        """

    def flush(self) -> None:
        """Return when everything written is safe from a loss of power."""

    def series(self, query: SeriesQuery) -> Series:
        """Return rows or windows of one zone, in order of time."""

    def latest(self, since_ms: int) -> list[Latest]:
        """Return the newest values measured at or after an instant, to begin with after a start."""

    def count(self, site: str, device: str) -> int:
        """Return how many rows are kept of a device."""

    def close(self) -> None:
        """Let go of files and connections; the store is not used after."""
