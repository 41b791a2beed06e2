# SPDX-License-Identifier: Apache-2.0
"""What finds the causes of alarms: each source knows those of some codes.

To add an alarm: its row in `control.alarms_codes`, a source here that finds its cause, its line in docs/runbook.md. Invariant:
a look is quick and bounded; a source that cannot tell now says so, and its alarms stay as they are.
"""

from __future__ import annotations

import shutil
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from api.services import HealthCheck
from control.alarms import Cause
from control.alarms_acts import unknown_acts
from control.budgets import WARNED, Standing
from control.configs import refused_configs
from control.database import Database
from control.errors import DatabaseUnavailable
from control.proofs import ZONE_CODES, zone_causes
from gateway.clock import Clock
from ingest.errors import Full, Unavailable
from ingest.gaps import SessionLosses
from ingest.store.holes import Hole, describe_holes
from tirta.host_clock import clock_synchronised

__all__ = [
    "DATABASE",
    "JOURNAL",
    "MIB",
    "QUARANTINE",
    "Source",
    "acts_source",
    "budget_source",
    "clock_source",
    "config_source",
    "database_source",
    "disk_source",
    "growth_source",
    "holes_source",
    "level_source",
    "parts_source",
    "sessions_source",
    "zones_source",
]

DATABASE: Final = "database"  # the part of `/readyz` that is the control database
DAY_MS: Final = 86_400_000
MIB: Final = 2**20
JOURNAL: Final = (0.75, 0.70)  # share of its bound at which it is told, and below which that is over
QUARANTINE: Final = (0.95, 0.90)
DISK_FILLING: Final = (0.85, 0.82)
DISK_FULL: Final = (0.97, 0.95)
GROWTH: Final = 100  # records refused within `GROWTH_S` that are told
GROWTH_S: Final = 600.0


@dataclass(frozen=True, slots=True)
class Source:
    """Something that finds causes.

    Attributes
    ----------
    codes : frozenset of str
        Those that it looks for: what it does not find of them is not there.
    look : callable
        Returns the causes that are there, or None where it cannot tell now; called in a thread, one call at a time.
    """

    codes: frozenset[str]
    look: Callable[[], Sequence[Cause] | None]


def parts_source(health: Callable[[], Sequence[HealthCheck]], refused: Callable[[], Collection[str]]) -> Source:
    """Look at what `/readyz` shows: broker, journal, stores, other parts; the database is asked by `database_source`.

    Parameters
    ----------
    refused : callable
        Returns the names of the stores that do not let us in.
    """

    def cause(check: HealthCheck, closed: Collection[str]) -> Cause:
        sort, _, store = check.name.partition(" ")
        if sort == "store" and store:
            code = "store-refused" if store in closed else "store-down"
            return Cause(code, f"store:{store}", details={"store": store, "said": check.detail})
        if check.name == "broker":
            return Cause("broker-down", "broker", details={"said": check.detail})
        if check.name == "journal":
            return Cause("journal-stopped", "journal", details={"said": check.detail})
        return Cause("part-failing", check.name.replace(" ", "-"), details={"part": check.name, "said": check.detail})

    def look() -> list[Cause]:
        closed = refused()
        return [cause(check, closed) for check in health() if not check.ok and check.name != DATABASE]

    return Source(frozenset({"broker-down", "journal-stopped", "part-failing", "store-down", "store-refused"}), look)


def budget_source(standings: Callable[[], Mapping[str, Standing] | None]) -> Source:
    """Return what looks at the agencies' water of this month, as it stood at the last tick."""

    def look() -> list[Cause] | None:
        known = standings()  # None before the first tick: nobody can tell yet
        return None if known is None else [cause for one in known.values() for cause in _budget_causes(one)]

    return Source(frozenset({"water-budget", "water-budget-spent"}), look)


def _budget_causes(one: Standing) -> Iterator[Cause]:
    share, budget = one.share, one.budget_l
    if share is None or budget is None or share < WARNED:
        return
    told: dict[str, float | str] = {"month": one.month, "given_l": one.given_l, "budget_l": budget, "share": share}
    # A rest too small for a run is none: it is not waited for.
    spent = one.given_l >= budget - 1e-6
    yield Cause("water-budget-spent" if spent else "water-budget", f"agency:{one.agency}", None, one.agency, told)


def sessions_source(sessions: SessionLosses, clock: Clock) -> Source:
    """Tell for a day of a time in which the broker may have lost what it had acknowledged."""

    def look() -> list[Cause]:
        windows = sessions.windows
        if not windows or clock.now_ms() - windows[-1].end_ms > DAY_MS:
            return []
        last = windows[-1]
        return [
            Cause(
                "session-lost",
                "broker",
                details={"count": sessions.count, "start_ms": last.start_ms, "end_ms": last.end_ms},
            )
        ]

    return Source(frozenset({"session-lost"}), look)


