# SPDX-License-Identifier: Apache-2.0
"""What went wrong: the quarantine, and alarms."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final, Literal

import msgspec

from tirta.client.acts import Sentence
from tirta.client.calls import Calls

__all__ = ["Alarm", "Alarms", "Discarded", "Quarantine", "Quarantined", "QuarantinedDetail", "Replay", "Replays"]

_QUARANTINE: Final = "/api/v1/quarantine"


class Quarantined(msgspec.Struct, frozen=True):
    """A message, or a record of one, that was not taken."""

    id: str
    at: datetime
    topic: str
    site: str | None
    device: str | None
    reason: str
    detail: str
    size: int
    replays: int
    replayable: bool


class QuarantinedDetail(Quarantined, frozen=True):
    """The same with its payload."""

    payload_text: str
    payload_base64: str


class Replay(msgspec.Struct, frozen=True):
    """What came of a replay."""

    id: str
    result: Literal["stored", "duplicate", "refused", "waiting"]
    reason: str | None
    detail: str | None


class Replays(msgspec.Struct, frozen=True):
    """What came of many replays."""

    stored: int
    duplicate: int
    refused: int
    waiting: int
    incomplete: int
    next: str | None


class Discarded(msgspec.Struct, frozen=True):
    """How many were thrown away, and whether to ask again."""

    discarded: int
    more: bool


class Alarm(msgspec.Struct, frozen=True):
    """Something that somebody has to look after."""

    id: str
    code: str
    subject: str
    severity: Literal["info", "warning", "critical"]
    agency: str | None
    site: str | None
    since: datetime
    cleared: datetime | None
    seen: datetime | None
    seen_by: str | None
    details: dict[str, float | str]
    text: Sentence
    version: int


class Quarantine:
    """`client.quarantine`."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def list(
        self, *, reason: str | None = None, site: str | None = None, device: str | None = None, sort: str | None = None
    ) -> Iterator[Quarantined]:
        """Yield what was not taken, the newest first unless told otherwise."""
        return self._calls.every(Quarantined, _QUARANTINE, reason=reason, site=site, device=device, sort=sort)

    def get(self, entry: str) -> QuarantinedDetail:
        """Return one entry with its payload."""
        return self._calls.one(QuarantinedDetail, "GET", f"{_QUARANTINE}/{entry}")

    def replay(self, entry: str) -> Replay:
        """Have one decided about anew."""
        return self._calls.one(Replay, "POST", f"{_QUARANTINE}/{entry}/replay")

    def replay_many(
        self, *, reason: str | None = None, site: str | None = None, device: str | None = None
    ) -> Iterator[Replays]:
        """Have many decided about anew, the oldest first; yield what came of each thousand."""
        chosen = {name: value for name, value in (("reason", reason), ("site", site), ("device", device)) if value is not None}
        after: str | None = None
        while True:
            body = chosen if after is None else {**chosen, "after": after}
            answer = self._calls.one(Replays, "POST", f"{_QUARANTINE}/replay", body=body)
            yield answer
            after = answer.next
            if after is None:
                return

    def discard(self, entry: str) -> None:
        """Throw one away."""
        self._calls.send("DELETE", f"{_QUARANTINE}/{entry}")

    def discard_many(self, *, reason: str | None = None, site: str | None = None, device: str | None = None) -> int:
        """Throw away all of a reason, site or device; return how many."""
        count, more = 0, True
        while more:
            query = {"reason": reason, "site": site, "device": device}
            answer = self._calls.one(Discarded, "DELETE", _QUARANTINE, query=query)
            count, more = count + answer.discarded, answer.more
        return count


class Alarms:
    """`client.alarms`."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def list(
        self,
        *,
        code: str | None = None,
        subject: str | None = None,
        severity: Literal["info", "warning", "critical"] | None = None,
        open: bool | None = None,  # noqa: A002 - as the parameter of the API
        seen: bool | None = None,
    ) -> Iterator[Alarm]:
        """Yield alarms, the newest first."""
        asked = {"code": code, "subject": subject, "severity": severity}
        return self._calls.every(Alarm, "/api/v1/alarms", **asked, open=open, seen=seen)

    def get(self, alarm: str) -> Alarm:
        """Return one alarm."""
        return self._calls.one(Alarm, "GET", f"/api/v1/alarms/{alarm}")

    def see(self, alarm: str) -> Alarm:
        """Say that one has seen it and takes care of it."""
        return self._calls.one(Alarm, "POST", f"/api/v1/alarms/{alarm}/seen")
