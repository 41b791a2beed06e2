# SPDX-License-Identifier: Apache-2.0
"""Deciding: once, in the journal's order, and the same again after a crash at any point."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.topics import Address
from ingest.decode import BurstDecoder, DecodedBurst
from ingest.errors import Full
from ingest.journal import Entry
from ingest.judge import Judge
from ingest.latest import LatestState
from ingest.progress import Progress
from ingest.quarantine import Quarantine, QuarantineConfig
from ingest.sequences import Sequences
from tests.unit.ingest.fleet import CATALOGUE, NOW_MS, burst_of, make_devices, telemetry

numbered = st.builds(lambda boot, seq: telemetry(boot=boot, seq=seq, flow=seq), st.integers(1, 2), st.integers(0, 6))
timed = st.builds(lambda at: telemetry(ts=NOW_MS + at, flow=at), st.integers(0, 4))
bad = st.builds(lambda seq: telemetry(boot=1, seq=seq, flow=-1), st.integers(0, 6))
array = st.lists(st.integers(0, 6), max_size=3).map(
    lambda seqs: b"[%s]" % b",".join(telemetry(boot=1, seq=s, flow=s) for s in seqs)
)
message = st.tuples(st.integers(0, 2), st.one_of(numbered, numbered, timed, bad, array, st.just(b"{")))
bursts = st.lists(st.lists(message, min_size=1, max_size=5), min_size=1, max_size=8)
_runs = itertools.count()


class House:
    """All that deciding needs, in files that outlive a crash."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.start()

    def start(self) -> None:
        self.devices = make_devices()
        self.progress = Progress(self.folder / "progress.sqlite")
        self.quarantine = Quarantine(QuarantineConfig(self.folder / "quarantine.sqlite"))
        self.latest = LatestState(self.devices, CATALOGUE)
        self.sequences = Sequences()
        decoder = BurstDecoder(self.devices, CATALOGUE)
        self.judge = Judge(decoder, self.devices, self.sequences, self.quarantine, self.latest, self.progress)

    def crash(self) -> None:
        self.progress.close()
        self.quarantine.close()
        self.start()

    def close(self) -> None:
        self.progress.close()
        self.quarantine.close()


def new_house(factory: pytest.TempPathFactory) -> House:
    return House(factory.mktemp("judge") / str(next(_runs)))


@pytest.fixture
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    made = new_house(tmp_path_factory)
    yield made
    made.close()


def entries_of(parts: list[list[tuple[int, bytes]]]) -> list[Entry]:
    return [Entry(i + 1, burst_of(*messages)) for i, messages in enumerate(parts)]


def plain(burst: DecodedBurst) -> list[tuple[Any, ...]]:
    rows = []
    for part in burst.rows:
        for i in range(len(part)):
            numbers = [int(c[i]) for c in (part.place, part.device, part.zone, part.ts_ms, part.boot, part.seq, part.flags)]
            rows.append((part.kind, *numbers, {n: float(c[i]) for n, c in part.values.items() if c[i] == c[i]}))
    return rows


@settings(max_examples=40)
@given(bursts, st.data())
def test_judge_after_a_crash_at_any_point_decides_the_same_again(
    tmp_path_factory: pytest.TempPathFactory, parts: list[list[tuple[int, bytes]]], data: st.DataObject
) -> None:
    entries = entries_of(parts)
    calm, shaken = new_house(tmp_path_factory), new_house(tmp_path_factory)
    truth = {burst.position: plain(burst) for burst in calm.judge.judge(entries).bursts}
    assert list(truth) == [entry.position for entry in entries]
    forget = data.draw(st.integers(0, 3))
    while shaken.judge.position < len(entries):
        count = data.draw(st.integers(1, len(entries)))
        start = shaken.judge.position
        for burst in shaken.judge.judge(entries[start : start + count]).bursts:
            assert plain(burst) == truth[burst.position]
        if data.draw(st.booleans()):
            assert shaken.judge.checkpoint(min(forget, start)) == shaken.judge.position
        if data.draw(st.booleans()) and data.draw(st.booleans()):
            shaken.crash()
        behind = data.draw(st.integers(min(forget, start, shaken.judge.position), shaken.judge.position))
        for burst in shaken.judge.decode_again(entries[behind : shaken.judge.position]):
            assert plain(burst) == truth[burst.position]
    for device in range(3):
        assert shaken.sequences.state(device) == calm.sequences.state(device)
        for zone in (1, 2):
            assert shaken.latest.zone_values("kebun", f"bed-{device}", zone).keys() <= {"flow"}
    assert len(shaken.quarantine.list(limit=1000)[0]) == len(calm.quarantine.list(limit=1000)[0])
    calm.close()
    shaken.close()


