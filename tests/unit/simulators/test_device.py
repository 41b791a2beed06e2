# SPDX-License-Identifier: Apache-2.0
"""A virtual device, stepped through time without a network, does what the contract asks of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.messages import Ack, Amount, Reported, Status, decode_message
from gateway.payloads import judge_payload
from gateway.quantities import load_catalogue
from gateway.topics import Channel
from simulators import Event, VirtualDevice, What, build_device, load_scenario
from simulators.controller import VirtualIrrigationController
from simulators.feeder import VirtualPondFeeder
from simulators.memory import open_storage
from simulators.speech import Outgoing

START_MS = 1_795_294_800_000  # 2026-11-22 05:00 in Makassar


class Bench:
    """A device on a bench, with the platform's side played by hand."""

    def __init__(self, name: str, **changes: Any) -> None:
        self.storage = open_storage(None)
        self.now = START_MS
        self.events: list[Event] = []
        self.name = name
        self.device = self.start()
        for key, value in changes.items():
            setattr(self.device, key, value)

    def start(self) -> VirtualDevice:
        """Start the device, or start it again after its power was cut."""
        (site,) = load_scenario("demo").sites
        spec = next(spec for spec in site.devices if spec.name == self.name)
        self.device = build_device(site, spec, self.storage, self.now, seed=1, watch=self.events.append)
        return self.device

    def pass_seconds(self, seconds: float) -> list[Outgoing]:
        self.now += round(seconds * 1000)
        return self.device.tick(self.now)

    def order(self, act_id: str, n: int | None, action: str = "irrigate", **fields: Any) -> list[Ack]:
        command = {"id": act_id, "n": n, "action": action, "zone": 1, "issued": self.now, "expires": self.now + 300_000}
        command |= {"amount": {"seconds": 60}, "max_seconds": 90} | fields
        return acks(self.send(Channel.COMMAND, command))

    def send(self, channel: Channel, message: object) -> list[Outgoing]:
        return self.device.handle(channel, json.dumps(message).encode(), self.now)

    def begun(self, act_id: str) -> int:
        """Count how often the device truly acted for an id."""
        return sum(event.what is What.ACT_BEGUN and event.detail["id"] == act_id for event in self.events)

    def records(self) -> list[dict[str, Any]]:
        """Take all telemetry not yet sent on this connection."""
        found: list[dict[str, Any]] = []
        while (batch := self.device.next_batch()) is not None:
            value = json.loads(batch.payload)
            found += value if isinstance(value, list) else [value]
        return found


def acks(messages: list[Outgoing]) -> list[Ack]:
    return [decode_message(one.payload, Ack) for one in messages if one.channel is Channel.ACK]


def statuses(messages: list[Outgoing]) -> list[Status]:
    return [decode_message(one.payload, Status) for one in messages if one.channel is Channel.STATUS]


@pytest.fixture
def garden() -> Bench:
    return Bench("garden")


@pytest.fixture
def pond() -> Bench:
    return Bench("pond")


def test_tick_over_a_day_of_bed_and_pond_measures_each_minute_within_the_catalogue(garden: Bench, pond: Bench) -> None:
    catalogue = load_catalogue()
    for bench in (garden, pond):
        for _ in range(24 * 6):
            bench.pass_seconds(600)
        count = 0
        while (batch := bench.device.next_batch()) is not None:
            kind = catalogue.kinds[bench.device.machine.kind]
            records, rejected = judge_payload(batch.payload, kind, catalogue, bench.now)
            assert rejected == []
            assert [record.seq for record in records] == list(range(count, count + len(records)))
            count += len(records)
        assert count == 24 * 60 + 1


def test_handle_irrigate_waters_the_bed_and_answers_accepted_running_done(garden: Bench) -> None:
    before = garden.device.machine.snapshot()[0]["water_mm"]
    first = garden.order("a", 1, amount={"litres": 24.0}, max_seconds=600)
    assert [ack.state for ack in first] == ["accepted", "running"]
    last = acks(garden.pass_seconds(200))
    assert [(ack.id, ack.n, ack.state, ack.reason) for ack in last] == [("a", 1, "done", None)]
    assert last[0].result == Amount(seconds=120.0, litres=24.0)
    assert last[0].ts == START_MS + 120_000
    assert garden.device.machine.snapshot()[0]["water_mm"] > before + 2.9  # 24 L on 8 m2 are 3 mm


