# SPDX-License-Identifier: Apache-2.0
"""Tables are checked for shape alone, and cut into blocks without a trace."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from rules import columns
from rules.columns import Flags, Numbers


@dataclass(frozen=True, slots=True)
class Bowl:
    level: Numbers
    busy: Flags


def test_aligned_takes_numbers_and_flags_of_other_types() -> None:
    bowl = columns.aligned(Bowl(level=np.array([1, 2]), busy=np.array([0, 1])))
    assert bowl.level.dtype == np.float64
    assert bowl.busy.dtype == np.bool_
    assert bowl.busy.tolist() == [False, True]


@pytest.mark.parametrize(
    ("level", "busy", "message"),
    [
        (np.zeros(2), np.zeros(3, dtype=bool), r"Bowl.busy has shape \(3,\), expected \(2,\)"),
        (np.zeros(2), np.array(True), r"Bowl.busy has shape \(\), expected \(2,\)"),
        (np.array(1.0), np.zeros(1, dtype=bool), r"Bowl.level has shape \(\), expected \(n,\)"),
        (np.zeros((2, 2)), np.zeros(2, dtype=bool), r"Bowl.level has shape \(2, 2\), expected \(n,\)"),
    ],
)
def test_aligned_of_a_wrong_shape_names_the_column(level: Numbers, busy: Flags, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        columns.aligned(Bowl(level=level, busy=busy))


@pytest.mark.parametrize("rows", [0, 1, columns.BLOCK_ROWS, columns.BLOCK_ROWS + 1, 3 * columns.BLOCK_ROWS - 1])
def test_in_blocks_of_any_length_returns_every_row_in_order(rows: int) -> None:
    seen = []

    def decide(state: Bowl, params: Bowl, calendar: Bowl, now: float) -> Bowl:
        seen.append(len(state.level))
        return Bowl(level=state.level + params.level + now, busy=calendar.busy)

    bowl = Bowl(level=np.arange(rows, dtype=np.float64), busy=np.arange(rows) % 3 == 0)
    result = columns.in_blocks(decide, bowl, bowl, bowl, 0.5)
    assert result.level.tolist() == [2.0 * row + 0.5 for row in range(rows)]
    assert result.busy.tolist() == bowl.busy.tolist()
    assert max(seen) <= columns.BLOCK_ROWS
    assert sum(seen) == rows