def holes_source(holes: Callable[[], Mapping[str, tuple[Hole, ...]]], clock: Clock) -> Source:
    """Tell for a day of what a store never got; `/readyz` and the metrics go on telling."""

    def look() -> list[Cause]:
        oldest_ms = clock.now_ms() - DAY_MS
        return [
            Cause(
                "store-hole",
                f"store:{store}",
                details={
                    "store": store,
                    "positions": sum(hole.positions for hole in found),
                    "records": sum(hole.records or 0 for hole in found),
                    "said": describe_holes(found),
                },
            )
            for store, found in holes().items()
            if (found[-1].end_ms or 0) >= oldest_ms
        ]

    return Source(frozenset({"store-hole"}), look)


def level_source(code: str, subject: str, size: Callable[[], int], bound: int, levels: tuple[float, float]) -> Source:
    """Look how far something has come to its bound. [bytes]"""

    def look() -> list[Cause] | None:
        try:
            used = size() / bound
        except (Full, Unavailable):
            return None  # its volume fails, which is told as such
        return _level(code, subject, used, levels, {"bound_mib": bound / MIB})

    return Source(frozenset({code}), look)


def disk_source(volumes: Mapping[str, Path]) -> Source:
    """Look at the volumes of some folders, by name; a folder on a volume that is looked at already is passed over."""

    def look() -> list[Cause]:
        found: list[Cause] = []
        devices: set[int] = set()
        for name, path in volumes.items():
            try:
                device, usage = path.stat().st_dev, shutil.disk_usage(path)
            except OSError:
                continue  # not made yet, or gone: whoever needs it tells
            if device not in devices and usage.total:
                devices.add(device)
                used = usage.used / (usage.used + usage.free)  # as df tells it: what is kept for root is not free
                for code, levels in (("disk-filling", DISK_FILLING), ("disk-full", DISK_FULL)):
                    found += _level(code, f"disk:{name}", used, levels, {"free_mib": usage.free / MIB, "said": str(path)})
        return found

    return Source(frozenset({"disk-filling", "disk-full"}), look)


def growth_source(rejected: Callable[[], int], monotonic: Callable[[], float] = time.monotonic) -> Source:
    """Look whether many records are refused; `rejected` returns how many were since the start."""
    begun_s = monotonic()
    past: deque[tuple[float, int]] = deque()  # one a look, of the last ten minutes

    def look() -> list[Cause]:
        now_s, count = monotonic(), rejected()
        past.append((now_s, count))
        while past[0][0] < now_s - GROWTH_S:
            past.popleft()
        grown = count - past[0][1]
        details = {"records": grown, "minutes": GROWTH_S / 60}
        if grown >= GROWTH:
            return [Cause("quarantine-growing", "quarantine", details=details)]
        unsure = now_s - begun_s < GROWTH_S  # what was before the start is not known
        return [Cause("quarantine-growing", "quarantine", details=details, certain=False)] if unsure else []

    return Source(frozenset({"quarantine-growing"}), look)


def clock_source(clock: Clock, synchronised: Callable[[], bool | None] = clock_synchronised) -> Source:
    """Look whether this machine's clock is kept; under a clock that runs fast that matters to nobody."""

    def look() -> list[Cause] | None:
        kept = synchronised() if clock.speed == 1 else True
        return None if kept is None else [] if kept else [Cause("clock-unsynchronised", "clock")]

    return Source(frozenset({"clock-unsynchronised"}), look)


def database_source(database: Database, trouble: Callable[[], str | None]) -> Source:
    """Look whether the control database answers, and takes: `trouble` is what the controller found."""

    def look() -> list[Cause]:
        said = database.ask() or trouble()
        return [Cause("database-down", DATABASE, details={"said": said})] if said else []

    return Source(frozenset({"database-down"}), look)


def config_source(database: Database) -> Source:
    """Look which devices refuse something of their configuration."""
    return Source(frozenset({"config-refused"}), lambda: refused_configs(database))


def acts_source(database: Database, clock: Clock) -> Source:
    """Look which acts of unknown end need a hand."""
    return Source(frozenset({"act-unknown"}), lambda: unknown_acts(database, clock.now_ms()))


def zones_source(database: Database) -> Source:
    """Look at the zones whose acts had no effect, and at leaks."""

    def look() -> list[Cause] | None:
        try:
            with database.reader() as session:
                return zone_causes(session)
        except DatabaseUnavailable:
            return None

    return Source(ZONE_CODES, look)


def _level(
    code: str, subject: str, used: float, levels: tuple[float, float], details: Mapping[str, float | str]
) -> list[Cause]:
    """Return the cause of what is told at the first level and over below the second."""
    if used < levels[1]:
        return []
    return [Cause(code, subject, details={"used": used, **details}, certain=used >= levels[0])]
