# SPDX-License-Identifier: Apache-2.0
"""What was decided before a crash holds, though registry or catalogue are others after it: nothing lost, nothing twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.topics import Address
from ingest.bursts import StoredBurst
from ingest.decode import BurstDecoder
from ingest.devices import DeviceTable
from ingest.journal import Entry
from ingest.judge import Judge
from ingest.latest import LatestState
from ingest.own_words import replay_burst
from ingest.progress import Progress
from ingest.quarantine import Quarantine, QuarantineConfig
from ingest.sequences import Sequences
from tests.unit.ingest.fleet import CATALOGUE, burst_of, make_devices, telemetry

BED = Address("kebun", "bed-0")
Registry = Callable[[DeviceTable], None]
BURST = burst_of(
    (0, telemetry(boot=1, seq=0, flow=1.0)),
    (0, b"[%s]" % b",".join(telemetry(boot=1, seq=seq, flow=1.0, **{"rain": 2.0} if seq == 2 else {}) for seq in (1, 2, 3))),
    (1, telemetry(boot=1, seq=0, flow=1.0)),
)


def whole(devices: DeviceTable) -> None:
    """Everybody is registered, and `rain` is in the kind."""
    devices.put(BED, CATALOGUE.kinds["irrigation-controller"])


def without_rain(devices: DeviceTable) -> None:
    kind = CATALOGUE.kinds["irrigation-controller"]
    devices.put(BED, replace(kind, quantities=tuple(q for q in kind.quantities if q.name != "rain")))


def without_bed(devices: DeviceTable) -> None:
    devices.remove(BED)


class House:
    """A judge with its files and one store, which holds the numbers of the bed that it was given."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.journal: list[StoredBurst] = []
        self.store: list[int] = []
        self.cursor = 0
        self.given: list[list[int]] = []
        self.start(whole)

    def start(self, registry: Registry) -> None:
        devices = make_devices()
        registry(devices)
        self.progress = Progress(self.folder / "progress.sqlite")
        self.quarantine = Quarantine(QuarantineConfig(self.folder / "quarantine.sqlite"))
        self.sequences = Sequences()
        decoder, latest = BurstDecoder(devices, CATALOGUE), LatestState(devices, CATALOGUE)
        self.judge = Judge(decoder, devices, self.sequences, self.quarantine, latest, self.progress)
        self.judge.resume(len(self.journal) + 1, self.cursor)
        self.decide()

    def decide(self) -> None:
        """Decide about what the journal holds beyond."""
        at = self.judge.position
        for burst in self.judge.judge(Entry(at + i + 1, one) for i, one in enumerate(self.journal[at:])).bursts:
            numbers = [
                int(seq) for rows in burst.rows for seq, device in zip(rows.seq, rows.device, strict=True) if device == 0
            ]
            del self.given[burst.position - 1 :]
            self.given.append(numbers)

    def receive(self, burst: StoredBurst) -> None:
        self.journal.append(burst)
        self.decide()

    def bring(self) -> None:
        """Bring to the store what it has not."""
        for numbers in self.given[self.cursor :]:
            self.store += numbers
        self.cursor = len(self.given)

    def crash(self, registry: Registry) -> None:
        self.close()
        self.start(registry)

    def close(self) -> None:
        self.progress.close()
        self.quarantine.close()

    def replay_all(self) -> None:
        for record in self.quarantine.list()[0]:
            self.receive(replay_burst(record))

    @property
    def kept(self) -> list[tuple[str, int | None]]:
        return sorted((record.reason, record.seq) for record in self.quarantine.list()[0])


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("brought", [True, False])
@pytest.mark.parametrize(
    ("before", "after"), [(a, b) for a in (whole, without_rain, without_bed) for b in (whole, without_rain)]
)
def test_judge_after_a_crash_under_another_registry_loses_and_doubles_nothing(
    house: House, before: Registry, after: Registry, brought: bool
) -> None:
    house.crash(before)
    house.receive(BURST)
    if brought:
        house.bring()
    house.crash(after)
    house.crash(whole)
    house.replay_all()
    house.bring()
    assert sorted(house.store) == [0, 1, 2, 3]
    assert house.kept == []
    state = house.sequences.state(0)
    assert state is not None
    assert (state.waiting, state.lost, state.boots[1].high, state.boots[1].held) == (0, 0, 3, [])


def test_judge_after_a_crash_with_a_device_taken_away_keeps_out_of_quarantine_what_a_store_has(house: House) -> None:
    house.receive(BURST)
    house.bring()
    house.crash(without_bed)
    assert house.kept == []
    house.crash(whole)
    assert house.kept == []
    house.bring()
    assert house.store == [0, 1, 2, 3]


def test_judge_after_a_crash_with_a_device_taken_away_keeps_in_quarantine_what_no_store_has(house: House) -> None:
    house.receive(BURST)
    house.crash(without_bed)
    assert [reason for reason, _ in house.kept] == ["unknown-device", "unknown-device"]
    house.bring()
    assert house.store == []
    house.close()
    house.start(whole)
    house.replay_all()
    house.bring()
    assert sorted(house.store) == [0, 1, 2, 3]


def test_judge_after_a_crash_keeps_what_was_quarantined_there_for_a_store_that_is_behind_too(house: House) -> None:
    house.crash(without_rain)
    house.receive(BURST)
    house.crash(whole)
    (again,) = house.judge.decode_again([Entry(1, BURST)])
    assert [int(seq) for rows in again.rows for seq in rows.seq] == [0, 1, 3, 0]
    assert len(house.kept) == 1


@pytest.mark.parametrize("brought", [True, False])
def test_judge_after_a_crash_refusing_a_replay_that_was_taken_keeps_the_record_once(house: House, brought: bool) -> None:
    house.crash(without_rain)
    house.receive(BURST)
    house.bring()
    house.judge.checkpoint(1)
    house.crash(whole)
    house.replay_all()
    assert house.kept == []
    if brought:
        house.bring()
    house.crash(without_rain)
    assert len(house.kept) == (0 if brought else 1)
    house.crash(whole)
    house.replay_all()
    house.bring()
    assert sorted(house.store) == [0, 1, 2, 3]
    assert house.kept == []


def test_judge_after_a_crash_taking_a_replay_that_was_refused_keeps_it_where_a_store_has_passed_it(house: House) -> None:
    house.crash(without_rain)
    house.receive(BURST)
    house.bring()
    house.judge.checkpoint(1)
    house.replay_all()
    house.bring()
    house.crash(whole)
    assert len(house.kept) == 1
    house.replay_all()
    house.bring()
    assert sorted(house.store) == [0, 1, 2, 3]
    assert house.kept == []
