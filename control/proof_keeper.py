# SPDX-License-Identifier: Apache-2.0
"""The keeper of proofs: looks at what acts left in the readings, keeps the verdicts, holds zones, and watches for leaks.

What waits for a verdict is in the ledger, not here: an act that ended before a crash gets its verdict after it. Invariants: a
verdict waits until its readings can have come, and no longer than `patience_s` for them or `store_patience_s` for a store that
is down; a pass that fails is tried again; nothing here makes a tick or a device's word wait.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from control.controller import Feed
from control.database import Database, write_in_thread
from control.errors import DatabaseUnavailable
from control.events import proof_event
from control.models import OPEN_ACTS, ActRow, DeviceRow, ZoneRow
from control.proof import Proof, ProofConfig, judge_feed, judge_water
from control.proof_leaks import UNDER_WAY, LeakWatch, MeterReadings
from control.proof_readings import SeriesReader, feed_evidence, read_traces, second_look_ms, water_evidence
from control.proofs import Unproved, ZoneProof, keep_leak, keep_proof, list_unproved, zone_proofs
from control.records import Act
from gateway.clock import Clock
from ingest.store.errors import StoreError

__all__ = ["KeeperConfig", "ProofKeeper", "Values"]

logger = logging.getLogger(__name__)

AT_ONCE: Final = 500  # acts looked at in one pass, and as many for a second time
_LOOK_BACK_MS: Final = 86_400_000


class Values(Protocol):
    """The newest measured values; `ingest.latest` has them."""

    def table(
        self, keys: Sequence[tuple[str, str, int]], quantities: Sequence[str]
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return values and times of some quantities of many zones, each of shape (n, m)."""


@dataclass(frozen=True, slots=True)
class KeeperConfig:
    """How patient the keeper is.

    Attributes
    ----------
    every_s : float
        Between two passes. [s]
    settle_s : float
        After an act's end is known, its last readings come within this. [s]
    patience_s : float
        Without any reading after the act, so long is waited for one. [s]
    store_patience_s : float
        And so long for a store that does not answer. [s]
    least_wall_s : float
        Between two passes on the wall, however fast the clock. [s]
    """

    every_s: float = 30.0
    settle_s: float = 120.0
    patience_s: float = 900.0
    store_patience_s: float = 3_600.0
    least_wall_s: float = 0.5


@dataclass(frozen=True, slots=True)
class _Found:
    act_id: str
    proof: Proof
    due_ms: int | None


@dataclass(frozen=True, slots=True)
class _Meters:
    keys: list[str]
    seen: MeterReadings


