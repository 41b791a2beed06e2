# SPDX-License-Identifier: Apache-2.0
"""What every series store promises, asked of each on the real engine: the same questions, the same numbers."""

from __future__ import annotations

import asyncio
import itertools
import time as wall
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.clock import SteppedClock
from ingest.store import (
    NOT_GIVEN,
    Batch,
    DuckDBConfig,
    DuckDBStore,
    Hole,
    InfluxConfig,
    InfluxStore,
    Reach,
    Retention,
    Rows,
    SeriesQuery,
    SeriesStore,
    StoreRejected,
    StoreUnavailable,
)
from tests.servers.influx import InfluxServer, influx_server

__all__ = ["influx_server"]

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
START = int(wall.time() * 1000) // DAY * DAY - 3 * DAY  # InfluxDB forgets by the wall's clock [ms]
FIRST_BUILD_MAX_S = 2_700  # where influxd is not in the cache yet
KIND = "irrigation-controller"
BOOLEANS = frozenset({"valve_open"})
TOTALS = frozenset({"litres_total"})
HOSTILE = ["a,b=c d", 'say "no"', "it's", "back\\", "two\\\\", "line\nbreak", "\\n", "é水", "%s", "x' OR 1=1 --", "${v}", "#"]

Opener = Callable[..., SeriesStore]
_numbers = itertools.count()


class Names:
    """Device i is named by its place in a list of (site, device)."""

    def __init__(self, *names: tuple[str, str]) -> None:
        self._names = names or (("pilot", "bed-1"), ("pilot", "bed-2"))

    def names(self, index: int) -> tuple[str, str]:
        return self._names[index]


class Time:
    """A platform's clock two days after START, and a wall on which every look takes a minute."""

    def __init__(self) -> None:
        self.clock = SteppedClock(START + 2 * DAY)
        self._wall = itertools.count(0, 60)

    def wall_s(self) -> float:
        return float(next(self._wall))

    def pass_days(self, days: float) -> None:
        asyncio.run(self.clock.advance(days * 86_400))


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture(params=["duckdb", pytest.param("influxdb", marks=pytest.mark.timeout(FIRST_BUILD_MAX_S))])
def open_store(request: pytest.FixtureRequest, tmp_path: Path, time: Time) -> Iterator[Opener]:
    """Open the same, at first empty, store as often as wanted."""
    opened: list[SeriesStore] = []
    server: InfluxServer | None = None
    if request.param == "influxdb":
        server = request.getfixturevalue("influx_server").make_bucket(f"bucket-{next(_numbers)}")

    def open_(names: Names | None = None, cursor: str = "cursor.sqlite", retention: Retention | None = None) -> SeriesStore:
        for store in opened:
            store.close()
        opened.clear()
        names = names or Names()
        keeping: dict[str, Any] = {"retention": retention, "totals": TOTALS, "clock": time.clock, "wall_s": time.wall_s}
        if server is None:
            store: SeriesStore = DuckDBStore(DuckDBConfig(tmp_path / "series.duckdb"), names, **keeping)
        else:
            config = InfluxConfig(server.url, server.org, server.bucket, server.token, tmp_path / cursor)
            store = InfluxStore(config, names, BOOLEANS, **keeping)
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


def test_reach_after_reopen_is_what_the_last_batch_told(open_store: Opener) -> None:
    store = open_store()
    assert store.reach() == Reach(0)
    store.prepare()
    store.write(Batch((rows(minutes(2), flow=[1, 2]),), 41, 2, START + HOUR))
    store = open_store()
    assert store.reach() == Reach(41, 2, START + HOUR)
    store.write(Batch((), 42))
    assert store.reach() == Reach(42)


def test_skip_moves_the_cursor_and_keeps_the_hole_over_a_reopen(open_store: Opener) -> None:
    store = open_store()
    store.write(Batch((rows(minutes(2), flow=[1, 2]),), 4, 2, START))
    assert store.holes() == ()
    first, second = Hole(5, 9, 4, 30, START, START + HOUR), Hole(20, 22, 2, None, None, None)
    store.skip(first, Reach(8, 32, START + HOUR))
    store.skip(second, Reach(21))
    store = open_store()
    assert (store.cursor(), store.holes(), store.reach()) == (21, (first, second), Reach(21))
    assert store.count("pilot", "bed-1") == 2
    store.write(Batch((rows(minutes(3)[2:], flow=[3], seq=2),), 22))
    assert (store.cursor(), store.holes()) == (22, (first, second))


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


