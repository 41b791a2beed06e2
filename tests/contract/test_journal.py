# SPDX-License-Identifier: Apache-2.0
"""What every journal promises, asked of the one on SQLite: the seam at which a replicated log would take its place."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ingest.bursts import StoredBurst, pack_burst
from ingest.errors import Fenced, Full, Gap, Unavailable
from ingest.journal import Entry, Journal, JournalConfig, SqliteJournal

PART = 0
MIB = 1024**2

Opener = Callable[..., SqliteJournal]


def burst(number: int, size: int = 10) -> StoredBurst:
    return StoredBurst(number, [f"tirta/v1/kebun/bed-{number}/telemetry"], [bytes([number % 256]) * size])


def positions(entries: list[Entry]) -> list[int]:
    return [entry.position for entry in entries]


def fill(journal: Journal, count: int, start: int = 0) -> list[int]:
    fence = journal.claim(PART, "test")
    return [journal.append(PART, burst(start + i), f"b-{start + i}", fence) for i in range(count)]


@pytest.fixture
def open_journal(tmp_path: Path) -> Iterator[Opener]:
    """Open the same, at first empty, journal as often as wanted."""
    opened: list[SqliteJournal] = []

    def open_(max_bytes: int = 64 * MIB, *, low_water: float = 0.9, keep: bool = False) -> SqliteJournal:
        if not keep:
            for journal in opened:
                journal.close()
            opened.clear()
        opened.append(SqliteJournal(JournalConfig(tmp_path / "journal.sqlite", max_bytes, low_water)))
        return opened[-1]

    yield open_
    for journal in opened:
        journal.close()


def test_append_gives_positions_that_rise_by_one(open_journal: Opener) -> None:
    assert fill(open_journal(), 5) == [1, 2, 3, 4, 5]


def test_read_from_gives_back_every_burst_in_order(open_journal: Opener) -> None:
    journal = open_journal()
    fill(journal, 5)
    assert journal.read_from(PART, 2, MIB, 0.0) == [Entry(i + 1, burst(i)) for i in range(1, 5)]


def test_read_from_of_a_journal_opened_again_gives_back_every_burst(open_journal: Opener) -> None:
    fill(open_journal(), 3)
    journal = open_journal()
    assert journal.read_from(PART, 1, MIB, 0.0) == [Entry(i + 1, burst(i)) for i in range(3)]
    assert fill(journal, 1, start=3) == [4]


def test_read_from_stops_at_max_bytes_but_gives_at_least_one(open_journal: Opener) -> None:
    journal = open_journal()
    fill(journal, 4)
    size = len(pack_burst(burst(0)))
    assert positions(journal.read_from(PART, 1, 2 * size, 0.0)) == [1, 2]
    assert positions(journal.read_from(PART, 3, 1, 0.0)) == [3]


def test_read_from_beyond_the_end_gives_nothing(open_journal: Opener) -> None:
    journal = open_journal()
    assert journal.read_from(PART, 1, MIB, 0.0) == []
    fill(journal, 2)
    assert journal.read_from(PART, 3, MIB, 0.0) == []


def test_read_from_beyond_the_end_waits_for_what_comes(open_journal: Opener) -> None:
    journal = open_journal()
    fence = journal.claim(PART, "test")
    found: list[Entry] = []
    reader = threading.Thread(target=lambda: found.extend(journal.read_from(PART, 1, MIB, 30.0)))
    reader.start()
    journal.append(PART, burst(1), "b-1", fence)
    reader.join(20.0)
    assert positions(found) == [1]


def test_append_of_the_same_burst_id_twice_gives_the_same_position(open_journal: Opener) -> None:
    journal = open_journal()
    fence = journal.claim(PART, "test")
    assert journal.append(PART, burst(0), "same", fence) == journal.append(PART, burst(0), "same", fence) == 1
    assert journal.bounds(PART).size == len(pack_burst(burst(0)))


def test_append_after_a_burst_id_sent_twice_leaves_no_hole(open_journal: Opener) -> None:
    journal = open_journal()
    fence = journal.claim(PART, "test")
    for burst_id in ("a", "a", "a", "b", "b", "c"):
        journal.append(PART, burst(0), burst_id, fence)
    assert positions(journal.read_from(PART, 1, MIB, 0.0)) == [1, 2, 3]


def test_append_of_a_burst_id_already_there_is_not_refused_for_want_of_room(open_journal: Opener) -> None:
    journal = open_journal(max_bytes=100)
    fence = journal.claim(PART, "test")
    assert journal.append(PART, burst(0), "a", fence) == 1
    assert journal.append(PART, burst(0), "a", fence) == 1


def test_append_with_the_fence_of_an_earlier_claim_is_fenced(open_journal: Opener) -> None:
    journal = open_journal()
    old = journal.claim(PART, "first")
    new = journal.claim(PART, "second")
    with pytest.raises(Fenced):
        journal.append(PART, burst(0), "a", old)
    assert journal.append(PART, burst(0), "a", new) == 1


def test_append_after_another_process_claimed_is_fenced(open_journal: Opener) -> None:
    journal = open_journal()
    fence = journal.claim(PART, "first")
    other = open_journal(keep=True)
    other.append(PART, burst(0), "theirs", other.claim(PART, "second"))
    with pytest.raises(Fenced):
        journal.append(PART, burst(1), "mine", fence)


def test_append_past_the_bound_is_full_until_under_the_low_water_mark(open_journal: Opener) -> None:
    size = len(pack_burst(burst(0)))
    journal = open_journal(max_bytes=10 * size, low_water=0.5)
    fill(journal, 10)
    fence = journal.claim(PART, "test")
    with pytest.raises(Full, match="may hold"):
        journal.append(PART, burst(0), "more", fence)
    journal.trim(PART, 3)
    with pytest.raises(Full, match="low-water"):
        journal.append(PART, burst(0), "more", fence)
    journal.trim(PART, 6)
    assert journal.append(PART, burst(0), "more", fence) == 11


def test_append_of_a_burst_over_the_bound_waits_only_for_the_others_to_go(open_journal: Opener) -> None:
    journal = open_journal(max_bytes=200)
    fence = journal.claim(PART, "test")
    journal.append(PART, burst(0), "small", fence)
    with pytest.raises(Full):
        journal.append(PART, burst(1, size=500), "large", fence)
    journal.trim(PART, 2)
    assert journal.append(PART, burst(1, size=500), "large", fence) == 2


def test_append_on_a_full_volume_is_full_and_goes_on_without_a_hole(open_journal: Opener) -> None:
    journal = open_journal()
    fill(journal, 3)
    fence = journal.claim(PART, "test")
    (pages,) = journal._writer.execute("pragma page_count").fetchone()
    journal._writer.execute(f"pragma max_page_count = {pages}")  # SQLite then says SQLITE_FULL as on a full disk
    for _ in range(3):
        with pytest.raises(Full, match="make room"):
            journal.append(PART, burst(4, size=MIB), "large", fence)
    journal._writer.execute("pragma max_page_count = 1000000")
    assert journal.append(PART, burst(4, size=MIB), "large", fence) == 4
    assert positions(journal.read_from(PART, 1, 8 * MIB, 0.0)) == [1, 2, 3, 4]


def test_read_from_what_was_trimmed_is_a_gap_that_names_the_first(open_journal: Opener) -> None:
    journal = open_journal()
    fill(journal, 5)
    journal.trim(PART, 4)
    with pytest.raises(Gap) as caught:
        journal.read_from(PART, 2, MIB, 0.0)
    assert caught.value.first == 4
    assert positions(journal.read_from(PART, 4, MIB, 0.0)) == [4, 5]


def test_trim_moves_the_bounds_and_frees_the_bytes(open_journal: Opener) -> None:
    journal = open_journal()
    fill(journal, 450)
    whole = journal.bounds(PART)
    journal.trim(PART, 300)
    left = journal.bounds(PART)
    assert (whole.first, whole.end, left.first, left.end) == (1, 451, 300, 451)
    assert left.size == sum(len(pack_burst(burst(i))) for i in range(299, 450))
    journal.trim(PART, 100)
    assert journal.bounds(PART) == left


def test_trim_of_more_than_there_is_keeps_positions_from_being_used_again(open_journal: Opener) -> None:
    journal = open_journal()
    fill(journal, 3)
    journal.trim(PART, 1000)
    assert (journal.bounds(PART).first, journal.bounds(PART).end, journal.bounds(PART).size) == (4, 4, 0)
    again = open_journal()
    assert (again.bounds(PART).first, again.bounds(PART).end) == (4, 4)
    assert fill(again, 1, start=3) == [4]


def test_skip_to_ahead_of_an_empty_journal_begins_there(open_journal: Opener) -> None:
    journal = open_journal()
    journal.skip_to(100)
    assert (journal.bounds(PART).first, journal.bounds(PART).end) == (100, 100)
    assert fill(journal, 2) == [100, 101]
    assert positions(open_journal().read_from(PART, 100, MIB, 0.0)) == [100, 101]


def test_skip_to_behind_the_end_changes_nothing(open_journal: Opener) -> None:
    journal = open_journal()
    fill(journal, 5)
    journal.skip_to(3)
    assert fill(journal, 1, start=5) == [6]


def test_skip_to_ahead_of_older_bursts_lets_them_be_read_before_the_gap(open_journal: Opener) -> None:
    journal = open_journal()
    fill(journal, 3)
    journal.skip_to(10)
    fill(journal, 1, start=3)
    assert positions(journal.read_from(PART, 2, MIB, 0.0)) == [2, 3]
    with pytest.raises(Gap) as caught:
        journal.read_from(PART, 4, MIB, 0.0)
    assert caught.value.first == 10


def test_skip_to_with_nothing_behind_the_hole_is_a_gap_to_the_end(open_journal: Opener) -> None:
    journal = open_journal()
    fill(journal, 3)
    journal.skip_to(10)
    assert positions(journal.read_from(PART, 2, MIB, 0.0)) == [2, 3]
    with pytest.raises(Gap) as caught:
        journal.read_from(PART, 4, MIB, 0.0)
    assert caught.value.first == 10


def test_read_from_of_a_damaged_burst_is_unavailable(open_journal: Opener) -> None:
    journal = open_journal()
    fill(journal, 2)
    with journal._writer:
        journal._writer.execute("update burst set blob = substr(blob, 1, 20) where position = 2")
    assert positions(journal.read_from(PART, 1, MIB, 0.0)) == [1]
    with pytest.raises(Unavailable):
        journal.read_from(PART, 2, MIB, 0.0)


def test_read_from_while_another_thread_appends_and_trims_misses_nothing(open_journal: Opener) -> None:
    journal = open_journal()
    fence = journal.claim(PART, "test")
    count = 400
    seen: list[Entry] = []

    def read() -> None:
        until = time.monotonic() + 60
        while len(seen) < count and time.monotonic() < until:
            entries = journal.read_from(PART, len(seen) + 1, 500, 0.5)
            seen.extend(entries)
            journal.trim(PART, len(seen) - 20)

    reader = threading.Thread(target=read)
    reader.start()
    for i in range(count):
        journal.append(PART, burst(i), f"b-{i}", fence)
    reader.join(60)
    assert seen == [Entry(i + 1, burst(i)) for i in range(count)]
