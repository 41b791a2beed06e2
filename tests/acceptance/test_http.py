# SPDX-License-Identifier: Apache-2.0
"""The HTTP API as strangers, mistaken and malicious callers meet it: a clear refusal each time, and never a 500."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from itertools import product
from typing import Any

import httpx2
import pytest

from tests.servers.bench import BenchDevice, add_device
from tests.servers.tirta import Tirta, eventually, series
from tirta.client import Client

WATERING = {"type": "irrigation", "low": 0.2, "high": 0.3, "litres_day": 100.0}
ODD_IDS = (
    "nobody",
    "a:b",
    "a:b:1",
    "a:b:65",
    "a:b:99999999999999999999",
    "%00",
    "..%2f..%2fetc",
    "é",
    "x" * 3000,
    "9" * 30,
    "' or 1=1 --",
)
ODD_BODIES = (
    *(b"", b"{", b"[]", b"null", b"0", b'"x"', b"{}", b"[" * 10_000, b"\xff\xfe"),
    b'{"zone": "\\ud800"}',
    b'{"zone": "a\\u0000b:c:1"}',
    b'{"seconds": 1e999, "zone": "a:b:1", "action": "irrigate"}',
    b'{"site": 5, "title": null, "timezone": "../etc/passwd"}',
    b'{"zone": "a:b:1", "definition": {"type": "irrigation", "low": NaN, "high": 0.3}}',
)


@pytest.fixture
def http(tirta: Tirta) -> Iterator[httpx2.Client]:
    """A caller with an operator's token that sees answers as they are."""
    headers = {"authorization": f"Bearer {tirta.ready['token']}"}
    with httpx2.Client(base_url=tirta.ready["http"], headers=headers, trust_env=False, timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def bed(tirta: Tirta) -> str:
    """The zone of a device that is registered and knows its flow."""
    with tirta.client() as client:
        add_device(client, "httpbed")
        client.zones.change("bench:httpbed:1", flow_l_min=10.0)
    return "bench:httpbed:1"


def assert_problem(answer: httpx2.Response, status: int) -> dict[str, Any]:
    """Check that an answer is a problem document with words for a person, and return it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    return problem


def paths(http: httpx2.Client) -> list[tuple[str, str]]:
    """Return every (method, path) of the description but the endless stream of events."""
    described = http.get("/openapi.json").json()["paths"]
    return [(method, path) for path, item in described.items() for method in item if path != "/api/v1/events"]


def test_every_route_without_a_valid_token_answers_401(tirta: Tirta, http: httpx2.Client) -> None:
    routes = [*paths(http), ("get", "/api/v1/events"), ("get", "/openapi.json"), ("get", "/metrics"), ("get", "/no/such/path")]
    oidc = "/api/v1/session/oidc"
    signing_in = [("post", "/api/v1/session"), ("post", "/api/v1/invitation"), ("get", oidc), ("get", f"{oidc}/callback")]
    guarded = [each for each in routes if each[1] not in ("/healthz", "/readyz") and each not in signing_in]
    assert len(guarded) > 25
    for header in ({}, {"authorization": "Bearer wrong"}, {"authorization": "Basic dXNlcjpwYXNz"}, {"authorization": "Bearer"}):
        with httpx2.Client(base_url=tirta.ready["http"], headers=header, trust_env=False) as stranger:
            for method, path in guarded:
                answer = stranger.request(method.upper(), re.sub(r"{.*?}", "x", path))
                assert_problem(answer, 401)
                assert answer.headers["www-authenticate"].startswith("Bearer")
            assert stranger.get("/api/v1/zones?token=" + tirta.ready["token"]).status_code == 401


def test_healthz_and_readyz_are_open_and_tell_reasons_only_to_a_token(tirta: Tirta, http: httpx2.Client) -> None:
    for path, expected in (("/healthz", {"journal"}), ("/readyz", {"journal", "broker", "database", "store duckdb"})):
        assert httpx2.get(tirta.ready["http"] + path, trust_env=False).json() == {"status": "ok"}
        assert {part["name"] for part in http.get(path).json()["parts"] if part["ok"]} == expected


def test_metrics_and_description_are_given_to_a_token(http: httpx2.Client) -> None:
    assert re.search(r"^tirta_\w+", http.get("/metrics").text, re.MULTILINE)
    description = http.get("/openapi.json").json()
    assert description["openapi"].startswith("3.")
    assert "/api/v1/zones/{zone}/series" in description["paths"]


def test_a_viewers_token_reads_and_changes_nothing(tirta: Tirta, http: httpx2.Client, bed: str) -> None:
    token = tirta.run("token", "create", "onlooker", "--rights", "viewer").stdout.strip()
    viewer = {"authorization": f"Bearer {token}"}
    assert http.get("/api/v1/zones", headers=viewer).status_code == 200
    assert_problem(http.post("/api/v1/acts", headers=viewer, json={"zone": bed, "action": "irrigate", "seconds": 5}), 403)
    assert_problem(http.delete("/api/v1/devices/bench:httpbed", headers=viewer), 403)


@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("POST", "/api/v1/sites", {"title": "x", "timezone": "Asia/Makassar"}, "site"),
        ("POST", "/api/v1/sites", {"site": "UPPER", "title": "x", "timezone": "Asia/Makassar"}, "site"),
        ("POST", "/api/v1/sites", {"site": "ok", "title": "x", "timezone": "Mars/Olympus"}, "timezone"),
        ("POST", "/api/v1/sites", {"site": "ok", "title": "x", "timezone": "UTC", "colour": "red"}, "colour"),
        ("POST", "/api/v1/devices", {"site": "bench", "device": "new", "kind": "toaster", "title": "x"}, "kind"),
        ("POST", "/api/v1/acts", {"zone": "{bed}", "action": "dance", "seconds": 5}, "action"),
        ("POST", "/api/v1/acts", {"zone": "{bed}", "action": "irrigate", "seconds": -5}, "seconds"),
        ("POST", "/api/v1/acts", {"zone": "nonsense", "action": "irrigate", "seconds": 5}, "zone"),
        ("POST", "/api/v1/schedules", {"zone": "{bed}", "definition": {"type": "irrigation", "low": 5, "high": 6}}, "low"),
        ("PATCH", "/api/v1/zones/{bed}", {"flow_l_min": "much"}, "flow_l_min"),
        ("GET", "/api/v1/zones/{bed}/series?start=yesterday", None, "start"),
        ("GET", "/api/v1/zones/{bed}/series?quantities=soil_moistur", None, "quantities"),
        ("GET", "/api/v1/zones/{bed}/series?every=5x", None, "every"),
        ("GET", "/api/v1/zones?limit=1001", None, "limit"),
        ("GET", "/api/v1/acts?sate=done", None, "sate"),
    ],
)  # fmt: skip
def test_a_wrong_request_answers_422_with_the_name_of_the_field(
    http: httpx2.Client, bed: str, method: str, path: str, body: Any, field: str
) -> None:
    sent = None if body is None else json.loads(json.dumps(body).replace("{bed}", bed))
    problem = assert_problem(http.request(method, path.replace("{bed}", bed), json=sent), 422)
    assert any(field in error["field"].split(".") for error in problem["errors"]), problem
    assert all(error["detail"] for error in problem["errors"])


def test_what_is_not_there_answers_404(http: httpx2.Client, bed: str) -> None:
    for path in ("sites/none", "devices/no:ne", "zones/no:ne:1", "zones/no:ne:1/series", "schedules/none", "acts/none"):
        assert_problem(http.get(f"/api/v1/{path}"), 404)
    assert_problem(http.get("/api/v1/quarantine/999999999"), 404)
    assert_problem(http.post("/api/v1/acts/none/stop"), 404)
    assert_problem(http.delete("/api/v1/devices/no:ne"), 404)
    assert_problem(http.get("/no/such/path"), 404)
    assert_problem(http.post("/api/v1/acts", json={"zone": "no:ne:1", "action": "irrigate", "seconds": 5}), 404)


def test_what_contradicts_what_is_there_answers_409_or_412(http: httpx2.Client, bed: str) -> None:
    assert_problem(http.post("/api/v1/sites", json={"site": "bench", "title": "x", "timezone": "UTC"}), 409)
    device = {"site": "bench", "device": "httpbed", "kind": "irrigation-controller", "title": "x"}
    assert_problem(http.post("/api/v1/devices", json=device), 409)
    made = http.post("/api/v1/schedules", json={"zone": bed, "definition": WATERING})
    assert made.status_code == 201, made.text
    assert_problem(http.post("/api/v1/schedules", json={"zone": bed, "definition": WATERING}), 409)
    path = f"/api/v1/schedules/{made.json()['id']}"
    assert http.put(path, json={"definition": {**WATERING, "high": 0.35}}, headers={"if-match": '"1"'}).status_code == 200
    late = assert_problem(http.put(path, json={"definition": WATERING}, headers={"if-match": '"1"'}), 412)
    assert "ready-file changed this schedule" in late["detail"]
    assert http.get(path).json()["definition"]["high"] == 0.35
    assert http.delete(path).status_code == 204
    assert_problem(http.get(path), 404)


def test_an_act_asked_for_twice_with_one_key_is_one_act(http: httpx2.Client, bed: str) -> None:
    body = {"zone": bed, "action": "irrigate", "seconds": 5}
    first, second = (http.post("/api/v1/acts", json=body, headers={"idempotency-key": "once"}) for _ in range(2))
    assert first.json()["id"] == second.json()["id"]


def test_no_odd_request_of_any_route_is_answered_with_a_server_error(tirta: Tirta, http: httpx2.Client) -> None:
    asked = 0
    for (method, path), odd in product(paths(http), ODD_IDS):
        for body in ODD_BODIES if method in ("post", "put", "patch") and odd == "a:b:1" else (b"{}",):
            address = re.sub(r"{.*?}", lambda _: odd, path)  # noqa: B023 - called at once
            content = body if method in ("post", "put", "patch") else None
            answer = http.request(method.upper(), address, content=content, headers={"content-type": "application/json"})
            assert answer.status_code < 500, (method, address[:80], body[:80], answer.text)
            asked += 1
    for query in (
        "after=%00",
        "after=9999999999999999999",
        "limit=1e3",
        "start=9999-12-31T23:59:59Z",
        "end=0001-01-01T00:00:00Z",
    ):
        for _, path in (route for route in paths(http) if route[0] == "get"):
            answer = http.get(re.sub(r"{.*?}", "bench:httpbed:1", path) + "?" + query)
            assert answer.status_code < 500, (path, query, answer.text)
            asked += 1
    assert asked > 300
    assert http.get("/readyz").status_code == 200
    assert "Traceback" not in tirta.err


def test_a_body_beyond_a_mebibyte_answers_413(http: httpx2.Client) -> None:
    assert_problem(http.post("/api/v1/sites", content=b" " * (2**20 + 1)), 413)
    assert_problem(http.post("/api/v1/sites", content=(b" " * 2**16 for _ in range(17))), 413)


def test_what_is_no_http_disturbs_nobody(tirta: Tirta, http: httpx2.Client) -> None:
    address = ("127.0.0.1", int(tirta.ready["http"].rpartition(":")[2]))
    for noise in (
        b"\x16\x03\x01\x02\x00\x01",
        b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 20_000,
        b"POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
    ):
        with socket.create_connection(address, 5) as raw:
            raw.sendall(noise)
    assert http.get("/readyz").status_code == 200


def test_events_tell_a_measurement_as_it_comes(tirta: Tirta, client: Client, http: httpx2.Client) -> None:
    login = add_device(client, "eventful")
    told: list[str] = []
    following = threading.Event()

    def follow() -> None:
        with http.stream("GET", "/api/v1/events", params={"event": "telemetry", "zone": "bench:eventful:1"}) as stream:
            for line in stream.iter_lines():
                following.set()
                told.append(line)
                if line.startswith("data:"):
                    return

    listener = threading.Thread(target=follow, daemon=True)
    listener.start()
    assert following.wait(60)
    with BenchDevice(tirta, login) as device:
        device.publish({"soil_moisture": 0.25})
    listener.join(10)
    assert "event: telemetry" in told
    data = next(json.loads(line.removeprefix("data:")) for line in told if line.startswith("data:"))
    assert data["zone"] == "bench:eventful:1"
    assert data["values"]["soil_moisture"] == pytest.approx(0.25)


def test_a_chart_is_asked_for_in_windows_and_page_by_page(tirta: Tirta, client: Client, http: httpx2.Client) -> None:
    with BenchDevice(tirta, add_device(client, "charted")) as device:
        start_ms = int(time.time() * 1000) // 3_600_000 * 3_600_000 - 3 * 3_600_000
        device.publish([{"ts": start_ms + i * 60_000, "boot": 1, "seq": i, "soil_moisture": 0.001 * i} for i in range(120)])
    eventually(lambda: len(series(client, "bench:charted:1", "soil_moisture")) == 120, "all are stored")
    path = "/api/v1/zones/bench:charted:1/series"
    whole: dict[str, str | int] = {"quantities": "soil_moisture", "start": "2026-01-01T00:00:00Z"}
    windows = http.get(path, params={**whole, "every": "1h"}).json()["items"]
    assert [row["soil_moisture"] for row in windows] == [pytest.approx(0.0295), pytest.approx(0.0895)]
    page = http.get(path, params={**whole, "limit": 50}).json()
    found = [row["soil_moisture"] for row in page["items"]]
    while page["next"]:
        page = http.get(path, params={**whole, "limit": 50, "after": page["next"]}).json()
        found += [row["soil_moisture"] for row in page["items"]]
    assert found == [pytest.approx(0.001 * i) for i in range(120)]