def make_windows(store: SeriesStore) -> None:
    """Tend the store until nothing is due."""
    for _ in range(10_000):
        if not store.tend():
            return
    pytest.fail("the store never comes to an end")


def expected(ts_ms: list[int], column: list[float], every: int, start: int, end: int) -> dict[str, dict[int, float]]:
    """What each aggregate is, window by window, by adding up in plain Python."""
    given = sorted((ts, value) for ts, value in zip(ts_ms, column, strict=True) if not np.isnan(value) and ts < end)
    found: dict[str, dict[int, float]] = {name: {} for name in ("mean", "min", "max", "sum", "count", "last", "difference")}
    for window in sorted({ts - ts % every for ts, _ in given if ts >= start}):
        values = [value for ts, value in given if max(window, start) <= ts < window + every]
        found["mean"][window] = sum(values) / len(values)
        found["min"][window], found["max"][window] = min(values), max(values)
        found["sum"][window], found["count"][window], found["last"][window] = sum(values), len(values), values[-1]
    for window in sorted(
        {ts - ts % every for ts, _ in given if ts >= start - start % every}
    ):  # whole, though the range cuts it
        inside = len([1 for ts, _ in given if window <= ts < window + every])
        counted = [value for ts, value in given if window - DAY <= ts < window + every]
        steps = itertools.pairwise(counted[max(len(counted) - inside - 1, 0) :])
        found["difference"][window] = sum(after - before if after >= before else after for before, after in steps)
    return found


