# SPDX-License-Identifier: Apache-2.0
"""Which acts of unknown end need a hand."""

from __future__ import annotations

from control.alarms_acts import LASTING_MS, unknown_acts
from control.database import Database
from tests.unit.control.stage import BED, at, prepare


async def test_act_that_stays_unknown_needs_a_hand_until_it_is_settled(pilot: Database) -> None:
    house = prepare(pilot, "05:00")
    await house.online("garden")
    act = await house.controller.request_act(BED, "irrigate", seconds=60, actor="ani")
    await house.controller.stop("pilot:pond", actor="ani")
    await house.controller.send_due()
    await house.minute(6)
    since_ms = house.clock.now_ms()
    assert unknown_acts(pilot, since_ms + LASTING_MS - 1) == []
    found = unknown_acts(pilot, since_ms + LASTING_MS)
    assert found is not None
    # Both are of one instant, and which one is told first is up to their ids.
    pond, bed = sorted(found, key=lambda cause: cause.subject)
    assert (pond.subject, pond.site, pond.details["title"], pond.details["at"]) == (
        "device:pilot:pond",
        "pilot",
        "Pond",
        "04:59",
    )
    assert (bed.subject, bed.site, bed.details["title"], bed.details["at"]) == (f"zone:{BED}", "pilot", "Bed", "04:59")
    assert bed.details["act"] == act.id
    await house.online("garden", n=1, ledger=[{"id": act.id, "state": "done"}])
    assert [cause.subject for cause in unknown_acts(pilot, at("08:00")) or ()] == ["device:pilot:pond"]
    await house.online("pond")
    assert unknown_acts(pilot, at("08:00")) == []


def test_unknown_acts_cannot_tell_while_the_database_is_away(pilot: Database) -> None:
    pilot.close()
    assert unknown_acts(pilot, 0) is None
