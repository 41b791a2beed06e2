# SPDX-License-Identifier: Apache-2.0
"""The configuration of devices: what people set goes out at once, and is compared with what the device says."""

from __future__ import annotations

from typing import Any

import pytest

from control import audit, configs
from control.audit import Trail
from control.configs import DeviceConfig, Wanted
from control.database import Database
from control.errors import Invalid, NotFound, Stale
from tests.unit.control.stage import Pilot, prepare

GARDEN = "pilot:garden"
TRAIL = Trail("ani", "person", 0)
FALLBACK = {"after_h": 24, "runs": [{"zone": 1, "time": "05:30", "seconds": 300}]}


def put(database: Database, wanted: Wanted, version: int | None = None) -> None:
    with database.session() as session:
        configs.set_config(session, GARDEN, wanted, version=version, trail=TRAIL)


def shown(stage: Pilot) -> DeviceConfig:
    with stage.database.reader() as session:
        return stage.controller.device_config(session, GARDEN)


def states(stage: Pilot) -> dict[str, str]:
    return {one.key: one.state for one in shown(stage).settings}


def told(stage: Pilot) -> dict[str, Any]:
    return [message for topic, message, _ in stage.published if topic == "tirta/v1/pilot/garden/config"][-1]


async def test_what_people_set_is_told_with_the_limits_of_zones(pilot: Database) -> None:
    stage = prepare(pilot, "05:00")
    put(pilot, Wanted(300, {"flow": {"gain": 1.1, "offset": 0.0}}, FALLBACK))
    await stage.controller.send_due()
    config = told(stage)

    assert config["zones"] == {"1": {"max_seconds": 900, "litres_day": 400.0, "grams_day": None}}
    assert (config["version"], config["telemetry_s"], config["utc_offset_min"]) == (1, 300, 480)
    assert (config["calibration"], config["fallback"]) == ({"flow": {"gain": 1.1, "offset": 0.0}}, FALLBACK)
    assert set(states(stage).values()) == {"waiting"}
    put(pilot, Wanted())
    await stage.controller.send_due()
    assert (told(stage)["version"], told(stage)["telemetry_s"], told(stage)["fallback"]) == (2, 60, None)


async def test_what_the_device_reports_is_compared_key_by_key(pilot: Database) -> None:
    stage = prepare(pilot, "05:00")
    put(pilot, Wanted(300, None, FALLBACK))
    await stage.controller.send_due()
    said = {**told(stage), "fallback": None, "utc_offset_min": 420, "refused": {"fallback": "no fallback program here"}}
    await stage.say("garden", "reported", said)
    found = {one.key: one for one in shown(stage).settings}

    assert (found["fallback"].state, found["fallback"].reason) == ("refused", "no fallback program here")
    assert (found["utc_offset_min"].state, found["utc_offset_min"].reported) == ("different", 420)
    assert {found[key].state for key in ("telemetry_s", "zones.1.litres_day", "calibration")} == {"in-force"}
    assert shown(stage).state == "refused"


async def test_what_is_refused_of_a_zone_is_told_of_each_of_its_limits(pilot: Database) -> None:
    stage = prepare(pilot, "05:00")
    await stage.controller.send_due()
    await stage.say("garden", "reported", {**told(stage), "refused": {"zones.1": "this device has no zones"}})

    assert {states(stage)[f"zones.1.{limit}"] for limit in ("max_seconds", "litres_day", "grams_day")} == {"refused"}
    assert states(stage)["telemetry_s"] == "in-force"


async def test_a_change_waits_again_until_the_device_has_said_its_version(pilot: Database) -> None:
    stage = prepare(pilot, "05:00")
    await stage.controller.send_due()
    await stage.say("garden", "reported", told(stage))
    assert shown(stage).state == "in-force"
    put(pilot, Wanted(120))
    assert (shown(stage).state, shown(stage).version, shown(stage).reported_version) == ("waiting", 2, 1)
    await stage.controller.send_due()
    await stage.say("garden", "reported", told(stage))
    assert shown(stage).state == "in-force"


async def test_a_refusal_is_a_cause_of_an_alarm_until_it_is_over(pilot: Database) -> None:
    stage = prepare(pilot, "05:00")
    await stage.controller.send_due()
    assert configs.refused_configs(pilot) == []
    await stage.say("garden", "reported", {**told(stage), "refused": {"fallback": "x", "calibration": "y"}})
    [cause] = configs.refused_configs(pilot) or []
    assert (cause.subject, cause.site, cause.details["keys"]) == ("device:pilot:garden", "pilot", "calibration, fallback")
    await stage.say("garden", "reported", told(stage))
    assert configs.refused_configs(pilot) == []


@pytest.mark.parametrize(
    "runs",
    [[], [{"zone": 2, "time": "05:30", "seconds": 300}], [{"zone": 1, "time": "05:30", "seconds": 901}]],
    ids=["no runs", "no such bed", "longer than the zone may run"],
)
def test_set_config_with_a_program_that_cannot_be_is_refused(pilot: Database, runs: list[dict[str, Any]]) -> None:
    with pytest.raises(Invalid):
        put(pilot, Wanted(fallback={"after_h": 24, "runs": runs}))


def test_set_config_is_a_change_of_the_device_and_in_the_trail(pilot: Database) -> None:
    put(pilot, Wanted(300), version=1)
    with pytest.raises(Stale):
        put(pilot, Wanted(300), version=1)
    with pilot.session() as session, pytest.raises(NotFound):
        configs.set_config(session, "pilot:none", Wanted(), trail=TRAIL)
    with pilot.reader() as session:
        [entry] = audit.list_entries(session, action="device.config")[0]

    assert (entry.target, entry.before, entry.after) == ("device:pilot:garden", {}, {"telemetry_s": 300})
