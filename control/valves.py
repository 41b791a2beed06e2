# SPDX-License-Identifier: Apache-2.0
"""Tests of valves as the controller runs them: begun and stopped by people, carried on by what devices say."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sqlalchemy.orm import Session

from control import stops, valve_tests
from control.audit import Trail
from control.database import Database, write_in_thread
from control.records import Act
from control.valve_tests import ValveTest
from gateway.clock import Clock

__all__ = ["Valves"]


class Valves:
    """Begin and stop tests of valves.

    Parameters
    ----------
    moved : callable
        Is given acts that are new, when they are committed: they are to be told and sent.
    stopped : callable
        The same of a stop.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        moved: Callable[[Iterable[Act]], None],
        stopped: Callable[[stops.Stopped], None],
    ) -> None:
        self._database = database
        self._clock = clock
        self._moved = moved
        self._stopped = stopped

    async def begin(self, key: str, *, actor: str, idempotency_key: str | None = None, trail: Trail) -> ValveTest:
        """Begin a test of a site's or a device's valves; see `control.valve_tests.begin_test`."""
        now_ms = self._clock.now_ms()

        def work(session: Session) -> tuple[ValveTest, list[Act]]:
            return valve_tests.begin_test(
                session, key, actor=actor, idempotency_key=idempotency_key, now_ms=now_ms, trail=trail
            )

        test, acts = await write_in_thread(self._database, work)
        self._moved(acts)
        return test

    async def stop(self, test_id: str, *, actor: str, trail: Trail) -> ValveTest:
        """Stop a test: the valve that is open is closed, no further one opened; see `control.stops.stop_test`."""
        now_ms = self._clock.now_ms()

        def work(session: Session) -> tuple[ValveTest, stops.Stopped | None]:
            return stops.stop_test(session, test_id, actor=actor, now_ms=now_ms, trail=trail)

        test, stopped = await write_in_thread(self._database, work)
        if stopped is not None:
            self._stopped(stopped)
        return test
