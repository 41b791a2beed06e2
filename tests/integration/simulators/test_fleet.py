# SPDX-License-Identifier: Apache-2.0
"""Virtual devices on a real broker: they talk, they come back, and they remember."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from gateway.clock import Clock, ScaledClock, SteppedClock
from gateway.credentials import CONTROL, INGEST, new_credential
from gateway.messages import Amount
from gateway.topics import Address
from simulators import BrokerAddress, MemoryInUse, build_device, load_scenario, parse_fault, run
from simulators.memory import open_storage
from simulators.shell import Shell
from tests.servers.mosquitto import Mosquitto, free_port

GARDEN, POND = Address("pilot", "garden"), Address("pilot", "pond")
START_MS = 1_795_294_800_000
SPEED = 600.0

_CHILD = """
import asyncio, json, sys
from pathlib import Path
from gateway.clock import ScaledClock
from gateway.messages import Amount
from gateway.topics import Address
from simulators import BrokerAddress, load_scenario, run
told = json.loads(sys.stdin.read())
passwords = {Address("pilot", name): told["passwords"]["pilot/" + name] for name in ("garden", "pond")}
clock = ScaledClock(*told["clock"])
asyncio.run(run(load_scenario("demo"), BrokerAddress("127.0.0.1", told["port"]), passwords, clock,
                state_dir=Path(told["folder"]), oracle=True))
"""


class Platform:
    """The platform's side of the wire, played by hand: it hears everything and says what it is told to."""

    def __init__(self, broker: Mosquitto) -> None:
        self.broker = broker
        self.heard: list[tuple[str, str, Any]] = []  # device, channel, message

    @contextlib.asynccontextmanager
    async def listen(self) -> AsyncIterator[Platform]:
        async with contextlib.AsyncExitStack() as stack:
            self.control = await stack.enter_async_context(self._client(CONTROL))
            self.ingest = await stack.enter_async_context(self._client(INGEST))
            for channel in ("status", "ack", "reported"):
                await self.control.subscribe(f"tirta/v1/+/+/{channel}", qos=1)
            await self.ingest.subscribe("tirta/v1/+/+/telemetry", qos=1)
            tasks = [asyncio.create_task(self._hear(client)) for client in (self.control, self.ingest)]
            try:
                yield self
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def say(self, address: Address, channel: str, message: object) -> None:
        client, qos = (self.ingest, 0) if channel == "stored" else (self.control, 1)
        topic = f"tirta/v1/{address.username}/{channel}"
        await client.publish(topic, json.dumps(message), qos=qos, retain=channel == "config")

    async def until(self, wanted: Callable[[], object], seconds: float = 15.0) -> None:
        end = time.monotonic() + seconds
        while not wanted():
            assert time.monotonic() < end, self.heard[-5:]
            await asyncio.sleep(0.02)

    def messages(self, address: Address, channel: str) -> list[Any]:
        return [message for device, where, message in self.heard if (device, where) == (address.device, channel)]

    def records(self, address: Address) -> list[dict[str, Any]]:
        found = []
        for message in self.messages(address, "telemetry"):
            found += message if isinstance(message, list) else [message]
        return found

    def final(self, act_id: str) -> list[tuple[str, str | None]]:
        acks = [message for _, channel, message in self.heard if channel == "ack" and message["id"] == act_id]
        return [(ack["state"], ack.get("reason")) for ack in acks if ack["state"] not in ("accepted", "running")]

    def _client(self, username: str) -> aiomqtt.Client:
        password = self.broker[username].password
        return aiomqtt.Client(self.broker.host, self.broker.port, username=username, password=password, identifier=username)

    async def _hear(self, client: aiomqtt.Client) -> None:
        with contextlib.suppress(aiomqtt.MqttError):
            async for message in client.messages:
                _, _, _, device, channel = message.topic.value.split("/")
                assert isinstance(message.payload, bytes)
                self.heard.append((device, channel, json.loads(message.payload)))


