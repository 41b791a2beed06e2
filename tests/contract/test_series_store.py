# SPDX-License-Identifier: Apache-2.0
"""What every series store promises, asked of each on the real engine: the same questions, the same numbers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from ingest.store import (
    NOT_GIVEN,
    Batch,
    DuckDBConfig,
    DuckDBStore,
    InfluxConfig,
    InfluxStore,
    Rows,
    SeriesQuery,
    SeriesStore,
    StoreUnavailable,
)
from tests.servers.influx import InfluxServer, influx_server

__all__ = ["influx_server"]

START = 1_763_769_600_000  # 2025-11-22 00:00 UTC [ms]
MINUTE = 60_000
FIRST_BUILD_MAX_S = 2_700  # where influxd is not in the cache yet
KIND = "irrigation-controller"
BOOLEANS = frozenset({"valve_open"})
HOSTILE = ["a,b=c d", 'say "no"', "it's", "back\\", "two\\\\", "line\nbreak", "\\n", "é水", "%s", "x' OR 1=1 --", "${v}", "#"]

Opener = Callable[..., SeriesStore]
_numbers = itertools.count()


class Names:
    """Device i is named by its place in a list of (site, device)."""

    def __init__(self, *names: tuple[str, str]) -> None:
        self._names = names or (("pilot", "bed-1"), ("pilot", "bed-2"))

    def names(self, index: int) -> tuple[str, str]:
        return self._names[index]


@pytest.fixture(params=["duckdb", pytest.param("influxdb", marks=pytest.mark.timeout(FIRST_BUILD_MAX_S))])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opener]:
    """Open the same, at first empty, store as often as wanted."""
    opened: list[SeriesStore] = []
    server: InfluxServer | None = None
    if request.param == "influxdb":
        server = request.getfixturevalue("influx_server").make_bucket(f"bucket-{next(_numbers)}")

    def open_(names: Names | None = None, cursor: str = "cursor.sqlite") -> SeriesStore:
        for store in opened:
            store.close()
        opened.clear()
        names = names or Names()
        if server is None:
            store: SeriesStore = DuckDBStore(DuckDBConfig(tmp_path / "series.duckdb"), names)
        else:
            config = InfluxConfig(server.url, server.org, server.bucket, server.token, tmp_path / cursor)
            store = InfluxStore(config, names, BOOLEANS)
        opened.append(store)
        return store

    yield open_
    for store in opened:
        store.close()


def rows(
    ts_ms: list[int], *, kind: str = KIND, device: int = 0, zone: int = 1, seq: int | None = 0, **values: list[float]
) -> Rows:
    """Rows of one zone; `seq` counts from the given number, None means that the device does not count."""
    n = len(ts_ms)
    return Rows(
        kind=kind,
        device=np.full(n, device, dtype=np.int32),
        zone=np.full(n, zone, dtype=np.uint8),
        ts_ms=np.array(ts_ms, dtype=np.int64),
        boot=np.full(n, NOT_GIVEN if seq is None else 7, dtype=np.int64),
        seq=np.full(n, NOT_GIVEN, dtype=np.int64) if seq is None else np.arange(seq, seq + n, dtype=np.int64),
        place=np.arange(n, dtype=np.int64),
        flags=np.zeros(n, dtype=np.uint8),
        values={name: np.array(column, dtype=np.float64) for name, column in values.items()},
    )


def ask(*quantities: str, start: int = START, end: int = START + 1440 * MINUTE, **other: object) -> SeriesQuery:
    asked = {"site": "pilot", "device": "bed-1", "zone": 1, **other}
    return SeriesQuery(quantities=quantities, start_ms=start, end_ms=end, **asked)  # type: ignore[arg-type]


def minutes(n: int) -> list[int]:
    return [START + i * MINUTE for i in range(n)]


def test_cursor_of_a_new_store_is_zero(open_store: Opener) -> None:
    assert open_store().cursor() == 0


def test_series_after_write_gives_rows_back_in_order_of_time(open_store: Opener) -> None:
    store = open_store()
    written = rows(minutes(3)[::-1], soil_moisture=[0.3, 0.2, 0.1], flow=[3.0, 2.0, 1e-7])
    assert store.write(Batch((written,), 1)) == ()
    series = store.series(ask("flow", "soil_moisture"))
    assert series.ts_ms.tolist() == minutes(3)
    assert series.values["soil_moisture"].tolist() == [0.1, 0.2, 0.3]
    assert series.values["flow"].tolist() == [1e-7, 2.0, 3.0]
    assert not series.truncated


def test_cursor_after_reopen_is_that_of_the_last_batch(open_store: Opener) -> None:
    store = open_store()
    store.write(Batch((rows(minutes(2), flow=[1, 2]),), 41))
    store.write(Batch((), 42))
    store.flush()
    store = open_store()
    assert store.cursor() == 42
    assert store.count("pilot", "bed-1") == 2


def test_write_of_a_batch_not_beyond_the_cursor_changes_nothing(open_store: Opener) -> None:
    store = open_store()
    batch = Batch((rows(minutes(5), flow=[1, 2, 3, 4, 5]),), 10)
    store.write(batch)
    store.write(batch)
    store = open_store()
    store.write(batch)
    assert (store.cursor(), store.count("pilot", "bed-1")) == (10, 5)


def test_write_of_two_records_of_one_millisecond_keeps_both(open_store: Opener) -> None:
    store = open_store()
    counted = rows([START, START], flow=[1, 2], seq=999_999)
    uncounted = rows([START, START], flow=[3, 4], seq=None, device=1)
    store.write(Batch((counted, uncounted), 1))
    assert (store.count("pilot", "bed-1"), store.count("pilot", "bed-2")) == (2, 2)
    assert store.series(ask("flow", device="bed-2")).values["flow"].tolist() == [3, 4]


def test_write_with_device_indexes_of_another_start_keeps_devices_apart(open_store: Opener) -> None:
    store = open_store(Names(("pilot", "bed-1"), ("pilot", "bed-2")))
    store.write(Batch((rows(minutes(2), flow=[1, 1]), rows(minutes(1), flow=[2], device=1)), 1))
    store = open_store(Names(("pilot", "bed-3"), ("pilot", "bed-2"), ("pilot", "bed-1")))
    store.write(Batch((rows([START + MINUTE * 9], flow=[1], device=2), rows([START], flow=[3], device=0)), 2))
    assert [store.count("pilot", f"bed-{i}") for i in (1, 2, 3)] == [3, 1, 1]


def test_write_of_a_quantity_new_to_its_kind_leaves_earlier_rows_without_it(open_store: Opener) -> None:
    store = open_store()
    store.write(Batch((rows(minutes(1), flow=[1]),), 1))
    store.write(Batch((rows([START + MINUTE], flow=[2], battery=[3.3], seq=1),), 2))
    np.testing.assert_equal(store.series(ask("flow", "battery")).values, {"flow": [1, 2], "battery": [np.nan, 3.3]})


def test_write_of_late_rows_puts_them_in_their_place(open_store: Opener) -> None:
    store = open_store()
    store.write(Batch((rows(minutes(3)[1:], flow=[2, 3], seq=1),), 1))
    store.write(Batch((rows(minutes(1), flow=[1]),), 2))
    assert store.series(ask("flow")).values["flow"].tolist() == [1, 2, 3]


def test_write_of_what_is_not_finite_counts_as_not_measured(open_store: Opener) -> None:
    store = open_store()
    store.write(Batch((rows(minutes(4), flow=[1, np.nan, np.inf, -np.inf], battery=[np.nan, np.nan, 3, 3]),), 1))
    assert store.count("pilot", "bed-1") == 4
    series = store.series(ask("flow", "battery"))
    assert [(ts - START) // MINUTE for ts in series.ts_ms] == [0, 2, 3]
    np.testing.assert_equal(series.values, {"flow": [1, np.nan, np.nan], "battery": [np.nan, 3, 3]})


def test_write_of_numbers_at_the_edge_of_float64_gives_them_back_exactly(open_store: Opener) -> None:
    store = open_store()
    numbers = [0.1, 1 / 3, -0.0, 5e-324, 1.7976931348623157e308, 123456789.123456789, 2.0**53, 1e22]
    store.write(Batch((rows(minutes(len(numbers)), flow=numbers),), 1))
    assert store.series(ask("flow")).values["flow"].tolist() == numbers


def test_series_of_booleans_gives_zero_and_one_and_their_share(open_store: Opener) -> None:
    store = open_store()
    store.write(Batch((rows(minutes(4), valve_open=[0, 1, 1, 1], flow=[1, 2, 3, 4]),), 1))
    assert store.series(ask("valve_open")).values["valve_open"].tolist() == [0, 1, 1, 1]
    hour = store.series(ask("flow", "valve_open", every_ms=60 * MINUTE))
    assert {name: column.tolist() for name, column in hour.values.items()} == {"flow": [2.5], "valve_open": [0.75]}


@pytest.mark.parametrize(
    ("aggregate", "flow", "battery"),
    [
        ("mean", [2.0, 4.5], [3.25, np.nan]),
        ("min", [1.0, 4.0], [3.0, np.nan]),
        ("max", [3.0, 5.0], [3.5, np.nan]),
        ("sum", [6.0, 9.0], [6.5, np.nan]),
        ("count", [3, 2], [2, 0]),
        ("last", [3.0, 5.0], [3.5, np.nan]),
    ],
)
def test_series_in_windows_has_the_known_answer(
    open_store: Opener, aggregate: str, flow: list[float], battery: list[float]
) -> None:
    store = open_store()
    ten = 10 * MINUTE
    ts_ms = [START + MINUTE, START + 2 * MINUTE, START + 3 * MINUTE, START + 2 * ten, START + 3 * ten - 1]
    order = [2, 0, 4, 1, 3]
    written = rows(
        [ts_ms[i] for i in order],
        flow=[[1.0, 2.0, 3.0, 4.0, 5.0][i] for i in order],
        battery=[[3.0, 3.5, np.nan, np.nan, np.nan][i] for i in order],
    )
    store.write(Batch((written,), 1))
    # The range begins inside the first window, whose instant is its start all the same.
    series = store.series(ask("flow", "battery", start=START + MINUTE, every_ms=ten, aggregate=aggregate))
    assert series.ts_ms.tolist() == [START, START + 2 * ten]
    np.testing.assert_allclose(series.values["flow"], flow, rtol=1e-12)
    np.testing.assert_allclose(series.values["battery"], battery, rtol=1e-12)


def test_series_in_windows_of_seven_minutes_is_aligned_to_the_epoch(open_store: Opener) -> None:
    store = open_store()
    store.write(Batch((rows(minutes(30), flow=[1.0] * 30),), 1))
    every = 7 * MINUTE
    series = store.series(ask("flow", every_ms=every, aggregate="count"))
    expected = sorted({ts - ts % every for ts in minutes(30)})
    assert series.ts_ms.tolist() == expected
    assert series.values["flow"].sum() == 30


def test_series_range_is_half_open(open_store: Opener) -> None:
    store = open_store()
    store.write(Batch((rows(minutes(4), flow=[0, 1, 2, 3], seq=500_000),), 1))
    series = store.series(ask("flow", start=START + MINUTE, end=START + 3 * MINUTE))
    assert series.values["flow"].tolist() == [1, 2]


@pytest.mark.parametrize(
    "query",
    [
        ask("flow", start=START + 60 * MINUTE),
        ask("flow", start=START, end=START),
        ask("flow", start=START + MINUTE, end=START),
        ask("flow", zone=2),
        ask("flow", device="bed-9"),
        ask("flow", site="elsewhere"),
        ask("never_measured"),
        ask("flow", start=START + 60 * MINUTE, every_ms=MINUTE),
    ],
)
def test_series_without_a_match_is_empty(open_store: Opener, query: SeriesQuery) -> None:
    store = open_store()
    store.write(Batch((rows(minutes(2), flow=[1, 2]),), 1))
    series = store.series(query)
    assert (len(series.ts_ms), series.truncated) == (0, False)
    assert {name: len(column) for name, column in series.values.items()} == dict.fromkeys(query.quantities, 0)


@pytest.mark.parametrize("every_ms", [None, MINUTE])
def test_series_beyond_its_limit_gives_the_earliest_and_says_so(open_store: Opener, every_ms: int | None) -> None:
    store = open_store()
    battery = [np.nan, np.nan, 3.0, 3.1, 3.2]
    store.write(Batch((rows(minutes(5), flow=[1, 2, np.nan, 4, 5], battery=battery),), 1))
    series = store.series(ask("flow", "battery", every_ms=every_ms, limit=3))
    assert series.truncated
    np.testing.assert_equal(series.values, {"flow": [1, 2, np.nan], "battery": [np.nan, np.nan, 3.0]})
    assert not store.series(ask("flow", "battery", every_ms=every_ms, limit=5)).truncated


def test_series_of_a_device_that_changed_its_kind_joins_both(open_store: Opener) -> None:
    store = open_store()
    meter = rows([START + MINUTE, START + 2 * MINUTE], kind="water-meter", seq=1, flow=[2, 6], pressure=[10, 11])
    store.write(Batch((rows(minutes(1), flow=[1]), meter), 1))
    np.testing.assert_equal(store.series(ask("flow", "pressure")).values, {"flow": [1, 2, 6], "pressure": [np.nan, 10, 11]})
    hour = store.series(ask("flow", every_ms=60 * MINUTE))
    assert hour.values["flow"].tolist() == [3.0]
    assert store.count("pilot", "bed-1") == 3


def test_names_with_signs_of_every_language_stay_what_they_are(open_store: Opener) -> None:
    names = Names(*((name, f"d{name}") for name in HOSTILE))
    store = open_store(names)
    written = tuple(rows(minutes(1), device=i, kind=f"{name} kind", **{f"q {name}": [i]}) for i, name in enumerate(HOSTILE))
    assert store.write(Batch(written, 1)) == ()
    store = open_store(names)
    for i, name in enumerate(HOSTILE):
        series = store.series(ask(f"q {name}", site=name, device=f"d{name}"))
        assert series.values[f"q {name}"].tolist() == [i]
        assert store.count(name, f"d{name}") == 1
    found = {(part.kind, part.quantity, part.site, part.device, part.value[0]) for part in store.latest(0)}
    assert found == {(f"{n} kind", f"q {n}", (n,), (f"d{n}",), float(i)) for i, n in enumerate(HOSTILE)}


def test_latest_gives_the_newest_value_of_each_quantity_and_zone(open_store: Opener) -> None:
    store = open_store()
    first = rows(minutes(3), flow=[1, 2, np.nan], valve_open=[1, 0, 1])
    late = rows([START], flow=[9], seq=3)
    second = rows([START, START], zone=2, flow=[5, 6], seq=4)
    other = rows(minutes(1), device=1, flow=[7], seq=None)
    store.write(Batch((first, late, second, other), 1))
    newest = {
        (part.kind, part.quantity, site, device, zone): (ts_ms - START, value)
        for part in store.latest(START)
        for site, device, zone, ts_ms, value in zip(
            part.site, part.device, part.zone.tolist(), part.ts_ms.tolist(), part.value.tolist(), strict=True
        )
    }
    assert newest == {
        (KIND, "flow", "pilot", "bed-1", 1): (MINUTE, 2.0),
        (KIND, "flow", "pilot", "bed-1", 2): (0, 6.0),
        (KIND, "flow", "pilot", "bed-2", 1): (0, 7.0),
        (KIND, "valve_open", "pilot", "bed-1", 1): (2 * MINUTE, 1.0),
    }


def test_latest_since_leaves_out_what_is_older(open_store: Opener) -> None:
    store = open_store()
    store.write(Batch((rows(minutes(3), flow=[1, 2, 3], battery=[3.3, np.nan, np.nan]),), 1))
    assert [part.quantity for part in store.latest(START + MINUTE)] == ["flow"]
    assert store.latest(START + 3 * MINUTE) == []


def test_count_of_an_unknown_device_is_zero(open_store: Opener) -> None:
    assert open_store().count("pilot", "nobody") == 0


def test_store_after_close_is_unavailable(open_store: Opener) -> None:
    store = open_store()
    store.close()
    with pytest.raises(StoreUnavailable):
        store.cursor()
    with pytest.raises(StoreUnavailable):
        store.write(Batch((rows(minutes(1), flow=[1]),), 1))
