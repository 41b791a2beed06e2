# SPDX-License-Identifier: Apache-2.0
"""What is InfluxDB's own: rejected rows, a lost cursor, and failures told apart by remedy."""

from __future__ import annotations

import itertools
import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from influxdb_client import InfluxDBClient, Permission, PermissionResource

from gateway.clock import SteppedClock
from ingest.store import (
    Batch,
    InfluxConfig,
    InfluxStore,
    Retention,
    Rows,
    SeriesQuery,
    StoreError,
    StoreRefused,
    StoreRejected,
    StoreUnavailable,
)
from tests.servers.influx import InfluxServer, influx_server

__all__ = ["influx_server"]

pytestmark = pytest.mark.timeout(2_700)  # the first run may build influxd

TS = 1_763_770_800_000
CLOCK = SteppedClock(TS + 86_400_000)
NAMELESS = 99  # a device that InfluxDB cannot take
QUERY = SeriesQuery("pilot", "bed-1", 1, ("flow",), TS, TS + 60_000)


class Names:
    def names(self, index: int) -> tuple[str, str]:
        return "pilot", "" if index == NAMELESS else f"bed-{index + 1}"


def make_rows(n: int, *, device: int = 0, ts_ms: int = TS, **values: float) -> Rows:
    return Rows(
        kind="water-meter",
        device=np.full(n, device, dtype=np.int32),
        zone=np.ones(n, dtype=np.uint8),
        ts_ms=np.full(n, ts_ms, dtype=np.int64),
        boot=np.zeros(n, dtype=np.int64),
        seq=np.arange(n, dtype=np.int64),
        place=np.arange(n, dtype=np.int64),
        flags=np.zeros(n, dtype=np.uint8),
        values={name: np.full(n, value) for name, value in values.items()},
    )


def config_of(server: InfluxServer, folder: Path) -> InfluxConfig:
    return InfluxConfig(server.url, server.org, server.bucket, server.token, folder / "cursor.sqlite")


def opened(config: InfluxConfig, *booleans: str) -> closing[InfluxStore]:
    return closing(InfluxStore(config, Names(), frozenset(booleans), clock=CLOCK))


def test_write_after_a_lost_cursor_leaves_each_row_once(influx_server: InfluxServer, tmp_path: Path) -> None:
    config = config_of(influx_server.make_bucket("lost-cursor"), tmp_path)
    batch = Batch((make_rows(50, flow=1.0),), 7)
    for folder in ("before", "after"):
        (tmp_path / folder).mkdir()
        with opened(replace(config, cursor_path=tmp_path / folder / "cursor.sqlite")) as store:
            assert store.cursor() == 0
            store.write(batch)
            assert (store.cursor(), store.count("pilot", "bed-1")) == (7, 50)


def test_cursor_of_another_bucket_begins_at_zero(influx_server: InfluxServer, tmp_path: Path) -> None:
    with opened(config_of(influx_server.make_bucket("first"), tmp_path)) as store:
        store.write(Batch((make_rows(1, flow=1.0),), 7))
    with opened(config_of(influx_server.make_bucket("second"), tmp_path)) as store:
        assert store.cursor() == 0


def test_write_with_rows_of_another_type_rejects_those_and_keeps_the_rest(influx_server: InfluxServer, tmp_path: Path) -> None:
    config = config_of(influx_server.make_bucket("conflict"), tmp_path)
    with opened(config) as store:
        store.write(Batch((make_rows(1, flow=1.0),), 1))
    mixed = make_rows(200, pressure=2.0, flow=np.nan)
    mixed.values["flow"][[17, 130]] = 1.0  # written as booleans, which the bucket does not take
    with opened(config, "flow") as store:
        rejected = store.write(Batch((make_rows(3, device=1, pressure=1.0), mixed), 2))
        assert [(row.rows, row.index) for row in rejected] == [(1, 17), (1, 130)]
        assert all("type conflict" in row.reason for row in rejected)
        assert (store.cursor(), store.count("pilot", "bed-2")) == (2, 3)
        pressure = store.series(replace(QUERY, quantities=("pressure",))).values["pressure"]
        assert len(pressure) >= 198


