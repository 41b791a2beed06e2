# SPDX-License-Identifier: Apache-2.0
"""The whole API over real parts in a folder: control database, series store, quarantine, latest values and feed.

Only the broker is not there: credentials are made and kept, commands are kept, and nobody is told.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import numpy as np
from fastapi import FastAPI
from prometheus_client import CollectorRegistry, Counter

from api import HealthCheck, Issued, Services, create_app
from api.limits import RateConfig, RateLimits
from api.services import CertificateRefused, Certified, RequestRefused
from control import registry, tokens
from control.access import Grant
from control.alarms import Alarm
from control.audit import Trail
from control.controller import Controller
from control.database import Database, open_database
from control.passwords import PasswordConfig, Passwords
from gateway import Address, SteppedClock, load_catalogue
from gateway.errors import LinkLost
from ingest.announcements import Announcements
from ingest.bursts import StoredBurst
from ingest.decode import BurstDecoder
from ingest.devices import DeviceTable
from ingest.feed import LiveFeed
from ingest.gaps import GapBook
from ingest.journal import Entry
from ingest.judge import Judge
from ingest.latest import LatestState
from ingest.progress import Progress
from ingest.quarantine import Quarantine, QuarantineConfig
from ingest.sequences import Sequences
from ingest.store.batch import Batch, Rows
from ingest.store.duckdb_store import DuckDBConfig, DuckDBStore
from tests.servers.sqlite import fresh_sqlite

START_MS = 1_795_323_600_000  # 2026-11-22T05:00:00Z
BUSY = 1_000_000  # requests a minute: tests ask faster than callers may, and at no set pace

SITE = {"site": "taman-kota", "title": "Taman Kota", "timezone": "Asia/Makassar"}
BED = {
    "site": "taman-kota",
    "device": "bedeng-1",
    "kind": "irrigation-controller",
    "title": "Bedeng depan",
    "zones": [{"zone": 1, "title": "Bedeng 1", "type": "bed", "area_m2": 6.0, "root_depth_m": 0.3, "flow_l_min": 8.5}],
}
POND = {"site": "taman-kota", "device": "kolam-1", "kind": "pond-feeder", "title": "Kolam"}
IRRIGATION = {"type": "irrigation", "low": 0.22, "high": 0.3, "hours": [["05:00", "08:00"]], "litres_day": 200.0}
FEEDING = {"type": "feeding", "meals": [{"time": "07:00", "grams": 250.0}], "grams_day": 1000.0}


@dataclass
class Credentials:
    """Provisions devices in the registry and remembers who was let in and shut out."""

    database: Database
    calls: list[tuple[str, str]] = field(default_factory=list)
    broken: bool = False
    notice: str | None = None

    async def provision(self, address: Address) -> Issued:
        return self._new("provision", address)

    async def rotate(self, address: Address, trail: Trail | None = None) -> Issued:
        return self._new("rotate", address, trail)

    async def certify(self, address: Address, request: str, trail: Trail) -> Certified:
        if self.broken:
            raise LinkLost
        if "PRIVATE" in request:
            raise RequestRefused("it holds a private key")
        if self.notice:
            raise CertificateRefused("it does not speak TLS")
        with self.database.session() as session:
            registry.note_certificate(session, address.key, trail=trail)
        return Certified(f"certificate of {address.username}", "authority")

    async def revoke(self, address: Address) -> str | None:
        if self.broken:
            raise LinkLost
        self.calls.append(("revoke", address.key))
        return self.notice

    def _new(self, call: str, address: Address, trail: Trail | None = None) -> Issued:
        if self.broken:
            raise LinkLost
        password = secrets.token_urlsafe(32)
        with self.database.session() as session:
            registry.set_password_hash(session, address.key, hashlib.sha256(password.encode()).hexdigest(), trail=trail)
        self.calls.append((call, address.key))
        return Issued(password, self.notice)


Decide = Callable[[StoredBurst], int]


@dataclass
class House:
    """The application, what it is made of, and a client for each sort of caller."""

    app: FastAPI
    services: Services
    devices: DeviceTable
    provisioner: Credentials
    checks: list[HealthCheck]
    tokens: dict[str, str]
    stopping: list[bool]
    published: list[tuple[str, bytes]]
    decide: Decide
    held_alarms: list[Alarm]
    position: int = 0

    def client(self, rights: str | None = "operator") -> httpx2.AsyncClient:
        """Return a client that bears a token with these rights, or none."""
        headers = {} if rights is None else {"authorization": f"Bearer {self.tokens[rights]}"}
        transport = httpx2.ASGITransport(app=self.app, raise_app_exceptions=False)
        return httpx2.AsyncClient(transport=transport, base_url="http://tirta", headers=headers)

    def receive(self, device: str, *payloads: bytes) -> None:
        """Decide about telemetry payloads of a device of the site, as if they had come in one burst."""
        topics = [f"tirta/v1/taman-kota/{device}/telemetry"] * len(payloads)
        self.decide(StoredBurst(START_MS, topics, payloads))

    def measure(self, device: str, ts_ms: list[int], zone: int = 1, **columns: list[float]) -> None:
        """Bring measurements of a device of the site to the latest values and into the store."""
        address = Address("taman-kota", device)
        kind = "pond-feeder" if device.startswith("kolam") else "irrigation-controller"
        index = self.devices.put(address, self.services.catalogue.kinds[kind])
        n = len(ts_ms)
        rows = Rows(
            kind=kind,
            device=np.full(n, index, np.int32),
            zone=np.full(n, zone, np.uint8),
            ts_ms=np.array(ts_ms, np.int64),
            boot=np.full(n, 1, np.int64),
            seq=np.arange(self.position, self.position + n, dtype=np.int64),
            place=np.arange(n, dtype=np.int64),
            flags=np.zeros(n, np.uint8),
            values={name: np.array(column, np.float64) for name, column in columns.items()},
        )
        self.position += n
        self.services.latest.update([rows])
        self.services.store.write(Batch((rows,), self.position))


@contextmanager
def open_house(folder: Path, url: str | None = None) -> Iterator[House]:
    """Open every part in `folder`, with a token for each sort of rights, and close them after.

    Parameters
    ----------
    url : str or None
        Address of an empty control database; None makes one of SQLite.
    """
    catalogue, devices, clock = load_catalogue(), DeviceTable(), SteppedClock(START_MS)
    database = open_database(url or fresh_sqlite(folder))
    totals = frozenset(quantity.name for quantity in catalogue.quantities.values() if quantity.total)
    store = DuckDBStore(DuckDBConfig(folder / "series.duckdb"), devices, totals=totals, clock=clock)
    quarantine = Quarantine(QuarantineConfig(folder / "quarantine.db"))
    feed = LiveFeed()
    metrics = CollectorRegistry()
    Counter("tirta_trials", "Of this test", registry=metrics).inc()
    checks: list[HealthCheck] = [HealthCheck("journal", ok=True, vital=True), HealthCheck("store", ok=True)]
    stopping = [False]
    held_alarms: list[Alarm] = []
    provisioner = Credentials(database)
    published: list[tuple[str, bytes]] = []

    async def publish(
        topic: str, payload: bytes, *, qos: int = 1, retain: bool = False, message_expiry_s: int | None = None
    ) -> None:
        published.append((topic, payload))

    latest = LatestState(devices, catalogue)
    sequences, progress = Sequences(), Progress(folder / "progress.db")
    judge = Judge(BurstDecoder(devices, catalogue), devices, sequences, quarantine, latest, progress)
    known: dict[str | None, int] = {}

    def decide(stored: StoredBurst) -> int:
        judged = judge.judge([Entry(judge.position + 1, stored)])
        asyncio.get_running_loop().call_soon(announcements.settle, judged)
        return judge.position

    async def append(stored: StoredBurst, burst_id: str | None = None, *, patient: bool = True) -> tuple[int, bool]:
        fresh = burst_id is None or burst_id not in known
        if fresh:
            known[burst_id] = decide(stored)
        return known[burst_id], fresh

    announcements = Announcements(append, judge, clock)
    services = Services(
        database=database,
        latest=latest,
        store=store,
        quarantine=quarantine,
        replay=announcements.replay,
        gaps=GapBook(devices, sequences, judge.sessions),
        controller=Controller(database, latest, publish, clock, feed),
        provisioner=provisioner,
        feed=feed,
        clock=clock,
        catalogue=catalogue,
        health=lambda: tuple(checks),
        held_alarms=lambda: tuple(held_alarms),
        metrics=metrics,
        version="0.0.0",
        stopping=lambda: stopping[0],
        wall=SteppedClock(START_MS),
        passwords=Passwords(PasswordConfig(memory_kib=64, passes=1)),
        rates=RateLimits(lambda: 0.0, RateConfig(read=BUSY, write=BUSY, sign_in=BUSY, refused=BUSY)),
    )
    with database.session() as session:
        rights = {"viewer": (Grant("viewer"),), "service": (Grant("viewer"),), "operator": tokens.EVERYTHING}
        made = {name: tokens.create(session, f"a-{name}", grants, now_ms=START_MS)[0] for name, grants in rights.items()}
    try:
        yield House(
            create_app(services), services, devices, provisioner, checks, made, stopping, published, decide, held_alarms
        )
    finally:
        progress.close()
        quarantine.close()
        store.close()
        database.close()
