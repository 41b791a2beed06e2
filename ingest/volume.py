# SPDX-License-Identifier: Apache-2.0
"""SQLite files that must survive a loss of power, and their failures by remedy.

Invariant: of a transaction that was begun either all is on the disk when it returns, or nothing after an error of ours.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ingest.errors import Full, Unavailable

__all__ = ["connect", "translated"]

_BUSY_S: Final = 5.0  # wait for another connection's transaction [s]


def connect(path: Path, *, page_bytes: int | None = None) -> sqlite3.Connection:
    """Open a file in WAL mode, each commit forced to the disk; `page_bytes` holds for a new file."""
    connection = sqlite3.connect(path, check_same_thread=False, timeout=_BUSY_S)
    if page_bytes is not None:
        connection.execute(f"pragma page_size = {page_bytes}")
    connection.execute("pragma journal_mode = wal")
    connection.execute("pragma synchronous = full")
    return connection


@contextmanager
def translated(name: str) -> Iterator[None]:
    """Turn SQLite's errors into ours; `name` is what the file is called in them."""
    try:
        yield
    except sqlite3.Error as exc:
        code = getattr(exc, "sqlite_errorname", "")
        if code.startswith("SQLITE_FULL"):
            raise Full(f"the volume of the {name} is full; make room on it") from exc
        raise Unavailable(f"the volume of the {name} answers {code or type(exc).__name__}: {exc}") from exc
