# SPDX-License-Identifier: Apache-2.0
"""Acts under everything that may happen to them at once, against a plain model: what was begun, said and given.

Each run is a story of some fifty steps: acts are planned by the clock and by hand, sent, carried, doubled, reordered and
lost; the device loses its power, the server is started again or put back to a backup, clocks jump. 10,000 steps:

    .venv/bin/python -m pytest tests/unit/control/test_state_machine.py --hypothesis-profile long
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from control import schedules
from control.errors import Conflict
from control.loads import zone_loads
from control.settling import Settlement
from control.states import OPEN
from simulators.ledger import TOLD, Ledger
from simulators.memory import Memory
from tests.unit.control.village import DEVICE, START_MS, ZONES, Village

HOUR_MS: Final = 3_600_000
STEPS: Final = 50  # of a story
PLACES = st.integers(0, 5)
TINY_L: Final = 0.011  # results are told to the millilitre


class Acts(RuleBasedStateMachine):
    """The village, and what must hold of it."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self.village = Village(Path(self._folder.name))
        self.off_ms = START_MS  # when the schedule was switched off

    @initialize()
    def begin(self) -> None:
        self.village.back_up()
        self.go_on(True)
        self.tick()

    def teardown(self) -> None:
        try:
            self._come_to_rest()
            self._check_ends()
            self._check_given()
            self._check_every_hour()
        finally:
            self.village.close()
            self._folder.cleanup()

    # Time

    @rule(seconds=st.sampled_from([1, 20, 90, 290, 310, 900, 1800]))
    def pass_time(self, seconds: int) -> None:
        self.village.clock.true_ms += seconds * 1000
        self.village.live()

    @rule(by_s=st.sampled_from([-3600, -60, 0, 60, 3600]))
    def shift_servers_clock(self, by_s: int) -> None:
        self.village.clock.shift_ms = by_s * 1000

    # The server

    @rule()
    def tick(self) -> None:
        self.village.run(self.village.controller.tick())

    @rule(fails=st.sampled_from([None, None, None, "before", "after"]))
    def send(self, fails: str | None) -> None:
        village = self.village
        held = {act.zone_key for act in village.acts() if act.state == "unknown" and act.action != "stop"}
        known, before = {one[1] for one in village.sent if one[0] == village.restored}, len(village.sent)
        village.fails = fails
        village.run(village.controller.send_due())
        village.fails = None
        new = [one for one in village.sent[before:] if one[1] not in known]
        assert not [one for one in new if one[3] in held], "an act was handed over to a zone with one of unknown end"

    @rule(zone=st.sampled_from(ZONES), seconds=st.sampled_from([10, 120, 600]))
    def ask_by_hand(self, zone: str, seconds: int) -> None:
        try:
            self.village.run(self.village.controller.request_act(zone, "irrigate", seconds=seconds, actor="ani"))
        except Conflict:
            busy = [act for act in self.village.acts() if act.zone_key == zone and act.state in OPEN]
            assert busy, "refused although nothing is under way"

    @rule(key=st.sampled_from([*ZONES, DEVICE]))
    def stop(self, key: str) -> None:
        self.village.run(self.village.controller.stop(key, actor="ani"))

    @rule(place=PLACES)
    def let_go_or_settle_by_hand(self, place: int) -> None:
        unknown = [act for act in self.village.acts() if act.state == "unknown"]
        if not unknown:
            return
        act, controller = unknown[place % len(unknown)], self.village.controller
        if place % 2:
            self.village.run(controller.stop_act(act.id, actor="ani"))
        else:
            self.village.run(controller.settle_act(act.id, Settlement("indeterminate", "nobody was there"), actor="ani"))

    @rule(how=st.sampled_from(["start again", "back up", "back up", "restore"]))
    def disturb_the_server(self, how: str) -> None:
        if how == "start again":
            self.village.start_server(self.village.database)
        elif how == "back up":
            self.village.back_up()
        else:
            self.village.restore()

    # The network

    @precondition(lambda self: self.village.down)
    @rule(place=PLACES, keep=st.booleans())
    def carry_down(self, place: int, keep: bool) -> None:
        self.village.carry_down(place % len(self.village.down), keep=keep)

    @precondition(lambda self: self.village.up)
    @rule(place=PLACES, keep=st.booleans())
    def carry_up(self, place: int, keep: bool) -> None:
        self.village.carry_up(place % len(self.village.up), keep=keep)

    @rule(send=st.booleans())
    def go_on(self, send: bool) -> None:
        """Let all be as it mostly is: what is due is sent, what is sent arrives."""
        if self.village.device is None:
            self.village.boot()
        if not self.village.connected:
            self.village.join()
        self.carry_all()
        if send:
            self.send(None)
            self.carry_all()

    @rule(zone=st.sampled_from(ZONES), seconds=st.sampled_from([10, 120, 600]), carried=st.booleans())
    def water_at_once(self, zone: str, seconds: int, carried: bool) -> None:
        self.go_on(True)
        self.ask_by_hand(zone, seconds)
        self.send(None)
        if carried:
            self.carry_all()

    def carry_all(self) -> None:
        while self.village.down:
            self.village.carry_down(0)
        while self.village.up:
            self.village.carry_up(0)

    @precondition(lambda self: self.village.down or self.village.up)
    @rule(place=PLACES, up=st.booleans())
    def lose(self, place: int, up: bool) -> None:
        if lost := self.village.up if up else self.village.down:
            lost.pop(place % len(lost))

    # The device

    @rule(how=st.sampled_from(["leave", "cut power", "after no event", "after one event", "after two events"]))
    def disturb_the_device(self, how: str) -> None:
        """Take its connection or its power, now or in the midst of one of the next steps of an act."""
        if how == "leave":
            self.village.leave()
        elif how == "cut power":
            self.village.cut_power()
        else:
            self.village.cut_in = {"after no event": 0, "after one event": 1, "after two events": 2}[how]

    # What must hold

    @invariant()
    def no_act_is_begun_twice(self) -> None:
        assert [key for key, times in self.village.begun.items() if times > 1] == []

    @invariant()
    def numbers_rise(self) -> None:
        last: dict[str, int] = {}
        newest: dict[int, int] = {}
        for life, key, n, _ in self.village.sent:
            if last.get(key) != n:
                assert n > last.get(key, 0), "an act goes back to a lower number"
                assert n > newest.get(life, 0), "a number is given twice"
            last[key], newest[life] = n, max(n, newest.get(life, 0))

    @invariant()
    def the_devices_word_wins(self) -> None:
        for act in self.village.acts():
            word = self.village.heard.get(act.reference)
            assert word in (None, act.state), f"{act.id} is {act.state}, the device said {word}"

    # The end of a story

    def _come_to_rest(self) -> None:
        village = self.village
        village.cut_in, village.clock.shift_ms = None, max(village.clock.shift_ms, 0)
        self.off_ms = village.clock.now_ms()
        with village.database.session() as session:
            schedules.change_schedule(session, village.schedule, enabled=False, now_ms=self.off_ms)
        for _ in range(14):
            if village.device is None:
                village.boot()
            if not village.connected:
                village.join()
            self.carry_all()
            self.pass_time(310)
            self.tick()
            self.send(None)
            self.carry_all()

    def _check_ends(self) -> None:
        settled = [act for act in self.village.acts() if act.state in OPEN]
        # Sixteen acts are told in a status: of an older one whose ack was lost a person has to tell.
        beyond = [act for act in settled if act.state != "unknown" or len(self.village.begun) < TOLD]
        assert [(act.id, act.state) for act in beyond if act.expires_ms < self.village.clock.now_ms() - 1_300_000] == []

    def _check_given(self) -> None:
        village = self.village
        own = Ledger(Memory(village._storage, DEVICE))
        counted = dict.fromkeys(ZONES, 0.0)
        for act in village.acts():
            if act.zone_key is None or act.action == "stop":
                continue
            given, said = village.given[act.reference], own.find(act.reference)
            assert act.state != "done" or village.begun[act.reference] == 1
            if act.reference in village.heard and said is not None:
                assert act.result_litres is None or abs(act.result_litres - given) < TINY_L
            if said is None or act.reference in village.heard:
                counted[act.zone_key] += given
        with village.database.reader() as session:
            loads = zone_loads(session, dict.fromkeys(ZONES, START_MS))
        for zone, litres in counted.items():
            assert loads[zone].litres >= litres - 1.0, f"{litres} L flowed in {zone}, {loads[zone].litres} are counted"

    def _check_every_hour(self) -> None:
        """Every moment that was planned before the schedule was switched off is in the ledger, whatever became of it."""
        planned = {act.planned_ms for act in self.village.acts() if act.origin.startswith("schedule:")}
        assert [at_ms for at_ms in range(START_MS + HOUR_MS, self.off_ms + 1, HOUR_MS) if at_ms not in planned] == []


# The profile `long` asks for eight times as many examples as the usual one.
TestActs = Acts.TestCase
TestActs.settings = settings(
    max_examples=settings().max_examples // 5,
    stateful_step_count=STEPS,
    derandomize=settings().max_examples <= 100,
    suppress_health_check=list(HealthCheck),
    deadline=None,
)
