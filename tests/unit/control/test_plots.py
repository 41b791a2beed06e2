# SPDX-License-Identifier: Apache-2.0
"""Plots: read anew each time, made anew only where something changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy.orm import Session

from control import registry, schedules
from control.database import Database
from control.decisions import Finding, store_decisions
from control.definitions import parse_definition
from control.models import DeviceRow
from control.plots import Carried, Plot, PlotCache, load_plots
from control.records import ZoneParameters
from rules.reasons import Reason

NOW = 1_795_305_600_000
BED, POND = "pilot:garden:1", "pilot:pond:1"
WATER: dict[str, Any] = {"type": "irrigation", "low": 0.22, "high": 0.30, "litres_day": 200}
FEED: dict[str, Any] = {"type": "feeding", "meals": [{"time": "07:00", "grams": 250}], "grams_day": 1000}


@pytest.fixture
def planned(pilot: Database) -> Database:
    with pilot.session() as session:
        schedules.create_schedule(session, BED, WATER, now_ms=NOW)
        schedules.create_schedule(session, POND, FEED, now_ms=NOW)
    return pilot


def read(database: Database, cache: PlotCache) -> dict[str, Plot]:
    with database.reader() as session:
        return {plot.zone.key: plot for plot in load_plots(session, cache)}


def test_load_plots_of_what_stands_as_it_was_gives_the_same_plots(planned: Database) -> None:
    cache = PlotCache()
    before, after = read(planned, cache), read(planned, cache)
    assert list(before) == [BED, POND]
    assert before[BED].definition == parse_definition(WATER)
    assert (before[BED].carried, before[BED].latched, before[BED].reasons) == (None, False, 0)
    assert all(before[key] is after[key] for key in before)


def change_parameters(session: Session) -> None:
    registry.change_zone(session, BED, parameters=ZoneParameters(litres_day=7.0))


def change_definition(session: Session) -> None:
    [made], _ = schedules.list_schedules(session, zone_key=BED)
    schedules.change_schedule(session, made.id, definition={**WATER, "low": 0.1}, now_ms=NOW + 1)


def come_online(session: Session) -> None:
    session.get_one(DeviceRow, "pilot:garden").online = True


def decide(session: Session) -> None:
    finding = Finding(BED, NOW, kind="irrigation", acted=True, reasons=int(Reason.DRY), latched=True, inputs=dict)
    store_decisions(session, [finding])


@pytest.mark.parametrize("change", [change_parameters, change_definition, come_online, decide])
def test_load_plots_after_a_change_agrees_with_a_first_reading(planned: Database, change: Callable[[Session], None]) -> None:
    cache = PlotCache()
    same = read(planned, cache)
    before = {key: replace(plot) for key, plot in same.items()}  # a plot is brought up to date where it stands
    with planned.session() as session:
        change(session)
        unwritten = {plot.zone.key: plot for plot in load_plots(session, PlotCache())}
    after = read(planned, cache)
    assert after == read(planned, PlotCache()) == unwritten
    assert after[BED] != before[BED]
    assert after[POND] == before[POND]
    assert after[POND] is same[POND]


def test_load_plots_carries_the_last_decision(planned: Database) -> None:
    cache = PlotCache()
    before = replace(read(planned, cache)[BED])
    with planned.session() as session:
        decide(session)
    carried = Carried(latched=True, kind="irrigation", acted=True, reasons=int(Reason.DRY))
    assert read(planned, cache)[BED] == replace(before, carried=carried)


def test_load_plots_leaves_out_what_was_taken_away_and_forgets_it(planned: Database) -> None:
    cache = PlotCache()
    read(planned, cache)
    with planned.session() as session:
        registry.revoke_device(session, "pilot:garden", now_ms=NOW)
    assert list(read(planned, cache)) == [plot.zone.key for plot in cache.plots] == [POND]


def test_load_plots_of_many_zones_reads_every_definition(database: Database) -> None:
    with database.session() as session:
        registry.create_site(session, "wide", "Wide", "Asia/Makassar", now_ms=NOW)
        for device in range(9):
            specs = [registry.ZoneSpec(number, f"Bed {number}", "bed") for number in range(1, 65)]
            registry.create_device(session, "wide", f"d{device}", "irrigation-controller", "D", specs, "$7$", now_ms=NOW)
            for number in range(1, 65):
                low = 0.1 + device / 1000 + number / 100_000
                schedules.create_schedule(session, f"wide:d{device}:{number}", {**WATER, "low": low}, now_ms=NOW)
    found = read(database, PlotCache())
    assert len(found) == 9 * 64
    assert {(plot.zone.device, plot.zone.number, plot.definition.low) for plot in found.values()} == {  # type: ignore[union-attr]
        (f"d{device}", number, 0.1 + device / 1000 + number / 100_000) for device in range(9) for number in range(1, 65)
    }
