# SPDX-License-Identifier: Apache-2.0
"""A count that only rises, to be waited for. Invariant: who waits is told, or hears why it never will."""

from __future__ import annotations

import asyncio

__all__ = ["Tally"]


class Tally:
    """A count of one connection, within one event loop."""

    def __init__(self) -> None:
        self.value = 0
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._ended: Exception | None = None

    def rise(self, by: int = 1) -> None:
        """Count `by` more."""
        self.value += by
        for value, future in self._waiting:
            if value <= self.value and not future.done():
                future.set_result(None)

    async def reach(self, value: int) -> None:
        """Wait until the count is `value` or above; raise what `end` was given where it ends before."""
        if self.value >= value:
            return
        if self._ended is not None:
            raise self._ended
        waiting = value, asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        try:
            await waiting[1]
        finally:
            self._waiting.remove(waiting)

    def end(self, reason: Exception) -> None:
        """Count no further."""
        self._ended = reason
        for _, future in self._waiting:
            if not future.done():
                future.set_exception(reason)
