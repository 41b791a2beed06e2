# SPDX-License-Identifier: Apache-2.0
"""The encoder of InfluxDB's line protocol, against a reader of it written from its description."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.store import NOT_GIVEN, RESERVED_NAMES, TS_MAX_MS, Rows
from ingest.store.line_protocol import encode_lines, read_name, stored_name

TS = 1_763_770_800_000
BOOLEANS = frozenset({"valve_open"})
NAMES = st.text(min_size=1, max_size=12).filter(lambda name: name not in RESERVED_NAMES and name.isprintable()) | st.text(
    alphabet=',= \\"\n\r\t%bnrth#{}', min_size=1, max_size=8
)


def make_rows(
    values: dict[str, list[float]], *, n: int = 1, kind: str = "water-meter", boot: int = 7, seq: int = 1841, place: int = 3
) -> Rows:
    return Rows(
        kind=kind,
        device=np.arange(n, dtype=np.int32),
        zone=np.ones(n, dtype=np.uint8),
        ts_ms=np.full(n, TS, dtype=np.int64),
        boot=np.full(n, boot, dtype=np.int64),
        seq=np.full(n, seq, dtype=np.int64),
        place=np.full(n, place, dtype=np.int64),
        flags=np.zeros(n, dtype=np.uint8),
        values={name: np.array(column, dtype=np.float64) for name, column in values.items()},
    )


def encode(rows: Rows, site: str = "pilot", device: str = "bed-1") -> list[str]:
    return [line.decode() for line in encode_lines(rows, lambda _: (site, device), BOOLEANS)]


def split(text: str, at: str) -> list[str]:
    """Split at a sign that no backslash stands before."""
    return re.split(rf"(?<!\\){at}", text)


def parse(line: str) -> tuple[str, dict[str, str], dict[str, str], int]:
    series, fields, instant = split(line, " ")
    measurement, *tags = split(series, ",")
    plain = [
        {read_name(re.sub(r"\\([,= ])", r"\1", key)): value for key, value in (split(part, "=") for part in parts)}
        for parts in (tags, split(fields, ","))
    ]
    named = {key: read_name(re.sub(r"\\([,= ])", r"\1", value)) for key, value in plain[0].items()}
    return read_name(re.sub(r"\\([, ])", r"\1", measurement)), named, plain[1], int(instant)


def test_encode_lines_of_a_full_row_is_the_documented_line() -> None:
    assert encode(make_rows({"flow": [0.312], "litres_total": [1e22], "valve_open": [1.0]})) == [
        "water-meter,device=bed-1,site=pilot,zone=1 "
        "flow=0.312,litres_total=1e+22,valve_open=t,boot=7i,seq=1841i,flags=0i 1763770800000001841"
    ]


def test_encode_lines_of_a_whole_number_writes_a_float() -> None:
    assert "flow=3.0," in encode(make_rows({"flow": [3]}))[0]


def test_encode_lines_without_boot_and_seq_takes_the_place_into_the_instant() -> None:
    line = encode(make_rows({"flow": [1.0]}, boot=NOT_GIVEN, seq=NOT_GIVEN, place=12))[0]
    assert line == "water-meter,device=bed-1,site=pilot,zone=1 flow=1.0,flags=0i 1763770800000000012"


@pytest.mark.parametrize(("seq", "below"), [(0, 0), (999_999, 999_999), (1_000_000, 0), (2**32 - 1, 967_295)])
def test_encode_lines_keeps_seq_below_the_millisecond(seq: int, below: int) -> None:
    assert encode(make_rows({"flow": [1.0]}, seq=seq))[0].endswith(f" {TS * 1_000_000 + below}")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_encode_lines_leaves_out_what_is_not_finite(value: float) -> None:
    _, _, fields, _ = parse(encode(make_rows({"flow": [value], "valve_open": [value], "pressure": [1.5]}))[0])
    assert fields == {"pressure": "1.5", "boot": "7i", "seq": "1841i", "flags": "0i"}


def test_encode_lines_of_nothing_is_nothing() -> None:
    assert encode(make_rows({"flow": []}, n=0)) == []


def test_encode_lines_of_a_row_without_any_quantity_keeps_the_row() -> None:
    assert encode(make_rows({})) == [
        "water-meter,device=bed-1,site=pilot,zone=1 boot=7i,seq=1841i,flags=0i 1763770800000001841"
    ]


@given(st.lists(st.tuples(*[st.floats() | st.just(np.nan)] * 3), min_size=1, max_size=30))
def test_encode_lines_keeps_order_and_every_finite_value_exactly(table: list[tuple[float, float, float]]) -> None:
    names = ("flow", "pressure", "battery")
    columns = {name: list(column) for name, column in zip(names, zip(*table, strict=True), strict=True)}
    rows = make_rows(columns, n=len(table))
    lines = [line.decode() for line in encode_lines(rows, lambda i: ("pilot", f"bed-{i}"), BOOLEANS)]
    assert len(lines) == len(table)
    for i, (line, values) in enumerate(zip(lines, table, strict=True)):
        _, tags, fields, _ = parse(line)
        assert tags["device"] == f"bed-{i}"
        found = {name: float(fields[name]) for name in names if name in fields}
        assert found == {name: value for name, value in zip(names, values, strict=True) if np.isfinite(value)}


@given(kind=NAMES, site=NAMES, device=NAMES, quantity=NAMES)
def test_encode_lines_with_any_names_is_one_line_that_reads_back(kind: str, site: str, device: str, quantity: str) -> None:
    (line,) = encode(make_rows({quantity: [1.5]}, kind=kind), site, device)
    assert "\n" not in line
    measurement, tags, fields, _ = parse(line)
    assert (measurement, tags) == (kind, {"device": device, "site": site, "zone": "1"})
    assert fields[quantity] == "1.5"


@given(st.text())
def test_read_name_undoes_stored_name(name: str) -> None:
    assert read_name(stored_name(name)) == name
    assert not stored_name(name).endswith("\\")


def test_stored_name_leaves_what_the_contract_allows_as_it_is() -> None:
    allowed = "abcdefghijklmnopqrstuvwxyz0123456789-_"
    assert stored_name(allowed) == allowed


def test_rows_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="differ in length"):
        make_rows({"flow": [1.0, 2.0]})


@pytest.mark.parametrize("ts_ms", [-1, TS_MAX_MS])
def test_rows_at_a_time_that_no_nanosecond_counts_are_refused(ts_ms: int) -> None:
    with pytest.raises(ValueError, match="ts_ms"):
        replace(make_rows({"flow": [1.0]}), ts_ms=np.array([ts_ms], dtype=np.int64))


def test_rows_with_a_quantity_named_like_a_column_of_the_store_are_refused() -> None:
    with pytest.raises(ValueError, match="zone"):
        make_rows({"zone": [1.0]})
