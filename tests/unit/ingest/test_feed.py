# SPDX-License-Identifier: Apache-2.0
"""The live feed: in order, bounded, and what a slow listener misses is counted."""

from __future__ import annotations

import asyncio
import threading
from contextlib import AsyncExitStack

import pytest

from ingest.feed import KEPT, MAX_PENDING, MAX_SUBSCRIBERS, RETURN_S, LiveFeed, TooManySubscribers


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
    assert feed.listeners == 0
    async with feed.subscribe():
        assert feed.listeners == 1


async def test_active_lasts_a_while_after_the_last_listener_left_so_that_it_may_come_back() -> None:
    now_s = [1000.0]
    feed = LiveFeed(monotonic=lambda: now_s[0])
    assert not feed.active
    async with feed.subscribe():
        assert feed.active
    now_s[0] += RETURN_S - 1
    assert feed.active
    now_s[0] += 1
    assert not feed.active


async def test_subscribe_after_an_event_gives_those_since_first() -> None:
    feed = LiveFeed(start=100)
    for i in range(4):
        feed.publish("act", {"i": i})
    async with feed.subscribe(after=102) as listener:
        feed.publish("act", {"i": 4})
        events = [await listener.next(1.0) for _ in range(3)]
        assert ([event.number for event in events if event], listener.missed) == ([103, 104, 105], 0)
    async with feed.subscribe(after=105) as listener:
        assert (await listener.next(0.0), listener.missed) == (None, 0)


async def test_subscribe_after_what_is_no_longer_kept_counts_what_was_missed() -> None:
    feed = LiveFeed(start=100)
    for i in range(KEPT + 5):
        feed.publish("act", {"i": i})
    async with feed.subscribe(after=102) as listener:
        event = await listener.next(1.0)
        assert event is not None
        assert event.number + 0 == 102 + listener.missed + 1
    async with feed.subscribe(after=7) as listener:
        assert listener.missed >= 1