def test_write_of_rows_that_no_line_can_hold_rejects_those(influx_server: InfluxServer, tmp_path: Path) -> None:
    with opened(config_of(influx_server.make_bucket("unparsable"), tmp_path)) as store:
        nameless = make_rows(2, device=NAMELESS, flow=1.0)
        rejected = store.write(Batch((make_rows(5, flow=1.0), nameless), 1))
        assert [(row.rows, row.index) for row in rejected] == [(1, 0), (1, 1)]
        assert "missing tag value" in rejected[0].reason
        assert store.count("pilot", "bed-1") == 5


def test_write_of_rows_older_than_the_bucket_keeps_rejects_them_in_one_go(influx_server: InfluxServer, tmp_path: Path) -> None:
    server = influx_server.make_bucket("short", retention_s=3_600)
    with opened(config_of(server, tmp_path)) as store:
        rejected = store.write(Batch((make_rows(500, flow=1.0),), 1))
        assert len(rejected) == 500
        assert "retention" in rejected[0].reason
        assert store.cursor() == 1


@pytest.mark.parametrize("change", [{"token": "wrong"}, {"bucket": "none"}, {"org": "none"}])
def test_write_that_is_not_let_in_is_refused_keeps_the_cursor_and_names_the_setting(
    influx_server: InfluxServer, tmp_path: Path, change: dict[str, str]
) -> None:
    setting = f"TIRTA_INFLUX_{next(iter(change)).upper()}"
    with opened(replace(config_of(influx_server, tmp_path), **change)) as store:
        with pytest.raises(StoreRefused, match=setting):
            store.write(Batch((make_rows(3, flow=1.0),), 1))
        with pytest.raises(StoreRefused, match=setting):
            store.series(QUERY)
        assert store.cursor() == 0


def test_write_without_a_server_is_unavailable(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        config = InfluxConfig(f"http://127.0.0.1:{probe.getsockname()[1]}", "o", "b", "t", tmp_path / "cursor.sqlite")
        with opened(config) as store:
            for call in (lambda: store.write(Batch((make_rows(1, flow=1.0),), 1)), lambda: store.latest(0)):
                with pytest.raises(StoreUnavailable):
                    call()
            assert store.cursor() == 0


def test_write_to_a_server_that_never_answers_is_unavailable_after_the_timeout(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        config = InfluxConfig(url, "o", "b", "t", tmp_path / "cursor.sqlite", timeout_s=0.2)
        with opened(config) as store, pytest.raises(StoreUnavailable):
            store.write(Batch((make_rows(1, flow=1.0),), 1))


@contextmanager
def answering(answer: Callable[[bytes], tuple[int, bytes]]) -> Iterator[str]:
    """Run a server whose answer (status, body) to a request's body is given."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Have every bucket that is asked for."""
            name = parse_qs(urlsplit(self.path).query)["name"][0]
            days = {"b": 0, "b_5m": 732, "b_1h": 0}[name]
            rules = [{"type": "expire", "everySeconds": days * 86_400}] if days else []
            self._answer(
                200, json.dumps({"buckets": [{"id": "1", "orgID": "1", "name": name, "retentionRules": rules}]}).encode()
            )

        def do_POST(self) -> None:
            asked = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path.startswith("/api/v2/query") and b"flags" in asked:
                self._answer(200, b"")  # it holds no rows yet
            else:
                self._answer(*answer(asked))

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Retry-After", "7")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (429, b"", StoreUnavailable),
        (500, b"", StoreUnavailable),
        (503, b"<html>", StoreUnavailable),
        (403, b"{}", StoreRefused),
        (400, b"<html>no InfluxDB here</html>", StoreRefused),
    ],
)
def test_write_tells_failures_apart_by_remedy(tmp_path: Path, status: int, body: bytes, error: type[StoreError]) -> None:
    with answering(lambda _: (status, body)) as url:
        config = InfluxConfig(url, "o", "b", "t", tmp_path / "cursor.sqlite")
        with opened(config) as store, pytest.raises(error) as raised:
            store.write(Batch((make_rows(1, flow=1.0),), 1))
        if isinstance(raised.value, StoreUnavailable):
            assert raised.value.retry_after_s == 7


