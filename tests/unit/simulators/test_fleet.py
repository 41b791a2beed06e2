# SPDX-License-Identifier: Apache-2.0
"""A fleet refuses what can not run, speaks CBOR where it is told to, and its oracle writes down what was seen."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from gateway.clock import SteppedClock
from gateway.messages import Ack, Amount, Command, Position, Reported, Status, decode_message, encode_message
from gateway.payloads import judge_payload
from gateway.quantities import load_catalogue
from gateway.topics import Address, Channel
from simulators import BrokerAddress, Event, InvalidScenario, What, build_device, load_scenario, run
from simulators.memory import open_storage
from simulators.oracle import Oracle

START_MS = 1_795_294_800_000
BROKER = BrokerAddress("127.0.0.1", 1)


async def test_run_without_a_device_s_password_names_the_device() -> None:
    with pytest.raises(InvalidScenario, match="no password for the device pilot/pond"):
        await run(load_scenario("demo"), BROKER, {Address("pilot", "garden"): "x"}, SteppedClock(START_MS))


async def test_run_with_an_oracle_and_no_folder_asks_for_one() -> None:
    passwords = {Address("pilot", name): "x" for name in ("garden", "pond")}
    with pytest.raises(InvalidScenario, match="name one"):
        await run(load_scenario("demo"), BROKER, passwords, SteppedClock(START_MS), oracle=True)


def test_build_device_in_cbor_speaks_cbor_on_every_channel() -> None:
    (site,) = load_scenario("demo").sites
    spec = dataclasses.replace(site.devices[1], encoding="cbor")
    device = build_device(site, spec, open_storage(None), START_MS, seed=1)
    first = device.connected(START_MS)
    command = Command("a", "aerate", START_MS, START_MS, 1, 1, Amount(seconds=60), 90)
    answers = device.handle(Channel.COMMAND, encode_message(command, cbor=True), START_MS)
    device.tick(START_MS + 3_600_000)
    assert all(message.payload[0] >= 0x80 for message in (*first, *answers))
    assert decode_message(first[0].payload, Status).kind == "pond-feeder"
    assert decode_message(first[1].payload, Reported).version == 0
    assert decode_message(answers[0].payload, Ack).state == "accepted"
    batch = device.next_batch()
    assert batch is not None
    catalogue = load_catalogue()
    records, rejected = judge_payload(batch.payload, catalogue.kinds["pond-feeder"], catalogue, START_MS)
    assert (len(records), rejected) == (63, [])


def test_build_device_of_another_seed_measures_something_else() -> None:
    (site,) = load_scenario("demo").sites
    payloads = set()
    for seed in (1, 2):
        device = build_device(site, site.devices[0], open_storage(None), START_MS, seed=seed)
        device.tick(START_MS)
        batch = device.next_batch()
        assert batch is not None
        payloads.add(batch.payload)
    assert len(payloads) == 2


def test_oracle_writes_a_line_for_each_record_and_each_turn_of_an_act(tmp_path: Path) -> None:
    address = Address("pilot", "garden")
    with Oracle(tmp_path) as oracle:
        oracle.note(Event(address, 1, What.CONNECTED))
        oracle.note(Event(address, 1, What.RECORDS_ACKNOWLEDGED, positions=(Position(1, 0), Position(1, 1))))
        oracle.note(Event(address, 2, What.ACT_BEGUN, {"id": "a", "action": "irrigate", "zone": 1}))
        oracle.note(Event(address, 3, What.ACT_ENDED, {"id": "a", "action": "irrigate", "zone": 1, "litres": 2.0}))
    with Oracle(tmp_path) as oracle:
        oracle.note(Event(address, 4, What.RECORDS_ACKNOWLEDGED, positions=(Position(2, 0),)))
    assert (tmp_path / "pilot__garden.acked.log").read_text() == "1 0\n1 1\n2 0\n"
    lines = [json.loads(line) for line in (tmp_path / "pilot__garden.acts.log").read_text().splitlines()]
    assert [(line["event"], line["ts"], line["id"]) for line in lines] == [("begin", 2, "a"), ("end", 3, "a")]
    assert lines[1]["litres"] == 2.0
