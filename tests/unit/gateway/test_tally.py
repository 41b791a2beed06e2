# SPDX-License-Identifier: Apache-2.0
"""Counts that are waited for."""

from __future__ import annotations

import asyncio

import pytest

from gateway.errors import LinkLost
from gateway.tally import Tally


async def test_reach_of_a_count_returns_when_it_is_there() -> None:
    tally = Tally()
    tally.rise(2)
    await tally.reach(2)
    waiting = [asyncio.create_task(tally.reach(value)) for value in (3, 5)]
    await asyncio.sleep(0)
    tally.rise(2)
    await waiting[0]
    assert not waiting[1].done()
    tally.rise()
    await waiting[1]


async def test_reach_of_a_count_that_ends_raises_why() -> None:
    tally = Tally()
    waiting = asyncio.create_task(tally.reach(1))
    await asyncio.sleep(0)
    tally.end(LinkLost("gone"))
    with pytest.raises(LinkLost, match="gone"):
        await waiting
    with pytest.raises(LinkLost, match="gone"):
        await tally.reach(1)


async def test_reach_that_is_cancelled_leaves_nothing_behind() -> None:
    tally = Tally()
    waiting = asyncio.create_task(tally.reach(1))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert not tally._waiting
    tally.rise()
    assert tally.value == 1
