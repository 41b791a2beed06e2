# SPDX-License-Identifier: Apache-2.0
"""Windows of measurements as columns, and how small ones make up larger ones.

A statistic of a quantity is a column: `count`, `mean`, `min`, `max`, `last` and, of a running total, `first` and `rise`
(how far it rose within the window, where a fall means that the meter began again at 0). NaN stands for no measurement,
in `count` too.

Invariant: merging windows gives what the rows themselves would give, to rounding, so tiers can be made from tiers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ingest.store.protocol import LOOK_BACK_MS, Aggregate, SeriesQuery

__all__ = ["NEEDED", "TOTAL_STATISTICS", "Windows", "answer", "column_of", "from_rows", "join_windows", "merge", "statistics"]

NEEDED: Final[dict[Aggregate, tuple[str, ...]]] = {
    "mean": ("count", "mean"),
    "sum": ("count", "mean"),
    "min": ("min",),
    "max": ("max",),
    "count": ("count",),
    "last": ("last",),
    "difference": ("first", "last", "rise"),
}
STATISTICS: Final = ("count", "mean", "min", "max", "last")
TOTAL_STATISTICS: Final = ("first", "rise")

Floats = NDArray[np.float64]


def column_of(quantity: str, statistic: str) -> str:
    """Return the name that a store keeps a statistic under; statistics hold no underscore, so two never meet."""
    return f"{quantity}_{statistic}"


def statistics(quantity: str, totals: frozenset[str]) -> tuple[str, ...]:
    """Return what is kept of a quantity."""
    return (*STATISTICS, *TOTAL_STATISTICS) if quantity in totals else STATISTICS


@dataclass(frozen=True, slots=True)
class Windows:
    """Windows of one zone in order of time.

    Attributes
    ----------
    began_ms, ended_ms : ndarray of int64, shape (n,)
        Start of the window; instant of its last row. Two kinds of device can have the same window of a zone. [ms]
    columns : dict of (quantity, statistic) to ndarray of float64, shape (n,)
    """

    began_ms: NDArray[np.int64]
    ended_ms: NDArray[np.int64]
    columns: dict[tuple[str, str], Floats]

    def __len__(self) -> int:
        return len(self.began_ms)

    def chosen(self, keep: NDArray[np.bool_] | slice) -> Windows:
        """Return some of them."""
        return Windows(self.began_ms[keep], self.ended_ms[keep], {key: column[keep] for key, column in self.columns.items()})


def from_rows(ts_ms: NDArray[np.int64], values: dict[str, Floats]) -> Windows:
    """Take each row for a window of its own."""
    columns: dict[tuple[str, str], Floats] = {}
    for name, column in values.items():
        there = np.isfinite(column)
        value = np.where(there, column, np.nan)
        columns |= {(name, statistic): value for statistic in ("mean", "min", "max", "last", "first")}
        columns[name, "count"] = np.where(there, 1.0, np.nan)
        columns[name, "rise"] = np.where(there, 0.0, np.nan)
    return Windows(ts_ms, ts_ms, columns)


def join_windows(parts: Iterable[Windows], columns: Sequence[tuple[str, str]]) -> Windows:
    """Return all parts as one, in order of time; a column that a part lacks is NaN there."""
    some = [part for part in parts if len(part)]
    if not some:
        none = np.empty(0, np.int64)
        return Windows(none, none, {key: np.empty(0) for key in columns})
    began = np.concatenate([part.began_ms for part in some])
    ended = np.concatenate([part.ended_ms for part in some])
    order = np.lexsort((ended, began))
    found = {
        key: np.concatenate([part.columns.get(key, np.full(len(part), np.nan)) for part in some])[order] for key in columns
    }
    return Windows(began[order], ended[order], found)


def merge(windows: Windows, unit_ms: int) -> Windows:
    """Make larger windows, as long as `unit_ms` and aligned to the Unix epoch, of smaller ones in order of time."""
    if not len(windows):
        return windows
    began = windows.began_ms - windows.began_ms % unit_ms
    starts = np.flatnonzero(np.diff(began, prepend=began[0] - 1))
    merged: dict[tuple[str, str], Floats] = {}
    for name, statistic in windows.columns:
        if (name, statistic) not in merged:
            merged[name, statistic] = _MERGED[statistic](windows, name, starts)
    return Windows(began[starts], np.maximum.reduceat(windows.ended_ms, starts), merged)


def answer(windows: Windows, query: SeriesQuery) -> tuple[NDArray[np.int64], dict[str, Floats]]:
    """Return the start and the wanted aggregate of each window that has a value in the query's range.

    Parameters
    ----------
    windows : Windows
        In order of time, each inside one of the windows asked for, with the statistics that `NEEDED` names.
    """
    assert query.every_ms is not None
    whole = merge(windows, query.every_ms)
    values = {name: _aggregated(whole, name, query.aggregate, windows, query.every_ms) for name in query.quantities}
    there = np.zeros(len(whole), np.bool_)
    for column in values.values():
        there |= ~np.isnan(column)
    there &= whole.began_ms >= query.start_ms // query.every_ms * query.every_ms
    absent = 0.0 if query.aggregate == "count" else np.nan
    return whole.began_ms[there], {name: np.nan_to_num(v[there], nan=absent) for name, v in values.items()}


def _aggregated(whole: Windows, name: str, aggregate: Aggregate, parts: Windows, every_ms: int) -> Floats:
    if aggregate == "sum":
        return np.asarray(whole.columns[name, "mean"] * whole.columns[name, "count"])
    if aggregate == "difference":
        return _difference(whole, name, parts, every_ms)
    return whole.columns[name, aggregate]


def _difference(whole: Windows, name: str, parts: Windows, every_ms: int) -> Floats:
    """Return the rise within each window and from the record before it, if there is one not too long before."""
    rise = whole.columns[name, "rise"].copy()
    there = np.flatnonzero(~np.isnan(rise))
    if not there.size:
        return rise
    # How long before the window the record lies is told to the length of the parts, which all tiers do alike.
    known = parts.began_ms[~np.isnan(parts.columns[name, "last"])]
    ends = known[np.searchsorted(known, whole.began_ms[there] + every_ms) - 1]
    first, last, began = whole.columns[name, "first"][there], whole.columns[name, "last"][there], whole.began_ms[there]
    near = ends[:-1] >= began[1:] - LOOK_BACK_MS
    rise[there[1:]] += np.where(near, _steps(last[:-1], first[1:]), 0.0)
    return rise


def _steps(before: Floats, after: Floats) -> Floats:
    return np.where(after >= before, after - before, after)


def _sums(column: Floats, starts: NDArray[np.intp]) -> Floats:
    return np.add.reduceat(np.nan_to_num(column, nan=0.0), starts)


def _count(windows: Windows, name: str, starts: NDArray[np.intp]) -> Floats:
    count = _sums(windows.columns[name, "count"], starts)
    return np.where(count > 0, count, np.nan)


def _mean(windows: Windows, name: str, starts: NDArray[np.intp]) -> Floats:
    count = windows.columns[name, "count"]
    total = _sums(windows.columns[name, "mean"] * count, starts)
    return np.asarray(total / _count(windows, name, starts))


def _min(windows: Windows, name: str, starts: NDArray[np.intp]) -> Floats:
    return np.fmin.reduceat(windows.columns[name, "min"], starts)


def _max(windows: Windows, name: str, starts: NDArray[np.intp]) -> Floats:
    return np.fmax.reduceat(windows.columns[name, "max"], starts)


def _last(windows: Windows, name: str, starts: NDArray[np.intp]) -> Floats:
    column = windows.columns[name, "last"]
    place = np.maximum.reduceat(np.where(np.isnan(column), -1, np.arange(len(column))), starts)
    return np.where(place < 0, np.nan, column[place])


def _first(windows: Windows, name: str, starts: NDArray[np.intp]) -> Floats:
    column = windows.columns[name, "first"]
    place = np.minimum.reduceat(np.where(np.isnan(column), len(column), np.arange(len(column))), starts)
    return np.where(place == len(column), np.nan, column[np.minimum(place, len(column) - 1)])


def _rise(windows: Windows, name: str, starts: NDArray[np.intp]) -> Floats:
    first, last, rise = (windows.columns[name, statistic] for statistic in ("first", "last", "rise"))
    there = np.flatnonzero(~np.isnan(rise))
    group = np.searchsorted(starts, there, side="right") - 1
    step = np.zeros(len(there))
    step[1:] = np.where(group[1:] == group[:-1], _steps(last[there[:-1]], first[there[1:]]), 0.0)
    total = np.bincount(group, rise[there] + step, minlength=len(starts))
    return np.where(np.bincount(group, minlength=len(starts)) > 0, total, np.nan)


_MERGED: Final = {
    "count": _count,
    "mean": _mean,
    "min": _min,
    "max": _max,
    "last": _last,
    "first": _first,
    "rise": _rise,
}
