# SPDX-License-Identifier: Apache-2.0
"""The checkpoint: what is put back decides as what was saved."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.topics import Address
from ingest.errors import Full
from ingest.progress import Progress
from ingest.sequences import Sequences
from tests.unit.ingest.fleet import NOW_MS, rows_of

number = st.integers(0, 10) | st.none()
arrivals = st.lists(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 2) | st.none(), number), max_size=6), max_size=8)
ADDRESSES = [Address("kebun", "bed-0"), Address("kebun", "bed-1")]


@given(
    before=arrivals, given_up=st.tuples(st.integers(0, 1), st.integers(0, 2), st.integers(0, 12)) | st.none(), after=arrivals
)
def test_restored_sequences_decide_as_the_ones_that_were_saved(
    before: list[list[tuple[int, int | None, int | None]]],
    given_up: tuple[int, int, int] | None,
    after: list[list[tuple[int, int | None, int | None]]],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    progress = Progress(tmp_path_factory.mktemp("progress") / "progress.sqlite")
    original, restored = Sequences(), Sequences()
    for i, records in enumerate(before):
        original.take(rows_of(*records, ts_ms=NOW_MS + i % 3))
    if given_up is not None:
        original.give_up(*given_up)
    progress.save(7, [(ADDRESSES[device], state) for device, state in original.take_changed()], {}, 0)
    for address, state in progress.states():
        restored.restore(ADDRESSES.index(address), state)
    progress.close()
    for i, records in enumerate(after):
        rows = rows_of(*records, ts_ms=NOW_MS + i % 4)
        assert restored.take(rows).tolist() == original.take(rows).tolist()
    for device in (0, 1):
        assert restored.state(device) == original.state(device)


def test_save_moves_the_position_and_keeps_the_places_of_duplicates(tmp_path: Path) -> None:
    progress = Progress(tmp_path / "progress.sqlite")
    assert progress.position() == 0
    progress.save(5, [], {(4, "water-meter"): np.array([1, 70_000])}, 0)
    progress.save(9, [], {(8, "water-meter"): np.array([2])}, 4)
    progress.close()
    again = Progress(tmp_path / "progress.sqlite")
    assert again.position() == 9
    assert {key: places.tolist() for key, places in again.duplicates(0, 100).items()} == {
        (4, "water-meter"): [1, 70_000],
        (8, "water-meter"): [2],
    }
    again.save(9, [], {}, 5)
    assert list(again.duplicates(0, 100)) == [(8, "water-meter")]
    assert list(again.duplicates(9, 100)) == []
    again.close()


def test_save_on_a_full_volume_is_full_and_changes_nothing(tmp_path: Path) -> None:
    progress = Progress(tmp_path / "progress.sqlite")
    progress.save(1, [], {}, 0)
    (pages,) = progress._db.execute("pragma page_count").fetchone()
    progress._db.execute(f"pragma max_page_count = {pages}")
    with pytest.raises(Full, match="checkpoint"):
        progress.save(2, [], {(i, "water-meter"): np.arange(500) for i in range(20)}, 0)
    assert progress.position() == 1
    assert progress.duplicates(0, 100) == {}
    progress.close()