def test_handle_irrigate_while_it_runs_shows_flow_and_an_open_valve(garden: Bench) -> None:
    garden.order("a", 1)
    garden.pass_seconds(200)
    shown = [(record["valve_open"], record["flow"]) for record in garden.records()]
    assert (True, 12.0) in shown
    assert shown[0] == shown[-1] == (False, 0.0)


def test_handle_command_sent_again_answers_what_was_stored_and_does_not_act(garden: Bench) -> None:
    garden.order("a", 1)
    assert [ack.state for ack in garden.order("a", 1)] == ["running"]
    garden.pass_seconds(100)
    again = garden.order("a", 1)
    assert [(ack.state, ack.result) for ack in again] == [("done", Amount(seconds=60.0, litres=12.0))]
    assert garden.begun("a") == 1


def test_handle_command_with_a_number_not_above_the_last_is_refused_as_replayed(garden: Bench) -> None:
    garden.order("a", 5)
    garden.pass_seconds(100)
    assert [(ack.state, ack.reason) for ack in garden.order("b", 5)] == [("rejected", "replayed")]
    assert garden.begun("b") == 0


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"expires": START_MS - 1}, "expired"),
        ({"action": "feed", "amount": {"grams": 10}}, "unknown-action"),
        ({"action": "dance"}, "unknown-action"),
        ({"zone": 2}, "out-of-range"),
        ({"amount": {}}, "out-of-range"),
        ({"amount": {"seconds": 0}}, "out-of-range"),
        ({"max_seconds": None}, "out-of-range"),
        ({"n": None}, "out-of-range"),
    ],
)
def test_handle_command_that_can_not_be_done_is_refused_with_its_reason(
    garden: Bench, fields: dict[str, Any], reason: str
) -> None:
    fields = {"n": 1, "action": "irrigate"} | fields
    assert [(ack.state, ack.reason) for ack in garden.order("a", **fields)] == [("rejected", reason)]
    assert garden.begun("a") == 0
    assert not garden.device.running


def test_handle_command_at_its_last_instant_is_still_done(garden: Bench) -> None:
    assert [ack.state for ack in garden.order("a", 1, expires=START_MS)] == ["accepted", "running"]


def test_handle_command_refused_once_gets_the_same_answer_again(garden: Bench) -> None:
    garden.order("a", 1)
    garden.order("b", 2)
    garden.pass_seconds(100)
    assert [(ack.state, ack.reason) for ack in garden.order("b", 2)] == [("rejected", "busy")]
    assert garden.begun("b") == 0


def test_handle_command_on_a_device_without_time_is_refused_as_unsynchronised() -> None:
    bench = Bench("garden", synchronised=False)
    (ack,) = bench.order("a", 1)
    assert (ack.state, ack.reason, ack.ts) == ("rejected", "unsynchronised", None)
    assert "ts" not in bench.records()[-1]


def test_tick_past_max_seconds_closes_the_valve_by_itself(garden: Bench) -> None:
    garden.order("a", 1, amount={"litres": 1000.0}, max_seconds=90)
    (ack,) = acks(garden.pass_seconds(3600))
    assert (ack.state, ack.reason, ack.ts) == ("done", "max-seconds", START_MS + 90_000)
    assert ack.result == Amount(seconds=90.0, litres=18.0)


def test_handle_stop_ends_what_runs_with_what_was_truly_done(garden: Bench) -> None:
    garden.order("a", 1)
    garden.pass_seconds(20)
    answers = garden.order("s", None, "stop", zone=None)
    assert [(ack.id, ack.state, ack.reason) for ack in answers] == [("a", "done", "stopped"), ("s", "done", None)]
    assert answers[0].result == Amount(seconds=20.0, litres=4.0)
    assert not garden.device.running


def test_handle_ping_is_answered_by_status_with_ledger_and_number(garden: Bench) -> None:
    garden.order("a", 7)
    garden.pass_seconds(100)
    command = {"id": "p", "action": "ping", "issued": garden.now, "expires": garden.now + 1000}
    (status,) = statuses(garden.send(Channel.COMMAND, command))
    assert (status.online, status.n, status.zones, status.boot) == (True, 7, 1, 1)
    assert [(entry.id, entry.state) for entry in status.ledger] == [("a", "done")]


