# SPDX-License-Identifier: Apache-2.0
"""Deciding: once, in the journal's order, and the same again after a crash at any point."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.messages import Position, Status
from gateway.topics import Address
from ingest.bursts import StoredBurst
from ingest.decode import BurstDecoder, DecodedBurst
from ingest.errors import Full
from ingest.gaps import LostSession
from ingest.journal import Entry
from ingest.judge import Judge
from ingest.latest import LatestState
from ingest.own_words import find_status, replay_burst, session_lost_burst, status_burst
from ingest.progress import Progress
from ingest.quarantine import Quarantine, QuarantineConfig, QuarantinedRecord
from ingest.sequences import Sequences
from ingest.store.batch import RejectedRow
from tests.unit.ingest.fleet import CATALOGUE, NOW_MS, burst_of, make_devices, telemetry, topic

BED = Address("kebun", "bed-0")
KEPT = QuarantinedRecord(7, NOW_MS, topic(0), "kebun", "bed-0", "out-of-range", "flow is -2", None, None, None, 0, b"")
seqs = st.integers(0, 8)
numbered = st.builds(lambda boot, seq: telemetry(boot=boot, seq=seq, flow=seq), st.integers(1, 2), st.integers(0, 6))
timed = st.builds(lambda at: telemetry(ts=NOW_MS + at, flow=at), st.integers(0, 4))
bad = st.builds(lambda seq: telemetry(boot=1, seq=seq, flow=-1), st.integers(0, 6))
array = st.lists(st.integers(0, 6), max_size=3).map(
    lambda seqs: b"[%s]" % b",".join(telemetry(boot=1, seq=s, flow=s) for s in seqs)
)
ids = st.tuples(st.integers(1, 2), st.integers(0, 1), st.one_of(numbered, timed, bad, array, st.just(b"{")))
own = st.one_of(
    st.builds(lambda r: replay_burst(replace(KEPT, id=r[0], replays=r[1], payload=r[2], size=len(r[2]))), ids),
    st.builds(lambda b, s: status_burst(NOW_MS, [(BED, Status(True, boot=2, oldest=Position(b, s)))]), st.integers(1, 2), seqs),
    st.builds(lambda s: status_burst(NOW_MS, [(BED, Status(True, last=Position(1, s)))]), seqs),
    st.just(session_lost_burst(NOW_MS + 5)),
)
message = st.tuples(st.integers(0, 2), st.one_of(numbered, numbered, timed, bad, array, st.just(b"{")))
bursts = st.lists(st.one_of(st.lists(message, min_size=1, max_size=5), own), min_size=1, max_size=8)
_runs = itertools.count()
HOUR_MS, DAY_MS = 3_600_000, 86_400_000


class House:
    """All that deciding needs, in files that outlive a crash."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.start()

    def start(self, raw_days: int | None = None) -> None:
        self.devices = make_devices()
        self.progress = Progress(self.folder / "progress.sqlite")
        self.quarantine = Quarantine(QuarantineConfig(self.folder / "quarantine.sqlite"))
        self.latest = LatestState(self.devices, CATALOGUE)
        self.sequences = Sequences()
        decoder = BurstDecoder(self.devices, CATALOGUE)
        self.judge = Judge(
            decoder, self.devices, self.sequences, self.quarantine, self.latest, self.progress, raw_days=raw_days
        )

    def crash(self, raw_days: int | None = None) -> None:
        self.close()
        self.start(raw_days)

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


def entries_of(parts: Sequence[list[tuple[int, bytes]] | StoredBurst]) -> list[Entry]:
    return [Entry(i + 1, part if isinstance(part, StoredBurst) else burst_of(*part)) for i, part in enumerate(parts)]


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
    tmp_path_factory: pytest.TempPathFactory, parts: list[list[tuple[int, bytes]] | StoredBurst], data: st.DataObject
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
        zones = [("kebun", f"bed-{device}", zone) for zone in (1, 2)]
        assert (shaken.latest.table(zones, [name for name in CATALOGUE.quantities if name != "flow"])[1] == -1).all()
    assert shaken.judge.sessions.dump() == calm.judge.sessions.dump()
    assert shaken.judge.tally.records == calm.judge.tally.records
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
            ("out-of-range", "kebun", 1, 1, len(b'{"boot":1,"seq":1,"flow":-1}')),
            ("unknown-device", None, None, None, 2),
            ("malformed", "kebun", None, None, 5_000),
        ],
        key=str,
    )
    assert house.sequences.contiguous(0, 1) == 2
    assert {device for device, _ in judged.errors} == {0, 1}


