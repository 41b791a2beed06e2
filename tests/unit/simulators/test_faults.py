# SPDX-License-Identifier: Apache-2.0
"""Virtual devices break as they are told: the water and the feed go where they would, and only while it lasts."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.messages import Amount
from gateway.topics import Address, Channel
from simulators import Fault, Faults, InvalidScenario, build_device, check_faults, load_scenario, parse_fault
from tests.unit.simulators.test_device import START_MS, Bench, acks, statuses

GARDEN = Address("pilot", "garden")


class Broken(Bench):
    """A device on a bench with faults; their times count from `START_MS`."""

    def __init__(self, name: str, *faults: str) -> None:
        self.faults = [parse_fault(f"pilot/{name}{fault}") for fault in faults]
        super().__init__(name)

    def start(self) -> Any:
        (site,) = load_scenario("demo").sites
        spec = next(spec for spec in site.devices if spec.name == self.name)
        faults = Faults(Address("pilot", self.name), self.faults, START_MS)
        self.device = build_device(site, spec, self.storage, self.now, seed=1, faults=faults, watch=self.events.append)
        return self.device

    def water_mm(self) -> float:
        return float(self.device.machine.snapshot()[0]["water_mm"])


def flows(bench: Bench) -> list[float]:
    return [record["flow"] for record in bench.records()]


def run_ten_minutes(bench: Broken) -> tuple[float, Amount | None, list[dict[str, Any]]]:
    """Water for ten minutes; return how much wetter the bed got [mm], the device's result, and its records."""
    before = bench.water_mm()
    bench.order("a", 1, amount={"seconds": 600}, max_seconds=660)
    (last,) = acks(bench.pass_seconds(600))
    return bench.water_mm() - before, last.result, bench.records()


def test_parse_fault_of_a_whole_one_gives_place_sort_number_and_time() -> None:
    fault = parse_fault("pilot/garden:1=clog:0.6@600s..0.5h")
    assert fault == Fault(GARDEN, "clog", 1, 0.6, 600_000, 1_800_000)


@pytest.mark.parametrize(
    ("text", "value", "start_ms", "end_ms"),
    [
        ("pilot/garden=leak", 1.0, 0, None),
        ("pilot/garden=burst@10m", 2.5, 600_000, None),
        ("pilot/garden=no-water@..90s", 0.0, 0, 90_000),
        ("pilot/garden=power-cut@1.5s..2s", 0.0, 1_500, 2_000),
    ],
)
def test_parse_fault_without_zone_number_or_time_takes_what_is_usual(
    text: str, value: float, start_ms: int, end_ms: int | None
) -> None:
    fault = parse_fault(text)
    assert (fault.zone, fault.value, fault.start_ms, fault.end_ms) == (None, value, start_ms, end_ms)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("garden=leak", "SITE/DEVICE"),
        ("pilot/garden", "SITE/DEVICE"),
        ("pilot/Garden=leak", "a-z 0-9"),
        ("pilot/garden=flood", "is not one of leak, burst"),
        ("pilot/garden:0=leak", "a zone is 1 to 64"),
        ("pilot/garden:x=leak", "a zone is 1 to 64"),
        ("pilot/garden:1=power-cut", "leave the zone out"),
        ("pilot/garden=clog:2", "the share of the flow that is lost, 0.01 to 1"),
        ("pilot/garden=clog:nan", "0.01 to 1"),
        ("pilot/garden=clog:half", "0.01 to 1"),
        ("pilot/garden=jam:3", "takes no number"),
        ("pilot/garden=leak@", "FROM..UNTIL"),
        ("pilot/garden=leak@..", "FROM..UNTIL"),
        ("pilot/garden=leak@20s..10s", "FROM before UNTIL"),
        ("pilot/garden=leak@6:00..7:00", "write it as 90s, 10m or 2h"),
    ],
)
def test_parse_fault_of_a_wrong_one_says_what_would_be_right(text: str, told: str) -> None:
    with pytest.raises(InvalidScenario, match=told):
        parse_fault(text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("pilot/gardn=leak", "did you mean pilot/garden"),
        ("nowhere/other=leak", "it has 2, such as pilot/garden"),
        ("pilot/garden=jam", "that is of a pond-feeder"),
        ("pilot/garden:2=clog", "has the zones 1 to 1"),
    ],
)
def test_check_faults_of_what_the_scenario_lacks_says_what_it_has(text: str, told: str) -> None:
    with pytest.raises(InvalidScenario, match=told):
        check_faults(load_scenario("demo"), [parse_fault(text)])


def test_check_faults_beyond_the_bound_of_a_device_is_refused() -> None:
    with pytest.raises(InvalidScenario, match="up to 1000"):
        check_faults(load_scenario("demo"), [parse_fault("pilot/garden=leak")] * 1001)


def test_clog_gives_less_flow_and_less_water_and_the_device_does_not_notice() -> None:
    sound = run_ten_minutes(Broken("garden"))
    wetter, result, records = run_ten_minutes(Broken("garden", "=clog:0.6"))
    assert result == Amount(seconds=600.0, litres=48.0)
    assert {4.8} == {record["flow"] for record in records if record["valve_open"]}
    assert records[-1]["litres_total"] == pytest.approx(48.0)
    assert sound[0] - wetter == pytest.approx(72.0 / 8.0, abs=0.1)  # 72 L less on 8 m2


