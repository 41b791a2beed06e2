# SPDX-License-Identifier: Apache-2.0
"""Whatever happens to a virtual device, in whatever order: at most one act an id, an end to each, and nothing from nowhere."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.messages import Command, encode_message
from gateway.topics import Address, Channel
from simulators import Event, VirtualDevice, What
from simulators.controller import VirtualIrrigationController
from simulators.feeder import VirtualPondFeeder
from simulators.memory import Memory, open_storage
from simulators.physics import Bed, BedSite, Climate, Pond, PondSite, Weather

START_MS = 1_795_294_800_000
ADDRESS = Address("pilot", "board")
WEATHER = Weather(Climate(rain_chance=0.5), 7)


class PowerCutError(BaseException):
    """The supply failed at this very write; like no other error, nothing may catch it."""


class DyingMemory(Memory):
    """A memory whose device loses power just before, or just after, one of its writes."""

    def __init__(self, storage: sqlite3.Connection, lives: int, *, after: bool) -> None:
        super().__init__(storage, ADDRESS.key)
        self.lives, self.after = lives, after

    def write(self, statement: str, *values: Any) -> int:
        self.lives -= 1
        if self.lives == 0 and not self.after:
            raise PowerCutError
        count = super().write(statement, *values)
        if self.lives == 0:
            raise PowerCutError
        return count


def start(memory: Memory, events: list[Event], now_ms: int, kind: str = "feeder") -> VirtualDevice:
    machine = (
        VirtualPondFeeder([Pond(PondSite()), Pond(PondSite())], WEATHER)
        if kind == "feeder"
        else VirtualIrrigationController([Bed.at_moisture(BedSite(), 0.2) for _ in range(2)], WEATHER)
    )
    return VirtualDevice(ADDRESS, machine, memory, now_ms, watch=events.append)


def feed(number: int, now_ms: int, grams: float = 100.0) -> bytes:
    command = Command(f"act-{number}", "feed", now_ms, now_ms + 300_000, number, 1, None, 60.0)
    return encode_message(command).replace(b'"max_seconds"', b'"amount":{"grams":%g},"max_seconds"' % grams)


def count_begun(events: list[Event], act_id: str) -> int:
    return sum(event.what is What.ACT_BEGUN and event.detail["id"] == act_id for event in events)


def live_through_a_meal(memory: Memory, events: list[Event]) -> None:
    device = start(memory, events, START_MS)
    device.connected(START_MS)
    for second in range(0, 60, 5):
        now = START_MS + second * 1000
        for message in device.handle(Channel.COMMAND, feed(1, START_MS), now):
            device.acknowledge(message)
        for message in device.tick(now):
            device.acknowledge(message)


@pytest.mark.parametrize("after", [False, True])
def test_power_cut_at_every_write_of_a_meal_never_feeds_twice_and_always_settles(after: bool) -> None:
    point, survived = 0, False
    while not survived:
        point += 1
        storage, events = open_storage(None), list[Event]()
        try:
            live_through_a_meal(DyingMemory(storage, point, after=after), events)
            survived = True
        except PowerCutError:
            pass
        device = start(Memory(storage, ADDRESS.key), events, START_MS + 90_000)
        assert device.machine.running == frozenset()  # type: ignore[attr-defined]
        device.handle(Channel.COMMAND, feed(1, START_MS), START_MS + 91_000)
        device.tick(START_MS + 200_000)
        assert count_begun(events, "act-1") <= 1, f"write {point}"
        entry = device.ledger.find("act-1")
        assert entry is not None
        assert entry.state in ("done", "indeterminate"), f"write {point}"
        if entry.state == "done":
            assert count_begun(events, "act-1") == 1
        assert device.ledger.spent(1, START_MS // 86_400_000).grams == pytest.approx(100.0)
        storage.close()
    assert point > 20


steps = st.one_of(
    st.tuples(st.just("pass"), st.floats(0.0, 400.0)),
    st.tuples(st.just("order"), st.integers(1, 8), st.integers(1, 2), st.floats(0.5, 400.0), st.floats(0.5, 200.0)),
    st.tuples(st.just("stop"), st.sampled_from([None, 1, 2])),
    st.tuples(st.just("restart")),
)


@settings(max_examples=60, deadline=None)
@given(kind=st.sampled_from(["feeder", "controller"]), story=st.lists(steps, max_size=25))
def test_any_story_acts_once_an_id_ends_in_time_and_keeps_the_budget(kind: str, story: list[tuple[Any, ...]]) -> None:
    storage, events, now = open_storage(None), list[Event](), START_MS
    memory = Memory(storage, ADDRESS.key)
    device = start(memory, events, now, kind)
    budget = 300.0
    limits = {"litres_day": budget, "grams_day": budget, "max_seconds": 100.0}
    config = b'{"version":1,"zones":{"1":%b,"2":%b}}' % ((str(limits).replace("'", '"').encode(),) * 2)
    device.handle(Channel.CONFIG, config, now)
    for step in story:
        if step[0] == "pass":
            now += round(step[1] * 1000)
            device.tick(now)
        elif step[0] == "order":
            _, number, zone, amount, limit = step
            name, unit = ("feed", "grams") if kind == "feeder" else ("irrigate", "litres")
            text = (
                f'{{"id":"act-{number}","n":{number},"action":"{name}","zone":{zone},"amount":{{"{unit}":{amount}}},'
                f'"max_seconds":{limit},"issued":{now},"expires":{now + 1000}}}'
            )
            device.handle(Channel.COMMAND, text.encode(), now)
        elif step[0] == "stop":
            zone = "" if step[1] is None else f',"zone":{step[1]}'
            device.handle(Channel.COMMAND, f'{{"id":"s","action":"stop","issued":{now},"expires":{now}{zone}}}'.encode(), now)
        else:
            device = start(memory, events, now, kind)
    device.tick(now + 200_000)
    assert device.running == ()
    for number in range(1, 9):
        assert count_begun(events, f"act-{number}") <= 1
    given: dict[Any, float] = {}
    for event in events:
        if event.what is What.ACT_ENDED:
            assert float(str(event.detail["seconds"])) <= 100.0
            amount = event.detail["litres"] if kind == "controller" else event.detail["grams"]
            given[event.detail["zone"]] = given.get(event.detail["zone"], 0.0) + float(str(amount))
    assert all(total <= budget + 0.1 for total in given.values())
    storage.close()


spans = st.lists(st.tuples(st.floats(1.0, 300.0), st.booleans(), st.booleans()), min_size=1, max_size=200)


@settings(max_examples=50, deadline=None)
@given(moisture=st.floats(0.0, 0.45), spans=spans)
def test_bed_neither_makes_nor_loses_water(moisture: float, spans: list[tuple[float, bool, bool]]) -> None:
    bed, now = Bed.at_moisture(BedSite(), moisture), START_MS
    before, litres = bed.water_mm, 0.0
    for seconds, watering, _ in spans:
        now += round(seconds * 1000)
        litres += bed.advance(WEATHER.at(now), seconds, watering)
    gone = bed.evaporated_mm + bed.drained_mm + bed.runoff_mm
    assert bed.water_mm == pytest.approx(before + litres / bed.site.area_m2 + bed.rain_mm - gone, abs=1e-6)
    assert litres == pytest.approx(bed.applied_l)
    assert 0.0 <= bed.moisture <= bed.site.saturation + 1e-9


@settings(max_examples=50, deadline=None)
@given(hopper=st.floats(0.0, 20_000.0), spans=spans)
def test_pond_neither_makes_nor_loses_feed(hopper: float, spans: list[tuple[float, bool, bool]]) -> None:
    pond, now = Pond(PondSite(), hopper_g=hopper), START_MS
    thrown = 0.0
    for seconds, feeding, aerating in spans:
        now += round(seconds * 1000)
        thrown += pond.advance(WEATHER.at(now), seconds, feeding, aerating)
    assert thrown == pytest.approx(pond.dispensed_g)
    assert pond.dispensed_g == pytest.approx(pond.eaten_g + pond.spoilt_g + pond.uneaten_g, abs=1e-6)
    assert pond.hopper_g == pytest.approx(hopper + pond.refilled_g - pond.dispensed_g, abs=1e-6)
    assert pond.hopper_g >= 0.0
    assert pond.oxygen >= 0.0
