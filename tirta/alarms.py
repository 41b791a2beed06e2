# SPDX-License-Identifier: Apache-2.0
"""Look again and again whether something is wrong, and hand what is to the keeper of alarms.

Invariant: one look after the other, each in a thread, so that what is slow holds up the next look and nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Final, Self

from api.services import HealthCheck
from control.alarms import Cause
from control.alarms_devices import DeviceWatch
from control.alarms_keeper import AlarmKeeper
from control.controller import Controller
from control.database import Database
from gateway.clock import Clock
from gateway.quantities import Catalogue
from ingest.devices import DeviceTable
from ingest.journal import SqliteJournal
from ingest.pipeline import Ingest
from ingest.quarantine import Quarantine
from tirta.alarms_sources import (
    JOURNAL,
    MIB,
    QUARANTINE,
    Source,
    acts_source,
    budget_source,
    clock_source,
    config_source,
    database_source,
    disk_source,
    growth_source,
    holes_source,
    level_source,
    parts_source,
    sessions_source,
    zones_source,
)
from tirta.folder import DataFolder
from tirta.settings import Settings

__all__ = ["AlarmWatch", "device_source", "part_sources"]

EVERY_S: Final = 2.0  # between two looks, on the wall [s]


class AlarmWatch:
    """Look as long as the context lasts.

    Parameters
    ----------
    every_s : float
        Between two looks, on the wall. [s]
    """

    def __init__(self, keeper: AlarmKeeper, sources: Sequence[Source], every_s: float = EVERY_S) -> None:
        self.keeper = keeper
        self._sources = tuple(sources)
        self._every_s = every_s
        self._group = asyncio.TaskGroup()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        self._task = self._group.create_task(self._run(), name="alarms")
        return self

    async def __aexit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        if self._task is not None:
            self._task.cancel()
        cancelled = kind is not None and issubclass(kind, asyncio.CancelledError)
        # The caller's own error goes on as it is, in no group.
        await self._group.__aexit__(*((kind, exc, trace) if cancelled else (None, None, None)))

    async def look(self) -> None:
        """Look once, and have the keeper take in what is found."""
        causes, judged = await asyncio.to_thread(self._look)
        await self.keeper.update(causes, judged)

    def _look(self) -> tuple[list[Cause], frozenset[str]]:
        causes: list[Cause] = []
        judged: set[str] = set()
        for source in self._sources:
            found = source.look()
            if found is not None:
                causes += found
                judged |= source.codes
        return causes, frozenset(judged)

    async def _run(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(self._every_s)


def part_sources(
    settings: Settings,
    folder: DataFolder,
    clock: Clock,
    *,
    health: Callable[[], Sequence[HealthCheck]],
    ingest: Ingest,
    journal: SqliteJournal,
    quarantine: Quarantine,
    database: Database,
    controller: Controller,
) -> tuple[Source, ...]:
    """Return what looks at the parts of a running Tirta."""
    bound, bound_quarantine = settings.journal_max_mib * MIB, settings.quarantine_max_mib * MIB
    return (
        parts_source(health, lambda: {writer.name for writer in ingest.writers if writer.refused}),
        sessions_source(ingest.sessions, clock),
        holes_source(lambda: ingest.holes, clock),
        level_source("journal-filling", "journal", lambda: journal.bounds(0).size, bound, JOURNAL),
        level_source("quarantine-full", "quarantine", lambda: quarantine.totals()["bytes"], bound_quarantine, QUARANTINE),
        growth_source(lambda: ingest.counters.rejected),
        disk_source({"data": folder.path, "broker": settings.broker.folder or folder.file("broker")}),
        clock_source(clock),
        acts_source(database, clock),
        database_source(database, lambda: controller.trouble),
        config_source(database),
        budget_source(lambda: controller.water),
        zones_source(database),
    )


def device_source(
    keeper: AlarmKeeper, database: Database, devices: DeviceTable, catalogue: Catalogue, clock: Clock, ingest: Ingest
) -> Source:
    """Return what looks at the devices."""
    watch = DeviceWatch(
        database,
        devices,
        ingest.heard,
        catalogue,
        clock,
        connected=lambda: "broker" not in ingest.problems,
        subjects=keeper.subjects,
    )
    return Source(watch.codes, watch.look)
