# SPDX-License-Identifier: Apache-2.0
"""Put the house together: open every part in order, each with what it needs; close in the reverse order.

clock ─ control database ─ broker ─ devices of the demo ─ stores ─ links ─ ingest ─ controller ─ what the API needs
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from api.services import HealthCheck, Services
from control.alarms_keeper import AlarmKeeper
from control.controller import Controller, ControllerConfig
from control.database import Database, open_database
from control.gauges import RainGauges, rain_kinds
from control.proof_keeper import ProofKeeper
from control.single_sign_on import SignOnConfig, SingleSignOn
from gateway import Catalogue, Channel, channel_filter, load_catalogue
from gateway.clock import ScaledClock, WallClock, load_clock
from gateway.credentials import CONTROL, INGEST
from gateway.link import Link, LinkConfig
from gateway.link_config import FEW_INFLIGHT, MAX_RECEIVE_MAX
from ingest.announcements import Announcements
from ingest.decode import BurstDecoder
from ingest.devices import DeviceTable
from ingest.feed import LiveFeed
from ingest.gaps import GapBook
from ingest.journal import JournalConfig, SqliteJournal
from ingest.judge import Judge
from ingest.latest import LatestState
from ingest.notes import Notes
from ingest.pipeline import Ingest, IngestConfig
from ingest.progress import Progress
from ingest.quarantine import Quarantine, QuarantineConfig
from ingest.sequences import Sequences
from ingest.store.holes import describe_holes
from ingest.store.protocol import SeriesStore
from tirta import __version__
from tirta.alarms import AlarmWatch, device_source, part_sources
from tirta.alarms_sources import DATABASE
from tirta.brokers import Admission, open_broker
from tirta.demo import DemoDevices, dawn_ms, prepare_demo
from tirta.errors import InvalidSettings
from tirta.folder import DataFolder
from tirta.metrics import Measured, make_registry
from tirta.provisioning import DeviceProvisioner, known_devices
from tirta.restoring import LatestRestorer
from tirta.room import require_room
from tirta.settings import Settings
from tirta.stores import open_stores, restore_latest

__all__ = ["House", "UpOptions", "assemble"]

if TYPE_CHECKING:
    from tirta.certificates import Certificates


@dataclass(frozen=True, slots=True)
class UpOptions:
    """What `tirta up` was told beyond the settings."""

    demo: bool = False
    speed: float = 1.0


@dataclass(frozen=True, slots=True)
class House:
    """Everything that runs, for who serves it."""

    services: Services
    admission: Admission
    control_link: Link
    controller: Controller
    proofs: ProofKeeper
    rain: RainGauges
    announcements: Announcements
    demo: DemoDevices | None


@dataclass(frozen=True, slots=True)
class _Ground:
    """What the rest stands on."""

    settings: Settings
    folder: DataFolder
    clock: ScaledClock
    database: Database
    catalogue: Catalogue
    devices: DeviceTable
    latest: LatestState
    feed: LiveFeed


@asynccontextmanager
async def assemble(
    settings: Settings,
    options: UpOptions,
    folder: DataFolder,
    stopping: Callable[[], bool],
    certificates: Certificates | None = None,
) -> AsyncIterator[House]:
    """Open every part; on leaving, drain and close them.

    Raises
    ------
    InvalidSettings, NotPossible, BrokerMissing, BrokerFailed, StoreError, ControlError
        A part cannot be opened; the message says what to do.
    """
    async with AsyncExitStack() as stack:
        ground = await _lay_ground(settings, options, folder, stack)
        users = known_devices(ground.database, ground.catalogue, ground.devices)
        admission = await stack.enter_async_context(open_broker(settings, folder, users, certificates))
        demo = None
        if options.demo:
            demo = DemoDevices(folder)
            stack.push_async_callback(demo.stop)
            await demo.start(admission.url, options.speed)
        yield await _furnish(ground, admission, demo, stopping, stack)


async def _lay_ground(settings: Settings, options: UpOptions, folder: DataFolder, stack: AsyncExitStack) -> _Ground:
    require_room(folder.path)
    path = folder.file("clock.json")
    fresh = not folder.file("control.db").exists()
    # A fast demo begins at dawn, so that a whole day of watering and meals lies before whoever watches.
    start_ms = dawn_ms(WallClock().now_ms()) if fresh and options.demo and options.speed > 1 else None
    clock = load_clock(path, speed=options.speed, start_ms=start_ms)
    catalogue = load_catalogue(settings.catalogue)
    database = await asyncio.to_thread(open_database, settings.database_address(folder.file("control.db")))
    stack.callback(database.close)
    if options.demo:
        prepare_demo(database, folder, clock.now_ms())
    devices = DeviceTable()
    # Numbers rise with each start: a listener from before is told that it missed something.
    feed = LiveFeed(start=WallClock().now_ms())
    return _Ground(settings, folder, clock, database, catalogue, devices, LatestState(devices, catalogue), feed)


async def _furnish(
    ground: _Ground, admission: Admission, demo: DemoDevices | None, stopping: Callable[[], bool], stack: AsyncExitStack
) -> House:
    settings, folder, devices = ground.settings, ground.folder, ground.devices
    quarantine = Quarantine(QuarantineConfig(folder.file("quarantine.sqlite"), settings.quarantine_max_mib * 2**20))
    stack.callback(quarantine.close)
    stores = open_stores(settings, folder, devices, ground.catalogue, ground.clock, stack.callback)
    restorer = LatestRestorer(lambda: restore_latest(stores[0], devices, ground.latest, ground.clock.now_ms()))
    stack.callback(restorer.stop)
    await asyncio.to_thread(restorer.start)
    ingest_link = await stack.enter_async_context(_link(admission, INGEST, (Channel.TELEMETRY,)))
    heard = (Channel.STATUS, Channel.ACK, Channel.REPORTED)
    control_link = await stack.enter_async_context(_link(admission, CONTROL, heard))
    sequences = Sequences()
    journal = SqliteJournal(JournalConfig(folder.file("journal.sqlite"), settings.journal_max_mib * 2**20))
    stack.callback(journal.close)
    ingest = await stack.enter_async_context(
        _ingest(ground, admission, ingest_link, journal, quarantine, stores, sequences, stack)
    )
    controller = Controller(
        ground.database,
        ground.latest,
        control_link.publish,
        ground.clock,
        ground.feed,
        ControllerConfig(),
        connected=lambda: control_link.connected,
    )
    health = _health(admission, control_link, ingest, lambda: ground.database.problem or controller.trouble or "")
    keeper = AlarmKeeper(ground.database, ground.clock, ground.feed)
    services = Services(
        database=ground.database,
        latest=ground.latest,
        store=stores[0],
        quarantine=quarantine,
        replay=ingest.announcements.replay,
        gaps=GapBook(devices, sequences, ingest.sessions),
        controller=controller,
        provisioner=DeviceProvisioner(ground.database, ground.catalogue, devices, admission, ground.feed),
        feed=ground.feed,
        clock=ground.clock,
        catalogue=ground.catalogue,
        health=health,
        held_alarms=lambda: keeper.held,
        metrics=make_registry(Measured(ingest, controller, ingest_link, control_link, quarantine, journal, sequences, keeper)),
        version=__version__,
        stopping=stopping,
        sign_on=_sign_on(settings),
    )
    watch = _alarm_watch(ground, keeper, health, ingest, journal, quarantine, controller)
    await stack.enter_async_context(watch)
    proofs = ProofKeeper(ground.database, stores[0], ground.latest, ground.clock, ground.feed)
    rain = RainGauges(ground.database, stores[0], rain_kinds(ground.catalogue), ground.clock)
    return House(services, admission, control_link, controller, proofs, rain, ingest.announcements, demo)


def _alarm_watch(
    ground: _Ground,
    keeper: AlarmKeeper,
    health: Callable[[], tuple[HealthCheck, ...]],
    ingest: Ingest,
    journal: SqliteJournal,
    quarantine: Quarantine,
    controller: Controller,
) -> AlarmWatch:
    sources = part_sources(
        ground.settings,
        ground.folder,
        ground.clock,
        health=health,
        ingest=ingest,
        journal=journal,
        quarantine=quarantine,
        database=ground.database,
        controller=controller,
    )
    fleet = device_source(keeper, ground.database, ground.devices, ground.catalogue, ground.clock, ingest)
    return AlarmWatch(keeper, (*sources, fleet))


def _sign_on(settings: Settings) -> SingleSignOn | None:
    oidc = settings.oidc
    if oidc.issuer is None:
        return None
    if not oidc.address:
        raise InvalidSettings("oidc.address: say how browsers reach Tirta; they come back there from the single sign-on")
    callback = f"{oidc.address.rstrip('/')}/api/v1/session/oidc/callback"
    config = SignOnConfig(oidc.issuer, oidc.client_id, oidc.client_secret.get_secret_value(), callback, oidc.claim)
    return SingleSignOn(config, time.monotonic, WallClock().now_ms)


def _ingest(
    ground: _Ground,
    admission: Admission,
    link: Link,
    journal: SqliteJournal,
    quarantine: Quarantine,
    stores: Sequence[SeriesStore],
    sequences: Sequences,
    stack: AsyncExitStack,
) -> Ingest:
    progress = Progress(ground.folder.file("progress.sqlite"))
    stack.callback(progress.close)
    decoder = BurstDecoder(ground.devices, ground.catalogue)
    raw_days = ground.settings.retention.raw_days or None
    judge = Judge(decoder, ground.devices, sequences, quarantine, ground.latest, progress, raw_days=raw_days)
    notes = Notes(link, judge, ground.devices, ground.feed, ground.clock)
    return Ingest(
        IngestConfig(),
        link=link,
        journal=journal,
        judge=judge,
        stores=stores,
        notes=notes,
        clock=ground.clock,
        broker=admission.save,
    )


def _link(admission: Admission, role: str, channels: tuple[Channel, ...]) -> Link:
    login = admission.login or admission.roles[role]
    config = LinkConfig(
        admission.host,
        admission.port,
        login.username,
        login.password,
        role,
        tuple((channel_filter(channel), 1) for channel in channels),
        tls=admission.tls,
        # Our own broker holds nothing back before the bound that we give it by receive_max.
        broker_inflight=FEW_INFLIGHT if admission.save is None else MAX_RECEIVE_MAX,
        # Status and reported are retained: a platform that was away must see them again, not only what is new.
        retained_on_reconnect=role == CONTROL,
        # Whoever has no outbox loses what it sends to a broker that has no session of ours yet: be back soon.
        backoff_max_s=1.0,
    )
    return Link(config, rng=random.Random())


def _health(
    admission: Admission, control_link: Link, ingest: Ingest, database: Callable[[], str]
) -> Callable[[], tuple[HealthCheck, ...]]:
    def check() -> tuple[HealthCheck, ...]:
        problems = dict(ingest.problems)
        if trouble := database():
            problems[DATABASE] = trouble
        if admission.state != "running":
            problems["broker"] = admission.state
        elif not control_link.connected:
            problems.setdefault("broker", control_link.state)
        if admission.certificates is not None and admission.certificates.problem:
            problems["certificate"] = admission.certificates.problem
        names = ["broker", DATABASE, "journal", *(f"store {writer.name}" for writer in ingest.writers)]
        names += sorted(problems.keys() - set(names))  # such as the quarantine, or the checkpoint, whose volume fails
        # A hole is told and no failure: it stays, however well the store works now.
        told = {f"store {name}": describe_holes(holes) for name, holes in ingest.holes.items()} | problems
        # Without its journal nothing is acknowledged: that alone is worth a restart or a look at the disk.
        return tuple(HealthCheck(name, name not in problems, told.get(name, ""), name == "journal") for name in names)

    return check