def test_judge_refuses_what_is_older_than_rows_are_kept_and_tells_the_device(house: House) -> None:
    house.crash(raw_days=90)
    hour_ms = (NOW_MS - 90 * DAY_MS) // HOUR_MS * HOUR_MS  # whole hours are let go
    old, kept = telemetry(boot=1, seq=0, ts=hour_ms - 1, flow=1), telemetry(boot=1, seq=1, ts=hour_ms, flow=2)
    judged = house.judge.judge(entries_of([[(0, b"[%s,%s]" % (old, kept)), (0, telemetry(boot=1, seq=2, flow=3))]]))
    (record,) = records(house)
    assert (record.reason, record.seq, record.payload, judged.rows) == ("ts-behind", 0, old, 2)
    assert "retention.raw_days" in record.detail
    assert [(device, reject.code, reject.seq) for device, reject in judged.errors] == [(0, "ts-behind", 0)]
    assert house.sequences.contiguous(0, 1) == 2  # it has arrived: no gap, and the device may forget it
    (again,) = house.judge.decode_again(entries_of([[(0, b"[%s,%s]" % (old, kept)), (0, telemetry(boot=1, seq=2, flow=3))]]))
    assert [rows.seq.tolist() for rows in again.rows] == [[1, 2]]


@pytest.mark.parametrize("raw_days", [None, 500])
def test_judge_that_keeps_rows_longer_refuses_by_the_contract_alone(house: House, raw_days: int | None) -> None:
    house.crash(raw_days=raw_days)
    ages = (400 * DAY_MS, 400 * DAY_MS + 1)
    judged = house.judge.judge(entries_of([[(0, telemetry(boot=1, seq=i, ts=NOW_MS - age)) for i, age in enumerate(ages)]]))
    assert (judged.rows, [(r.reason, r.seq) for r in records(house)]) == (1, [("ts-behind", 1)])
    assert "400 days" in records(house)[0].detail


def test_replay_of_a_record_that_one_store_refused_leaves_it_in_quarantine(house: House) -> None:
    burst = burst_of((0, telemetry(boot=1, seq=0, flow=1)))
    judged = house.judge.judge([Entry(1, burst)])
    house.judge.keep_refused("influxdb", judged.bursts, "irrigation-controller", [RejectedRow(0, 0, "400: type conflict")])
    (kept,) = records(house)
    again = Entry(2, replay_burst(kept))
    judged = house.judge.judge([again])
    assert (list(judged.outcomes.values()), [plain(burst) for burst in judged.bursts]) == (["refused"], [[]])
    (left,) = records(house)
    assert (left.reason, left.detail, left.replays) == ("store-refused", "influxdb: 400: type conflict", 1)
    assert [plain(burst) for burst in house.judge.decode_again([again])] == [[]]  # no other store gets it a second time
    house.judge.checkpoint(0)
    house.crash()
    assert [plain(burst) for burst in house.judge.decode_again([again])] == [[]]


def test_replay_of_a_record_refused_for_its_age_is_refused_until_rows_are_kept_longer(house: House) -> None:
    house.crash(raw_days=90)
    judge_next(house, burst_of((0, telemetry(boot=1, seq=0, ts=NOW_MS - 100 * DAY_MS, flow=1))))
    assert judge_next(house, replay_burst(records(house)[0])) == []
    (left,) = records(house)
    assert (left.reason, left.replays) == ("ts-behind", 1)
    house.judge.checkpoint(0)
    house.crash(raw_days=120)
    assert len(judge_next(house, replay_burst(left))) == 1
    assert records(house) == []


