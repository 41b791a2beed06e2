# SPDX-License-Identifier: Apache-2.0
"""Which devices give no word, and whose clock is wrong.

A word is anything of the device's that was received: its status, or its telemetry, also such as was refused. Invariants: while
the broker is away nothing is said of any device, and afterwards each has its whole time again; of one agency at most
`many` devices are told one by one, beyond that the agency is told as a whole.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select

from control.alarms import Cause
from control.database import Database
from control.errors import DatabaseUnavailable
from control.models import DeviceRow, SiteRow
from gateway.clock import Clock
from gateway.quantities import SILENT_S, Catalogue
from gateway.topics import Address
from ingest.devices import DeviceTable
from ingest.heard import LastHeard

__all__ = ["DeviceWatch", "DeviceWatchConfig"]

_LEAST_WALL_S: Final = 60.0  # however fast the clock: less may be a hiccup of the machine


@dataclass(frozen=True, slots=True)
class DeviceWatchConfig:
    """How devices are looked at.

    Attributes
    ----------
    every_s : float
        Between two looks at all of them, on the wall. [s]
    many : int
        So many of an agency are told one by one.
    clock_s : float
        Three records with an impossible time within so long are a wrong clock. [s]
    """

    every_s: float = 15.0
    many: int = 20
    clock_s: float = 1800.0


@dataclass(frozen=True, slots=True)
class _Fleet:
    """Live devices as columns, each of length n."""

    keys: list[str]
    sites: list[str]
    titles: list[str]
    agencies: list[str]
    number: NDArray[np.int64]
    seen_ms: NDArray[np.int64]
    limit_ms: NDArray[np.int64]


class DeviceWatch:
    """Find the causes of alarms of devices; called from one thread at a time.

    Parameters
    ----------
    connected : callable
        Whether the broker is reached.
    subjects : callable
        Returns the subjects with an open alarm of a code.
    monotonic : callable
        Returns a time that only goes forward. [s]
    """

    codes: Final = frozenset({"device-offline", "devices-offline", "device-clock", "devices-clock"})

    def __init__(
        self,
        database: Database,
        devices: DeviceTable,
        heard: LastHeard,
        catalogue: Catalogue,
        clock: Clock,
        *,
        connected: Callable[[], bool],
        subjects: Callable[[str], Collection[str]],
        config: DeviceWatchConfig | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._devices = devices
        self._heard = heard
        self._catalogue = catalogue
        self._clock = clock
        self._connected = connected
        self._subjects = subjects
        self._config = config or DeviceWatchConfig()
        self._monotonic = monotonic
        self._begun_ms = clock.now_ms()
        self._since_ms: int | None = None
        self._due_s = 0.0
        self._found: list[Cause] | None = None

    def look(self) -> list[Cause] | None:
        """Return what is wrong with devices; None where that cannot be told now."""
        if not self._connected():
            self._since_ms = self._found = None
            return None
        if self._since_ms is None:
            self._since_ms = self._clock.now_ms()
        if self._found is None or self._monotonic() >= self._due_s:
            try:
                fleet = self._read()
            except DatabaseUnavailable:
                return None
            self._due_s = self._monotonic() + self._config.every_s
            self._found = [*self._silent(fleet, self._since_ms), *self._wrong(fleet)]
        return self._found

    def _read(self) -> _Fleet:
        query = (
            select(
                *(DeviceRow.key, DeviceRow.site, DeviceRow.name, DeviceRow.title, DeviceRow.kind, DeviceRow.last_seen_ms),
                SiteRow.agency_key,
            )
            .join(SiteRow, SiteRow.name == DeviceRow.site)
            .where(DeviceRow.revoked_ms.is_(None))
        )
        with self._database.reader() as session:
            rows = session.execute(query).all()
        least_ms = _LEAST_WALL_S * 1000 * self._clock.speed
        limits = {name: max(kind.silent_s * 1000, least_ms) for name, kind in self._catalogue.kinds.items()}
        numbers = [self._devices.index(Address(row.site, row.name)) for row in rows]
        return _Fleet(
            keys=[row.key for row in rows],
            sites=[row.site for row in rows],
            titles=[row.title for row in rows],
            agencies=[row.agency_key or "" for row in rows],
            number=np.array([-1 if number is None else number for number in numbers], np.int64),
            seen_ms=np.array([row.last_seen_ms or 0 for row in rows], np.int64),
            limit_ms=np.array([limits.get(row.kind, max(SILENT_S * 1000, least_ms)) for row in rows], np.int64),
        )

    def _silent(self, fleet: _Fleet, since_ms: int) -> Iterator[Cause]:
        now_ms = self._clock.now_ms()
        word_ms = np.maximum(self._heard.heard(fleet.number), fleet.seen_ms)
        late = now_ms - word_ms > fleet.limit_ms
        # Who never came is not missed; and what was sent while nobody listened is on its way still.
        silent = late & (word_ms > 0) & (now_ms - since_ms > fleet.limit_ms)
        limits = (fleet.limit_ms / 60_000).tolist()
        yield from self._told(fleet, silent, late & ~silent, ("device-offline", "devices-offline"), limits)

    def _wrong(self, fleet: _Fleet) -> Iterator[Cause]:
        now_ms, window_ms = self._clock.now_ms(), self._config.clock_s * 1000
        wrong_ms = self._heard.wrong_since(fleet.number)
        wrong = (wrong_ms > 0) & (now_ms - wrong_ms <= window_ms)
        unsure = ~wrong & (now_ms - self._begun_ms < window_ms)  # what was before the start is not known
        yield from self._told(fleet, wrong, unsure, ("device-clock", "devices-clock"), None)

    def _told(
        self,
        fleet: _Fleet,
        bad: NDArray[np.bool_],
        unsure: NDArray[np.bool_],
        codes: tuple[str, str],
        limits_min: Sequence[float] | None,
    ) -> Iterator[Cause]:
        one, many = codes
        known = self._subjects(one)
        groups: dict[str, list[int]] = {}
        for i in np.flatnonzero(bad).tolist():
            groups.setdefault(fleet.agencies[i], []).append(i)
        for agency, members in groups.items():
            crowd = len(members) > self._config.many
            if crowd:
                of = fleet.agencies.count(agency)
                yield Cause(many, f"agency:{agency}", None, agency or None, {"count": len(members), "of": of})
            for i in members:
                # Who was told alone before stays so: an alarm ends with its cause.
                if not crowd or f"device:{fleet.keys[i]}" in known:
                    details: dict[str, float | str] = {"title": fleet.titles[i]}
                    if limits_min is not None:
                        details["limit_min"] = limits_min[i]
                    yield Cause(one, f"device:{fleet.keys[i]}", fleet.sites[i], None, details)
        yield from self._uncertain(fleet, np.flatnonzero(unsure).tolist(), groups, codes, known)

    def _uncertain(
        self,
        fleet: _Fleet,
        unsure: list[int],
        groups: dict[str, list[int]],
        codes: tuple[str, str],
        known: Collection[str],
    ) -> Iterator[Cause]:
        """Give the open alarms of which nobody can tell now."""
        one, many = codes
        crowds = {subject for subject in self._subjects(many) if len(groups.get(subject[7:], ())) <= self._config.many}
        if not known and not crowds:
            return
        for i in unsure:
            if (subject := f"device:{fleet.keys[i]}") in known:
                yield Cause(one, subject, fleet.sites[i], certain=False)
        doubtful = {f"agency:{fleet.agencies[i]}" for i in unsure}
        for subject in crowds & doubtful:
            yield Cause(many, subject, None, subject[7:] or None, certain=False)
