# SPDX-License-Identifier: Apache-2.0
"""An empty SQLite control database of the newest form, as a copy: making the tables anew takes far longer.

Invariant: a copy is what `open_database` makes; the tests of that make their own.
"""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

from control.database import open_database

__all__ = ["fresh_sqlite"]


def fresh_sqlite(folder: Path) -> str:
    """Put an empty control database into a folder, and return its address."""
    path = folder / "control.db"
    path.write_bytes(_empty())
    return f"sqlite:///{path}"


@cache
def _empty() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "control.db"
        open_database(f"sqlite:///{path}").close()
        return path.read_bytes()
