# SPDX-License-Identifier: Apache-2.0
"""The newest values: never replaced by older ones, whatever the order of arrival."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ingest.latest import LatestState
from ingest.store.batch import Rows
from tests.unit.ingest.fleet import CATALOGUE, NOW_MS, make_devices, rows_of

readings = st.lists(
    st.tuples(st.integers(0, 2), st.integers(1, 64), st.integers(0, 4), st.floats(0, 9) | st.just(float("nan"))), max_size=8
)


def rows_at(parts: list[tuple[int, int, int, float]]) -> Rows:
    rows = rows_of(*[(device, 1, i) for i, (device, _, _, _) in enumerate(parts)])
    columns = [np.array(column) for column in zip(*parts, strict=True)] if parts else [np.empty(0)] * 4
    return replace(
        rows,
        zone=columns[1].astype(np.uint8),
        ts_ms=NOW_MS + columns[2].astype(np.int64),
        values={"flow": columns[3].astype(float)},
    )


@given(st.lists(readings, max_size=6))
def test_update_in_any_order_keeps_the_newest_and_of_one_instant_the_last(
    batches: list[list[tuple[int, int, int, float]]],
) -> None:
    latest = LatestState(make_devices(), CATALOGUE)
    model: dict[tuple[int, int], tuple[float, int]] = {}
    for parts in batches:
        latest.update([rows_at(parts)])
        for device, zone, at, value in parts:
            if value == value and at >= model.get((device, zone), (0, -1))[1]:
                model[device, zone] = (value, at)
    keys = [("kebun", f"bed-{device}", zone) for device in range(3) for zone in (1, 2, 63, 64)]
    values, times = latest.gather(keys, "flow")
    for (_, name, zone), value, at in zip(keys, values.tolist(), times.tolist(), strict=True):
        found = model.get((int(name[-1]), zone))
        assert (value, at) == (found[0], NOW_MS + found[1]) if found else (value != value and at == -1)


def test_update_with_late_data_does_not_replace_what_is_newer() -> None:
    latest = LatestState(make_devices(), CATALOGUE)
    latest.update([rows_of((0, 1, 5), flow=5.0), rows_of((0, 1, 4), ts_ms=NOW_MS - 1, flow=4.0, rain=1.0)])
    values, times = latest.table([("kebun", "bed-0", 1)], ["flow", "rain"])
    assert (values.tolist(), times.tolist()) == ([[5.0, 1.0]], [[NOW_MS, NOW_MS - 1]])


def test_gather_of_zones_and_devices_that_are_not_known_is_nan() -> None:
    latest = LatestState(make_devices(), CATALOGUE)
    latest.update([rows_of((0, 1, 0), flow=5.0)])
    values, times = latest.gather(
        [("kebun", "bed-0", 1), ("kebun", "bed-0", 2), ("kebun", "none", 1), ("kebun", "bed-0", 99)], "flow"
    )
    assert values[0] == 5.0
    assert np.isnan(values[1:]).all()
    assert times.tolist() == [NOW_MS, -1, -1, -1]


def test_table_of_some_quantities_agrees_with_each_alone_and_keeps_their_order() -> None:
    latest = LatestState(make_devices(), CATALOGUE)
    latest.update([rows_of((0, 1, 0), (1, 1, 0), flow=5.0), rows_of((1, 1, 1), ts_ms=NOW_MS + 1, rain=2.0)])
    keys = [("kebun", "bed-1", 1), ("kebun", "none", 1), ("kebun", "bed-0", 1)]
    values, times = latest.table(keys, ["rain", "flow"])
    for column, name in enumerate(["rain", "flow"]):
        alone, at = latest.gather(keys, name)
        np.testing.assert_array_equal(values[:, column], alone)
        np.testing.assert_array_equal(times[:, column], at)
    assert times.tolist() == [[NOW_MS + 1, NOW_MS], [-1, -1], [-1, NOW_MS]]
    assert [part.shape for part in latest.table([], ["flow"])] == [(0, 1), (0, 1)]


def test_update_of_many_devices_and_zones_grows_without_mixing_them() -> None:
    latest = LatestState(make_devices(), CATALOGUE)
    for zone in range(1, 65):
        latest.update([rows_of((0, 1, zone), (1, 1, zone), (2, 1, zone), zone=zone, flow=float(zone))])
    for device in range(3):
        values, _ = latest.gather([("kebun", f"bed-{device}", zone) for zone in range(1, 65)], "flow")
        assert values.tolist() == list(range(1, 65))
