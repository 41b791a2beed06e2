# SPDX-License-Identifier: Apache-2.0
"""Whether what a broker held was on disk when it ended."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from gateway.broker_config import BrokerFiles
from gateway.broker_save import BrokerLoss, BrokerSave, SavedFile
from gateway.clock import SteppedClock

SAVED_MS = 1_763_770_800_000
DEATH_MS = SAVED_MS + 30_000


class Folder:
    """A broker's folder, and one BrokerSave after another upon it."""

    def __init__(self, folder: Path) -> None:
        self.files = BrokerFiles(folder)
        self.files.store.mkdir(parents=True)

    @property
    def save(self) -> BrokerSave:
        return BrokerSave(self.files, SteppedClock(DEATH_MS))

    def start(self) -> BrokerLoss | None:
        """Start a broker as far as the files show it; return what is then told."""
        save = self.save
        save.begin()
        self.files.configuration.touch()
        return save.loss

    def write(self, at_ms: int = SAVED_MS, size: int = 100) -> None:
        """Write the queues as the broker does: beside, then in place."""
        fresh = self.files.store / "mosquitto.db.new"
        fresh.write_bytes(bytes(size))
        os.utime(fresh, ns=(at_ms * 1_000_000, at_ms * 1_000_000))
        fresh.replace(self.files.store / "mosquitto.db")


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "broker")


def test_begin_of_a_first_start_notes_no_loss(folder: Folder) -> None:
    assert folder.start() is None


def test_begin_after_an_end_in_order_notes_no_loss_once(folder: Folder) -> None:
    folder.start()
    folder.write()
    folder.save.note_end()
    assert folder.start() is None
    assert folder.start() == BrokerLoss(1, SAVED_MS)


def test_begin_of_a_folder_that_tar_put_back_after_an_end_in_order_notes_no_loss(folder: Folder) -> None:
    folder.start()
    folder.write()
    database = folder.files.store / "mosquitto.db"
    second_ns = SAVED_MS * 1_000_000
    os.utime(database, ns=(second_ns + 698_912_525,) * 2)
    folder.save.note_end()
    os.utime(database, ns=(second_ns,) * 2)  # an archive holds whole seconds
    assert folder.start() is None
    folder.save.note_end()
    os.utime(database, ns=(second_ns - 1_000_000_000,) * 2)
    assert folder.start() == BrokerLoss(1, SAVED_MS - 1_000)


def test_begin_after_a_death_notes_what_was_saved_last(folder: Folder) -> None:
    folder.start()
    folder.write()
    assert folder.start() == BrokerLoss(1, SAVED_MS)
    assert folder.save.loss == BrokerLoss(1, SAVED_MS)
    assert folder.save.age_s(BrokerLoss(1, SAVED_MS)) == 30.0


def test_begin_after_a_death_before_anything_was_saved_notes_a_loss_of_unknown_extent(folder: Folder) -> None:
    folder.start()
    loss = folder.start()
    assert loss == BrokerLoss(1, 0)
    assert folder.save.age_s(loss) is None


def test_begin_after_several_deaths_keeps_the_earliest(folder: Folder) -> None:
    folder.start()
    folder.write()
    folder.start()
    folder.write(SAVED_MS + 9_000)
    assert folder.start() == BrokerLoss(2, SAVED_MS)


def test_begin_with_another_database_than_the_broker_ended_with_notes_a_loss(folder: Folder) -> None:
    folder.start()
    folder.write()
    folder.save.note_end()
    folder.write(SAVED_MS - 1, size=90)
    assert folder.start() == BrokerLoss(1, SAVED_MS - 1)


def test_begin_on_a_folder_put_back_from_a_copy_notes_no_loss(folder: Folder, tmp_path: Path) -> None:
    folder.start()
    folder.write()
    folder.save.note_end()
    shutil.copytree(folder.files.folder, tmp_path / "copy")
    save = BrokerSave(BrokerFiles(tmp_path / "copy"), SteppedClock(DEATH_MS))
    save.begin()
    assert save.loss is None


def test_settle_forgets_the_loss_but_not_one_that_has_grown(folder: Folder) -> None:
    folder.start()
    folder.write()
    first = folder.start()
    assert first is not None
    again = folder.save
    again.begin()
    again.settle(first)
    assert again.loss == BrokerLoss(2, SAVED_MS)
    again.settle(BrokerLoss(2, SAVED_MS))
    assert again.loss is None
    assert folder.save.loss is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"deaths": 1}', "\xff"])
def test_loss_that_cannot_be_read_is_one_of_unknown_extent(folder: Folder, text: str) -> None:
    (folder.files.folder / "lost.json").write_text(text, encoding="latin-1")
    assert folder.save.loss == BrokerLoss(1, 0)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"size": 1, "wrong": 2}', "\xff"])
def test_begin_with_a_mark_that_cannot_be_read_notes_a_loss(folder: Folder, text: str) -> None:
    folder.start()
    folder.write()
    (folder.files.folder / "ended.json").write_text(text, encoding="latin-1")
    assert folder.start() == BrokerLoss(1, SAVED_MS)


def test_age_of_a_loss_after_the_clock_was_set_back_is_unknown(folder: Folder) -> None:
    assert folder.save.age_s(BrokerLoss(1, DEATH_MS + 1)) is None


def test_look_tells_each_writing_from_the_one_before(folder: Folder) -> None:
    assert folder.save.look() == SavedFile()
    folder.write()
    before = folder.save.look()
    folder.write()
    assert folder.save.look() != before
