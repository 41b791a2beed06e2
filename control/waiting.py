# SPDX-License-Identifier: Apache-2.0
"""Waiting at the start for a control database whose server is not there yet, as after a power cut.

Invariant: it is waited for `START_WAIT_S` at most, said once, and given up at once where waiting does not help or somebody
wants to stop.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from typing import Final

from control.claim import Claim
from control.engines import may_come, parse_address
from control.errors import DatabaseUnavailable

__all__ = ["START_WAIT_S", "take_when_there"]

START_WAIT_S: Final = 60.0  # for a server at the start [s]
FIRST_S: Final = 0.25  # until the second try; then twice as long each time [s]
LONGEST_S: Final = 4.0  # between two tries [s]

log = logging.getLogger(__name__)


async def take_when_there(claim: Claim, address: str, stop: asyncio.Event, within_s: float = START_WAIT_S) -> bool:
    """Take the claim on a database as soon as its server is there; return False where `stop` was set before.

    Raises
    ------
    DatabaseInUse, DatabaseUnavailable, DatabaseMismatch
        As `Claim.take`; of a server that is not there, after `within_s`.
    """
    end, pause = time.monotonic() + within_s, FIRST_S
    while not stop.is_set():
        try:
            await asyncio.to_thread(claim.take)
        except DatabaseUnavailable as exc:
            if time.monotonic() > end or not await asyncio.to_thread(may_come, parse_address(address)):
                raise
            level = logging.WARNING if pause == FIRST_S else logging.DEBUG
            log.log(level, "waiting up to %g s: %s", within_s, exc, extra={"action": "database_awaited"})
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), pause)
            pause = min(2 * pause, LONGEST_S)
        else:
            return True
    return False
