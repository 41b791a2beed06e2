# SPDX-License-Identifier: Apache-2.0
"""A typed client of the HTTP API, for the command line, for tests and for programs beside Tirta.

    with Client("http://127.0.0.1:8080", token) as client:
        for device in client.devices.list(online=False):
            print(device.id, device.last_seen)

What may be sent again is sent again, for a bounded time; what goes wrong is an exception that says by its class what to do:
wait (`ServiceUnavailable`), correct what was asked (`Refused`, and of it `NotThere` and `ChangedMeanwhile`), get other
roles (`NotPermitted`), or report a fault (`ServiceBroken`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx2
import msgspec

from tirta.client.acts import Acts, Decisions, ValveTests
from tirta.client.calls import Calls, Retry
from tirta.client.devices import Devices
from tirta.client.forecasts import Forecasts
from tirta.client.people import Audit, People, Session, Tokens
from tirta.client.places import Agencies, Cities, Sites
from tirta.client.reports import Reports
from tirta.client.resources import Resources
from tirta.client.schedules import Schedules
from tirta.client.suspensions import Suspensions
from tirta.client.troubles import Alarms, Quarantine
from tirta.client.zones import Zones

__all__ = ["Catalogue", "Client", "ClockReading", "Health", "Kind", "Part", "Quantity"]


class ClockReading(msgspec.Struct, frozen=True):
    """The platform's time, and its pace."""

    now: datetime
    speed: float


class Quantity(msgspec.Struct, frozen=True):
    """What can be measured, with its one unit and its range."""

    name: str
    unit: str
    low: float
    high: float
    type: str
    total: bool
    names: dict[str, str]


class Kind(msgspec.Struct, frozen=True):
    """A kind of device: what it measures and does."""

    name: str
    quantities: list[str]
    actions: list[str]


class Catalogue(msgspec.Struct, frozen=True):
    """All quantities and kinds."""

    quantities: list[Quantity]
    kinds: list[Kind]


class Part(msgspec.Struct, frozen=True):
    """A part of the service."""

    name: str
    ok: bool
    detail: str


class Health(msgspec.Struct, frozen=True):
    """Whether every part works."""

    status: str
    parts: list[Part] | None = None


class Client:
    """Ask a running Tirta; a context manager. One thread at a time.

    Parameters
    ----------
    url : str
        Its address, as http://127.0.0.1:8080.
    token : str
        Bearer token.
    why : str
        Why things are changed, for the audit trail.
    ca : Path, optional
        Certificates (PEM) to trust for https, instead of the system's.
    retry, sleep, transport
        As of `Calls`.
    """

    def __init__(
        self,
        url: str,
        token: str,
        ca: Path | None = None,
        *,
        why: str = "",
        retry: Retry | None = None,
        sleep: Callable[[float], None] = time.sleep,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        calls = self.calls = Calls(url, token, why=why, retry=retry, ca=ca, sleep=sleep, transport=transport)
        self.cities = Cities(calls)
        self.agencies = Agencies(calls)
        self.sites = Sites(calls)
        self.devices = Devices(calls)
        self.zones = Zones(calls)
        self.resources = Resources(calls)
        self.schedules = Schedules(calls)
        self.acts = Acts(calls)
        self.valve_tests = ValveTests(calls)
        self.decisions = Decisions(calls)
        self.forecasts = Forecasts(calls)
        self.suspensions = Suspensions(calls)
        self.people = People(calls)
        self.tokens = Tokens(calls)
        self.audit = Audit(calls)
        self.quarantine = Quarantine(calls)
        self.alarms = Alarms(calls)
        self.reports = Reports(calls)

    @classmethod
    def from_ready_file(cls, path: Path, *, why: str = "", retry: Retry | None = None) -> Client:
        """Make a client from what `tirta up` wrote when it was ready."""
        ready = json.loads(path.read_text("utf-8"))
        return cls(ready["http"], ready["token"], why=why, retry=retry)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connection."""
        self.calls.close()

    def session(self) -> Session:
        """Say who one is, and what one may do."""
        return self.calls.one(Session, "GET", "/api/v1/session")

    def clock(self) -> ClockReading:
        """Return the platform's time and its pace."""
        return self.calls.one(ClockReading, "GET", "/api/v1/clock")

    def catalogue(self) -> Catalogue:
        """Return all quantities and kinds."""
        return self.calls.one(Catalogue, "GET", "/api/v1/catalogue")

    def health(self) -> Health:
        """Say how each part works.

        Raises
        ------
        ServiceUnavailable
            One does not; the error says which and why.
        """
        return self.calls.one(Health, "GET", "/readyz", patient=False)
