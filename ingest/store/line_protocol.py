# SPDX-License-Identifier: Apache-2.0
r"""Write rows as InfluxDB's line protocol, a whole `Rows` at a time.

    kind,device=…,site=…,zone=1 soil_moisture=0.312,valve_open=f,boot=7i,seq=1841i,flags=0i 1763770800000001841
    |measurement,tags          |fields, what was not measured is left out                  |nanoseconds

Invariant: a row is one line whatever its names hold, and two different names stay different. The protocol has no way
to write a line break in a name, nor a backslash before what ends it, and a line that begins with a hash is a comment:
backslash, line feed, carriage return, tab and hash are stored as `\b`, `\n`, `\r`, `\t` and `\h`. What the contract
allows in names is stored as it is.
Source: https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ingest.store.batch import Rows

__all__ = ["encode_lines", "read_name", "stored_name"]

_STORED: Final = {"\\": "\\b", "\n": "\\n", "\r": "\\r", "\t": "\\t", "#": "\\h"}
_READ: Final = {stored: plain for plain, stored in _STORED.items()}
_TO_STORED: Final = re.compile(r"[\\\n\r\t#]")
_TO_READ: Final = re.compile(r"\\[bnrth]")
_IN_MEASUREMENT: Final = re.compile(r"([, ])")
_IN_KEY: Final = re.compile(r"([,= ])")


def stored_name(name: str) -> str:
    """Return the name as InfluxDB keeps it, which is also how a query must ask for it."""
    return _TO_STORED.sub(lambda found: _STORED[found[0]], name)


def read_name(stored: str) -> str:
    """Return the name that `stored_name` was given."""
    return _TO_READ.sub(lambda found: _READ[found[0]], stored)


def encode_lines(rows: Rows, names: Callable[[int], tuple[str, str]], booleans: frozenset[str]) -> list[bytes]:
    """Write each row as one line, without the line break.

    Parameters
    ----------
    rows : Rows
        What to write; a value that is not finite counts as not measured.
    names : callable
        Gives (site, device) of a device index.
    booleans : frozenset of str
        Quantities written as `t` and `f`; all others are floats, always.

    Returns
    -------
    list of bytes
        Lines in the order of the rows.
    """
    if not len(rows):
        return []
    keys = _series_keys(rows, names)
    columns = {name: _fields(name, column, booleans) for name, column in rows.values.items()}
    given = np.array([*(np.isfinite(column) for column in rows.values.values()), rows.boot >= 0, rows.seq >= 0], dtype=np.bool_)
    counts = [rows.boot.tolist(), rows.seq.tolist()]
    tail = [rows.flags.tolist(), rows.timestamp_ns().tolist()]
    templates = [*(template for template, _ in columns.values()), "boot=%di", "seq=%di"]
    cells = [*(cell for _, cell in columns.values()), *counts]

    lines: list[bytes] = [b""] * len(rows)
    for pattern, index in _groups(given):
        fields = "".join(f"{templates[k]}," for k in pattern)
        template = f"%s {fields}flags=%di %d"
        chosen = [keys, *(cells[k] for k in pattern), *tail]
        if len(index) == len(rows):
            return [line.encode() for line in map(template.__mod__, zip(*chosen, strict=True))]
        for i in index.tolist():
            lines[i] = (template % tuple([column[i] for column in chosen])).encode()
    return lines


def _series_keys(rows: Rows, names: Callable[[int], tuple[str, str]]) -> list[str]:
    """Return the measurement and tags of each row, tags in order of their keys."""
    measurement = _IN_MEASUREMENT.sub(r"\\\1", stored_name(rows.kind))
    series, inverse = np.unique(rows.device.astype(np.int64) * 256 + rows.zone, return_inverse=True)
    keys = []
    for number in series.tolist():
        site, device = (_IN_KEY.sub(r"\\\1", stored_name(name)) for name in names(number // 256))
        keys.append(f"{measurement},device={device},site={site},zone={number % 256}")
    return [keys[i] for i in inverse.tolist()]


def _fields(name: str, column: NDArray[np.float64], booleans: frozenset[str]) -> tuple[str, list[float] | list[str]]:
    """Return the template of one field and what goes into it, row by row."""
    key = _IN_KEY.sub(r"\\\1", stored_name(name)).replace("%", "%%")
    if name in booleans:
        return f"{key}=%s", np.where(column != 0, "t", "f").tolist()
    return f"{key}=%r", column.tolist()


def _groups(given: NDArray[np.bool_]) -> list[tuple[list[int], NDArray[np.intp]]]:
    """Return which fields are given, and in which rows, for each combination that occurs."""
    if given.all():
        return [(list(range(len(given))), np.arange(given.shape[1]))]
    packed = np.packbits(given, axis=0).T
    keys = np.ascontiguousarray(packed).view(np.dtype((np.void, packed.shape[1]))).ravel()
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    parts = np.split(order, np.cumsum(np.bincount(inverse))[:-1])
    return [(np.flatnonzero(given[:, row]).tolist(), part) for row, part in zip(first.tolist(), parts, strict=True)]
