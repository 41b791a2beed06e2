# SPDX-License-Identifier: Apache-2.0
"""Acts under everything that may happen to them at once, against a plain model: what was begun, said and given.

Each run is a story of some fifty steps: acts are planned by the clock and by hand, sent, carried, doubled, reordered and
lost; the device loses its power, the server is started again or put back to a backup, clocks jump. Some steps are chapters:
what hardly comes about step by step, as an act of unknown end with another one waiting behind it. 10,000 steps:

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
        self.tick()
        self.village.back_up()
        self.go_on(True)

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
        acts = [act for act in self.village.acts() if act.zone_key == zone and act.action != "stop"]
        busy = [act for act in acts if act.state in OPEN]
        try:
            self.village.run(self.village.controller.request_act(zone, "irrigate", seconds=seconds, actor="ani"))
        except Conflict:
            assert busy, "refused although nothing is under way"
        else:
            assert not busy, f"taken although {busy[0].id} is {busy[0].state}"

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

    # Chapters

    @rule(zone=st.sampled_from(ZONES), reaches=st.booleans(), old=st.booleans())
    def leave_one_unknown_and_another_waiting(self, zone: str, reaches: bool, old: bool) -> None:
        """Lose the command, or all that is said of it, until nobody knows; what is said at last comes after another waits."""
        village = self.village
        self.go_on(True)
        self.join_anew()
        earlier = list(village.up)
        self.carry_all()
        self.ask_by_hand(zone, 120)
        self.send(None)
        if reaches:
            while village.down:
                village.carry_down(0)
        village.down.clear()
        late = list(village.up)
        village.up.clear()
        self.pass_time(310)
        late += village.up
        village.up.clear()
        self.send(None)
        village.plant(zone)
        self.send(None)
        village.up = earlier if old else late
        self.carry_all_up()
        self.check()
        self.send(None)

    @rule(zone=st.sampled_from(ZONES), doubled=st.booleans())
    def lose_every_answer_and_send_again(self, zone: str, doubled: bool) -> None:
        """Let the device do what it is told and nobody hear of it; the same command comes once more."""
        village = self.village
        self.go_on(True)
        self.ask_by_hand(zone, 10)
        self.send(None)
        if doubled and village.down:
            village.carry_down(0, keep=True)
        while village.down:
            village.carry_down(0)
        self.pass_time(90)
        village.up.clear()
        self.send(None)
        self.carry_all()

    @rule(zone=st.sampled_from(ZONES), tells=st.booleans())
    def go_back_to_an_older_backup(self, zone: str, tells: bool) -> None:
        """Give out numbers past a backup and put it back: the next act goes on above what the device knows."""
        village = self.village
        self.go_on(True)
        village.back_up()
        self.water_at_once(zone, 10, False)
        while village.down:
            village.carry_down(0)
        self.pass_time(20)
        acks = [one for one in village.up if one[0].endswith("/ack")]
        self.carry_all()
        village.restore(retained=tells)
        if tells:
            self.join_anew()
        else:  # the broker was not told that they were taken
            village.up += acks
        self.carry_all()
        self.check()
        self.water_at_once(zone, 10, True)
        self.go_on(True)

    @rule(hours=st.integers(1, 3))
    def be_away(self, hours: int) -> None:
        """Let the server be off over planned moments."""
        for _ in range(2 * hours):
            self.pass_time(1800)
        self.village.start_server(self.village.database)
        self.tick()

    def join_anew(self) -> None:
        self.village.leave()
        self.village.join()

    def carry_all_up(self) -> None:
        while self.village.up:
            self.village.carry_up(0)

    def check(self) -> None:
        """Hold in the midst of a chapter what must hold after each step."""
        self.numbers_go_on_above_what_was_told()
        self.what_was_begun_is_never_concluded_as_expired()
        self.the_devices_word_wins()
        self.what_may_have_been_given_is_counted()

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

    @invariant()
    def nobody_says_what_may_never_be_said(self) -> None:
        assert self.village.wrong == []

    @invariant()
    def numbers_go_on_above_what_was_told(self) -> None:
        assert self.village.number() >= self.village.told_n, "a number that a device told of is forgotten"

    @invariant()
    def what_was_begun_is_never_concluded_as_expired(self) -> None:
        """Of what was handed over, only the device can tell: by its word, or by its number after the expiry."""
        village = self.village
        handed = {key for life, key, _, _ in village.sent if life == village.restored}
        for act in village.acts():
            if act.state != "expired" or act.reference not in handed or act.reference in village.heard:
                continue
            assert village.begun[act.reference] == 0, f"{act.id} is expired, and was begun"
            told = [ts for ts, n in village.statuses if act.n is not None and n < act.n and ts > act.expires_ms]
            assert told, f"{act.id} was handed over and is expired without a word of the device"

    @invariant()
    def what_may_have_been_given_is_counted(self) -> None:
        village = self.village
        handed = {key for life, key, _, _ in village.sent if life == village.restored}
        flowed = dict.fromkeys(ZONES, 0.0)
        for act in village.acts():
            if act.zone_key is not None and act.reference in handed and act.reason != "seen-by-hand":
                flowed[act.zone_key] += village.given[act.reference]
        self._check_counted(flowed)

    def _check_counted(self, flowed: dict[str, float]) -> None:
        with self.village.database.reader() as session:
            # By a clock that was an hour behind, the first acts began before the story did.
            loads = zone_loads(session, dict.fromkeys(ZONES, START_MS - HOUR_MS))
        for zone, litres in flowed.items():
            assert loads[zone].litres >= litres - 1.0, f"{litres} L flowed in {zone}, {loads[zone].litres} are counted"

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
        self._check_counted(counted)

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
