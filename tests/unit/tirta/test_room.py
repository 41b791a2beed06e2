# SPDX-License-Identifier: Apache-2.0
"""Room on the volume: when it is low, and a start on a full one."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tirta.errors import NotPossible
from tirta.room import START_BYTES, Room, require_room, room_at

MIB, GIB = 2**20, 2**30
AT = Path("/data")


@pytest.mark.parametrize(
    ("free", "total", "low"),
    [
        (40 * GIB, 1000 * GIB, False),  # a twenty-fifth of a large volume
        (511 * MIB, 1000 * GIB, True),
        (300 * MIB, 2 * GIB, False),  # a small one is not low for ever
        (200 * MIB, 2 * GIB, True),
        (10 * MIB, 40 * MIB, False),
    ],
)
def test_low_is_less_than_a_tenth_and_less_than_half_a_gibibyte(free: int, total: int, low: bool) -> None:
    assert Room(AT, free, total).low is low


def test_describe_says_what_to_do_where_there_is_something() -> None:
    assert Room(AT, 40 * GIB, 100 * GIB).describe(8 * GIB) == "40.0 GiB free of 100.0 GiB at /data"
    assert "make room" in Room(AT, 10 * MIB, 100 * GIB).describe(8 * GIB)
    told = Room(AT, 3 * GIB, 16 * GIB).describe(8 * GIB)
    assert told.startswith("3.0 GiB free of 16.0 GiB at /data; the journal may grow by 8.0 GiB")
    assert "TIRTA_JOURNAL_MAX_MIB" in told


def test_require_room_on_a_full_volume_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_room(tmp_path)
    full = shutil._ntuple_diskusage(40 * MIB, 40 * MIB, START_BYTES - 1)  # type: ignore[attr-defined]
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    with pytest.raises(NotPossible, match=r"the volume is full: 1024 KiB free of 40 MiB at .* Make room on it"):
        require_room(tmp_path)


def test_room_at_a_folder_that_is_not_there_yet_is_that_of_its_parent(tmp_path: Path) -> None:
    assert room_at(tmp_path / "not" / "yet").path == tmp_path
