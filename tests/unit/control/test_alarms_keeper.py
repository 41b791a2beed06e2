# SPDX-License-Identifier: Apache-2.0
"""From causes to alarms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy.orm import Session

from control import alarms, alarms_keeper
from control.alarms import Alarm, Cause
from control.alarms_keeper import AlarmKeeper, KeeperConfig
from control.database import Database
from control.errors import DatabaseUnavailable
from gateway import SteppedClock

NOW = 1_795_305_600_000
STOPPED = Cause("journal-stopped", "journal", details={"said": "full"})
DOWN = Cause("store-down", "store:influxdb", details={"store": "influxdb"})
JUDGED = frozenset({"journal-stopped", "store-down"})


class Shaky(Database):
    """A control database that can be away, or full: then it is read and not written."""

    away = False
    full = False

    @contextmanager
    def session(self) -> Iterator[Session]:
        if self.away or self.full:
            raise DatabaseUnavailable
        with super().session() as session:
            yield session

    @contextmanager
    def reader(self) -> Iterator[Session]:
        if self.away:
            raise DatabaseUnavailable
        with super().reader() as session:
            yield session


class Scene:
    """A keeper, its clocks and what it told."""

    def __init__(self, url: str) -> None:
        self.database = Shaky(url)
        self.database.migrate()
        self.clock = SteppedClock(NOW)
        self.now_s = 100.0
        self.told: list[tuple[str, str, str]] = []
        self.keeper = self.again()

    def again(self) -> AlarmKeeper:
        """Return the keeper of a new start."""
        config = KeeperConfig(hold_s=10.0, refresh_s=60.0)
        self.keeper = AlarmKeeper(self.database, self.clock, self, config, monotonic=lambda: self.now_s)
        return self.keeper

    def publish(self, name: str, data: Mapping[str, Any]) -> None:
        assert name == "alarm"
        self.told.append((data["change"], data["code"], data["subject"]))

    async def after(self, seconds: float, *causes: Cause, judged: frozenset[str] = JUDGED) -> None:
        self.now_s += seconds
        await self.clock.advance(seconds)
        await self.keeper.update(causes, judged)

    @property
    def kept(self) -> list[Alarm]:
        with self.database.reader() as session:
            return alarms.list_alarms(session)[0]


@pytest.fixture
def scene(url: str) -> Iterator[Scene]:
    made = Scene(url)
    yield made
    made.database.close()


async def test_update_raises_one_alarm_however_often_its_cause_is_found_and_clears_it_after(scene: Scene) -> None:
    await scene.after(1, STOPPED)
    await scene.after(2, STOPPED)
    await scene.after(20, STOPPED)
    assert [(one.code, one.since_ms, one.cleared_ms) for one in scene.kept] == [("journal-stopped", NOW + 1000, None)]
    assert scene.keeper.counts["journal-stopped"] == 1
    await scene.after(2)
    assert scene.kept[0].cleared_ms is None, "it is patient"
    await scene.after(2, STOPPED)
    await scene.after(4)
    await scene.after(4)
    assert scene.kept[0].cleared_ms is None, "the cause came back in between"
    await scene.after(2)
    assert scene.kept[0].cleared_ms == NOW + 37_000
    assert scene.keeper.counts["journal-stopped"] == 0
    await scene.after(9, STOPPED)
    assert [one.cleared_ms is None for one in scene.kept] == [True, False]
    changes = [change for change, _, _ in scene.told]
    assert changes == ["raised", "cleared", "raised"]


async def test_update_waits_as_long_as_the_code_says_and_begins_anew_after_a_pause(scene: Scene) -> None:
    await scene.after(1, DOWN)
    await scene.after(29, DOWN)
    await scene.after(1)
    await scene.after(2, DOWN)
    await scene.after(29, DOWN)
    assert scene.kept == []
    await scene.after(1, DOWN)
    assert [one.subject for one in scene.kept] == ["store:influxdb"]


async def test_update_leaves_alone_what_was_not_looked_for_and_what_cannot_be_told(scene: Scene) -> None:
    unsure = Cause("device-offline", "device:a:b", site="a", certain=False)
    await scene.after(20, STOPPED, unsure)
    for _ in range(5):
        await scene.after(20, judged=frozenset())
    assert scene.keeper.subjects("journal-stopped") == {"journal"}
    assert scene.keeper.subjects("device-offline") == frozenset(), "what is not certain raises nothing"
    await scene.after(1, Cause("journal-stopped", "journal", certain=False))
    await scene.after(20, Cause("journal-stopped", "journal", certain=False))
    assert scene.kept[0].cleared_ms is None, "and clears nothing"
    assert scene.kept[0].details == {"said": "full"}


async def test_alarms_outlast_a_restart_and_nothing_is_cleared_right_after_it(scene: Scene) -> None:
    await scene.after(20, STOPPED)
    scene.again()
    for _ in range(4):
        await scene.after(2)
    assert scene.keeper.counts["journal-stopped"] == 1
    await scene.after(2)
    assert scene.keeper.counts["journal-stopped"] == 0
    assert [one.cleared_ms is None for one in scene.kept] == [False]
    assert [change for change, _, _ in scene.told] == ["raised", "cleared"]


async def test_numbers_of_an_open_alarm_are_taken_over_once_a_minute(scene: Scene) -> None:
    await scene.after(1, STOPPED)
    await scene.after(30, Cause("journal-stopped", "journal", details={"said": "later"}))
    assert scene.kept[0].details == {"said": "full"}
    await scene.after(31, Cause("journal-stopped", "journal", details={"said": "last"}))
    assert scene.kept[0].details == {"said": "last"}
    assert len(scene.told) == 1


async def test_with_a_full_database_alarms_are_held_told_and_written_once_it_takes_again(scene: Scene) -> None:
    await scene.after(20)
    scene.database.full = True
    await scene.after(1, STOPPED, DOWN)
    await scene.after(5, STOPPED)
    await scene.after(10)
    await scene.after(10)
    await scene.after(1, STOPPED)
    assert scene.keeper.unwritten == 2
    assert (scene.keeper.counts["journal-stopped"], len(scene.told)) == (1, 3)
    assert scene.kept == []
    held = scene.keeper.held
    assert [one.cleared_ms is None for one in held] == [False, True]
    scene.database.full = False
    await scene.after(1, STOPPED)
    assert scene.kept == list(reversed(held)), "under the ids that they were shown with"
    assert (scene.keeper.unwritten, scene.keeper.held) == (0, ())


async def test_alarms_raised_before_the_database_answered_are_joined_with_those_it_has(scene: Scene) -> None:
    await scene.after(20, STOPPED)
    (first,) = scene.kept
    scene.again()
    scene.database.away = True
    await scene.after(1, STOPPED, Cause("broker-down", "broker"))
    await scene.after(5, STOPPED, Cause("broker-down", "broker"))
    assert scene.keeper.unwritten == 2
    assert scene.keeper.held == (), "one of them is known to the database under another id"
    scene.database.away = False
    await scene.after(6, STOPPED, Cause("broker-down", "broker"))
    assert sorted(one.code for one in scene.kept) == ["broker-down", "journal-stopped"]
    assert first in scene.kept


async def test_what_is_open_is_known_after_a_start_with_a_full_database(scene: Scene) -> None:
    await scene.after(20, STOPPED)
    scene.again()
    scene.database.full = True
    await scene.after(1, STOPPED, Cause("part-failing", "quarantine"))
    await scene.after(6, STOPPED, Cause("part-failing", "quarantine"))
    assert [one.code for one in scene.keeper.held] == ["part-failing"]


async def test_alarms_of_codes_that_are_no_more_are_cleared(scene: Scene) -> None:
    with scene.database.session() as session:
        alarms.keep(session, [Alarm("0" * 26, "of-old", "warning", "x", None, None, {}, NOW)])
    await scene.after(1, judged=frozenset())
    assert [one.cleared_ms is None for one in scene.kept] == [False]


async def test_what_is_held_is_bounded(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alarms_keeper, "MAX_HELD", 5)
    scene.database.away = True
    for round_ in range(4):
        await scene.after(20, *(Cause("disk-full", f"disk:{round_}-{k}") for k in range(9)), judged=frozenset({"disk-full"}))
        await scene.after(20, judged=frozenset({"disk-full"}))
        await scene.after(31, judged=frozenset({"disk-full"}))
        assert scene.keeper.unwritten <= 5
    scene.database.away = False
    await scene.after(1)
    assert 0 < len(scene.kept) <= 5
    assert all(one.cleared_ms is not None for one in scene.kept)


async def test_update_once_an_hour_forgets_what_is_too_old(scene: Scene) -> None:
    await scene.after(20, STOPPED)
    await scene.after(1)
    await scene.after(6)
    assert scene.kept[0].cleared_ms is not None
    await scene.after(alarms.KEPT_MS / 1000 + 3600)
    assert scene.kept == []
