# SPDX-License-Identifier: Apache-2.0
"""A pilot whose days ahead are looked at."""

from __future__ import annotations

import itertools
from typing import Any

from control import schedules
from control.audit import Trail
from control.database import Database
from control.preview import Preview, PreviewLimits, Wanted, preview
from tests.unit.control.stage import Pilot, prepare

__all__ = ["DAY", "DRY", "FEEDING", "HOUR", "TIMER", "TRAIL", "in_force", "look", "stage"]

HOUR, DAY = 3_600_000, 86_400_000
TRAIL = Trail("cuaca", "token", 0)
TIMER: dict[str, Any] = {
    "type": "timer",
    "starts": [{"time": "06:00", "litres": 60.0}, {"time": "07:30", "seconds": 600}, {"time": "09:00", "litres": 60.0}],
    "litres_day": 180.0,
    "closed": [["05:50", "06:10"]],
}
FEEDING: dict[str, Any] = {
    "type": "feeding",
    "meals": [{"time": "07:00", "grams": 200.0}, {"time": "08:00", "grams": 100.0}, {"time": "09:30", "grams": 250.0}],
    "grams_day": 400.0,
    "min_gap_s": 3_000,
}
DRY: dict[str, Any] = {"type": "irrigation", "low": 0.22, "high": 0.3, "litres_day": 60.0, "hours": [["06:00", "20:00"]]}


def look(pilot: Pilot, wanted: Wanted, days: int = 2, limits: PreviewLimits | None = None) -> Preview:
    monotonic = itertools.count().__next__
    now_ms = pilot.clock.now_ms()
    limits = limits or PreviewLimits(seconds=1e9)
    return preview(pilot.database, pilot.latest, wanted, days, now_ms=now_ms, stale_s=900.0, monotonic=monotonic, limits=limits)


async def stage(database: Database, *definitions: tuple[str, dict[str, Any]], start: str = "05:00") -> Pilot:
    pilot = prepare(database, start, *definitions)
    pilot.latest.age_s = 0.0
    for device in ("garden", "pond"):
        await pilot.online(device)
    return pilot


def in_force(database: Database, zone: str) -> str:
    with database.reader() as session:
        return schedules.list_schedules(session, zone_key=zone, enabled=True)[0][0].id
