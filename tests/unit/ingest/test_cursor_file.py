# SPDX-License-Identifier: Apache-2.0
"""The cursors' file when its volume does not take."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingest.store.batch import Reach
from ingest.store.cursor_file import CursorFile
from ingest.store.errors import StoreUnavailable
from ingest.store.touched import ZoneHour


def test_cursor_file_forces_each_cursor_and_mark_to_the_disk(tmp_path: Path) -> None:
    # After a cut of power a cursor must not lie behind what the journal let go of by it, nor a mark be gone.
    file = CursorFile(tmp_path / "influxdb.cursor")
    asked = [file._connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]
    file.close()
    assert asked == ["wal", 2], "2 is FULL"


def test_cursor_file_that_is_full_says_which_file_it_is_and_takes_again(tmp_path: Path) -> None:
    path = tmp_path / "influxdb.cursor"
    file = CursorFile(path)
    file.put("a", Reach(7))
    file._connection.execute("PRAGMA max_page_count = 1")  # means: no more than there are
    # Whoever reads "disk is full" beside the name of a database server would look at that server's disk.
    with pytest.raises(StoreUnavailable, match=f"{path}: database or disk is full"):
        file.add_marks("a", [ZoneHour("kind", "site", "device", 1, hour) for hour in range(2_000)])
    file._connection.execute("PRAGMA max_page_count = 100000")
    file.put("a", Reach(8))
    assert (file.get("a").position, file.marks("a")) == (8, [])
    file.close()
