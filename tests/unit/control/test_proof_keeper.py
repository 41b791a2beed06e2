# SPDX-License-Identifier: Apache-2.0
"""Virtual devices act and break; what they measured becomes verdicts, holds, alarms and releases."""

from __future__ import annotations

import pytest

from control.alarms_codes import CODES
from control.audit import list_entries
from control.database import Database
from control.proofs import ZONE_CODES, zone_causes
from control.schedules import create_schedule
from control.sentences import proof_sentence
from tests.unit.control.field import Field
from tests.unit.control.stage import at

TIMER = {
    "type": "timer",
    "starts": [{"time": f"{hour:02}:00", "seconds": 300} for hour in range(24)],
    "litres_day": 400,
    "max_seconds": 600,
}


@pytest.fixture
def sort() -> str:
    """Return the one sort of database of these: `test_proofs.py` looks at both."""
    return "sqlite"


def causes(field: Field) -> list[str]:
    with field.pilot.database.reader() as session:
        return sorted(cause.code for cause in zone_causes(session))


def told(field: Field) -> list[tuple[str, bool]]:
    """Return verdict and hold of each event of a proof."""
    return [(data["verdict"], data["held"]) for name, data in field.pilot.told if name == "proof"]


@pytest.mark.parametrize(
    ("fault", "verdict"),
    [
        ((), ("proved", None)),
        (("=clog:0.6",), ("disproved", "clogged")),
        (("=clog:0.35",), ("doubtful", "clogged")),
        (("=burst:2",), ("disproved", "burst")),
        (("=no-water",), ("disproved", "no-water")),
    ],
)
async def test_look_after_a_watering_tells_by_the_meter_what_came(
    pilot: Database, fault: tuple[str, ...], verdict: tuple[str, str | None]
) -> None:
    field = Field(pilot, "garden", "06:00", *fault)
    await field.begin()
    await field.minutes(2)
    await field.act(seconds=300)
    await field.minutes(10)
    assert field.verdicts() == [verdict]
    assert told(field) == [(verdict[0], False)]
    assert causes(field) == ([verdict[1]] if verdict[0] == "disproved" else [])


@pytest.mark.parametrize(
    ("fault", "verdict"),
    [
        ((), ("proved", None)),
        (("=jam",), ("disproved", "jam")),
        (("=empty-hopper",), ("disproved", "hopper-empty")),
    ],
)
async def test_look_after_a_meal_tells_by_scale_current_and_word_what_fell(
    pilot: Database, fault: tuple[str, ...], verdict: tuple[str, str | None]
) -> None:
    field = Field(pilot, "pond", "06:00", *fault)
    await field.begin()
    await field.minutes(2)
    await field.act(grams=250)
    await field.minutes(5)
    assert field.verdicts() == [verdict]
    (act,) = field.acts()
    assert act.proof is not None
    assert act.proof["fell_g"] == (250.0 if verdict[0] == "proved" else 0.0)


async def test_look_keeps_the_numbers_and_says_them_in_both_languages(pilot: Database) -> None:
    field = Field(pilot, "garden", "06:00", "=clog:0.6")
    await field.begin()
    await field.minutes(2)
    await field.act(seconds=300)
    await field.minutes(10)
    (act,) = field.acts()
    assert act.proof is not None
    assert {name: act.proof[name] for name in ("expected_l", "measured_l", "flow_l_min", "rated_l_min")} == {
        "expected_l": 60.0,
        "measured_l": 24.0,
        "flow_l_min": 4.8,
        "rated_l_min": 12.0,
    }
    assert proof_sentence(act, "id") == "Tidak terbukti: tersumbat: debit 4,8 L/menit, seharusnya 12."
    assert proof_sentence(act, "en") == "Disproved: clogged: flow was 4.8 L/min and should be 12."


async def test_look_without_a_meter_has_no_evidence_and_holds_nothing(pilot: Database) -> None:
    field = Field(pilot, "garden", "06:00", "=clog:0.6")
    field.measured.without = {"flow", "litres_total"}
    await field.begin()
    await field.minutes(2)
    for _ in range(3):
        await field.act(seconds=120)
        await field.minutes(8)
    assert field.verdicts() == [("no-evidence", "no-meter")] * 3
    assert field.standing().held_ms is None


async def test_look_at_two_disproved_in_a_row_holds_the_zone_until_a_person_releases_it(pilot: Database) -> None:
    with pilot.session() as session:
        create_schedule(session, "pilot:garden:1", TIMER, now_ms=at("05:50"))
    field = Field(pilot, "garden", "05:50", "=clog:0.6@..190m")
    await field.begin()
    await field.minutes(200)  # runs at 6 and 7; what was planned at 8 and 9 is held
    assert field.verdicts()[:2] == [("disproved", "clogged")] * 2
    assert field.standing().held_ms is not None
    assert causes(field) == ["clogged", "zone-held"]
    assert [act.state for act in reversed(field.acts())] == ["done", "done", "skipped"]
    why = next(data for name, data in reversed(field.pilot.told) if name == "decision")
    assert "disproved" in why["reasons"]
    field.release()
    assert (field.standing().disproved, causes(field)) == (0, [])
    await field.minutes(70)
    assert field.verdicts()[-1] == ("proved", None)
    with field.pilot.database.reader() as session:
        entries, _ = list_entries(session)
    assert [(entry.actor, entry.before) for entry in entries if entry.action == "zone.release"] == [
        ("siti", {"disproved": 2, "finding": "clogged", "held": True})
    ]