def test_judge_tells_the_senders_also_of_records_sent_again_and_of_rejected_ones(house: House) -> None:
    first = house.judge.judge(entries_of([[(0, telemetry(boot=1, seq=0, flow=1)), (1, telemetry(boot=2, seq=0, flow=-1))]]))
    assert first.senders == {(0, 1), (1, 2)}
    again = house.judge.judge([Entry(2, burst_of((0, telemetry(boot=1, seq=0, flow=1))))])
    assert (again.senders, again.rows, again.messages) == ({(0, 1)}, 0, 1)
    assert house.judge.positions([(0, 1), (1, 2), (2, 9)]) == [
        (Address("kebun", "bed-0"), 1, 0),
        (Address("kebun", "bed-1"), 2, 0),
    ]


def test_judge_keeps_each_bad_record_with_its_reason_and_stores_the_others(house: House) -> None:
    body = b'[{"boot":1,"seq":0,"flow":1},{"boot":1,"seq":1,"flow":-1},{"boot":1,"seq":2,"flow":1}]'
    judged = house.judge.judge(entries_of([[(0, body), (3, b"{}"), (1, b"\xff" * 5_000)]]))
    assert judged.rows == 2
    kept = [(r.reason, r.site, r.record, r.seq, r.size) for r in house.quarantine.list()[0]]
    assert sorted(kept, key=str) == sorted(
        [
            ("out-of-range", "kebun", 1, 1, len(body)),
            ("unknown-device", None, None, None, 2),
            ("malformed", "kebun", None, None, 5_000),
        ],
        key=str,
    )
    assert house.sequences.contiguous(0, 1) == 2
    assert {device for device, _ in judged.errors} == {0, 1}


def test_judge_when_the_quarantine_is_full_stops_before_that_burst_and_goes_on_later(house: House) -> None:
    entries = entries_of(
        [[(0, telemetry(boot=1, seq=0, flow=1))], [(0, b"x" * 4_096)] * 30, [(0, telemetry(boot=1, seq=1, flow=1))]]
    )
    (pages,) = house.quarantine._db.execute("pragma page_count").fetchone()
    house.quarantine._db.execute(f"pragma max_page_count = {pages}")
    assert [burst.position for burst in house.judge.judge(entries).bursts] == [1]
    assert house.judge.position == 1
    with pytest.raises(Full):
        house.judge.judge(entries[1:])
    assert house.judge.position == 1
    house.quarantine._db.execute("pragma max_page_count = 1000000")
    judged = house.judge.judge(entries[1:])
    assert (house.judge.position, judged.rows) == (3, 1)
    assert house.quarantine.totals()["kept"] == 30


def test_checkpoint_that_failed_is_made_good_by_the_next(house: House) -> None:
    house.judge.judge(entries_of([[(device, telemetry(boot=1, seq=0, flow=1)) for device in (0, 0, 1)]]))
    (pages,) = house.progress._db.execute("pragma page_count").fetchone()
    house.progress._db.execute(f"pragma max_page_count = {pages}")
    house.judge._duplicates.update(
        {(1, f"kind-{i}"): house.judge._duplicates[1, "irrigation-controller"].repeat(900) for i in range(9)}
    )
    with pytest.raises(Full):
        house.judge.checkpoint(0)
    house.progress._db.execute("pragma max_page_count = 1000000")
    house.judge.checkpoint(0)
    house.crash()
    assert house.judge.position == 1
    assert [house.sequences.contiguous(device, 1) for device in (0, 1)] == [0, 0]
    assert house.progress.duplicates(0, 9)[1, "irrigation-controller"].tolist() == [1]


def test_judge_of_a_device_removed_since_the_checkpoint_starts_without_it(house: House) -> None:
    house.judge.judge(entries_of([[(0, telemetry(boot=1, seq=0, flow=1))]]))
    house.judge.checkpoint(0)
    states = house.progress.states()
    house.progress.save(1, [(Address("kebun", "gone"), states[0][1])], {}, 0)
    house.crash()
    assert house.sequences.contiguous(0, 1) == 0
