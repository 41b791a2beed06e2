# SPDX-License-Identifier: Apache-2.0
"""An event loop of one simulated process: its steps are events of the timeline, its threads run in between, in order.

Invariant: a process that died does not take another step; it does not clean up either.
"""

from __future__ import annotations

import asyncio
import contextvars
from asyncio import events
from collections.abc import Callable, Coroutine, Generator
from contextlib import suppress
from typing import Any

from tests.faults.simulation.points import Deadly, Points, WatchedCoroutine
from tests.faults.simulation.timeline import SECOND_US, Timeline

__all__ = ["ProcessLoop"]

_THREAD_S = (0.0, 0.004)  # what is done in a thread begins within so long [s]


class ProcessLoop(asyncio.AbstractEventLoop):
    """Run the coroutines of one process on the timeline.

    Attributes
    ----------
    errors : list of str
        What nobody caught.
    """

    def __init__(self, timeline: Timeline, points: Points) -> None:
        self.alive = True
        self.errors: list[str] = []
        self._timeline = timeline
        self._points = points
        self._kept: list[
            Coroutine[Any, Any, Any]
        ] = []  # a dead process's coroutines are not closed: that would run code of theirs

    def call_soon(
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        """Take a step at this instant, after what waits already."""
        handle = asyncio.Handle(callback, args, self, context)
        self._timeline.at(self._timeline.now_us, lambda: self._step(handle))
        return handle

    call_soon_threadsafe = call_soon

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        """Take a step after a while. [s]"""
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        """Take a step at an instant of `time`."""
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        self._timeline.at(round(when * SECOND_US), lambda: self._step(handle))
        return handle

    def time(self) -> float:
        """Return a time that only goes forward. [s]"""
        return self._timeline.now_us / SECOND_US

    def create_future(self) -> asyncio.Future[Any]:
        """Return a future of this loop."""
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]
        self, coro: Coroutine[Any, Any, Any] | Generator[Any, Any, Any], *, name: object = None, context: Any = None
    ) -> asyncio.Task[Any]:
        """Begin a coroutine; each of its steps is a point."""
        assert isinstance(coro, Coroutine)
        self._kept.append(coro)
        told = None if name is None else str(name)
        return asyncio.Task(WatchedCoroutine(coro, self._points), loop=self, name=told, context=context)

    def run_in_executor(self, executor: object, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        """Do something in a thread: it begins a little later, and is done at once then."""
        future = self.create_future()
        self._timeline.after(self._timeline.between(*_THREAD_S), lambda: self._work(future, func, args))
        return future

    def bury(self) -> None:
        """Put away the coroutines of a process that is dead; what they still do on the way reaches nobody."""
        kept, self._kept = self._kept, []
        for coroutine in kept:
            with suppress(BaseException):
                coroutine.close()

    def get_debug(self) -> bool:
        """Tell that nothing is checked beside."""
        return False

    def is_running(self) -> bool:
        """Tell whether the process lives."""
        return self.alive

    def is_closed(self) -> bool:
        """Tell that it may always be asked."""
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Note what nobody caught; of a dead process nothing."""
        if self.alive:
            self.errors.append(f"{context.get('message')}: {context.get('exception')!r}")

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """A cancelled step is passed over when its time comes."""

    def _work(self, future: asyncio.Future[Any], func: Callable[..., Any], args: tuple[Any, ...]) -> None:
        if not self.alive:
            return
        try:
            found = func(*args)
        except Deadly:
            return
        except Exception as exc:  # noqa: BLE001 - as a thread does: whoever waits is told
            if not future.cancelled():
                future.set_exception(exc)
        else:
            if not future.cancelled():
                future.set_result(found)

    def _step(self, handle: asyncio.Handle) -> None:
        if not self.alive or handle.cancelled():
            return
        before = events._get_running_loop()
        events._set_running_loop(self)
        try:
            handle._run()
        finally:
            events._set_running_loop(before)
