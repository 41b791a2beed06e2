# SPDX-License-Identifier: Apache-2.0
"""The API behind a real HTTP server on a free port of loopback."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx2
import pytest
import uvicorn

from api.envelope import BODY_MAX
from tests.unit.api.house import START_MS, House, open_house


class Server:
    """A server in a thread of its own."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._server = uvicorn.Server(uvicorn.Config(house.app, log_config=None, lifespan="off", timeout_graceful_shutdown=8))
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],))

    def start(self) -> None:
        self._thread.start()
        deadline = time.monotonic() + 10
        while not self._server.started and time.monotonic() < deadline:
            time.sleep(0.01)

    def stop(self) -> float:
        """Stop it, and return how long that took. [s]"""
        begun = time.monotonic()
        self._house.stopping[0] = True
        self._server.should_exit = True
        self._thread.join(20)
        assert not self._thread.is_alive()
        return time.monotonic() - begun


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with open_house(tmp_path) as opened:
        yield opened


@pytest.fixture
def server(house: House) -> Iterator[Server]:
    running = Server(house)
    running.start()
    yield running
    running.stop()


@pytest.fixture
def client(house: House, server: Server) -> Iterator[httpx2.Client]:
    headers = {"authorization": f"Bearer {house.tokens['operator']}"}
    with httpx2.Client(base_url=f"http://127.0.0.1:{server.port}", headers=headers, timeout=60) as opened:
        yield opened


def exchange(port: int, request: bytes) -> bytes:
    """Send bytes as they are and return all that comes back."""
    with closing(socket.create_connection(("127.0.0.1", port), 5)) as connection:
        connection.sendall(request)
        connection.settimeout(60)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
        return answer


def test_stream_of_events_arrives_and_ends_with_the_service(house: House, server: Server, client: httpx2.Client) -> None:
    with client.stream("GET", "/api/v1/events", params={"zone": "taman-kota:bedeng-1:1"}) as answer:
        lines = answer.iter_lines()
        assert next(lines) == ": following"
        house.services.feed.publish("act", {"zone": "taman-kota:bedeng-1:1", "planned_ms": START_MS})
        assert [next(lines) for _ in range(3)][1:] == [
            "event: act",
            'data: {"zone":"taman-kota:bedeng-1:1","planned":"2026-11-22T05:00:00Z"}',
        ]
        assert server.stop() < 5
        assert list(lines) == ["id: 1", ""]


def test_body_announced_as_too_large_is_refused_before_it_is_sent(house: House, server: Server) -> None:
    head = (
        f"POST /api/v1/sites HTTP/1.1\r\nHost: tirta\r\nAuthorization: Bearer {house.tokens['operator']}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {BODY_MAX + 1}\r\n\r\n"
    )
    answer = exchange(server.port, head.encode())

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b'"status":413' in answer


@pytest.mark.parametrize(
    "target", ["/%ff", "/api/v1/sites/%00", "/api/v1/zones/a:b:%F0%9F", "/api/v1/sites?after=%ff%00", "//", "/" + "a" * 8000]
)
def test_strange_addresses_are_answered_by_a_problem(house: House, server: Server, target: str) -> None:
    request = (
        f"GET {target} HTTP/1.1\r\nHost: tirta\r\nAuthorization: Bearer {house.tokens['operator']}\r\nConnection: close\r\n\r\n"
    )
    answer = exchange(server.port, request.encode())

    assert answer.split(b" ")[1] in (b"404", b"422")
    assert b"application/problem+json" in answer


def test_many_requests_at_once_are_all_answered(house: House, client: httpx2.Client) -> None:
    answers: list[int] = []

    def create(number: int) -> None:
        body = {"site": f"site-{number % 5}", "title": "T", "timezone": "Asia/Jakarta"}
        answers.append(client.post("/api/v1/sites", json=body).status_code)

    threads = [threading.Thread(target=create, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert sorted(answers) == [201] * 5 + [409] * 15