class Fleet:
    """The demo's devices as a task of this process."""

    def __init__(self, broker: Mosquitto, folder: Path, *faults: str) -> None:
        self.broker, self.folder, self.faults = broker, folder, [parse_fault(fault) for fault in faults]
        self.clock: Clock = ScaledClock(time.time_ns() // 1_000_000, START_MS, SPEED)

    async def __aenter__(self) -> Fleet:
        passwords = {address: self.broker[address.username].password for address in (GARDEN, POND)}
        address = BrokerAddress(self.broker.host, self.broker.port)
        self.task = asyncio.create_task(
            run(load_scenario("demo"), address, passwords, self.clock, state_dir=self.folder, faults=self.faults, oracle=True)
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task

    def command(self, act_id: str, n: int, action: str, **fields: Any) -> dict[str, Any]:
        now = self.clock.now_ms()
        form = {"id": act_id, "n": n, "action": action, "zone": 1, "issued": now, "expires": now + 3_600_000}
        return form | fields


@pytest.fixture
def broker(tmp_path: Path) -> Any:
    with Mosquitto(tmp_path, devices=(GARDEN.username, POND.username)) as broker:
        yield broker


def acked(folder: Path, address: Address) -> set[tuple[int, int]]:
    text = (folder / f"{address.site}__{address.device}.acked.log").read_text()
    return {(int(boot), int(seq)) for boot, seq in (line.split() for line in text.splitlines())}


def acts(folder: Path, address: Address) -> list[dict[str, Any]]:
    path = folder / f"{address.site}__{address.device}.acts.log"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


async def test_run_at_600_times_measures_acts_and_says_goodbye(broker: Mosquitto, tmp_path: Path) -> None:
    async with Platform(broker).listen() as platform:
        async with Fleet(broker, tmp_path / "state") as fleet:
            await platform.until(lambda: len(platform.records(GARDEN)) > 20 and len(platform.records(POND)) > 20)
            for address, kind in ((GARDEN, "irrigation-controller"), (POND, "pond-feeder")):
                assert (status := platform.messages(address, "status")[-1])["online"], status
                assert status["kind"] == kind
                assert platform.messages(address, "reported")[0]["version"] == 0
            await platform.say(GARDEN, "config", {"version": 4, "telemetry_s": 120, "unheard": 1})
            await platform.until(lambda: platform.messages(GARDEN, "reported")[-1]["version"] == 4)
            assert platform.messages(GARDEN, "reported")[-1]["refused"] == {"unheard": "unknown key"}
            command = fleet.command("a", 1, "irrigate", amount={"litres": 80.0}, max_seconds=900)
            await platform.say(GARDEN, "command", command)
            await platform.say(GARDEN, "command", command)
            feed = fleet.command("f", 1, "feed", amount={"grams": 250.0}, max_seconds=120)
            await platform.say(POND, "command", feed)
            await platform.until(lambda: platform.final("a") and platform.final("f"))
        await platform.until(lambda: not platform.messages(POND, "status")[-1]["online"])
        await platform.until(lambda: not platform.messages(GARDEN, "status")[-1]["online"])
    assert platform.final("a")[0] == platform.final("f")[0] == ("done", None)
    begun = [act["id"] for address in (GARDEN, POND) for act in acts(tmp_path / "state", address) if act["event"] == "begin"]
    assert begun == ["a", "f"]
    for address in (GARDEN, POND):
        keys = [(record["boot"], record["seq"]) for record in platform.records(address)]
        assert keys == [(1, seq) for seq in range(len(keys))]
        assert acked(tmp_path / "state", address) <= set(keys)
    moisture = [record["soil_moisture"] for record in platform.records(GARDEN)]
    assert max(moisture) > moisture[0] + 0.03


async def test_run_over_the_sudden_death_of_the_broker_sends_again_what_was_not_stored(
    broker: Mosquitto, tmp_path: Path
) -> None:
    platform = Platform(broker)
    async with Fleet(broker, tmp_path / "state"):
        async with platform.listen():
            await platform.until(lambda: len(platform.records(POND)) > 10)
            for address in (GARDEN, POND):
                await platform.say(address, "stored", {"boot": 1, "seq": 4})
            await asyncio.sleep(0.3)
        broker.stop(signal.SIGKILL)
        platform.heard.clear()
        await asyncio.sleep(1.0)
        broker.start()
        async with platform.listen():
            before = {address: max(acked(tmp_path / "state", address)) for address in (GARDEN, POND)}
            await platform.until(lambda: all(platform.records(address) for address in (GARDEN, POND)))
            await platform.until(lambda: all(platform.records(one)[-1]["seq"] > before[one][1] for one in (GARDEN, POND)))
    for address in (GARDEN, POND):
        seqs = [record["seq"] for record in platform.records(address)]
        assert seqs == list(range(5, 5 + len(seqs)))
        assert platform.messages(address, "status")[0]["oldest"] == {"boot": 1, "seq": 5}


async def test_run_with_broker_and_platform_dead_closes_the_valve_in_time_and_says_so_later(
    broker: Mosquitto, tmp_path: Path
) -> None:
    platform = Platform(broker)
    async with Fleet(broker, tmp_path / "state") as fleet:
        async with platform.listen():
            await platform.until(lambda: platform.messages(GARDEN, "status"))
            command = fleet.command("a", 1, "irrigate", amount={"litres": 9000.0}, max_seconds=900)
            await platform.say(GARDEN, "command", command)
            await platform.until(lambda: acts(tmp_path / "state", GARDEN))
        broker.stop(signal.SIGKILL)
        await platform.until(lambda: len(acts(tmp_path / "state", GARDEN)) == 2)
        broker.start()
        async with platform.listen():
            await platform.until(lambda: platform.final("a"))
    begin, end = acts(tmp_path / "state", GARDEN)
    assert (begin["event"], end["event"], end["seconds"]) == ("begin", "end", 900.0)
    assert end["ts"] - begin["ts"] == 900_000
    assert platform.final("a")[0] == ("done", "max-seconds")


async def test_run_with_its_power_cut_within_a_run_is_gone_without_a_word_and_says_after_that_it_does_not_know(
    broker: Mosquitto, tmp_path: Path
) -> None:
    platform = Platform(broker)
    async with platform.listen(), Fleet(broker, tmp_path / "state", "pilot/garden=power-cut@40m..60m") as fleet:
        await platform.until(lambda: platform.messages(GARDEN, "status"))
        await platform.say(GARDEN, "command", fleet.command("a", 1, "irrigate", amount={"seconds": 86400}, max_seconds=86400))
        await platform.until(lambda: len([one for one in platform.messages(GARDEN, "status") if one["online"]]) > 1)
        await platform.until(lambda: platform.messages(GARDEN, "status")[-1]["online"] is False)
        assert platform.final("a") == []
        await platform.until(lambda: platform.final("a"))
        await platform.until(lambda: platform.messages(GARDEN, "status")[-1].get("boot") == 2)
    assert platform.final("a")[0] == ("indeterminate", None)


async def test_shell_stopped_without_a_broker_still_ends_what_runs(tmp_path: Path) -> None:
    (site,) = load_scenario("demo").sites
    start = functools.partial(build_device, site, site.devices[0], open_storage(None), seed=1)
    device = start(START_MS)
    device.press("irrigate", 1, Amount(seconds=60), 60, START_MS)
    clock = SteppedClock(START_MS)
    shell = Shell(device, BrokerAddress("127.0.0.1", free_port()), "x", clock, random.Random(1), start)
    task = asyncio.create_task(shell.run())
    await asyncio.sleep(0.2)
    await clock.advance(10.0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    entry = device.ledger.find("local-1-1")
    assert entry is not None
    assert (entry.state, entry.reason, entry.result) == ("done", "stopped", Amount(seconds=10.0, litres=2.0))


async def test_run_killed_within_a_meal_remembers_it_and_does_not_feed_again(broker: Mosquitto, tmp_path: Path) -> None:
    folder = tmp_path / "state"
    clock = (time.time_ns() // 1_000_000, START_MS, 10.0)
    told = {
        "port": broker.port,
        "folder": str(folder),
        "clock": clock,
        "passwords": {one.username: broker[one.username].password for one in (GARDEN, POND)},
    }
    platform = Platform(broker)
    feed = {"id": "f", "n": 1, "action": "feed", "zone": 1, "amount": {"grams": 250.0}, "max_seconds": 120}
    feed |= {"issued": START_MS, "expires": START_MS + 3_600_000}
    async with platform.listen():
        child = _start(told)
        try:
            await platform.until(lambda: platform.messages(POND, "status"))
            await platform.say(POND, "command", feed)
            await platform.until(lambda: any(ack["state"] == "running" for ack in platform.messages(POND, "ack")))
        finally:
            child.send_signal(signal.SIGKILL)
            child.wait(60)
        await platform.until(lambda: not platform.messages(POND, "status")[-1]["online"])
        child = _start(told)
        try:
            await platform.until(lambda: platform.final("f"))
            await platform.say(POND, "command", feed)
            await platform.until(lambda: len(platform.final("f")) > 1)
        finally:
            child.send_signal(signal.SIGINT)
            child.wait(60)
    assert set(platform.final("f")) == {("indeterminate", None)}
    assert [act["event"] for act in acts(folder, POND)] == ["begin"]
    assert max(boot for boot, _ in acked(folder, POND)) == 2


async def test_run_with_a_wrong_password_tries_again_and_disturbs_no_other_device(
    broker: Mosquitto, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    right, broker.credentials[POND.username] = broker[POND.username], new_credential(POND.username)
    async with Platform(broker).listen() as platform, Fleet(broker, tmp_path / "state"):
        await platform.until(lambda: platform.records(GARDEN))
        await platform.until(lambda: any("pilot:pond: no connection" in record.message for record in caplog.records))
        assert right.password not in caplog.text
        broker.reload()  # now the broker knows the new one
        await platform.until(lambda: platform.records(POND))
    warnings = [one for one in caplog.records if one.levelname == "WARNING" and "pilot:pond" in one.message]
    assert len(warnings) == 1


async def test_run_in_a_folder_that_is_in_use_says_so(broker: Mosquitto, tmp_path: Path) -> None:
    async with Fleet(broker, tmp_path / "state"):
        await asyncio.sleep(0.3)
        second = Fleet(broker, tmp_path / "state")
        with pytest.raises(MemoryInUse, match="Another process runs these virtual devices"):
            async with second:
                await second.task


def _start(told: dict[str, Any]) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    child = subprocess.Popen(
        [sys.executable, "-c", _CHILD], stdin=subprocess.PIPE, text=True, env=environment, stderr=subprocess.DEVNULL
    )
    assert child.stdin is not None
    child.stdin.write(json.dumps(told))
    child.stdin.close()
    return child
