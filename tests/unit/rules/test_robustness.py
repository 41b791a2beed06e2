# SPDX-License-Identifier: Apache-2.0
"""What holds for every rule alike: shapes, types, inputs left alone, and a row's independence of its neighbours."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from benchmarks.rules import draw_beds, draw_ponds
from rules import Plan, feeding, irrigation
from rules.columns import BLOCK_ROWS
from tests.unit.rules.tables import FEEDING_CASES, IRRIGATION_CASES, NOW_S, feed_inputs, same_bits, water_inputs

Evaluate = Callable[..., Plan]
CASES = [
    pytest.param(irrigation.evaluate, water_inputs(*[case.changes for case in IRRIGATION_CASES.values()]), id="beds"),
    pytest.param(feeding.evaluate, feed_inputs(*[case.changes for case in FEEDING_CASES.values()]), id="ponds"),
]
DRAWN = [
    pytest.param(irrigation.evaluate, draw_beds, id="beds"),
    pytest.param(feeding.evaluate, draw_ponds, id="ponds"),
]
DTYPES = {
    "act": np.bool_,
    "seconds": np.float64,
    "litres": np.float64,
    "grams": np.float64,
    "max_seconds": np.float64,
    "reasons": np.int64,
    "latched": np.bool_,
    "withheld": np.bool_,
}


def rows_of(table: Any, rows: slice) -> Any:
    names = [field.name for field in dataclasses.fields(table)]
    return dataclasses.replace(table, **{name: getattr(table, name)[rows] for name in names})


@pytest.mark.parametrize(("evaluate", "inputs"), CASES)
def test_evaluate_returns_columns_of_one_shape_and_the_promised_types(evaluate: Evaluate, inputs: Any) -> None:
    plan = evaluate(*inputs, NOW_S)
    assert {name: getattr(plan, name).dtype.type for name in Plan.__slots__} == DTYPES
    assert {getattr(plan, name).shape for name in Plan.__slots__} == {inputs[0].busy.shape}
    assert (plan.reasons != 0).all()


@pytest.mark.parametrize(("evaluate", "inputs"), CASES)
def test_evaluate_neither_changes_nor_shares_its_inputs(evaluate: Evaluate, inputs: Any) -> None:
    before = copy.deepcopy(inputs)
    plan = evaluate(*inputs, NOW_S)
    for table, kept in zip(inputs, before, strict=True):
        for field in dataclasses.fields(table):
            column = getattr(table, field.name)
            assert column.tobytes() == getattr(kept, field.name).tobytes()
            assert not any(np.shares_memory(column, getattr(plan, name)) for name in Plan.__slots__)


@pytest.mark.parametrize(("evaluate", "inputs"), CASES)
def test_evaluate_takes_columns_that_must_not_be_written_or_lie_apart(evaluate: Evaluate, inputs: Any) -> None:
    apart = []
    for table in inputs:
        columns = {}
        for field in dataclasses.fields(table):
            column = getattr(table, field.name).repeat(2)[::2]
            column.flags.writeable = False
            columns[field.name] = column
        apart.append(dataclasses.replace(table, **columns))
    assert same_bits(evaluate(*apart, NOW_S), evaluate(*inputs, NOW_S))


@pytest.mark.parametrize(("evaluate", "inputs"), CASES)
@pytest.mark.parametrize("table", [0, 1, 2])
def test_evaluate_with_a_column_of_another_length_names_it(evaluate: Evaluate, inputs: Any, table: int) -> None:
    wrong = list(inputs)
    name = dataclasses.fields(wrong[table])[-1].name
    wrong[table] = dataclasses.replace(wrong[table], **{name: getattr(wrong[table], name)[:-1]})
    with pytest.raises(ValueError, match=name):
        evaluate(*wrong, NOW_S)


@pytest.mark.parametrize(("evaluate", "draw"), DRAWN)
def test_evaluate_of_a_row_alone_agrees_to_the_bit_with_the_row_among_a_million(
    evaluate: Evaluate, draw: Callable[[int, np.random.Generator], Any]
) -> None:
    zones = 1_000_000
    inputs = draw(zones, np.random.default_rng(7))
    whole = evaluate(*inputs, NOW_S)
    picked = np.random.default_rng(8).choice(zones, 300, replace=False).tolist()
    for row in [0, BLOCK_ROWS - 1, BLOCK_ROWS, zones - 1, *picked]:
        alone = slice(row, row + 1)
        assert same_bits(evaluate(*(rows_of(table, alone) for table in inputs), NOW_S), rows_of(whole, alone))
    odd = slice(3, 3 + BLOCK_ROWS + 17)
    assert same_bits(evaluate(*(rows_of(table, odd) for table in inputs), NOW_S), rows_of(whole, odd))
