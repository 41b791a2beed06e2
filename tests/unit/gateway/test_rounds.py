# SPDX-License-Identifier: Apache-2.0
"""Rounds shared by who asks meanwhile."""

from __future__ import annotations

import asyncio

import pytest

from gateway.errors import BrokerFailed
from gateway.rounds import Rounds


class Work:
    """Answers with its number once it is let go on, and fails where told to."""

    def __init__(self) -> None:
        self.begun = 0
        self.go = asyncio.Event()
        self.fails: set[int] = set()

    async def __call__(self) -> int:
        self.begun += 1
        number = self.begun
        await self.go.wait()
        if number in self.fails:
            raise BrokerFailed(f"round {number}")
        return number


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_join_during_a_round_shares_the_next_one_with_all_who_came_meanwhile() -> None:
    work = Work()
    rounds = Rounds(work)
    first = asyncio.create_task(rounds.join())
    await settled()
    others = [asyncio.create_task(rounds.join()) for _ in range(500)]
    await settled()
    assert work.begun == 1
    work.go.set()
    assert await first == 1
    assert await asyncio.gather(*others) == [2] * 500
    assert await rounds.join() == 3


async def test_join_tells_a_failure_to_all_of_that_round_and_to_no_later_one() -> None:
    work = Work()
    work.fails = {2}
    rounds = Rounds(work)
    tasks = [asyncio.create_task(rounds.join())]
    await settled()
    tasks += [asyncio.create_task(rounds.join()) for _ in range(3)]
    work.go.set()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert answers[0] == 1
    assert [str(each) for each in answers[1:]] == ["round 2"] * 3
    assert all(isinstance(each, BrokerFailed) for each in answers[1:])
    assert await rounds.join() == 3


async def test_join_whose_round_was_given_up_is_served_by_the_next_in_line() -> None:
    work = Work()
    rounds = Rounds(work)
    first = asyncio.create_task(rounds.join())
    await settled()
    second = asyncio.create_task(rounds.join())
    await settled()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    work.go.set()
    assert await second == 2
