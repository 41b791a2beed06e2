# SPDX-License-Identifier: Apache-2.0
"""What a person at the terminal is shown."""

from __future__ import annotations

import asyncio
import io

from control.alarms import Alarm
from control.events import alarm_event
from gateway import SteppedClock
from ingest.feed import LiveFeed
from tirta.live import TerminalAnnouncer

NOW = 1_795_323_600_000


async def test_follow_shows_alarms_that_begin_and_end() -> None:
    feed, out = LiveFeed(), io.StringIO()
    following = asyncio.create_task(TerminalAnnouncer(out).follow(feed, SteppedClock(NOW)))
    while not feed.listeners:  # noqa: ASYNC110 - until it listens
        await asyncio.sleep(0)
    alarm = Alarm("0" * 26, "broker-down", "critical", "broker", None, None, {}, NOW)
    for change in ("raised", "seen", "cleared"):
        feed.publish("alarm", alarm_event(alarm, change))  # type: ignore[arg-type]
    while out.getvalue().count("\n") < 2:  # noqa: ASYNC110 - until it is written
        await asyncio.sleep(0)
    following.cancel()
    lines = out.getvalue().splitlines()
    assert len(lines) == 2
    assert [" The broker is not connected" in lines[0], "over: The broker is not connected" in lines[1]] == [True, True]