def test_handle_feed_throws_grams_from_the_hopper(pond: Bench) -> None:
    pond.order("f", 1, "feed", amount={"grams": 250.0}, max_seconds=120)
    (ack,) = acks(pond.pass_seconds(120))
    assert (ack.state, ack.result) == ("done", Amount(seconds=50.0, grams=250.0))
    machine = pond.device.machine
    assert isinstance(machine, VirtualPondFeeder)
    assert machine.ponds[0].hopper_g == pytest.approx(14_750.0)


def test_handle_feed_from_a_hopper_that_runs_empty_fails_with_what_fell(pond: Bench) -> None:
    machine = pond.device.machine
    assert isinstance(machine, VirtualPondFeeder)
    machine.ponds[0].hopper_g = 52.0
    pond.order("f", 1, "feed", amount={"grams": 250.0}, max_seconds=120)
    (ack,) = acks(pond.pass_seconds(120))
    assert (ack.state, ack.reason) == ("failed", "hopper-empty")
    assert ack.result is not None
    assert ack.result.grams == pytest.approx(52.0)


def test_handle_feed_with_a_jammed_motor_fails_within_seconds(pond: Bench) -> None:
    machine = pond.device.machine
    assert isinstance(machine, VirtualPondFeeder)
    machine.ponds[0].jammed = True
    pond.order("f", 1, "feed", amount={"grams": 250.0}, max_seconds=120)
    (ack,) = acks(pond.pass_seconds(120))
    assert (ack.state, ack.reason, ack.result) == ("failed", "jam", Amount(seconds=5.0, grams=0.0))


def test_handle_irrigate_with_the_main_shut_fails_as_no_flow(garden: Bench) -> None:
    machine = garden.device.machine
    assert isinstance(machine, VirtualIrrigationController)
    machine.beds[0].supply = False
    garden.order("a", 1)
    (ack,) = acks(garden.pass_seconds(60))
    assert (ack.state, ack.reason, ack.result) == ("failed", "no-flow", Amount(seconds=20.0, litres=0.0))


def test_handle_aerate_raises_the_oxygen_of_a_tired_pond() -> None:
    oxygen = []
    for aerate in (False, True):
        bench = Bench("pond")
        machine = bench.device.machine
        assert isinstance(machine, VirtualPondFeeder)
        machine.ponds[0].oxygen = 2.0
        if aerate:
            bench.order("x", 1, "aerate", amount={"seconds": 3600}, max_seconds=3600)
        bench.pass_seconds(3600)
        oxygen.append(machine.ponds[0].oxygen)
    assert oxygen[1] > oxygen[0] + 1.0


def test_press_at_the_board_is_told_as_a_local_ack_and_counts_for_the_day(pond: Bench) -> None:
    pond.send(Channel.CONFIG, {"version": 1, "zones": {"1": {"grams_day": 300}}})
    pond.device.press("feed", 1, Amount(grams=200.0), 120, pond.now)
    (ack,) = acks(pond.pass_seconds(60))
    assert (ack.id, ack.action, ack.zone, ack.state) == ("local-1-1", "feed", 1, "done")
    assert [(one.state, one.reason) for one in pond.order("f", 1, "feed", amount={"grams": 101})] == [("rejected", "interlock")]


def test_start_after_a_cut_in_an_act_is_indeterminate_closed_and_never_repeated(pond: Bench) -> None:
    pond.order("f", 1, "feed", amount={"grams": 250.0}, max_seconds=120)
    pond.pass_seconds(10)
    pond.start()
    first = pond.device.connected(pond.now)
    assert [(ack.id, ack.n, ack.state) for ack in acks(first)] == [("f", 1, "indeterminate")]
    assert statuses(first)[0].boot == 2
    assert [ack.state for ack in pond.order("f", 1, "feed", amount={"grams": 250.0})] == ["indeterminate"]
    assert pond.begun("f") == 1
    assert not pond.device.running
    assert not pond.records()[-1]["motor_current"]


