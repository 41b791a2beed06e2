# SPDX-License-Identifier: Apache-2.0
"""Tables as structures of arrays: one column a field, one row a zone or pond.

A rule looks at each row by itself, so rows may be cut into blocks at will: the result of a row does not depend, to the
last bit, on how many others stand beside it. Blocks keep the intermediate arrays in the processor's cache.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["Flags", "Numbers", "Words", "aligned", "in_blocks", "joined"]

Numbers: TypeAlias = NDArray[np.float64]
Flags: TypeAlias = NDArray[np.bool_]
Words: TypeAlias = NDArray[np.int64]

BLOCK_ROWS = 8_192  # rows worked on at a time; 64 KiB a column of float64

FLAG_NAMES = frozenset({"allowed", "busy", "due", "enabled", "latched", "online", "soaking", "unsettled"})  # columns of bool
WORD_NAMES = frozenset({"held"})  # columns of int64, for a float64 holds only 53 bits

Table = TypeVar("Table", bound="DataclassInstance")
Result = TypeVar("Result", bound="DataclassInstance")
State = TypeVar("State", bound="DataclassInstance")
Params = TypeVar("Params", bound="DataclassInstance")
Calendar = TypeVar("Calendar", bound="DataclassInstance")


def aligned(table: Table, rows: int | None = None) -> Table:
    """Return the table with columns of bool, int64 and float64, all of one length; its own columns are not touched.

    Parameters
    ----------
    table : dataclass of ndarray, shape (n,)
        A single value is not spread over the rows: one zone's parameter used for all would be a silent mistake.
    rows : int, optional
        The length wanted; that of the first column by default.

    Raises
    ------
    ValueError
        A column has another shape.
    """
    columns: dict[str, NDArray[np.generic]] = {}
    for field in dataclasses.fields(table):
        column = np.asarray(getattr(table, field.name), dtype=_type_of(field.name))
        if column.ndim == 1 and rows is None:
            rows = len(column)
        if column.shape != (rows,):
            expected = "(n,)" if rows is None else f"({rows},)"
            raise ValueError(
                f"{type(table).__name__}.{field.name} has shape {column.shape}, expected {expected}: "
                "give every column one value a row"
            )
        columns[field.name] = column
    return dataclasses.replace(table, **columns)


def in_blocks(
    decide: Callable[[State, Params, Calendar, float], Result],
    state: State,
    params: Params,
    calendar: Calendar,
    now: float,
) -> Result:
    """Check and align the three tables, decide block by block, and join the results.

    Raises
    ------
    ValueError
        The columns of the tables are not all of one length.
    """
    state = aligned(state)
    rows = len(getattr(state, dataclasses.fields(state)[0].name))
    params, calendar = aligned(params, rows), aligned(calendar, rows)
    if rows <= BLOCK_ROWS:
        return decide(state, params, calendar, now)
    blocks = (slice(start, start + BLOCK_ROWS) for start in range(0, rows, BLOCK_ROWS))
    return joined([decide(_cut(state, block), _cut(params, block), _cut(calendar, block), now) for block in blocks])


def joined(tables: list[Result]) -> Result:
    """Put tables of one type, at least one, below each other."""
    names = [field.name for field in dataclasses.fields(tables[0])]
    columns = {name: np.concatenate([getattr(table, name) for table in tables]) for name in names}
    return dataclasses.replace(tables[0], **columns)


def _type_of(name: str) -> type[np.generic]:
    if name in FLAG_NAMES:
        return np.bool_
    return np.int64 if name in WORD_NAMES else np.float64


def _cut(table: Table, block: slice) -> Table:
    names = [field.name for field in dataclasses.fields(table)]
    return dataclasses.replace(table, **{name: getattr(table, name)[block] for name in names})