def test_write_through_a_proxy_with_a_small_limit_is_halved_until_it_fits(tmp_path: Path) -> None:
    taken: list[bytes] = []

    def answer(body: bytes) -> tuple[int, bytes]:
        if len(body) > 1_000:
            return 413, b"too large"
        taken.extend(body.split(b"\n"))
        return 204, b""

    with answering(answer) as url:
        config = InfluxConfig(url, "o", "b", "t", tmp_path / "cursor.sqlite")
        with opened(config) as store:
            assert store.write(Batch((make_rows(100, flow=1.0),), 1)) == ()
    assert len(taken) == len(set(taken)) == 100


def test_series_of_a_question_that_influxdb_does_not_take_is_rejected(tmp_path: Path) -> None:
    with answering(lambda _: (400, b'{"code": "invalid", "message": "compilation failed"}')) as url:
        config = InfluxConfig(url, "o", "b", "t", tmp_path / "cursor.sqlite")
        with opened(config) as store, pytest.raises(StoreRejected, match="compilation failed"):
            store.series(QUERY)


def test_config_shown_in_a_log_hides_the_token(tmp_path: Path) -> None:
    assert "hush" not in repr(InfluxConfig("http://h", "o", "b", "hush", tmp_path / "cursor.sqlite"))


def limited(server: InfluxServer, *buckets: str) -> InfluxServer:
    """Return the server with a token that may read and write these buckets and no more."""
    with InfluxDBClient(server.url, server.token, org=server.org) as client:
        found = [client.buckets_api().find_bucket_by_name(name) for name in buckets]
        permissions = [
            Permission(action, PermissionResource("buckets", id=bucket.id, org_id=bucket.org_id))
            for bucket in found
            for action in ("read", "write")
        ]
        made = client.authorizations_api().create_authorization(org_id=found[0].org_id, permissions=permissions)
        return replace(server, token=made.token)


def retention_of(server: InfluxServer, name: str) -> int:
    with InfluxDBClient(server.url, server.token, org=server.org) as client:
        rules = client.buckets_api().find_bucket_by_name(name).retention_rules
        return rules[0].every_seconds if rules else 0


def tended(config: InfluxConfig, now_ms: int, retention: Retention | None = None) -> closing[InfluxStore]:
    wall = itertools.count(0, 60)
    clock = SteppedClock(now_ms)
    return closing(
        InfluxStore(config, Names(), frozenset(), retention=retention, clock=clock, wall_s=lambda: float(next(wall)))
    )


def test_write_makes_the_buckets_of_the_tiers_and_bounds_each(influx_server: InfluxServer, tmp_path: Path) -> None:
    server = influx_server.make_bucket("made")
    now_ms = int(time.time() * 1000)
    with tended(config_of(server, tmp_path), now_ms, Retention(10, 20, None)) as store:
        store.write(Batch((make_rows(2, ts_ms=now_ms - 7_200_000, flow=1.0),), 1))
        day = 86_400
        assert [retention_of(server, name) for name in ("made", "made_5m", "made_1h")] == [0, 22 * day, 0]
        while store.tend():
            pass
        assert retention_of(server, "made") == 12 * day


def test_prepare_makes_the_buckets_of_the_tiers_before_there_is_a_row(influx_server: InfluxServer, tmp_path: Path) -> None:
    server = influx_server.make_bucket("early")
    with opened(config_of(server, tmp_path)) as store:
        store.prepare()
        assert [retention_of(server, name) for name in ("early_5m", "early_1h")] == [732 * 86_400, 0]


