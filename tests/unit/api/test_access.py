# SPDX-License-Identifier: Apache-2.0
"""The gate before every route: tokens, rights, header fields, bounds."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import httpx2
import pytest
from fastapi.routing import APIRoute

from api.access import OPEN_PATHS, SIGN_IN_PATHS
from api.envelope import BODY_MAX, HEADERS, HSTS
from api.openapi import describe
from control import tokens
from tests.unit.api.house import SITE, START_MS, House


def every_route(house: House) -> list[tuple[str, str]]:
    """Return method and path of every route, its parameters filled with something."""
    paths = describe(house.app, "0")["paths"] | {"/openapi.json": {"get": {}}}
    return [(method.upper(), re.sub(r"{\w+}", "a:b:1", path)) for path, methods in paths.items() for method in methods]


def test_every_route_of_the_application_is_described(house: House) -> None:
    described = describe(house.app, "0")["paths"]
    stack, found = list(house.app.routes), set()
    while stack:
        route = stack.pop()
        stack.extend(getattr(getattr(route, "original_router", None), "routes", []))
        if isinstance(route, APIRoute):
            found.add(route.name)
    operations = {operation["operationId"] for methods in described.values() for operation in methods.values()}

    assert found - operations == {"show_openapi"}
    assert operations <= found


async def test_every_route_without_a_token_is_refused(house: House) -> None:
    routes = every_route(house)
    assert len(routes) > 20
    async with house.client(None) as stranger:
        for method, path in routes:
            answer = await stranger.request(method, path)
            if (method, path) in SIGN_IN_PATHS:
                # An empty body, or no single sign-on: this is how one becomes known.
                assert answer.status_code == (422 if method == "POST" else 404)
            elif path in OPEN_PATHS:
                assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
            else:
                assert answer.status_code == 401, path
                assert answer.headers["www-authenticate"].startswith("Bearer")
                assert answer.headers["content-type"] == "application/problem+json"


async def test_every_route_that_changes_something_is_forbidden_to_who_may_read(house: House) -> None:
    own = ("/api/v1/session", "/api/v1/session/password", "/api/v1/invitation")
    changing = [(method, path) for method, path in every_route(house) if method != "GET" and path not in own]
    assert len(changing) > 8
    for rights in ("viewer", "service"):
        async with house.client(rights) as reader:
            for method, path in changing:
                answer = await reader.request(method, path)
                assert (answer.status_code, answer.json()["status"]) == (403, 403), (rights, method, path)
            assert (await reader.get("/api/v1/sites")).status_code == 200


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz", "Bearer wrong", "Bearer a b", "Bearer " + "a" * 600, "bearer\ttirta_x"],
)
async def test_a_header_that_bears_no_valid_token_is_refused(house: House, header: str) -> None:
    async with house.client(None) as client:
        for path in ("/api/v1/sites", "/healthz", "/nothing"):
            answer = await client.get(path, headers={"authorization": header})
            assert answer.status_code == 401


async def test_a_token_in_the_address_is_no_token(house: House) -> None:
    async with house.client(None) as client:
        answer = await client.get("/api/v1/sites", params={"token": house.tokens["operator"]})

    assert answer.status_code == 401


async def test_two_tokens_at_once_are_refused(house: House) -> None:
    token = f"Bearer {house.tokens['operator']}"
    async with house.client(None) as client:
        answer = await client.get("/api/v1/sites", headers=[("authorization", token), ("authorization", token)])

    assert answer.status_code == 401


async def test_a_revoked_token_is_refused_at_once(house: House, api: httpx2.AsyncClient) -> None:
    assert (await api.get("/api/v1/sites")).status_code == 200
    with house.services.database.session() as session:
        tokens.revoke(session, "a-operator", now_ms=START_MS)
    answer = await api.get("/api/v1/sites")

    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]


async def test_a_stranger_does_not_learn_which_addresses_exist(house: House) -> None:
    async with house.client(None) as stranger:
        there, not_there = await stranger.get("/api/v1/sites"), await stranger.get("/api/v1/nothing")
        wrong_method = await stranger.put("/api/v1/sites")

    assert there.content == not_there.content == wrong_method.content


async def test_a_strangers_body_is_not_read(house: House) -> None:
    async def body() -> AsyncIterator[bytes]:
        raise AssertionError("read")
        yield b""

    async with house.client(None) as stranger:
        answer = await stranger.post("/api/v1/sites", content=body())

    assert answer.status_code == 401


@pytest.mark.parametrize("path", ["/healthz", "/api/v1/sites", "/api/v1/nothing", "/metrics"])
async def test_every_answer_bears_the_security_headers(house: House, path: str) -> None:
    for rights in ("operator", None):
        async with house.client(rights) as client:
            answer = await client.get(path)
        assert {name: answer.headers[name] for name in HEADERS} == HEADERS
        assert HSTS[0] not in answer.headers
        assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_every_answer_over_tls_has_browsers_stay_with_it(house: House) -> None:
    async with house.client(None) as client:
        for path in ("/healthz", "/api/v1/sites"):
            answer = await client.get(f"https://tirta{path}")
            assert answer.headers[HSTS[0]] == HSTS[1]


async def test_an_unexpected_error_shows_nothing_of_the_inside(
    house: House, api: httpx2.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    house.app.state.services = None
    answer = await api.get("/api/v1/sites")

    assert answer.status_code == 500
    assert answer.json()["title"] == "Internal Server Error"
    assert "NoneType" not in answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert "NoneType" in caplog.text


async def test_a_method_that_is_not_there_names_those_that_are(api: httpx2.AsyncClient) -> None:
    answer = await api.put("/api/v1/sites", json=SITE)

    assert answer.status_code == 405
    assert answer.headers.get_list("allow") == ["GET, POST"]
    assert answer.json()["detail"] == "This address does not take that method; it takes GET, POST."
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/api/v1/zones/pilot:garden:1", "GET, PATCH"),
        ("DELETE", "/api/v1/sites", "GET, POST"),
        ("POST", "/api/v1/schedules/01KAQZ7J5RT0M3Q4W1D0V6B3NM", "GET, PUT, DELETE"),
        ("PUT", "/api/v1/devices/pilot:garden", "GET, PATCH, DELETE"),
        ("PUT", "/api/v1/quarantine/replay", "GET, POST, DELETE"),
        ("HEAD", "/api/v1/sites", "GET, POST"),
        ("OPTIONS", "/api/v1/sites", "GET, POST"),
        ("POST", "/healthz", "GET"),
    ],
)
async def test_a_method_that_is_not_there_names_those_of_every_route_of_the_address(
    api: httpx2.AsyncClient, method: str, path: str, allowed: str
) -> None:
    answer = await api.request(method, path)

    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)


async def test_a_method_that_is_not_there_is_answered_alike_for_every_described_address(
    house: House, api: httpx2.AsyncClient
) -> None:
    methods: dict[str, set[str]] = {}
    for method, path in every_route(house):
        methods.setdefault(path, set()).add(method)
    for path, there in methods.items():
        answer = await api.request("TRACE", path)
        # More than described where another route has room for the address, as an entry's has for /quarantine/replay.
        assert set(answer.headers["allow"].split(", ")) >= there, path


async def test_a_body_announced_as_too_large_is_refused_unread(api: httpx2.AsyncClient) -> None:
    answer = await api.post("/api/v1/sites", content=b" " * (BODY_MAX + 1), headers={"content-type": "application/json"})

    assert (answer.status_code, answer.json()["title"]) == (413, "Content Too Large")


async def test_a_body_that_grows_too_large_is_refused(api: httpx2.AsyncClient) -> None:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * (BODY_MAX // 16)

    answer = await api.post("/api/v1/sites", content=body(), headers={"content-type": "application/json"})

    assert (answer.status_code, answer.json()["status"]) == (413, 413)


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"",
        b"null",
        b"\xff\xfe",
        b'{"site": "\xff"}',
        b'{"site": "a", "title": "\\ud800", "timezone": "UTC"}',
        b'{"\\ud800": 1}',
        b'{"site": "a\\u0000", "title": "b", "timezone": "UTC"}',
        b'{"site": "a", "title": "b", "timezone": ' + b"9" * 5000 + b"}",
        b'{"site": NaN, "title": Infinity, "timezone": 1e999}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
)
async def test_a_hostile_body_is_answered_with_the_wrong_fields(api: httpx2.AsyncClient, content: bytes) -> None:
    answer = await api.post("/api/v1/sites", content=content, headers={"content-type": "application/json"})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"]


async def test_a_body_of_another_type_is_refused(api: httpx2.AsyncClient) -> None:
    answer = await api.post("/api/v1/sites", data=SITE)

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "body")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=" + "9" * 5000, "limit"),
        ("limit=x", "limit"),
        ("after=%00", "after"),
        ("after=%ff", "after"),
        ("lmit=5", "lmit"),
    ],
)
async def test_a_list_with_a_wrong_parameter_names_it(api: httpx2.AsyncClient, query: str, field: str) -> None:
    for noun in ("sites", "devices", "zones", "schedules", "quarantine"):
        answer = await api.get(f"/api/v1/{noun}?{query}")
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field), noun


@pytest.mark.parametrize(
    ("query", "field"),
    [("limit=1&limit=2", "limit"), ("after=a&after=a", "after"), ("lim%69t=1&limit=1", "limit"), ("x=&x=", "x")],
)
async def test_a_parameter_given_twice_is_refused_everywhere(
    house: House, api: httpx2.AsyncClient, query: str, field: str
) -> None:
    for method, path in every_route(house):
        if path.startswith("/api/") and method in {"GET", "DELETE"}:
            answer = await api.request(method, f"{path}?{query}")
            assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field), path


@pytest.mark.parametrize("noun", ["acts", "decisions", "devices", "quarantine", "schedules", "zones"])
async def test_a_list_after_what_is_no_cursor_of_it_names_the_parameter(api: httpx2.AsyncClient, noun: str) -> None:
    answer = await api.get(f"/api/v1/{noun}?after=zzz")

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "after")