def test_replay_of_a_record_that_grew_too_old_in_quarantine_is_refused_for_its_age(house: House) -> None:
    house.crash(raw_days=90)
    judge_next(house, burst_of((3, telemetry(ts=NOW_MS, flow=1))))
    mend(house)
    judge_next(house, burst_of((0, telemetry(flow=1)), at_ms=NOW_MS + 91 * DAY_MS))
    judge_next(house, replay_burst(records(house)[0]))
    assert [(left.reason, left.replays) for left in records(house)] == [("ts-behind", 1)]


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
    house.judge._marks.update({(1, f"kind-{i}"): house.judge._marks[1, "irrigation-controller"].repeat(900) for i in range(9)})
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


def records(house: House) -> list[QuarantinedRecord]:
    """What is in quarantine, oldest first."""
    return house.quarantine.list(limit=1000)[0][::-1]


def judge_next(house: House, *bursts: StoredBurst) -> list[tuple[Any, ...]]:
    """Append bursts, decide, and return their new rows without places."""
    start = house.judge.position + 1
    judged = house.judge.judge([Entry(start + i, burst) for i, burst in enumerate(bursts)])
    return [row[2:] for burst in judged.bursts for row in plain(burst)]


def mend(house: House) -> None:
    """Register the device that was not known."""
    house.devices.put(Address("kebun", "bed-3"), CATALOGUE.kinds["irrigation-controller"])


def test_replay_after_the_cause_is_mended_is_stored_once_however_often_it_is_replayed(house: House) -> None:
    for payload in (telemetry(boot=1, seq=0, flow=1), telemetry(flow=2), telemetry(ts=NOW_MS, flow=3)):
        assert judge_next(house, burst_of((3, payload))) == []
    kept = records(house)
    mend(house)
    for record in kept:
        assert len(judge_next(house, replay_burst(record))) == 1
    assert records(house) == []
    assert house.quarantine.totals()["replayed"] == 3
    assert judge_next(house, replay_burst(kept[0]), replay_burst(kept[2])) == []
    assert judge_next(house, burst_of((3, telemetry(boot=1, seq=0, flow=1)))) == []


def test_replay_of_a_number_that_came_bad_and_again_bad_is_stored_once(house: House) -> None:
    kind = CATALOGUE.kinds["irrigation-controller"]
    payload = telemetry(boot=1, seq=4, turbidity=5.0)
    judge_next(house, burst_of((0, payload)), burst_of((0, payload)))
    first, second = records(house)
    assert (first.reason, house.sequences.contiguous(0, 1)) == ("not-in-kind", -1)
    gained = replace(kind, quantities=(*kind.quantities, CATALOGUE.quantities["turbidity"]))
    house.devices.put(BED, gained)
    assert [row[-1] for row in judge_next(house, replay_burst(first))] == [{"turbidity": 5.0}]
    judged = house.judge.judge([Entry(house.judge.position + 1, replay_burst(second))])
    assert (judged.rows, list(judged.outcomes.values())) == (0, ["duplicate"])
    assert records(house) == []
    assert judge_next(house, burst_of((0, payload))) == []


def test_replay_keeps_the_time_of_receipt_and_takes_one_record_of_an_array(house: House) -> None:
    body = b'[{"boot":1,"seq":0,"flow":1},{"boot":1,"seq":1,"turbidity":5},{"boot":1,"seq":2,"flow":-1}]'
    judge_next(house, burst_of((0, body)))
    first, second = records(house)
    assert (first.payload, first.complete, first.record) == (b'{"boot":1,"seq":1,"turbidity":5}', True, 1)
    kind = CATALOGUE.kinds["irrigation-controller"]
    house.devices.put(BED, replace(kind, quantities=(*kind.quantities, CATALOGUE.quantities["turbidity"])))
    ((_, _, ts_ms, boot, seq, _, values),) = judge_next(house, replay_burst(first))
    assert (ts_ms, boot, seq, values) == (NOW_MS, 1, 1, {"turbidity": 5.0})
    judged = house.judge.judge([Entry(house.judge.position + 1, replay_burst(second))])
    assert list(judged.outcomes.values()) == ["refused"]
    (left,) = records(house)
    assert (left.id, left.reason, left.replays) == (second.id, "out-of-range", 1)


