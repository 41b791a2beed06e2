# SPDX-License-Identifier: Apache-2.0
"""Server-sent events.

The streams are read through the application itself: the client library's in-process transport waits for the end of an answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import pytest
from sqlalchemy import text

from api import events
from control import tokens
from ingest import feed as feed_module
from tests.unit.api.house import START_MS, House

PATIENCE_S = 120.0  # for what must come, on however slow a machine [s]

BED, POND = "taman-kota:bedeng-1:1", "taman-kota:kolam-1:1"


class Stream:
    """A request whose answer is read as it comes."""

    def __init__(self, house: House, query: str) -> None:
        self._house = house
        self._gone = asyncio.Event()
        self._messages: asyncio.Queue[dict[str, object]] = asyncio.Queue()
        self._asked = False
        self._events: list[str] = []
        self._scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": "/api/v1/events",
            "raw_path": b"/api/v1/events",
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(b"authorization", f"Bearer {house.tokens['viewer']}".encode())],
            "client": ("127.0.0.1", 1),
            "server": ("tirta", 80),
        }

    async def run(self) -> None:
        await self._house.app(self._scope, self._receive, self._messages.put)

    async def _receive(self) -> dict[str, object]:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def next(self) -> dict[str, object]:
        return await asyncio.wait_for(self._messages.get(), PATIENCE_S)

    async def text(self) -> str:
        """Return the next event or comment of the body; several may come as one piece."""
        while not self._events:
            body = (await self.next())["body"]
            assert isinstance(body, bytes)
            self._events += [f"{event}\n\n" for event in body.decode().split("\n\n")[:-1]]
        return self._events.pop(0)

    def leave(self) -> None:
        self._gone.set()


@asynccontextmanager
async def following(house: House, query: str = "") -> AsyncIterator[Stream]:
    """Follow events, from when the stream has begun until the caller leaves."""
    stream = Stream(house, query)
    task = asyncio.create_task(stream.run())
    try:
        start = await stream.next()
        assert start["status"] == 200
        headers = dict(start["headers"])  # type: ignore[call-overload]
        assert headers[b"content-type"].startswith(b"text/event-stream")
        assert headers[b"cache-control"] == b"no-store"
        assert await stream.text() == ": following\n\n"
        yield stream
    finally:
        stream.leave()
        await asyncio.wait_for(task, PATIENCE_S)


async def test_follow_events_gives_what_is_published_in_order(house: House) -> None:
    async with following(house) as stream:
        house.services.feed.publish("telemetry", {"zone": BED, "soil_moisture": 0.31})
        house.services.feed.publish("act", {"zone": BED, "state": "sent"})

        assert await stream.text() == f'event: telemetry\ndata: {{"zone":"{BED}","soil_moisture":0.31}}\nid: 1\n\n'
        assert await stream.text() == f'event: act\ndata: {{"zone":"{BED}","state":"sent"}}\nid: 2\n\n'


async def test_follow_events_sends_what_gathered_as_one_piece_and_writes_it_once_for_all(house: House) -> None:
    async with following(house) as one, following(house) as two:
        for _ in range(5):
            house.services.feed.publish("act", {"zone": BED})
        first, second = await one.next(), await two.next()

    assert first["body"] == second["body"]
    assert str(first["body"]).count("event: act") == 5


async def test_follow_events_of_a_zone_leaves_out_the_others(house: House) -> None:
    async with following(house, f"zone={POND}&event=act") as stream:
        house.services.feed.publish("act", {"zone": BED})
        house.services.feed.publish("telemetry", {"zone": POND})
        house.services.feed.publish("act", {"zone": POND})

        assert "id: 3\n" in await stream.text()


async def test_follow_events_of_a_device_shows_instants_as_the_api_writes_them(house: House) -> None:
    async with following(house, "device=taman-kota:bedeng-1") as stream:
        house.services.feed.publish("device", {"device": "taman-kota:kolam-1", "online": True})
        house.services.feed.publish("decision", {"zone": BED, "at_ms": START_MS})

        assert await stream.text() == f'event: decision\ndata: {{"zone":"{BED}","at":"2026-11-22T05:00:00Z"}}\nid: 2\n\n'


async def test_follow_events_too_slowly_is_told_how_many_were_missed(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "MAX_PENDING", 3)
    async with following(house) as stream:
        for _ in range(10):
            house.services.feed.publish("act", {"zone": BED})
        first, second = await stream.text(), await stream.text()

    assert first.startswith("event: missed\ndata: {")
    assert "event: act" in second


async def test_follow_events_ends_when_the_service_does(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "STOP_CHECK_S", 0.01)
    async with following(house) as stream:
        house.stopping[0] = True
        assert await stream.next() == {"type": "http.response.body", "body": b"", "more_body": False}


@pytest.mark.parametrize("busy", [False, True])
async def test_follow_events_ends_when_its_token_is_revoked(house: House, monkeypatch: pytest.MonkeyPatch, busy: bool) -> None:
    monkeypatch.setattr(events, "STOP_CHECK_S", 0.01)
    monkeypatch.setattr(events, "TOKEN_CHECK_S", 0.0)
    async with following(house) as stream:
        house.services.feed.publish("act", {"zone": BED})
        assert "event: act" in await stream.text()  # looked at, and let go on
        with house.services.database.session() as session:
            tokens.revoke(session, "a-viewer", now_ms=START_MS)
        pieces = []
        for _ in range(20):
            if busy:
                house.services.feed.publish("act", {"zone": BED})
            pieces.append(await stream.next())
            if not pieces[-1]["more_body"]:
                break

        assert pieces[-1] == {"type": "http.response.body", "body": b"", "more_body": False}


async def test_follow_events_ends_when_nobody_can_vouch_for_its_token(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "STOP_CHECK_S", 0.01)
    monkeypatch.setattr(events, "TOKEN_CHECK_S", 0.0)
    async with following(house) as stream:
        with house.services.database.session() as session:
            session.execute(text("alter table token rename to gone"))
        assert await stream.next() == {"type": "http.response.body", "body": b"", "more_body": False}


def test_a_token_is_looked_at_again_within_five_seconds() -> None:
    assert events.TOKEN_CHECK_S + events.STOP_CHECK_S < 5.0


async def test_follow_events_after_the_reader_left_lets_go_of_the_feed(house: House) -> None:
    async with following(house):
        assert house.services.feed.listeners == 1

    assert house.services.feed.listeners == 0


async def test_follow_events_with_too_many_readers_is_unavailable(
    house: House, api: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "MAX_SUBSCRIBERS", 0)
    answer = await api.get("/api/v1/events")

    assert answer.status_code == 503


@pytest.mark.parametrize(
    ("query", "field"), [("zone=x", "zone"), ("device=x", "device"), ("event=x", "event"), ("zne=x", "zne")]
)
async def test_follow_events_with_a_wrong_filter_names_it(api: httpx2.AsyncClient, query: str, field: str) -> None:
    answer = await api.get(f"/api/v1/events?{query}")

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)
