# SPDX-License-Identifier: Apache-2.0
"""What finds the causes of alarms, and the look at all of them."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from api import HealthCheck
from control import alarms
from control.alarms import Cause
from control.alarms_codes import CODES
from control.alarms_keeper import AlarmKeeper, KeeperConfig
from control.database import Database, open_database
from control.errors import DatabaseUnavailable
from gateway import SteppedClock
from gateway.clock import ScaledClock
from ingest.errors import Unavailable
from ingest.feed import LiveFeed
from ingest.gaps import SessionLosses
from ingest.store import Hole
from tirta import alarms_sources as sources
from tirta.alarms import AlarmWatch
from tirta.alarms_sources import Source
from tirta.host_clock import clock_synchronised

NOW = 1_795_323_600_000


def told(source: Source) -> list[tuple[str, str, bool]]:
    return [(cause.code, cause.subject, cause.certain) for cause in source.look() or ()]


def test_parts_source_gives_each_part_that_is_in_trouble_its_code() -> None:
    parts = {"broker": "away", "journal": "full", "store duckdb": "locked", "store influxdb": "401", "catching up": "slow"}
    checks = [*(HealthCheck(name, ok=False, detail=said) for name, said in parts.items()), HealthCheck("quarantine", ok=True)]
    source = sources.parts_source(lambda: checks, lambda: {"influxdb"})
    found = source.look() or ()
    assert {(cause.code, cause.subject): cause.details["said"] for cause in found} == {
        ("broker-down", "broker"): "away",
        ("journal-stopped", "journal"): "full",
        ("store-down", "store:duckdb"): "locked",
        ("store-refused", "store:influxdb"): "401",
        ("part-failing", "catching-up"): "slow",
    }
    assert {cause.code for cause in found} == source.codes


def test_sessions_source_tells_a_lost_session_for_a_day() -> None:
    losses, clock = SessionLosses(), SteppedClock(NOW)
    source = sources.sessions_source(losses, clock)
    assert told(source) == []
    losses.add(NOW - 1000)
    losses.add(NOW - 500)
    assert told(source) == [("session-lost", "broker", True)]
    assert [cause.details["count"] for cause in source.look() or ()] == [2]
    asyncio.run(clock.advance(86_400))
    assert told(source) == []


def test_holes_source_tells_what_a_store_never_got_for_a_day() -> None:
    holes: dict[str, tuple[Hole, ...]] = {}
    clock = SteppedClock(NOW)
    source = sources.holes_source(lambda: holes, clock)
    assert told(source) == []
    holes["duckdb"] = (Hole(1, 5, 4, 30, None, None), Hole(7, 9, 2, None, NOW - 5000, NOW - 1000))
    holes["influxdb"] = (Hole(1, 5, 4, 30, None, None),)  # nothing was received since
    (found,) = source.look() or ()
    assert (found.code, found.subject, found.details["positions"]) == ("store-hole", "store:duckdb", 6)
    assert "30 records" in str(found.details["said"])
    asyncio.run(clock.advance(86_400))
    assert told(source) == []


@pytest.mark.parametrize(("size", "certain"), [(0, None), (69, None), (70, False), (74, False), (75, True), (100, True)])
def test_level_source_is_told_at_its_level_and_over_below_another(size: int, certain: bool | None) -> None:
    source = sources.level_source("journal-filling", "journal", lambda: size, 100, sources.JOURNAL)
    assert told(source) == ([] if certain is None else [("journal-filling", "journal", certain)])


def test_level_source_cannot_tell_while_the_volume_fails() -> None:
    def failing() -> int:
        raise Unavailable("EIO")

    assert sources.level_source("quarantine-full", "quarantine", failing, 100, sources.QUARANTINE).look() is None


@pytest.mark.parametrize(
    ("used", "expected"),
    [
        (0, []),
        (83, [("disk-filling", "disk:data", False)]),
        (89, [("disk-filling", "disk:data", True)]),
        (96, [("disk-filling", "disk:data", True), ("disk-full", "disk:data", False)]),
        (100, [("disk-filling", "disk:data", True), ("disk-full", "disk:data", True)]),
    ],
)
def test_disk_source_tells_before_nine_tenths_are_used_and_each_volume_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, used: int, expected: list[tuple[str, str, bool]]
) -> None:
    # A tenth more is kept for root, as on ext4: that is not free.
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(total=110, used=used, free=100 - used))
    (tmp_path / "broker").mkdir()
    source = sources.disk_source({"data": tmp_path, "broker": tmp_path / "broker", "gone": tmp_path / "gone"})
    assert told(source) == expected


def test_growth_source_tells_many_refused_records_and_leaves_alone_what_it_cannot_know() -> None:
    now, count = [0.0], [5000]
    source = sources.growth_source(lambda: count[0], lambda: now[0])

    def after(seconds: float, more: int) -> list[bool]:
        now[0] += seconds
        count[0] += more
        return [certain for _, _, certain in told(source)]

    assert after(0, 0) == [False], "just started"
    assert after(300, 99) == [False]
    assert after(100, 1) == [True]
    assert after(199, 0) == [True]
    assert after(10, 0) == [], "of ten minutes ago"
    assert after(1, 100) == [True]


def test_clock_source_looks_only_where_the_clock_is_the_wall_s() -> None:
    def look(kept: bool | None, speed: float = 1.0) -> Sequence[Cause] | None:
        return sources.clock_source(ScaledClock(0, 0, speed), lambda: kept).look()

    assert [cause.code for cause in look(False) or ()] == ["clock-unsynchronised"]
    assert look(True) == []
    assert look(None) is None
    assert look(False, speed=60.0) == []


def test_clock_synchronised_asks_the_kernel_without_changing_anything() -> None:
    assert clock_synchronised() in (True, False, None)
    assert clock_synchronised() == clock_synchronised()


def test_database_source_tells_when_it_does_not_answer_or_does_not_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = open_database(f"sqlite:///{tmp_path}/control.db")
    trouble: list[str | None] = [None]
    source = sources.database_source(database, lambda: trouble[0])
    assert told(source) == []
    trouble[0] = "locked"
    assert told(source) == [("database-down", "database", True)]
    trouble[0] = None

    def away(_: Database) -> None:
        raise DatabaseUnavailable("gone")

    monkeypatch.setattr(Database, "reader", away)
    assert [cause.details for cause in source.look() or ()] == [{"said": "gone"}]
    monkeypatch.undo()
    database.close()


async def test_alarm_watch_looks_again_and_again_and_judges_only_by_those_that_can_tell(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path}/control.db")
    keeper = AlarmKeeper(database, SteppedClock(NOW), LiveFeed(), KeeperConfig(hold_s=0.0))
    found: list[list[Cause] | None] = [[Cause("device-offline", "device:a:b", "a")]]
    looks = asyncio.Event()

    def look() -> list[Cause] | None:
        loop.call_soon_threadsafe(looks.set)
        return found[0]

    loop = asyncio.get_running_loop()
    watch = AlarmWatch(keeper, [Source(frozenset({"device-offline"}), look)], every_s=0.001)
    async with watch:
        for answer, count in ((found[0], 1), (None, 1), ([], 0)):
            found[0] = answer
            for _ in range(3):
                looks.clear()
                await looks.wait()
            await watch.look()
            assert keeper.counts["device-offline"] == count
    with database.reader() as session:
        assert [alarm.cleared_ms is None for alarm in alarms.list_alarms(session)[0]] == [False]
    database.close()


def test_runbook_has_exactly_the_codes_with_their_weight() -> None:
    page = (Path(__file__).parents[3] / "docs/runbook.md").read_text("utf-8")
    listed = re.findall(r"^\| `([a-z-]+)` \| (\w+) \|", page, re.MULTILINE)
    assert dict(listed) == {code.name: code.severity for code in CODES.values()}
    assert len(listed) == len(CODES)
