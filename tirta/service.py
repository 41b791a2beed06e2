# SPDX-License-Identifier: Apache-2.0
"""Run the whole service as one process, from the lock on its data folder to the last flush.

Invariant: on SIGTERM it stops taking, drains, flushes and ends within ten seconds; after kill -9 the next start goes on from
what is on disk, and takes over the broker and the demo's devices that kept running.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import signal
from collections.abc import Coroutine, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from zoneinfo import ZoneInfo

from api.app import create_app
from control import registry, tokens
from control.claim import Claim, open_claim
from control.errors import DatabaseMismatch, DatabaseUnavailable, NotFound
from control.waiting import take_when_there
from gateway.clock import Clock
from gateway.link import Link
from gateway.processes import write_private
from ingest.feed import LiveFeed
from tirta.assembly import House, UpOptions, assemble
from tirta.connections import raise_file_limit
from tirta.errors import NotPossible
from tirta.folder import DataFolder
from tirta.secure import note_listeners, open_certificates, require_safe_listeners
from tirta.settings import Settings, split_host_port
from tirta.web import Door, listen

__all__ = ["Announcer", "Ready", "run_service"]

logger = logging.getLogger(__name__)

_RETRY_S = 1.0  # between attempts at a control database that does not take [s]
_CLAIM_S = 1.0  # between looks at the claim on the control database [s]
_READY_TOKEN = "ready-file"  # noqa: S105 - the token's name


@dataclass(frozen=True, slots=True)
class Ready:
    """Where the service answers.

    Attributes
    ----------
    http, mqtt : str
        On this machine.
    https, mqtts : str or None
        For the network, where they are.
    token : str
        Of the ready file: new at every start, with an operator's rights.
    operator_token : str or None
        The first operator's, at the first start only.
    """

    http: str
    mqtt: str
    token: str = field(repr=False)
    operator_token: str | None = field(default=None, repr=False)
    https: str | None = None
    mqtts: str | None = None

    def as_file(self) -> str:
        """Return what the ready file says."""
        said = {"http": self.http, "mqtt": self.mqtt, "https": self.https, "mqtts": self.mqtts, "token": self.token}
        return json.dumps({name: value for name, value in said.items() if value is not None}) + "\n"


class Announcer(Protocol):
    """Shows a person at the terminal what goes on."""

    def show_ready(self, ready: Ready, folder: Path, clock: Clock, zone: ZoneInfo | None) -> None:
        """Everything answers; `zone` is that of the first site, where there is one."""

    async def follow(self, feed: LiveFeed, clock: Clock) -> None:
        """Show what happens, until cancelled."""


async def run_service(settings: Settings, options: UpOptions, announcer: Announcer, ready_file: Path | None) -> None:
    """Run until SIGTERM or SIGINT.

    Parameters
    ----------
    ready_file : Path or None
        Where, besides the data folder, it is written how the service is reached.

    Raises
    ------
    FolderInUse, NotPossible, CertificateUnfit
        It cannot start here; and what `assemble` raises.
    DatabaseInUse
        Another service has the control database, or took it while it was away.
    """
    raise_file_limit()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    require_safe_listeners(settings)
    if ready_file is not None and not os.access(ready_file.parent, os.W_OK):
        raise NotPossible(f"the ready file cannot be written into {ready_file.parent}; name another with --ready-file")
    folder = DataFolder(settings.data)
    with folder.locked(), ExitStack() as stack:
        address = settings.database_address(folder.file("control.db"))
        claim = open_claim(address)
        stack.callback(claim.release)
        if not await take_when_there(claim, address, stop):
            return
        note_listeners(settings, folder)
        certificates = open_certificates(settings, folder)
        plain = stack.enter_context(closing(listen(*split_host_port(settings.http))))
        secure = None
        if settings.https is not None:
            secure = stack.enter_context(closing(listen(*split_host_port(settings.https), "--https")))
        async with assemble(settings, options, folder, stop.is_set, certificates) as house:
            app, proxies = create_app(house.services), settings.trusted_proxies
            doors = [Door(app, plain, proxies=proxies)]
            if secure is not None and certificates is not None:
                doors.append(Door(app, secure, proxies=proxies, tls=certificates.context, name=certificates.used.names[0]))
            files = [folder.file("ready.json")] + ([ready_file] if ready_file else [])
            await _serve_while_ours(claim, stop, _serve(house, doors, folder, announcer, files, stop))


async def _serve_while_ours(claim: Claim, stop: asyncio.Event, serving: Coroutine[None, None, None]) -> None:
    """Serve to the end; where another service took the control database, stop in order, then say so.

    It ends rather than waits: one that only waits looks alive to whatever would start it again, and nobody would see that
    two were set to work on one database.
    """
    keeping = asyncio.create_task(_keep(claim, stop), name="claim")
    try:
        await serving
    finally:
        stop.set()
        await asyncio.wait([keeping])
    keeping.result()


async def _keep(claim: Claim, stop: asyncio.Event) -> None:
    """Look after the claim until told to stop, or until another has it; while the database is away, ask again and again."""
    try:
        while not stop.is_set():
            with suppress(DatabaseUnavailable, DatabaseMismatch):  # told by whoever needs the database
                await asyncio.to_thread(claim.keep)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _CLAIM_S)
    finally:
        stop.set()


async def _serve(
    house: House,
    doors: Sequence[Door],
    folder: DataFolder,
    announcer: Announcer,
    files: Sequence[Path],
    stop: asyncio.Event,
) -> None:
    """Answer over HTTP, say that all is ready, into `files` too, and stay until told to stop."""
    async with asyncio.TaskGroup() as group:
        endless = [
            group.create_task(house.controller.run(), name="controller"),
            group.create_task(house.proofs.run(), name="proofs"),
            group.create_task(house.rain.run(), name="rain"),
            group.create_task(_hear(house.control_link, house), name="control link"),
            group.create_task(announcer.follow(house.services.feed, house.services.clock), name="live"),
        ]
        if house.demo is not None:
            endless.append(group.create_task(house.demo.watch(), name="demo watch"))
        if house.admission.certificates is not None:
            watching = house.admission.certificates.watch(house.admission.take_certificates)
            endless.append(group.create_task(watching, name="certificates"))
        serving = [group.create_task(door.serve(), name=door.url) for door in doors]
        try:
            for door in doors:
                await door.ready.wait()
            # What is here now stays: the collector need not look through it again at every full pass.
            gc.collect()
            gc.freeze()
            ready = _make_tokens(house, *(door.url for door in doors))
            announcer.show_ready(ready, folder.path, house.services.clock, _first_zone(house))
            # Last: whoever waits for the file finds everything said and answering.
            for path in files:
                write_private(path, ready.as_file())
            await stop.wait()
        finally:
            gc.unfreeze()
            stop.set()
            for path in files:
                path.unlink(missing_ok=True)
            for door in doors:
                door.close()
            for task in endless:
                task.cancel()
        if house.demo is not None:
            await house.demo.stop()
        await asyncio.gather(*serving)


async def _hear(link: Link, house: House) -> None:
    """Bring what devices say of themselves and of their acts to the controller, and acknowledge it after."""
    async for burst in link.bursts():
        retained = burst.retained or [False] * len(burst.topics)
        messages = list(zip(burst.topics, burst.payloads, retained, strict=True))
        while True:
            try:
                await house.controller.on_messages(messages)
            except DatabaseUnavailable as exc:
                logger.warning("devices' words wait: %s", exc, extra={"action": "settle_failed"})
                await asyncio.sleep(_RETRY_S)
            else:
                break
        # What they say of their records' numbers never waits here; the broker retains it.
        house.announcements.hear(zip(burst.topics, burst.payloads, strict=True))
        link.acknowledge(burst)


def _make_tokens(house: House, http: str, https: str | None = None) -> Ready:
    now_ms = house.services.clock.now_ms()
    operator = None
    with house.services.database.session() as session:
        if not tokens.list_tokens(session, revoked=True, limit=1)[0]:
            operator, _ = tokens.create(session, "operator", tokens.EVERYTHING, now_ms=now_ms)
        with suppress(NotFound):
            tokens.revoke(session, _READY_TOKEN, now_ms=now_ms)
        token, _ = tokens.create(session, _READY_TOKEN, tokens.EVERYTHING, now_ms=now_ms)
    return Ready(http, house.admission.url, token, operator, https, house.admission.secure_url)


def _first_zone(house: House) -> ZoneInfo | None:
    with house.services.database.reader() as session:
        sites, _ = registry.list_sites(session, limit=1)
    return ZoneInfo(sites[0].timezone) if sites else None
