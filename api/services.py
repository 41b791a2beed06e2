# SPDX-License-Identifier: Apache-2.0
"""What the API needs of the rest of the house, handed to it by who starts it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from threading import BoundedSemaphore, Semaphore
from typing import Annotated, Final, Protocol

from fastapi import Depends, Request
from prometheus_client import CollectorRegistry

from api.errors import Unavailable
from api.limits import RateLimits
from control.alarms import Alarm
from control.audit import Trail
from control.controller import Controller
from control.database import Database
from control.passwords import Passwords
from control.sessions import SessionConfig
from control.single_sign_on import SingleSignOn
from control.throttle import Throttle
from gateway import Address, Catalogue, Clock, Kind
from gateway.clock import WallClock
from ingest.announcements import ReplayOutcome
from ingest.feed import LiveFeed
from ingest.gaps import GapBook
from ingest.latest import LatestState
from ingest.quarantine import Quarantine, QuarantinedRecord
from ingest.store.protocol import SeriesStore

__all__ = [
    "CertificateRefused",
    "Certified",
    "HealthCheck",
    "Issued",
    "Needs",
    "Provisioner",
    "RequestRefused",
    "Services",
    "kind_of",
]

PREVIEWS_AT_ONCE: Final = 2  # each takes a processor for a second or more


@dataclass(frozen=True, slots=True)
class Issued:
    """A new credential's password, and what a person has to do before it counts (None: nothing)."""

    password: str = field(repr=False)
    notice: str | None = None


@dataclass(frozen=True, slots=True)
class Certified:
    """A device's new certificate and the authority's, both PEM; and what a person has to do before it counts."""

    certificate: str
    authority: str
    notice: str | None = None


class CertificateRefused(Exception):
    """This installation gives the device no certificate; the message says why and what to do."""


class RequestRefused(CertificateRefused):
    """The signing request does not do."""


class Provisioner(Protocol):
    """Lets devices in: at the broker (Tirta's own, or another's that is told by files and a command), and at ingest.

    Every method raises `GatewayError` where the broker cannot be told; the registry is right all the same, so that telling
    the broker of the whole registry, as at its next start, puts it right.
    """

    async def provision(self, address: Address) -> Issued:
        """Make the first credential of a device that is in the registry, keep its hash there, let the device in."""

    async def rotate(self, address: Address, trail: Trail | None = None) -> Issued:
        """Make a new credential, and shut the old one out; `trail` says who asks for it."""

    async def certify(self, address: Address, request: str, trail: Trail) -> Certified:
        """Give a device a certificate for the key in its signing request (PEM); those it had before count no more.

        Raises
        ------
        CertificateRefused, RequestRefused
            This installation gives none, or none for this request; the message says what to do.
        """

    async def revoke(self, address: Address) -> str | None:
        """Shut a device out, end its session and forget what the broker kept; return what a person has to do still."""


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """How one part of the service is.

    Attributes
    ----------
    name : str
        The part: "journal", "broker", "store", ...
    ok : bool
        Whether it does its work.
    detail : str
        What is wrong and what to do; shown to callers with a token only.
    vital : bool
        Whether the service is of no use without it: then `/healthz` fails too, not `/readyz` alone.
    """

    name: str
    ok: bool
    detail: str = ""
    vital: bool = False


@dataclass(frozen=True, slots=True)
class Services:
    """What the API needs.

    Attributes
    ----------
    replay : callable
        Has a quarantined record decided about anew and returns what came of it; None: it was replayed before. Raises
        `JournalError` where the journal does not take it.
    health : callable
        Returns how each part is; quick, called in a thread for each question after health.
    held_alarms : callable
        Returns the alarms that wait for the control database; asked before a session begins that reads the others.
    metrics : CollectorRegistry
        What `/metrics` shows.
    version : str
        Tirta's version.
    stopping : callable
        Tells whether the service is going down: streams of events end then, or they would hold it up.
    wall : Clock
        By which sessions and tokens end, and the audit trail is dated: never fast.
    passwords, throttle, sessions, rates
        How people sign in, and how often each may ask.
    sign_on : SingleSignOn or None
        The city's single sign-on, where it has one.
    monotonic : callable
        A time that only goes forward, for what may take so long and no longer. [s]
    previews : Semaphore
        Held by each preview that is being made.
    """

    database: Database
    latest: LatestState
    store: SeriesStore
    quarantine: Quarantine
    replay: Callable[[QuarantinedRecord], Awaitable[ReplayOutcome | None]]
    gaps: GapBook
    controller: Controller
    provisioner: Provisioner
    feed: LiveFeed
    clock: Clock
    catalogue: Catalogue
    health: Callable[[], tuple[HealthCheck, ...]]
    held_alarms: Callable[[], Sequence[Alarm]]
    metrics: CollectorRegistry
    version: str
    stopping: Callable[[], bool]
    wall: Clock = field(default_factory=WallClock)
    passwords: Passwords = field(default_factory=Passwords)
    throttle: Throttle = field(default_factory=lambda: Throttle(time.monotonic))
    sessions: SessionConfig = field(default_factory=SessionConfig)
    rates: RateLimits = field(default_factory=lambda: RateLimits(time.monotonic))
    sign_on: SingleSignOn | None = None
    monotonic: Callable[[], float] = time.monotonic
    previews: Semaphore = field(default_factory=lambda: BoundedSemaphore(PREVIEWS_AT_ONCE))


def kind_of(services: Services, name: str) -> Kind:
    """Return the kind of a device that is in the registry.

    Raises
    ------
    Unavailable
        The catalogue no longer has it: somebody took a file of kinds away.
    """
    kind = services.catalogue.kinds.get(name)
    if kind is None:
        raise Unavailable(f"The catalogue no longer has the kind {name!r}; put its file back and start again.")
    return kind


def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


Needs = Annotated[Services, Depends(_services)]
