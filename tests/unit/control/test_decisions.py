# SPDX-License-Identifier: Apache-2.0
"""Decisions: kept when they are news."""

from __future__ import annotations

import math
from typing import Any

import pytest

from control.database import Database
from control.decisions import Finding, list_decisions, prune_decisions, store_decisions
from control.errors import Invalid
from control.records import Decision
from rules.reasons import Reason

NOW = 1_795_305_600_000
BED = "pilot:garden:1"


def store(database: Database, at_ms: int = NOW, zone_key: str = BED, **changes: Any) -> Decision | None:
    given: dict[str, Any] = {
        "at_ms": at_ms,
        "kind": "irrigation",
        "acted": False,
        "reasons": int(Reason.WET_ENOUGH),
        "latched": False,
        "inputs": lambda: {"soil_moisture": 1 / 3, "since_last_s": math.inf, "online": True},
    }
    with database.session() as session:
        kept = store_decisions(session, [Finding(zone_key, **{**given, **changes})])
    return kept[0] if kept else None


def test_store_decisions_keeps_only_what_differs_acts_or_was_planned(pilot: Database) -> None:
    assert store(pilot) is not None
    assert store(pilot) is None
    assert store(pilot, latched=True) is None
    assert store(pilot, planned=True) is not None
    assert store(pilot, reasons=int(Reason.DRY)) is not None
    assert store(pilot, reasons=int(Reason.DRY), acted=True) is not None
    assert store(pilot, reasons=int(Reason.DRY), acted=True) is not None
    assert store(pilot) is not None


def test_store_decisions_of_many_zones_are_kept_in_their_order(pilot: Database) -> None:
    pond = "pilot:pond:1"
    assert store(pilot, reasons=int(Reason.DRY)) is not None
    findings = [
        Finding(zone, NOW + 1, "irrigation", False, int(Reason.DRY), False, dict, planned=zone == pond) for zone in (pond, BED)
    ]
    with pilot.session() as session:
        kept = store_decisions(session, [*findings, Finding(BED, NOW + 2, "irrigation", True, 0, False, dict)])
        assert store_decisions(session, []) == []
    assert [(one.zone_key, one.at_ms) for one in kept] == [(pond, NOW + 1), (BED, NOW + 2)]
    with pilot.reader() as session:
        assert list_decisions(session)[0][:2] == kept[::-1]


def test_store_decisions_keeps_numbers_that_json_can_hold(pilot: Database) -> None:
    kept = store(pilot)
    assert kept is not None
    assert kept.inputs == {"soil_moisture": 0.333333, "since_last_s": None, "online": True}
    assert kept.reasons == ("wet-enough",)


def test_list_decisions_goes_from_the_latest_page_by_page(pilot: Database) -> None:
    kept = [store(pilot, at_ms=NOW + k, planned=True) for k in range(5)]
    with pilot.reader() as session:
        first, after = list_decisions(session, zone_key=BED, limit=3)
        rest, end = list_decisions(session, limit=3, after=after)
        for cursor in ("x", "9" * 30, "", "٣", "-1"):
            with pytest.raises(Invalid, match="after"):
                list_decisions(session, after=cursor)
    assert first + rest == kept[::-1]
    assert end is None


def test_prune_decisions_forgets_those_that_held_no_longer_at_an_instant(pilot: Database) -> None:
    for k in range(4):
        store(pilot, at_ms=NOW + k, planned=True)
    store(pilot, at_ms=NOW, zone_key="pilot:pond:1")
    with pilot.session() as session:
        for _ in range(2):
            prune_decisions(session, NOW + 2)
            assert [one.at_ms for one in list_decisions(session, zone_key=BED)[0]] == [NOW + 3, NOW + 2, NOW + 1]
            assert len(list_decisions(session, zone_key="pilot:pond:1")[0]) == 1, "it holds still"