def test_start_after_a_cut_while_watering_counts_the_most_it_can_have_given(garden: Bench) -> None:
    garden.send(Channel.CONFIG, {"version": 1, "zones": {"1": {"litres_day": 20}}})
    garden.order("a", 1)  # by seconds only: how much flowed is not known
    garden.pass_seconds(5)
    garden.start().connected(garden.now)
    answer = garden.order("b", 2, amount={"litres": 9.0})
    assert [(ack.state, ack.reason) for ack in answer] == [("rejected", "interlock")]
    assert [ack.state for ack in garden.order("c", 3, amount={"litres": 8.0})] == ["accepted", "running"]


def test_start_again_keeps_the_water_in_the_soil_and_lets_nature_go_on(garden: Bench) -> None:
    garden.order("a", 1, amount={"litres": 48.0}, max_seconds=600)
    garden.pass_seconds(3600)
    wet = garden.records()[-1]
    garden.now += 12 * 3_600_000
    garden.start().tick(garden.now)
    dry = garden.records()[-1]
    assert dry["litres_total"] == wet["litres_total"] == 48.0
    assert wet["soil_moisture"] - 0.03 < dry["soil_moisture"] < wet["soil_moisture"]


def test_status_tells_the_oldest_record_held_and_the_last_of_the_boot_before(garden: Bench) -> None:
    garden.pass_seconds(600)
    garden.send(Channel.STORED, {"boot": 1, "seq": 3})
    (last,) = [record["seq"] for record in garden.records()][-1:]
    garden.start()
    (status,) = statuses(garden.device.connected(garden.now))
    assert status.oldest is not None
    assert status.last is not None
    assert (status.oldest.boot, status.oldest.seq) == (1, 4)
    assert (status.last.boot, status.last.seq) == (1, last)


def test_connected_again_sends_what_lies_after_the_last_stored_oldest_boot_first(garden: Bench) -> None:
    garden.pass_seconds(300)
    garden.start()
    garden.pass_seconds(300)
    garden.send(Channel.STORED, {"boot": 1, "seq": 2})
    for _ in range(2):
        garden.device.connected(garden.now)
        keys = [(record["boot"], record["seq"]) for record in garden.records()]
        assert keys == sorted(keys)
        assert keys[0] == (1, 3)
        assert keys[-1][0] == 2


def test_final_ack_is_said_again_until_the_broker_has_it(garden: Bench) -> None:
    garden.order("a", 1)
    garden.pass_seconds(100)
    (kept,) = [one for one in garden.device.connected(garden.now) if one.channel is Channel.ACK]
    garden.device.acknowledge(kept)
    assert acks(garden.device.connected(garden.now)) == []


@pytest.mark.parametrize(
    ("channel", "payload"),
    [
        (Channel.COMMAND, b"{"),
        (Channel.COMMAND, b'{"id": "a"}'),
        (Channel.COMMAND, b"[" * 5000),
        (Channel.CONFIG, b"[]"),
        (Channel.CONFIG, b'{"version": "1"}'),
        (Channel.STORED, b"\xff\xff"),
        (Channel.ERROR, b"null"),
        (Channel.COMMAND, b"x" * 70_000),
    ],
)
def test_handle_nonsense_changes_nothing(garden: Bench, channel: Channel, payload: bytes) -> None:
    assert garden.device.handle(channel, payload, garden.now) == []
    assert garden.device.config == Reported(version=0)
    assert [ack.state for ack in garden.order("a", 1)] == ["accepted", "running"]


def test_tick_with_the_clock_set_back_goes_on_measuring(garden: Bench) -> None:
    garden.pass_seconds(600)
    count = len(garden.records())
    garden.pass_seconds(-3600)
    garden.pass_seconds(120)
    assert count < count + len(garden.records())
    assert garden.records() == []


def test_tick_after_days_asleep_leaves_no_flood_of_records(garden: Bench) -> None:
    garden.pass_seconds(40 * 86_400)
    assert len(garden.device.outbox) < 5


def test_two_devices_of_one_seed_measure_the_same() -> None:
    def measured() -> list[dict[str, Any]]:
        bench = Bench("pond")
        bench.pass_seconds(3600)
        return bench.records()

    assert measured() == measured()
