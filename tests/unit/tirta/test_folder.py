# SPDX-License-Identifier: Apache-2.0
"""The data folder: private, owned by one process, and with roles that stay."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest.errors import FolderInUse
from tirta.folder import DataFolder


@pytest.fixture(autouse=True)
def _umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def test_open_makes_a_folder_that_only_its_owner_sees(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "a" / "data")
    folder.open()
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    made = folder.file("made")
    made.touch()
    assert stat.S_IMODE(made.stat().st_mode) & 0o077 == 0


def test_locked_a_second_time_is_refused_and_free_again_after(tmp_path: Path) -> None:
    first, second = DataFolder(tmp_path), DataFolder(tmp_path)
    assert not second.in_use
    with first.locked():
        assert second.in_use
        with pytest.raises(FolderInUse, match="--data"), second.locked():
            pass
    assert not second.in_use
    with second.locked():
        assert first.in_use


def test_in_use_of_a_folder_that_is_not_there_makes_nothing(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "none")
    assert not folder.in_use
    assert not folder.path.exists()


def test_roles_are_made_once_and_kept_private(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    first = folder.roles()
    assert folder.roles() == first
    assert len({role.password for role in first}) == len(first) == 2
    assert stat.S_IMODE(folder.file("roles.json").stat().st_mode) == 0o600