class ProofKeeper:
    """Judge acts by what was measured.

    Parameters
    ----------
    readings : SeriesReader
        The store from which readings are taken.
    latest : Values
        The newest measured values.
    feed : Feed
        Is told the event "proof".
    """

    def __init__(
        self,
        database: Database,
        readings: SeriesReader,
        latest: Values,
        clock: Clock,
        feed: Feed,
        config: KeeperConfig | None = None,
        thresholds: ProofConfig | None = None,
    ) -> None:
        self._database = database
        self._readings = readings
        self._latest = latest
        self._clock = clock
        self._feed = feed
        self._config = config or KeeperConfig()
        self._thresholds = thresholds or ProofConfig()
        self._leaks = LeakWatch()
        self._failing = False

    async def run(self) -> None:
        """Look again and again until cancelled."""
        while True:
            try:
                await self.look()
            except (DatabaseUnavailable, StoreError) as exc:
                level = logging.DEBUG if self._failing else logging.WARNING
                logger.log(level, "acts wait for their proof: %s", exc, extra={"action": "proof_failed"})
                self._failing = True
            else:
                if self._failing:
                    logger.info("acts are proved again", extra={"action": "proof_recovered"})
                self._failing = False
            await asyncio.gather(self._clock.sleep(self._config.every_s), asyncio.sleep(self._config.least_wall_s))

    async def look(self) -> list[Act]:
        """Judge what can be judged now, and look for leaks; return the acts that got a verdict.

        Raises
        ------
        DatabaseUnavailable, StoreError
            The rest is judged with the next look.
        """
        now_ms = self._clock.now_ms()
        found, failure = await asyncio.to_thread(self._judge, now_ms)
        kept = await self._keep(found, now_ms) if found else []
        meters = await asyncio.to_thread(self._read_meters, now_ms)
        await self._watch_leaks(meters, now_ms)
        if failure is not None:
            raise failure
        return kept

    def _judge(self, now_ms: int) -> tuple[list[_Found], StoreError | None]:
        with self._database.reader() as session:
            waiting = list_unproved(session, now_ms, round(self._config.settle_s * 1000), AT_ONCE)
        found: list[_Found] = []
        failure: StoreError | None = None
        for one in waiting:
            waited_s = (now_ms - one.known_ms) / 1000.0
            if waited_s < self._config.settle_s:
                continue
            if failure is None:
                try:
                    verdict = self._judge_one(one, now_ms, waited_s)
                except StoreError as exc:
                    failure = exc
                else:
                    found += [verdict] if verdict is not None else []
                    continue
            if waited_s >= self._config.store_patience_s:
                found.append(_given_up(one))
        return found, failure

    def _judge_one(self, one: Unproved, now_ms: int, waited_s: float) -> _Found | None:
        """Return the verdict on an act; None where its readings are waited for."""
        traces = read_traces(one, self._readings, now_ms)
        if not traces.heard and waited_s < self._config.patience_s:
            return None
        due_ms = None
        if one.act.action == "feed":
            proof = judge_feed(feed_evidence(one, traces), self._thresholds)
        else:
            seen = water_evidence(one, traces)
            proof = judge_water(seen, self._thresholds)
            if not one.again:
                due_ms = second_look_ms(one, seen, traces, self._thresholds)
        return _Found(one.act.id, proof, due_ms)

    async def _keep(self, found: Sequence[_Found], now_ms: int) -> list[Act]:
        def work(session: Session) -> list[tuple[Act, ZoneProof]]:
            return [keep_proof(session, one.act_id, one.proof, now_ms=now_ms, due_ms=one.due_ms) for one in found]

        kept = await write_in_thread(self._database, work)
        for act, standing in kept:
            self._feed.publish("proof", proof_event(act, standing))
            if act.verdict == "disproved":
                finding = (act.proof or {}).get("finding")
                logger.warning("act %s in %s: %s", act.id, act.zone_key, finding, extra={"action": "act_disproved"})
        return [act for act, _ in kept]

    def _read_meters(self, now_ms: int) -> tuple[_Meters, set[str]]:
        with self._database.reader() as session:
            beds = session.execute(
                select(ZoneRow.key, ZoneRow.device_key, DeviceRow.site, DeviceRow.name, ZoneRow.number)
                .join(DeviceRow, DeviceRow.key == ZoneRow.device_key)
                .where(ZoneRow.type == "bed", DeviceRow.revoked_ms.is_(None))
            ).all()
            quiet = _quiet_since(session, now_ms)
            leaking = {key for key, standing in zone_proofs(session).items() if standing.leak_ms is not None}
        values, times = self._latest.table([(site, name, number) for _, _, site, name, number in beds], ["flow", "valve_open"])
        numbers = {device: i for i, device in enumerate(dict.fromkeys(row.device_key for row in beds))}
        seen = MeterReadings(
            device=np.array([numbers[row.device_key] for row in beds], np.int64),
            flow=values[:, 0],
            valve=values[:, 1],
            flow_ms=times[:, 0],
            quiet_since_ms=np.array([quiet.get(row.device_key, 0) for row in beds], np.int64),
        )
        return _Meters([row.key for row in beds], seen), leaking

    async def _watch_leaks(self, read: tuple[_Meters, set[str]], now_ms: int) -> None:
        meters, leaking = read
        changed = self._leaks.look(meters.keys, meters.seen, leaking)
        if not changed:
            return

        def work(session: Session) -> None:
            for key, l_min in changed.items():
                keep_leak(session, key, l_min, now_ms)

        await write_in_thread(self._database, work)


def _given_up(one: Unproved) -> _Found:
    """Conclude without the store: a first verdict says so, a second look is left out."""
    if one.act.verdict is None:
        return _Found(one.act.id, Proof("no-evidence", "store-down"), None)
    numbers: dict[str, Any] = dict(one.act.proof or {})
    finding = numbers.pop("finding", None)
    numbers.pop("judged_ms", None)
    return _Found(one.act.id, Proof(one.act.verdict, finding, numbers), None)  # type: ignore[arg-type]


def _quiet_since(session: Session, now_ms: int) -> dict[str, int]:
    """Return since when nothing was under way at devices that watered within the last day."""
    ended = (
        select(ActRow.device_key, func.max(ActRow.ended_ms))
        .where(ActRow.ended_ms >= now_ms - _LOOK_BACK_MS, ActRow.action == "irrigate")
        .group_by(ActRow.device_key)
    )
    found: dict[str, int] = dict(_pairs(session.execute(ended)))
    under_way = select(ActRow.device_key).where(OPEN_ACTS, ActRow.state != "planned", ActRow.state != "held")
    found.update(dict.fromkeys(session.scalars(under_way), UNDER_WAY))
    return found


def _pairs(rows: Iterable[Any]) -> Iterable[tuple[str, int]]:
    return ((key, at_ms) for key, at_ms in rows)
