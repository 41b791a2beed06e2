# SPDX-License-Identifier: Apache-2.0
"""Do one thing for all who ask for it meanwhile: five hundred new devices must not read the broker's files five hundred times.

Invariant: what a round answers, or fails with, is told only to those who asked before it began.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from gateway.errors import BrokerFailed

__all__ = ["Rounds"]

Answer = TypeVar("Answer")


class Rounds(Generic[Answer]):
    """Rounds of one piece of work, one at a time.

    Parameters
    ----------
    work : callable
        One round; may raise BrokerFailed.
    """

    def __init__(self, work: Callable[[], Awaitable[Answer]]) -> None:
        self._work = work
        self._turn = asyncio.Lock()
        self._asked = 0
        self._served = 0  # how many had asked when the last round began
        self._outcome: Callable[[], Answer] | None = None

    async def join(self) -> Answer:
        """Take part in the next round to begin, and return its answer.

        Raises
        ------
        BrokerFailed
            That round failed; who joins afterwards begins another.
        """
        self._asked += 1
        mine = self._asked
        async with self._turn:
            if self._outcome is None or self._served < mine:
                begun = self._asked
                self._outcome = await self._round()
                self._served = begun
            return self._outcome()

    async def _round(self) -> Callable[[], Answer]:
        try:
            answer = await self._work()
        except BrokerFailed as exc:
            failure = exc

            def fail() -> Answer:
                raise BrokerFailed(str(failure)) from failure

            return fail
        return lambda: answer