async def test_look_at_a_held_zone_lets_it_go_when_a_run_by_hand_is_proved(pilot: Database) -> None:
    field = Field(pilot, "garden", "06:00", "=no-water@..30m")
    await field.begin()
    await field.minutes(2)
    for _ in range(2):
        await field.act(seconds=120)
        await field.minutes(14)
    assert told(field) == [("disproved", False), ("disproved", True)]
    await field.minutes(5)
    await field.act(seconds=120)
    await field.minutes(6)
    assert field.verdicts()[-1] == ("proved", None)
    assert (field.standing().held_ms, causes(field)) == (None, [])


async def test_look_at_an_act_that_ended_before_a_release_does_not_count_it(pilot: Database) -> None:
    field = Field(pilot, "garden", "06:00", "=no-water")
    await field.begin()
    await field.minutes(2)
    await field.act(seconds=120)
    await field.minutes(6)
    await field.act(seconds=120)
    await field.minutes(1)  # over after 20 s, and not judged yet
    field.release()
    await field.minutes(5)
    assert field.verdicts() == [("disproved", "no-water")] * 2
    assert field.standing().disproved == 0


async def test_look_after_a_restart_judges_what_ended_before_it(pilot: Database) -> None:
    field = Field(pilot, "garden", "06:00")
    await field.begin()
    await field.minutes(2)
    await field.act(seconds=120)
    await field.minutes(5, look=False)
    field.restart()
    assert field.verdicts() == [(None, None)]
    await field.keeper.look()
    assert field.verdicts() == [("proved", None)]


async def test_look_with_the_store_down_tries_again_and_gives_up_after_an_hour(pilot: Database) -> None:
    field = Field(pilot, "garden", "06:00")
    await field.begin()
    await field.minutes(2)
    await field.act(seconds=120)
    await field.minutes(4, look=False)
    field.measured.down = True
    with pytest.raises(Exception, match="no answer"):
        await field.keeper.look()
    field.measured.down = False
    await field.act(seconds=120)
    await field.minutes(4, look=False)
    await field.keeper.look()
    assert field.verdicts() == [("proved", None)] * 2
    field.measured.down = True
    await field.act(seconds=120)
    await field.minutes(65, look=False)
    with pytest.raises(Exception, match="no answer"):
        await field.keeper.look()
    assert field.verdicts()[-1] == ("no-evidence", "store-down")


async def test_look_at_an_act_of_which_only_the_ledger_told_goes_by_the_total(pilot: Database) -> None:
    field = Field(pilot, "garden", "06:00", "=dropped-replies@3m..15m")
    await field.begin()
    await field.minutes(4)
    await field.act(seconds=120)
    await field.minutes(30)
    (act,) = field.acts()
    assert (act.state, act.verdict) == ("done", "proved")
    assert act.proof is not None
    assert act.proof["measured_l"] == pytest.approx(24.0)


async def test_look_at_an_act_broken_off_by_a_power_cut_neither_proves_nor_disproves(pilot: Database) -> None:
    field = Field(pilot, "garden", "06:00")
    await field.begin()
    await field.minutes(2)
    await field.act(seconds=300)
    await field.minutes(2)
    await field.cut_power()
    await field.minutes(6)
    assert [act.state for act in field.acts()] == ["indeterminate"]
    assert field.verdicts() == [("doubtful", "interrupted")]


@pytest.mark.parametrize(("stuck", "verdict"), [({}, ("proved", None)), ({"soil_moisture": 0.16}, ("doubtful", "no-rise"))])
async def test_look_after_the_water_has_soaked_asks_the_soil_once_more(
    pilot: Database, stuck: dict[str, float], verdict: tuple[str, str | None]
) -> None:
    field = Field(pilot, "garden", "20:00")
    field.measured.stuck = stuck
    await field.begin()
    await field.minutes(40)
    await field.act(seconds=900)
    await field.minutes(30)
    assert field.verdicts() == [("proved", None)]
    await field.minutes(50)
    assert field.verdicts() == [verdict]
    assert [verdict for verdict, _ in told(field)] == ["proved", verdict[0]]
    assert field.standing().disproved == 0


async def test_look_while_a_shut_valve_leaks_tells_it_by_two_readings_and_when_it_is_over(pilot: Database) -> None:
    field = Field(pilot, "garden", "06:00", "=leak:0.8@10m..30m")
    await field.begin()
    await field.minutes(9)
    assert causes(field) == []
    await field.minutes(5)
    assert causes(field) == ["leak"]
    assert field.standing().leak_l_min == pytest.approx(0.8)
    field.restart()
    await field.minutes(3)
    assert causes(field) == ["leak"]
    await field.minutes(16)
    assert causes(field) == []


def test_zone_codes_are_alarms_of_the_book() -> None:
    assert set(CODES) >= ZONE_CODES