def test_write_with_a_token_for_the_three_buckets_alone_is_enough(influx_server: InfluxServer, tmp_path: Path) -> None:
    server = influx_server.make_bucket("least")
    server.make_bucket("least_5m")
    server.make_bucket("least_1h")
    token = limited(server, "least", "least_5m", "least_1h")
    now_ms = int(time.time() * 1000)
    hour_ms = now_ms // 3_600_000 * 3_600_000 - 7_200_000
    with tended(config_of(token, tmp_path), now_ms) as store:
        store.write(Batch((make_rows(4, ts_ms=hour_ms, flow=2.0),), 1))
        while store.tend():
            pass
        query = replace(QUERY, start_ms=hour_ms, end_ms=hour_ms + 3_600_000, every_ms=3_600_000, aggregate="sum")
        assert store.series(query).values["flow"].tolist() == [8.0]
    assert retention_of(server, "least") == 92 * 86_400


def test_write_with_a_token_that_may_not_make_buckets_is_refused_with_the_command(
    influx_server: InfluxServer, tmp_path: Path
) -> None:
    server = influx_server.make_bucket("lacking")
    with opened(config_of(limited(server, "lacking"), tmp_path)) as store:
        for call in (store.prepare, lambda: store.write(Batch((make_rows(1, flow=1.0),), 1))):
            with pytest.raises(StoreRefused, match="influx bucket create --org tirta --name lacking_5m"):
                call()
        assert store.cursor() == 0


def test_tend_after_a_lost_file_of_marks_makes_the_windows_of_every_row(influx_server: InfluxServer, tmp_path: Path) -> None:
    server = influx_server.make_bucket("lost-marks")
    now_ms = int(time.time() * 1000)
    hour_ms = now_ms // 3_600_000 * 3_600_000 - 30 * 3_600_000
    query = replace(QUERY, start_ms=hour_ms, end_ms=now_ms, every_ms=3_600_000, aggregate="count")
    with tended(config_of(server, tmp_path), now_ms) as store:
        for i in range(3):
            store.write(Batch((make_rows(5, ts_ms=hour_ms + i * 10 * 3_600_000, flow=1.0),), i + 1))
        store.tend()
    (tmp_path / "other").mkdir()
    config = replace(config_of(server, tmp_path), cursor_path=tmp_path / "other" / "cursor.sqlite")
    with tended(config, now_ms) as store:
        turns = 0
        while store.tend():
            turns += 1
        assert turns == 3
        assert store.series(query).values["flow"].tolist() == [5.0, 5.0, 5.0]


def test_tend_of_a_late_row_in_an_hour_whose_rows_were_let_go_leaves_its_windows(
    influx_server: InfluxServer, tmp_path: Path
) -> None:
    server = influx_server.make_bucket("let-go")
    now_ms = int(time.time() * 1000)
    hour_ms = now_ms // 3_600_000 * 3_600_000 - 50 * 3_600_000
    query = replace(QUERY, start_ms=hour_ms, end_ms=hour_ms + 3_600_000, every_ms=3_600_000, aggregate="count")
    with tended(config_of(server, tmp_path), now_ms) as store:
        store.write(Batch((make_rows(5, ts_ms=hour_ms, flow=1.0),), 1))
        while store.tend():
            pass
        with InfluxDBClient(server.url, server.token, org=server.org) as client:
            client.delete_api().delete("1970-01-01T00:00:00Z", "2100-01-01T00:00:00Z", "", server.bucket)
        store.write(Batch((make_rows(2, ts_ms=hour_ms + 60_000, flow=1.0),), 2))
        while store.tend():
            pass
        assert store.count("pilot", "bed-1") == 2
        assert store.series(query).values["flow"].tolist() == [5.0]
        store.write(Batch((make_rows(9, ts_ms=hour_ms + 120_000, flow=1.0),), 3))  # more than there ever was
        while store.tend():
            pass
        assert store.series(query).values["flow"].tolist() == [11.0]


def test_series_of_windows_before_the_first_write_is_empty(influx_server: InfluxServer, tmp_path: Path) -> None:
    day_ms = 86_400_000
    query = SeriesQuery("pilot", "bed-1", 1, ("flow",), TS - day_ms, TS + day_ms, every_ms=300_000)

    with opened(config_of(influx_server.make_bucket("not-written-yet"), tmp_path)) as store:
        assert len(store.series(query).ts_ms) == 0