def test_replay_of_a_payload_that_is_now_partly_good_keeps_the_bad_records(house: House) -> None:
    judge_next(house, burst_of((3, b'[{"boot":1,"seq":0,"flow":1},{"boot":1,"seq":1,"flow":-1}]')))
    mend(house)
    assert len(judge_next(house, replay_burst(records(house)[0]))) == 1
    assert [(r.reason, r.record, r.seq) for r in records(house)] == [("out-of-range", 1, 1)]
    assert house.sequences.contiguous(3, 1) == 1


@pytest.mark.parametrize("checkpoint", [True, False])
def test_decode_again_after_the_cause_is_mended_leaves_out_what_was_rejected(house: House, checkpoint: bool) -> None:
    array = b'[{"flow":1},{"flow":-1},{"flow":3}]'
    entries = [Entry(1, burst_of((0, array), (3, telemetry(flow=4)), (3, array), (1, telemetry(flow=5))))]
    truth = house.judge.judge(entries).bursts
    record = next(r for r in records(house) if r.size == len(telemetry(flow=4)))
    entries += [Entry(2, replay_burst(record))]
    truth += house.judge.judge(entries[1:]).bursts  # refused again
    if checkpoint:
        house.judge.checkpoint(0)
    mend(house)
    entries += [Entry(3, replay_burst(replace(record, replays=1)))]
    truth += house.judge.judge(entries[2:]).bursts
    assert [[row[-1]["flow"] for row in plain(burst)] for burst in truth] == [[1, 3, 5], [], [4]]
    assert [plain(burst) for burst in house.judge.decode_again(entries)] == [plain(burst) for burst in truth]


def test_replay_after_a_crash_before_the_checkpoint_is_decided_again(house: House) -> None:
    judge_next(house, burst_of((3, telemetry(boot=1, seq=0, flow=1))))
    house.judge.checkpoint(0)
    (record,) = records(house)
    mend(house)
    assert len(judge_next(house, replay_burst(record))) == 1
    house.crash()
    mend(house)
    assert len(judge_next(house, replay_burst(record))) == 1  # its store has not got it yet, or tells it by its cursor
    assert house.quarantine.totals()["replayed"] == 1


def test_status_makes_the_missing_tail_of_a_boot_a_gap_and_gives_up_what_the_device_no_longer_holds(house: House) -> None:
    judge_next(house, burst_of((0, telemetry(boot=6, seq=0, flow=1)), (0, telemetry(boot=6, seq=3, flow=1))))
    said = Status(True, boot=7, oldest=Position(6, 3), last=Position(6, 9))
    strangers = (Address("kebun", "nobody"), said)
    house.judge.judge([Entry(2, status_burst(NOW_MS + 9, [strangers, (BED, said)]))])
    state = house.sequences.state(0)
    assert state is not None
    assert [(gap.boot, gap.start, gap.end, gap.since_ms, gap.lost) for gap in state.gaps] == [
        (6, 1, 3, NOW_MS, True),
        (6, 4, 10, NOW_MS + 9, False),
    ]
    assert (state.lost, state.waiting, state.ends_unknown) == (2, 6, [])
    judge_next(house, burst_of(*((0, telemetry(boot=6, seq=seq, flow=1)) for seq in range(4, 10))))
    assert house.sequences.totals().missing == 0
    house.judge.checkpoint(0)
    house.crash()
    assert house.sequences.state(0) is not None
    assert house.sequences.totals().lost == 2


def test_find_status_cuts_down_to_what_tells_of_numbers() -> None:
    topic_ = "tirta/v1/kebun/bed-0/status"
    body = b'{"online":true,"boot":7,"rssi":-60,"oldest":{"boot":6,"seq":3},"n":9}'
    assert find_status(topic_, body) == (BED, Status(True, boot=7, oldest=Position(6, 3)))
    for other in (b'{"online":false}', b"", b"{", b'{"online":true,"boot":-1}'):
        assert find_status(topic_, other) is None
    assert find_status(topic(0), body) is None
    assert find_status("a/b", body) is None


def test_lost_session_is_a_window_since_the_last_telemetry_and_kept(house: House) -> None:
    judge_next(house, burst_of((0, telemetry(flow=1))), session_lost_burst(NOW_MS + 500))
    house.judge.checkpoint(0)
    house.crash()
    assert house.judge.sessions.count == 1
    assert house.judge.sessions.windows == (LostSession(NOW_MS, NOW_MS + 500),)
