# SPDX-License-Identifier: Apache-2.0
"""Clocks: stepped by hand without waiting, scaled from a kept origin."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from gateway.clock import ScaledClock, SteppedClock, WallClock, load_clock, save_clock

START_MS = 1_763_770_800_000
SLACK_MS = 5_000  # of a busy machine's wall


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


async def test_stepped_clock_advance_wakes_sleepers_in_the_order_of_their_time() -> None:
    clock = SteppedClock(START_MS)
    woken: list[tuple[str, int]] = []

    async def sleeper(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append((name, clock.now_ms() - START_MS))

    async with asyncio.TaskGroup() as group:
        for name, seconds in (("late", 3.0), ("soon", 1.0), ("tie", 1.0)):
            group.create_task(sleeper(name, seconds))
        await asyncio.sleep(0)
        await clock.advance(2.0)
        assert woken == [("soon", 1000), ("tie", 1000)]
        await clock.advance(1.0)
    assert woken[-1] == ("late", 3000)
    assert clock.now_ms() == START_MS + 3000


async def test_stepped_clock_advance_lets_a_woken_task_sleep_again_before_the_end() -> None:
    clock = SteppedClock(START_MS)
    ticks: list[int] = []

    async def tick() -> None:
        while True:
            await clock.sleep(10.0)
            ticks.append(clock.now_ms() - START_MS)

    task = asyncio.create_task(tick())
    await asyncio.sleep(0)
    await clock.advance(60.0)
    task.cancel()
    assert ticks == [10_000, 20_000, 30_000, 40_000, 50_000, 60_000]


async def test_stepped_clock_advance_passes_over_a_sleeper_that_was_cancelled() -> None:
    clock = SteppedClock(START_MS)
    task = asyncio.create_task(clock.sleep(1.0))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)
    await clock.advance(2.0)
    assert clock.now_ms() == START_MS + 2000


async def test_stepped_clock_sleep_of_nothing_returns() -> None:
    clock = SteppedClock(START_MS)
    await clock.sleep(0)
    await clock.sleep(-1)
    assert clock.now_ms() == START_MS


@pytest.mark.parametrize("speed", [0.0, -1.0, float("inf"), float("nan")])
def test_scaled_clock_with_a_speed_that_cannot_be_is_refused(speed: float) -> None:
    with pytest.raises(ValueError, match="speed"):
        ScaledClock(0, 0, speed)


def test_scaled_clock_now_ms_runs_at_its_speed_from_its_origin() -> None:
    clock = ScaledClock(wall_ms() - 60_000, START_MS, 10.0)
    assert 600_000 <= clock.now_ms() - START_MS < 600_000 + 10 * SLACK_MS


def test_wall_clock_now_ms_is_the_machine_s() -> None:
    assert abs(WallClock().now_ms() - wall_ms()) < SLACK_MS
    assert WallClock().speed == 1.0


def test_load_clock_at_the_wall_s_own_pace_keeps_no_file(tmp_path: Path) -> None:
    clock = load_clock(tmp_path / "clock.json", speed=1)
    assert isinstance(clock, WallClock)
    assert not (tmp_path / "clock.json").exists()


def test_load_clock_a_second_time_goes_on_from_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "clock.json"
    first = load_clock(path, speed=100, start_ms=START_MS)
    again = load_clock(path, speed=100, start_ms=0)
    assert 0 <= again.now_ms() - START_MS < 100 * SLACK_MS
    assert abs(again.now_ms() - first.now_ms()) < 1_000


def test_load_clock_with_another_speed_keeps_the_time_and_changes_the_pace(tmp_path: Path) -> None:
    path = tmp_path / "clock.json"
    save_clock(path, ScaledClock(wall_ms(), START_MS, 1000.0))
    slower = load_clock(path, speed=2)
    assert slower.speed == 2
    assert 0 <= slower.now_ms() - START_MS < 1000 * SLACK_MS


def test_save_clock_over_an_older_one_leaves_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "clock.json"
    for speed in (2.0, 3.0):
        save_clock(path, ScaledClock(wall_ms(), START_MS, speed))
    assert load_clock(path, speed=3).speed == 3
    assert [found.name for found in tmp_path.iterdir()] == ["clock.json"]