def test_clog_within_a_run_by_litres_runs_longer_for_the_same_water() -> None:
    bench = Broken("garden", "=clog:0.5@60s..120s")
    bench.order("a", 1, amount={"litres": 24.0}, max_seconds=600)
    (last,) = acks(bench.pass_seconds(600))
    # 12 L in the first minute, 6 L in the second, 6 L in half of the third.
    assert last.result == Amount(seconds=150.0, litres=24.0)


def test_burst_lets_much_through_the_meter_and_little_into_the_bed() -> None:
    sound = run_ten_minutes(Broken("garden"))
    wetter, result, records = run_ten_minutes(Broken("garden", "=burst:3"))
    assert result == Amount(seconds=600.0, litres=360.0)
    assert max(record["flow"] for record in records) == 36.0
    assert wetter < 0.4 * sound[0]


def test_leak_shows_flow_while_the_valve_is_shut_and_wets_the_bed_only_while_it_lasts() -> None:
    bench = Broken("garden", "=leak:0.5@10m..40m")
    before = bench.water_mm()
    bench.pass_seconds(3600)
    shown = [(record["flow"], record["valve_open"]) for record in bench.records()]
    assert {flow for flow, _ in shown} == {0.0, 0.5}
    assert not any(valve for _, valve in shown)
    assert sum(flow == 0.5 for flow, _ in shown) == 30
    assert bench.device.machine.snapshot()[0]["metered_l"] == pytest.approx(15.0)
    assert bench.water_mm() - before > 1.5


def test_no_water_fails_the_run_as_no_flow_and_is_over_when_the_main_is_open_again() -> None:
    bench = Broken("garden", "=no-water@..10m")
    bench.order("a", 1, amount={"seconds": 60}, max_seconds=90)
    (first,) = acks(bench.pass_seconds(660))
    bench.order("b", 2, amount={"seconds": 60}, max_seconds=90)
    (second,) = acks(bench.pass_seconds(60))
    assert (first.state, first.reason) == ("failed", "no-flow")
    assert (second.state, second.result) == ("done", Amount(seconds=60.0, litres=12.0))


def test_jam_pulls_a_high_current_and_nothing_falls() -> None:
    bench = Broken("pond", "=jam")
    bench.order("a", 1, "feed", amount={"grams": 250.0}, max_seconds=60)
    (last,) = acks(bench.pass_seconds(60))
    records = bench.records()
    assert (last.state, last.reason, last.result and last.result.grams) == ("failed", "jam", 0.0)
    assert max(record["motor_current"] for record in records) == 4.5
    assert len({record["hopper_mass"] for record in records}) == 1


def test_empty_hopper_spins_light_and_is_full_again_when_it_is_over() -> None:
    bench = Broken("pond", "=empty-hopper@..10m")
    bench.order("a", 1, "feed", amount={"grams": 250.0}, max_seconds=60)
    (last,) = acks(bench.pass_seconds(660))
    records = bench.records()
    assert (last.state, last.reason) == ("failed", "hopper-empty")
    assert 0.0 < max(record["motor_current"] for record in records) < 1.0
    assert (records[0]["hopper_mass"], records[-1]["hopper_mass"]) == (0.0, 15_000.0)
    bench.order("b", 2, "feed", amount={"grams": 250.0}, max_seconds=60)
    assert [(ack.state, ack.result) for ack in acks(bench.pass_seconds(60))] == [("done", Amount(50.0, None, 250.0))]


def test_dropped_replies_are_lost_though_the_act_happens_and_the_ledger_tells_after() -> None:
    bench = Broken("garden", "=dropped-replies@10s..20m")
    bench.pass_seconds(10)
    assert bench.order("a", 1, amount={"seconds": 60}, max_seconds=90) == []
    assert bench.pass_seconds(600) == []
    assert bench.begun("a") == 1
    assert len(bench.records()) > 10
    bench.pass_seconds(1200)
    said = bench.device.connected(bench.now)
    assert acks(said) == []
    assert [(entry.id, entry.state) for entry in statuses(said)[0].ledger] == [("a", "done")]


def test_faults_of_power_tell_when_it_goes_and_when_it_is_back() -> None:
    faults = Faults(GARDEN, [parse_fault(f"pilot/garden=power-cut@{time}") for time in ("10s..20s", "15s..30s", "60s")], 1_000)
    assert faults.next_ms("power-cut", 0) == 11_000
    assert faults.next_ms("power-cut", 12_000) == 12_000
    assert faults.over_ms("power-cut", 12_000) == 31_000
    assert faults.next_ms("power-cut", 31_000) == 61_000
    assert faults.over_ms("power-cut", 61_000) is None
    assert faults.next_change_ms(61_000) is None


def test_faults_of_another_device_are_not_its_own() -> None:
    assert Faults(Address("pilot", "pond"), [parse_fault("pilot/garden=power-cut")]).all == ()


def test_restart_within_a_fault_is_broken_still() -> None:
    bench = Broken("garden", "=leak:2")
    bench.pass_seconds(600)
    bench.start()
    bench.send(Channel.STORED, {"boot": 1, "seq": 100})
    bench.pass_seconds(60)
    assert set(flows(bench)) == {2.0}
