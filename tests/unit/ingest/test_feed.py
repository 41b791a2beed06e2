# SPDX-License-Identifier: Apache-2.0
"""The live feed: in order, bounded, and what a slow listener misses is counted."""

from __future__ import annotations

import asyncio
import threading
from contextlib import AsyncExitStack

import pytest

from ingest.feed import MAX_PENDING, MAX_SUBSCRIBERS, LiveFeed, TooManySubscribers


async def test_publish_reaches_every_listener_in_order() -> None:
    feed = LiveFeed()
    async with feed.subscribe() as one, feed.subscribe() as two:
        for i in range(3):
            feed.publish("telemetry", {"i": i})
        for listener in (one, two):
            events = [await listener.next(1.0) for _ in range(3)]
            assert [(event.number, event.data["i"]) for event in events if event] == [(1, 0), (2, 1), (3, 2)]


async def test_publish_from_another_thread_wakes_a_waiting_listener() -> None:
    feed = LiveFeed()
    async with feed.subscribe() as listener:
        waiting = asyncio.create_task(listener.next(30.0))
        await asyncio.sleep(0)
        thread = threading.Thread(target=feed.publish, args=("alarm", {"why": "dry"}))
        thread.start()
        event = await waiting
        thread.join()
    assert event is not None
    assert (event.name, event.data) == ("alarm", {"why": "dry"})


async def test_next_when_nothing_comes_gives_none() -> None:
    feed = LiveFeed()
    async with feed.subscribe() as listener:
        assert await listener.next(0.0) is None


async def test_publish_past_what_a_listener_reads_drops_the_oldest_and_counts() -> None:
    feed = LiveFeed()
    async with feed.subscribe() as listener:
        for _ in range(MAX_PENDING + 7):
            feed.publish("telemetry", {})
        event = await listener.next(1.0)
        assert event is not None
        assert (event.number, listener.missed) == (8, 7)


async def test_subscribe_past_the_bound_is_refused_until_one_leaves() -> None:
    feed = LiveFeed()
    async with AsyncExitStack() as listeners:
        for _ in range(MAX_SUBSCRIBERS):
            await listeners.enter_async_context(feed.subscribe())
        with pytest.raises(TooManySubscribers):
            await feed.subscribe().__aenter__()
    assert not feed.active
    async with feed.subscribe():
        assert feed.active
