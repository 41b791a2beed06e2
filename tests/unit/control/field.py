# SPDX-License-Identifier: Apache-2.0
"""A controller, a virtual device that breaks as it is told, and the keeper of proofs, on one stepped clock without a broker."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from control.audit import Trail
from control.database import Database
from control.proof_keeper import ProofKeeper
from control.proofs import ZoneProof, release_zone, zone_proofs
from control.records import Act
from gateway.topics import Address, Channel
from ingest.store.errors import StoreUnavailable
from ingest.store.protocol import Series, SeriesQuery
from simulators import Faults, build_device, load_scenario, parse_fault
from simulators.memory import open_storage
from tests.unit.control.stage import Pilot, at

__all__ = ["Field", "Measured"]


class Measured:
    """What devices measured: a store and the newest values, both at once."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, str, int], list[dict[str, Any]]] = {}
        self.down = False
        self.without: set[str] = set()  # quantities that nobody measures
        self.stuck: dict[str, float] = {}  # and sensors that always read the same

    def take(self, address: Address, payload: bytes) -> None:
        said = json.loads(payload)
        for record in said if isinstance(said, list) else [said]:
            kept = {name: value for name, value in record.items() if name not in self.without} | self.stuck
            self.records.setdefault((address.site, address.device, record["zone"]), []).append(kept)

    def series(self, query: SeriesQuery) -> Series:
        if self.down:
            raise StoreUnavailable("no answer")
        rows = [
            row
            for row in self.records.get((query.site, query.device, query.zone), [])
            if query.start_ms <= row["ts"] < query.end_ms and any(name in row for name in query.quantities)
        ]
        values = {name: np.array([float(row.get(name, np.nan)) for row in rows]) for name in query.quantities}
        return Series(np.array([row["ts"] for row in rows], np.int64), values, truncated=False)

    def table(
        self, keys: Sequence[tuple[str, str, int]], quantities: Sequence[str]
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        values, times = np.full((len(keys), len(quantities)), np.nan), np.full((len(keys), len(quantities)), -1, np.int64)
        for i, key in enumerate(keys):
            for j, name in enumerate(quantities):
                if row := next((row for row in reversed(self.records.get(key, [])) if name in row), None):
                    values[i, j], times[i, j] = float(row[name]), row["ts"]
        return values, times


class Field:
    """The pilot with its bed or its pond played by the simulator.

    Parameters
    ----------
    faults : str
        As on the command line, less the device: "=clog:0.6@10m..30m"; times count from `start`.
    """

    def __init__(self, database: Database, device: str, start: str, *faults: str) -> None:
        self.pilot = Pilot(database, at(start))
        self.address = Address("pilot", device)
        self.zone = f"pilot:{device}:1"
        self.measured = Measured()
        self.storage = open_storage(None)
        self.faults = Faults(self.address, [parse_fault(f"pilot/{device}{fault}") for fault in faults], at(start))
        self.device = self._build()
        self.keeper = self._keeper()
        self._handed = 0

    def _build(self) -> Any:
        (site,) = load_scenario("demo").sites
        spec = next(spec for spec in site.devices if spec.name == self.address.device)
        return build_device(site, spec, self.storage, self.pilot.clock.now_ms(), seed=1, faults=self.faults)

    def _keeper(self) -> ProofKeeper:
        pilot = self.pilot
        return ProofKeeper(pilot.database, self.measured, self.measured, pilot.clock, pilot)

    async def begin(self) -> None:
        await self._hear(self.device.connected(self.pilot.clock.now_ms()))

    async def cut_power(self) -> None:
        """Let the device forget what it had in mind, and start again."""
        self.device = self._build()
        await self.begin()

    def restart(self) -> None:
        """Begin the platform anew with what its database holds."""
        self.pilot.restart(self.pilot.database)
        self.keeper = self._keeper()

    async def minutes(self, minutes: int, *, look: bool = True) -> None:
        """Let time pass; each minute the device's words are heard, the controller ticks, and proofs are looked for."""
        for _ in range(minutes):
            await self.pilot.clock.advance(60)
            await self._hear(self.device.tick(self.pilot.clock.now_ms()))
            await self.pilot.controller.tick()
            await self.pilot.controller.send_due()
            await self._hand_over()
            if look:
                await self.keeper.look()

    async def act(self, **amount: float) -> str:
        action = "feed" if self.address.device == "pond" else "irrigate"
        act = await self.pilot.controller.request_act(self.zone, action, **amount, actor="tester")
        await self.pilot.controller.send_due()
        await self._hand_over()
        return act.id

    def acts(self) -> list[Act]:
        return [act for act in self.pilot.acts(self.zone) if act.action != "stop"]

    def verdicts(self) -> list[tuple[str | None, str | None]]:
        """Return verdict and finding of each act, the oldest first."""
        return [(act.verdict, (act.proof or {}).get("finding")) for act in reversed(self.acts())]

    def standing(self) -> ZoneProof:
        with self.pilot.database.reader() as session:
            return zone_proofs(session, [self.zone]).get(self.zone, ZoneProof(self.zone))

    def release(self) -> None:
        now_ms = self.pilot.clock.now_ms()
        with self.pilot.database.session() as session:
            release_zone(session, self.zone, now_ms=now_ms, trail=Trail("siti", "person", now_ms))

    async def _hand_over(self) -> None:
        published = self.pilot.published[self._handed :]
        self._handed += len(published)
        for topic, message, _ in published:
            _, _, site, name, channel = topic.split("/")
            if Address(site, name) == self.address:
                payload = json.dumps(message).encode()
                await self._hear(self.device.handle(Channel(channel), payload, self.pilot.clock.now_ms()))

    async def _hear(self, said: Sequence[Any]) -> None:
        topic = f"tirta/v1/{self.address.username}"
        for one in said:
            await self.pilot.controller.on_message(f"{topic}/{one.channel.value}", one.payload, False)
            self.device.acknowledge(one)
        while (batch := self.device.next_batch()) is not None:
            self.measured.take(self.address, batch.payload)
