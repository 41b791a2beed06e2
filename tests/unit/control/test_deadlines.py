# SPDX-License-Identifier: Apache-2.0
"""What the clock alone calls for between two ticks: sending again, concluding, asking; and a clock that is put back."""

from __future__ import annotations

from control.database import Database
from control.deadlines import next_deadline
from tests.unit.control.stage import BED, Pilot, at, prepare


async def asked(pilot: Database) -> Pilot:
    """Return a house in which a device was sent something at 05:00:10 and said nothing."""
    house = prepare(pilot, "05:00")
    await house.online("garden")
    await house.clock.advance(70)
    await house.controller.request_act(BED, "irrigate", seconds=60, actor="ani")
    await house.controller.send_due()
    return house


def due(house: Pilot) -> int | None:
    with house.database.reader() as session:
        return next_deadline(session, house.clock.now_ms())


async def test_next_deadline_of_a_command_without_a_word_is_that_of_sending_it_again(pilot: Database) -> None:
    house = await asked(pilot)
    assert due(house) == at("05:00") + 10_000 + 60_000


async def test_next_deadline_is_none_where_nothing_is_open(pilot: Database) -> None:
    assert due(prepare(pilot, "05:00")) is None


async def test_next_deadline_of_what_was_not_answered_before_it_expired_is_when_it_becomes_unknown(pilot: Database) -> None:
    house = await asked(pilot)
    await house.clock.advance(302)
    assert due(house) == at("05:00") + 10_000 + 305_000


async def test_next_deadline_of_what_began_is_when_its_end_is_overdue(pilot: Database) -> None:
    house = await asked(pilot)
    [command] = house.commands()
    await house.say("garden", "ack", {"id": command["id"], "n": 1, "state": "running", "ts": at("05:00") + 20_000})
    assert due(house) == at("05:00") + 10_000 + (command["max_seconds"] + 60) * 1000


async def test_act_is_concluded_by_the_clock_while_the_broker_cannot_be_reached(pilot: Database) -> None:
    house = await asked(pilot)
    house.connected = False
    await house.clock.advance(306)
    assert not await house.controller.send_due()
    assert [act.state for act in house.acts()] == ["unknown"]


async def test_new_process_sends_at_once_again_what_may_never_have_reached_the_broker(pilot: Database) -> None:
    house = await asked(pilot)
    house.restart(pilot)
    await house.controller.send_due()
    first, again = house.commands()
    assert (first["id"], first["n"]) == (again["id"], again["n"])
    await house.controller.send_due()
    assert len(house.commands()) == 2


async def test_clock_put_back_by_an_hour_keeps_nothing_from_being_sent_again(pilot: Database) -> None:
    house = await asked(pilot)
    house.clock._now_ms -= 3_600_000
    await house.controller.send_due()
    assert [command["n"] for command in house.commands()] == [1, 1]


async def test_device_that_is_thought_to_be_away_is_asked_while_something_waits_for_it(pilot: Database) -> None:
    house = prepare(pilot, "05:00")
    await house.online("garden")
    await house.say("garden", "status", {"online": False})
    await house.clock.advance(60)
    await house.controller.request_act(BED, "irrigate", seconds=60, actor="ani")
    await house.controller.send_due()
    assert [command["action"] for command in house.commands()] == ["ping"]
    await house.online("garden")  # its answer
    await house.controller.send_due()
    assert house.commands()[-1]["action"] == "irrigate"
