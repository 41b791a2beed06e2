# SPDX-License-Identifier: Apache-2.0
"""What people put off: pauses, rain delays, moments to be skipped."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Literal

import msgspec

from tirta.client.calls import Calls

__all__ = ["HeldBy", "Suspension", "Suspensions"]

Kind = Literal["pause", "rain-delay", "skip"]


class HeldBy(msgspec.Struct, frozen=True):
    """What a person put off here, and is not over; of a skip `until` is the planned moment that is left out."""

    id: str
    kind: Kind
    on: str
    begun: datetime
    until: datetime | None
    note: str
    by: str


class Suspension(HeldBy, frozen=True):
    """What a person put off, and how it ended."""

    ended: datetime | None
    ended_by: str | None
    ending: Literal["resumed", "over", "replaced"] | None


class Suspensions:
    """`client.suspensions`; `on` is "zone:{id}", "site:{id}", "agency:{id}" or "city:{id}"."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def list(
        self,
        *,
        on: str | None = None,
        kind: Kind | None = None,
        open: bool | None = None,  # noqa: A002 - as the parameter of the API
        sort: str | None = None,
    ) -> Iterator[Suspension]:
        """Yield what was put off, the latest first unless told otherwise."""
        return self._calls.every(Suspension, "/api/v1/suspensions", on=on, kind=kind, open=open, sort=sort)

    def get(self, suspension: str) -> Suspension:
        """Return one."""
        return self._calls.one(Suspension, "GET", f"/api/v1/suspensions/{suspension}")

    def pause(self, on: str, *, until: datetime | None = None, hours: float | None = None, note: str = "") -> Suspension:
        """Hold what schedules ask for at a place, until an instant or for hours, or until somebody resumes."""
        return self._create("pause", on, until, hours, note)

    def delay_for_rain(
        self, on: str, *, until: datetime | None = None, hours: float | None = None, note: str = ""
    ) -> Suspension:
        """Hold watering at a place, until an instant or for hours."""
        return self._create("rain-delay", on, until, hours, note)

    def skip_next(self, zone: str, *, note: str = "") -> Suspension:
        """Leave out the next planned moment of a zone, by its id; asked for again, it is the same one."""
        return self._create("skip", f"zone:{zone}", None, None, note)

    def resume(self, suspension: str) -> None:
        """Resume what was put off, or undo a skip whose moment has not come."""
        self._calls.send("DELETE", f"/api/v1/suspensions/{suspension}")

    def _create(self, kind: Kind, on: str, until: datetime | None, hours: float | None, note: str) -> Suspension:
        body = {"kind": kind, "on": on, "until": until, "hours": hours, "note": note}
        return self._calls.one(Suspension, "POST", "/api/v1/suspensions", body=body)
