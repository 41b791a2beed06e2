# SPDX-License-Identifier: Apache-2.0
"""The keeper of alarms: from what is wrong now to alarms that begin and end, and into the control database.

Invariants: a cause raises one alarm however often it is found, and is patient as its code says, so that what comes and goes
is one alarm too. What the database does not take is held here, at most `MAX_HELD` alarms, and written when it takes again; the
listeners, the log and the numbers do not wait for that.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy.orm import Session

from control.alarms import Alarm, Cause, keep, open_alarms, prune
from control.alarms_codes import CODES, AlarmCode
from control.controller import Feed
from control.database import Database, write_in_thread
from control.errors import DatabaseUnavailable
from control.events import alarm_event
from control.ids import new_id
from control.sentences import alarm_sentence
from gateway.clock import Clock

__all__ = ["MAX_HELD", "AlarmKeeper", "KeeperConfig"]

logger = logging.getLogger(__name__)

MAX_HELD: Final = 10_000  # alarms open at a time, and changed ones that wait for the database
_HOUR_MS: Final = 3_600_000

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class KeeperConfig:
    """How patient the keeper is besides what each code says; on the wall.

    Attributes
    ----------
    hold_s : float
        Nothing is cleared so soon after the start: a part that is in trouble finds that out first. [s]
    refresh_s : float
        Least time between two writings of an open alarm's numbers. [s]
    """

    hold_s: float = 10.0
    refresh_s: float = 60.0


class AlarmKeeper:
    """Raise and clear alarms by their causes; used from one event loop.

    Parameters
    ----------
    monotonic : callable
        Returns a time that only goes forward. [s]
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        feed: Feed,
        config: KeeperConfig | None = None,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._clock = clock
        self._feed = feed
        self._config = config or KeeperConfig()
        self._monotonic = monotonic
        self._begun_s = monotonic()
        self._updating = asyncio.Lock()
        self._loaded = False
        self._open: dict[Key, Alarm] = {}
        self._there_s: dict[Key, float] = {}  # causes that have no alarm yet -> since when
        self._gone_s: dict[Key, float] = {}  # open alarms without their cause -> since when
        self._told_s: dict[Key, float] = {}  # open alarms -> when their numbers were last taken
        self._unwritten: dict[str, Alarm] = {}
        self._hour = -1

    @property
    def counts(self) -> dict[str, int]:
        """How many alarms of each code are open."""
        found = Counter(code for code, _ in list(self._open))
        return {code: found[code] for code in CODES}

    @property
    def held(self) -> tuple[Alarm, ...]:
        """Alarms, new or changed, that wait for the database, as they stand now; none until it has said what it has.

        Before that an alarm may turn out to be one that the database knows, and its id another.
        """
        return tuple(self._unwritten.values()) if self._loaded else ()

    @property
    def unwritten(self) -> int:
        """How many changed alarms wait for the database."""
        return len(self._unwritten)

    def subjects(self, code: str) -> frozenset[str]:
        """Return what has an open alarm of a code."""
        return frozenset(subject for found, subject in list(self._open) if found == code)

    async def update(self, causes: Iterable[Cause], judged: Collection[str]) -> None:
        """Take in what is wrong now.

        Parameters
        ----------
        causes : iterable of Cause
            All that is wrong, as far as was looked.
        judged : collection of str
            Codes that were looked for: an open alarm of another one stays as it is.

        Notes
        -----
        A database that does not take is no error here.
        """
        async with self._updating:
            await self._load()
            now_s, now_ms = self._monotonic(), self._clock.now_ms()
            found = {(cause.code, cause.subject): cause for cause in causes}
            for key, cause in found.items():
                self._meet(key, cause, now_s, now_ms)
            for key in [key for key in self._there_s if key not in found]:
                del self._there_s[key]
            for key in [key for key in self._open if key not in found and (key[0] in judged or key[0] not in CODES)]:
                self._miss(key, now_s, now_ms)
            await self._write(now_ms)

    async def _load(self) -> None:
        """Take in what is open in the database, once; alarms that were raised before that worked are joined with it."""
        if self._loaded:
            return
        try:
            known = await asyncio.to_thread(self._read)
        except DatabaseUnavailable as exc:
            logger.debug("open alarms are not known yet: %s", exc, extra={"action": "alarms_unknown"})
            return
        for alarm in known:
            key = (alarm.code, alarm.subject)
            if (own := self._open.get(key)) is not None:
                self._unwritten.pop(own.id, None)
            self._open[key] = alarm
        self._loaded = True

    def _read(self) -> list[Alarm]:
        with self._database.reader() as session:  # what is full can be read all the same
            return open_alarms(session)

    def _meet(self, key: Key, cause: Cause, now_s: float, now_ms: int) -> None:
        self._gone_s.pop(key, None)
        alarm = self._open.get(key)
        if alarm is not None:
            due = now_s - self._told_s.get(key, self._begun_s) >= self._config.refresh_s
            if cause.certain and due and dict(alarm.details) != dict(cause.details):
                self._told_s[key] = now_s
                self._change(key, replace(alarm, details=dict(cause.details)))
        elif cause.certain and len(self._open) < MAX_HELD:
            code = CODES[cause.code]
            if now_s - self._there_s.setdefault(key, now_s) >= code.raise_after_s:
                self._raise(code, cause, now_s, now_ms)

    def _raise(self, code: AlarmCode, cause: Cause, now_s: float, now_ms: int) -> None:
        key = (cause.code, cause.subject)
        self._there_s.pop(key, None)
        self._told_s[key] = now_s
        details = dict(cause.details)
        alarm = Alarm(new_id(now_ms), code.name, code.severity, cause.subject, cause.site, cause.agency, details, now_ms)
        self._change(key, alarm)
        said = details.get("said", "")
        extra = {"action": "alarm_raised", "code": alarm.code, "subject": alarm.subject}
        logger.warning("alarm %s of %s: %s %s", alarm.code, alarm.subject, alarm_sentence(alarm, "en"), said, extra=extra)
        self._feed.publish("alarm", alarm_event(alarm, "raised"))

    def _miss(self, key: Key, now_s: float, now_ms: int) -> None:
        code = CODES.get(key[0])
        since_s = self._gone_s.setdefault(key, now_s)
        held = now_s - self._begun_s < self._config.hold_s
        if code is not None and (held or now_s - since_s < code.clear_after_s):
            return
        alarm = replace(self._open[key], cleared_ms=max(now_ms, self._open[key].since_ms))
        self._change(key, alarm)
        for times in (self._gone_s, self._told_s):
            times.pop(key, None)
        del self._open[key]
        extra = {"action": "alarm_cleared", "code": alarm.code, "subject": alarm.subject}
        logger.info("alarm %s of %s is over", alarm.code, alarm.subject, extra=extra)
        self._feed.publish("alarm", alarm_event(alarm, "cleared"))

    def _change(self, key: Key, alarm: Alarm) -> None:
        self._open[key] = self._unwritten[alarm.id] = alarm
        if len(self._unwritten) > MAX_HELD:
            over = next((one for one in self._unwritten.values() if one.cleared_ms is not None), None)
            if over is not None:  # the open ones are at most as many, so there is always one that is over
                del self._unwritten[over.id]

    async def _write(self, now_ms: int) -> None:
        hour = now_ms // _HOUR_MS
        if not self._loaded or (not self._unwritten and hour == self._hour):
            return
        taken = list(self._unwritten.values())

        def work(session: Session) -> None:
            keep(session, taken)
            if hour != self._hour:
                prune(session, now_ms)

        try:
            await write_in_thread(self._database, work)
        except DatabaseUnavailable as exc:
            logger.debug("%d alarms wait: %s", len(taken), exc, extra={"action": "alarms_held"})
            return
        self._hour = hour
        for alarm in taken:
            if self._unwritten.get(alarm.id) is alarm:
                del self._unwritten[alarm.id]
