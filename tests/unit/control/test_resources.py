# SPDX-License-Identifier: Apache-2.0
"""Pumps and mains in the registry: made, changed and deleted, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from control import audit, registry, resources
from control.audit import Trail
from control.database import Database
from control.errors import Conflict, Invalid, NotFound, Stale
from control.resources import ResourceDetails

TRAIL = Trail("sari", "local", 1_795_305_600_000)
BED = "pilot:garden:1"


def test_create_resource_keeps_what_it_was_told_and_tells_the_trail(pilot: Database) -> None:
    with pilot.session() as session:
        made = resources.create_resource(
            session, "pilot", "pump", "North pump", ResourceDetails("pump", 30.0, 2, 60, (BED,)), trail=TRAIL
        )
    with pilot.reader() as session:
        assert resources.get_resource(session, "pilot:pump") == made
        assert resources.list_resources(session, zone=BED)[0] == [made]
        assert resources.list_resources(session, site="elsewhere")[0] == []
        entry = audit.list_entries(session)[0][0]
    assert (made.max_flow_l_min, made.max_zones, made.min_rest_s, made.zones) == (30.0, 2, 60, (BED,))
    assert (entry.action, entry.target, entry.actor) == ("resource.create", "resource:pilot:pump", "sari")


@pytest.mark.parametrize(
    ("details", "field"),
    [
        ({"kind": "river"}, "kind"),
        ({"max_flow_l_min": 0.0}, "max_flow_l_min"),
        ({"max_zones": 0}, "max_zones"),
        ({"min_rest_s": -1}, "min_rest_s"),
        ({"zones": ("pilot:pond:1",)}, "zones.0"),  # no bed
        ({"zones": ("pilot:garden:2",)}, "zones.0"),
        ({"zones": ("\x00",)}, "zones.0"),
    ],
)
def test_create_resource_refuses_what_cannot_be_by_its_field(pilot: Database, details: dict[str, Any], field: str) -> None:
    with pilot.session() as session, pytest.raises(Invalid) as refusal:
        resources.create_resource(session, "pilot", "pump", "Pump", ResourceDetails(**details), trail=TRAIL)
    assert refusal.value.field == field


def test_create_resource_refuses_a_second_of_that_name_and_a_zone_that_shares_too_many(pilot: Database) -> None:
    with pilot.session() as session:
        for number in range(8):
            resources.create_resource(session, "pilot", f"p{number}", "P", ResourceDetails(zones=(BED,)), trail=TRAIL)
        with pytest.raises(Conflict, match="choose another name"):
            resources.create_resource(session, "pilot", "p0", "P", trail=TRAIL)
        with pytest.raises(Invalid, match="shares 8 resources"):
            resources.create_resource(session, "pilot", "p8", "P", ResourceDetails(zones=(BED,)), trail=TRAIL)


def test_change_resource_changes_what_it_is_told_from_the_version_it_was_read_at(pilot: Database) -> None:
    with pilot.session() as session:
        resources.create_resource(session, "pilot", "pump", "Pump", ResourceDetails(max_zones=2, zones=(BED,)), trail=TRAIL)
        changed = resources.change_resource(
            session, "pilot:pump", details={"max_zones": None, "max_flow_l_min": 40.0}, version=1, trail=TRAIL
        )
        assert (changed.max_zones, changed.max_flow_l_min, changed.zones, changed.version) == (None, 40.0, (BED,), 2)
        with pytest.raises(Stale):
            resources.change_resource(session, "pilot:pump", title="Other", version=1, trail=TRAIL)
        assert resources.change_resource(session, "pilot:pump", details={"zones": ()}, trail=TRAIL).zones == ()


def test_delete_resource_frees_its_zones_and_its_site(pilot: Database) -> None:
    with pilot.session() as session:
        registry.create_site(session, "depot", "Depot", "Asia/Makassar", now_ms=TRAIL.at_ms)
        resources.create_resource(session, "depot", "well", "Well", trail=TRAIL)
        with pytest.raises(Conflict, match="pumps or mains"):
            registry.delete_site(session, "depot")
        resources.delete_resource(session, "depot:well", version=1, trail=TRAIL)
        registry.delete_site(session, "depot")
        with pytest.raises(NotFound):
            resources.get_resource(session, "depot:well")
