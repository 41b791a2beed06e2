# SPDX-License-Identifier: Apache-2.0
"""Quarantine: each reject once, the newest first, never more than its bound."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ingest.errors import Full
from ingest.quarantine import MAX_KEPT_PAYLOAD, Quarantine, QuarantineConfig, QuarantinedRecord
from tests.unit.ingest.fleet import NOW_MS, topic

SAMPLE = QuarantinedRecord(0, NOW_MS, topic(1), "kebun", "bed-1", "out-of-range", "flow is -2", 3, 7, 41, 9, b'{"flow":-2}')


@pytest.fixture
def quarantine(tmp_path: Path) -> Iterator[Quarantine]:
    found = Quarantine(QuarantineConfig(tmp_path / "quarantine.sqlite", max_bytes=100_000))
    yield found
    found.close()


def test_keep_gives_the_record_back_whole(quarantine: Quarantine) -> None:
    quarantine.keep(1, [(0, SAMPLE), (1, replace(SAMPLE, record=None, boot=None, seq=None, site=None, device=None))])
    (second, first), after = quarantine.list()
    assert after is None
    assert replace(first, id=0) == SAMPLE
    assert (second.record, second.boot, second.seq, second.site) == (None, None, None, None)
    assert quarantine.get(first.id) == first
    assert quarantine.get(99) is None


def test_keep_of_the_same_burst_again_keeps_each_record_once(quarantine: Quarantine) -> None:
    records = [(0, SAMPLE), (0, replace(SAMPLE, record=4)), (5, replace(SAMPLE, record=None))]
    for _ in range(3):
        quarantine.keep(1, records)
    assert quarantine.totals()["kept"] == len(quarantine.list()[0]) == 3
    quarantine.keep(2, records)
    assert quarantine.totals()["kept"] == 6


def test_keep_of_the_same_burst_again_does_not_bring_back_what_was_discarded_or_replayed(quarantine: Quarantine) -> None:
    records = [(0, SAMPLE), (1, SAMPLE), (2, SAMPLE)]
    quarantine.keep(1, records)
    third, second, first = quarantine.list()[0]
    assert quarantine.discard(first.id)
    quarantine.settle(second.id, 9)
    quarantine.keep(1, records)
    assert quarantine.list()[0] == [third]
    assert quarantine.totals()["kept"] == 3


def test_keep_of_a_large_payload_keeps_its_beginning_and_its_size(quarantine: Quarantine) -> None:
    quarantine.keep(1, [(0, replace(SAMPLE, payload=b"x" * 1_000_000, size=1_000_000))])
    (found,), _ = quarantine.list()
    assert (found.payload, found.size) == (b"x" * MAX_KEPT_PAYLOAD, 1_000_000)


def test_keep_past_the_bound_drops_the_oldest_and_counts_them(quarantine: Quarantine) -> None:
    for position in range(300):
        quarantine.keep(position, [(0, replace(SAMPLE, seq=position, payload=b"y" * 500))])
        assert quarantine.totals()["bytes"] <= 100_000
    totals = quarantine.totals()
    left, _ = quarantine.list(limit=1000)
    assert totals["kept"] == 300
    assert totals["dropped"] == 300 - len(left)
    assert [found.seq for found in left] == list(range(299, 299 - len(left), -1))


def test_keep_on_a_full_volume_is_full_and_keeps_nothing_of_the_burst(quarantine: Quarantine) -> None:
    (pages,) = quarantine._db.execute("pragma page_count").fetchone()
    quarantine._db.execute(f"pragma max_page_count = {pages}")
    many = [(i, replace(SAMPLE, payload=b"z" * 4000)) for i in range(20)]
    with pytest.raises(Full, match="quarantine"):
        quarantine.keep(1, many)
    assert quarantine.totals() == {"kept": 0, "dropped": 0, "bytes": 0, "replayed": 0, "discarded": 0}
    quarantine._db.execute("pragma max_page_count = 1000000")
    quarantine.keep(1, many)
    assert quarantine.totals()["kept"] == 20


def test_list_goes_on_after_the_last_one_given(quarantine: Quarantine) -> None:
    quarantine.keep(1, [(i, replace(SAMPLE, seq=i)) for i in range(5)])
    first, after = quarantine.list(limit=2)
    second, end = quarantine.list(limit=3, after=after)
    assert [found.seq for found in first + second] == [4, 3, 2, 1, 0]
    assert end is None


def test_list_of_a_reason_and_a_device_gives_only_those(quarantine: Quarantine) -> None:
    quarantine.keep(1, [(0, SAMPLE), (1, replace(SAMPLE, reason="malformed")), (2, replace(SAMPLE, device="bed-2"))])
    assert [found.reason for found in quarantine.list(reason="malformed")[0]] == ["malformed"]
    assert [found.device for found in quarantine.list(site="kebun", device="bed-2")[0]] == ["bed-2"]
    assert quarantine.list(site="'; drop table record; --")[0] == []


def test_quarantine_opened_again_holds_what_it_held(tmp_path: Path) -> None:
    config = QuarantineConfig(tmp_path / "again.sqlite")
    for position in (1, 2):
        found = Quarantine(config)
        found.keep(position, [(0, SAMPLE)])
        assert found.totals()["kept"] == position
        found.close()