def season(seed: int = 1) -> tuple[list[int], dict[str, list[float]]]:
    """Thirty hours of a bed with gaps, a meter that begins again, and what is not always measured."""
    rng = np.random.default_rng(seed)
    ts_ms = sorted({START + int(i) * 17_000 for i in rng.integers(0, 30 * 3600 // 17, 1500)})
    ts_ms = [ts for ts in ts_ms if not START + 7 * HOUR <= ts < START + 10 * HOUR]
    n = len(ts_ms)
    flow = np.where(rng.random(n) < 0.3, np.nan, rng.normal(5, 2, n))
    total = np.cumsum(rng.random(n))
    total[n // 2 :] -= total[n // 2] - 0.25
    total[rng.random(n) < 0.2] = np.nan
    valve = (rng.random(n) < 0.4).astype(float)
    columns = {"flow": flow, "litres_total": total, "valve_open": valve}
    return ts_ms, {name: column.tolist() for name, column in columns.items()}


RANGES = [(START, START + 30 * HOUR), (START + 90 * MINUTE + 1234, START + 26 * HOUR + 777), (START + HOUR, START + HOUR + 9)]


def check_against_rows(
    store: SeriesStore, ts_ms: list[int], columns: dict[str, list[float]], every: int, start: int, end: int
) -> None:
    """Compare every aggregate of every quantity with what plain Python makes of the rows."""
    for quantity, column in columns.items():
        wanted = expected(ts_ms, column, every, start, end)
        for aggregate, windows in wanted.items():
            if aggregate == "difference" and quantity not in TOTALS:
                continue
            series = store.series(ask(quantity, start=start, end=end, every_ms=every, aggregate=aggregate))
            assert series.ts_ms.tolist() == list(windows), (quantity, aggregate)
            np.testing.assert_allclose(series.values[quantity], list(windows.values()), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("every", [5 * MINUTE, 15 * MINUTE, HOUR, 6 * HOUR, 7 * MINUTE])
def test_series_of_windows_is_the_same_from_rows_and_from_any_tier(open_store: Opener, every: int) -> None:
    store = open_store()
    ts_ms, columns = season()
    store.write(Batch((rows(ts_ms, **columns),), 1))
    for start, end in RANGES:
        check_against_rows(store, ts_ms, columns, every, start, end)
    make_windows(store)
    for start, end in RANGES:
        check_against_rows(store, ts_ms, columns, every, start, end)


@pytest.mark.parametrize(
    ("every", "tier"), [(None, "raw"), (MINUTE, "raw"), (7 * MINUTE, "raw"), (5 * MINUTE, "5m"), (HOUR, "1h"), (DAY, "1h")]
)
def test_series_says_which_tier_it_is_from(open_store: Opener, every: int | None, tier: str) -> None:
    store = open_store(retention=Retention(raw_days=30, five_minutes_days=300, hours_days=None))
    store.write(Batch((rows(minutes(3), flow=[1, 2, 3]),), 1))
    series = store.series(ask("flow", every_ms=every))
    now = START + 2 * DAY
    kept = {"raw": now - 30 * DAY, "5m": now - 300 * DAY, "1h": None}
    assert (series.tier, series.kept_from_ms) == (tier, kept[tier])


def test_series_when_the_rows_are_gone_is_answered_from_tiers_alone(open_store: Opener, time: Time) -> None:
    store = open_store()
    ts_ms, columns = season()
    store.write(Batch((rows(ts_ms, **columns),), 1))
    make_windows(store)
    time.pass_days(100)
    make_windows(store)
    assert len(store.series(ask("flow", end=START + DAY)).ts_ms) == 0
    for every in (5 * MINUTE, HOUR):
        check_against_rows(store, ts_ms, columns, every, START, START + 30 * HOUR)
    # A window that the range cuts is given whole where only the window is left.
    cut = store.series(ask("flow", start=START + 90 * MINUTE, end=START + 3 * HOUR + 1, every_ms=HOUR, aggregate="count"))
    whole = store.series(ask("flow", start=START + HOUR, end=START + 4 * HOUR, every_ms=HOUR, aggregate="count"))
    assert cut.values["flow"].tolist() == whole.values["flow"].tolist()
    time.pass_days(700)
    make_windows(store)
    assert len(store.series(ask("flow", every_ms=5 * MINUTE)).ts_ms) == 0
    check_against_rows(store, ts_ms, columns, HOUR, START, START + 30 * HOUR)


def test_series_after_late_rows_has_them_in_their_windows(open_store: Opener) -> None:
    store = open_store()
    ts_ms, columns = season()
    late = np.random.default_rng(3).random(len(ts_ms)) < 0.3
    parts = [
        rows(
            [ts for ts, chosen in zip(ts_ms, which, strict=True) if chosen],
            seq=seq,
            **{name: [v for v, chosen in zip(column, which, strict=True) if chosen] for name, column in columns.items()},
        )
        for which, seq in ((~late, 0), (late, 5_000))
    ]
    store.write(Batch((parts[0],), 1))
    make_windows(store)
    store.write(Batch((parts[1],), 2))
    for _ in range(2):  # from the rows where they are touched; then with the windows made again
        for every in (5 * MINUTE, HOUR):
            check_against_rows(store, ts_ms, columns, every, START, START + 30 * HOUR)
        make_windows(store)


def test_tend_after_reopen_makes_the_windows_that_were_left(open_store: Opener, time: Time) -> None:
    store = open_store()
    ts_ms, columns = season()
    store.write(Batch((rows(ts_ms, **columns),), 1))
    assert store.tend()
    store = open_store()
    check_against_rows(store, ts_ms, columns, HOUR, START, START + 30 * HOUR)
    make_windows(store)
    time.pass_days(100)
    check_against_rows(store, ts_ms, columns, HOUR, START, START + 30 * HOUR)


def test_tend_in_the_running_hour_leaves_it_to_the_rows(open_store: Opener, time: Time) -> None:
    store = open_store()
    now = START + 2 * DAY
    store.write(Batch((rows([now + 1, now + 2], flow=[1, 2]),), 1))
    assert not store.tend()
    asked = ask("flow", start=now, end=now + HOUR, every_ms=HOUR, aggregate="sum")
    assert store.series(asked).values["flow"].tolist() == [3]
    time.pass_days(0.05)
    assert store.tend()
    store.write(Batch((rows([now + 3], flow=[4], seq=2),), 2))
    assert store.series(asked).values["flow"].tolist() == [7]
    make_windows(store)
    assert store.series(asked).values["flow"].tolist() == [7]


def test_write_of_rows_past_their_age_rejects_those_and_keeps_the_rest(open_store: Opener) -> None:
    store = open_store(retention=Retention(raw_days=2))
    kept = [START, START + MINUTE]
    mixed = rows([START - 1, START, START - DAY, START + MINUTE], flow=[1, 2, 3, 4])
    rejected = store.write(Batch((rows([START], device=1, flow=[5]), mixed), 1))
    assert [(row.rows, row.index) for row in rejected] == [(1, 0), (1, 2)]
    assert "2 days" in rejected[0].reason
    assert store.series(ask("flow", start=START - 2 * DAY)).ts_ms.tolist() == kept
    assert (store.cursor(), store.count("pilot", "bed-1")) == (1, 2)


def test_series_from_a_tier_beyond_its_limit_gives_the_earliest_and_says_so(open_store: Opener) -> None:
    store = open_store()
    store.write(Batch((rows(minutes(600), flow=[1.0] * 600),), 1))
    for _ in range(2):
        series = store.series(ask("flow", every_ms=10 * MINUTE, aggregate="count", limit=7))
        assert series.truncated
        assert series.ts_ms.tolist() == [START + i * 10 * MINUTE for i in range(7)]
        assert series.values["flow"].tolist() == [10.0] * 7
        assert not store.series(ask("flow", every_ms=10 * MINUTE, limit=60)).truncated
        make_windows(store)


def test_difference_counts_from_the_record_before_the_window_if_that_is_not_a_day_away(open_store: Opener) -> None:
    store = open_store()
    ts_ms = [START, START + HOUR + 1, START + 2 * HOUR, START + DAY + 3 * HOUR, START + DAY + 3 * HOUR + MINUTE]
    store.write(Batch((rows(ts_ms, litres_total=[10, 15, 3, 50, 51]),), 1))
    for _ in range(2):
        asked = ask("litres_total", end=START + 2 * DAY, every_ms=HOUR, aggregate="difference")
        assert store.series(asked).values["litres_total"].tolist() == [0, 5, 3, 1]
        # A page that begins later says the same.
        later = replace(asked, start_ms=START + HOUR)
        assert store.series(later).values["litres_total"].tolist() == [5, 3, 1]
        make_windows(store)


def test_difference_of_what_is_no_total_is_rejected(open_store: Opener) -> None:
    with pytest.raises(StoreRejected, match="flow"):
        open_store().series(ask("flow", every_ms=HOUR, aggregate="difference"))


def test_series_from_tiers_of_a_device_that_changed_its_kind_joins_both(open_store: Opener) -> None:
    store = open_store()
    early = rows(minutes(1), flow=[1], litres_total=[5])
    meter = rows([START + MINUTE, START + 2 * MINUTE], kind="water-meter", seq=1, flow=[2, 6], litres_total=[1, 4])
    store.write(Batch((early, meter), 1))
    for _ in range(2):
        for aggregate, flow in (("mean", 3), ("last", 6), ("count", 3)):
            asked = ask("flow", every_ms=HOUR, aggregate=aggregate)
            assert store.series(asked).values["flow"].tolist() == [flow]
        asked = ask("litres_total", every_ms=HOUR, aggregate="difference")
        assert store.series(asked).values["litres_total"].tolist() == [4]
        make_windows(store)


def test_names_with_signs_of_every_language_stay_what_they_are_in_tiers(open_store: Opener) -> None:
    names = Names(*((name, f"d{name}") for name in HOSTILE))
    store = open_store(names)
    written = tuple(rows(minutes(1), device=i, kind=f"{name} kind", **{f"q {name}": [i]}) for i, name in enumerate(HOSTILE))
    store.write(Batch(written, 1))
    make_windows(store)
    for i, name in enumerate(HOSTILE):
        series = store.series(ask(f"q {name}", site=name, device=f"d{name}", every_ms=HOUR))
        assert series.values[f"q {name}"].tolist() == [i]
