# SPDX-License-Identifier: Apache-2.0
"""Every direction of the contract between every two that meet at the broker, by what is delivered (`tests/directions.txt`).

Codes tell nothing here: mosquitto grants any subscription and filters what goes out, and acknowledges to a 3.1.1 client what
it throws away.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiomqtt
import pytest

from gateway import Channel
from gateway.credentials import CONTROL, INGEST, PROBE
from tests.servers.mosquitto import Mosquitto

TABLE = Path(__file__).parents[2] / "directions.txt"
DEVICES = {"own": "pilot/bed-1", "same-site": "pilot/bed-2", "other-site": "garden/bed-1", "other-agency": "harbour/bed-1"}
FIRST, SECOND = DEVICES["own"], DEVICES["same-site"]
AGENCIES = {"pilot": "parks", "garden": "parks", "harbour": "fisheries"}
ROLES = {"ingest": INGEST, "control": CONTROL, "probe": PROBE}
EVERYONE = (*DEVICES.values(), *ROLES.values())
V311, V5 = aiomqtt.ProtocolVersion.V311, aiomqtt.ProtocolVersion.V5
ARRIVES_S = 60.0  # on a machine that is busy [s]


def table() -> tuple[list[str], dict[tuple[str, str], list[str]]]:
    """Return the channels, and the cells of each row by who and whose."""
    lines = TABLE.read_text("utf-8").splitlines()
    heading = next(line for line in lines if line.startswith("# who"))
    rows = [line.split() for line in lines if line and not line.startswith("#")]
    return heading.split()[3:], {(row[0], row[1]): row[2:] for row in rows}


CHANNELS, ROWS = table()


def relation(user: str, device: str) -> tuple[str, str]:
    """Return which row of the table tells of this user and that device."""
    for role, name in ROLES.items():
        if user == name:
            return role, "any"
    if user == device:
        return "device", "own"
    site, other = user.partition("/")[0], device.partition("/")[0]
    if site == other:
        return "device", "same-site"
    return "device", "other-site" if AGENCIES[site] == AGENCIES[other] else "other-agency"


def allowed(user: str, device: str, channel: str) -> str:
    return ROWS[relation(user, device)][CHANNELS.index(channel)]


def filters(how: str) -> list[str]:
    """Return topic filters that ask for everything, in one way of asking."""
    if how == "exactly":
        return [f"tirta/v1/{device}/{channel}" for device in DEVICES.values() for channel in CHANNELS]
    return {
        "all": ["#"],
        "by channel": [f"tirta/v1/+/+/{channel}" for channel in CHANNELS],
        "by device": [f"tirta/v1/{device}/#" for device in DEVICES.values()],
        "shared": ["$share/thieves/#"],
    }[how]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path, devices=(*DEVICES.values(), PROBE)) as running:
        yield running


class Listener:
    """A connected client that keeps what it hears."""

    def __init__(self, client: aiomqtt.Client) -> None:
        self.client = client
        self.heard: set[str] = set()
        self.came = asyncio.Event()

    async def listen(self) -> None:
        async for message in self.client.messages:
            assert isinstance(message.payload, bytes)
            self.heard.add(f"{message.payload.decode()} says {message.topic}")
            self.came.set()

    async def wait_for(self, wanted: set[str]) -> None:
        """Wait until all of that was heard, and then for the broker's answer: what it sent before has come by then."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ARRIVES_S):
                while not wanted <= self.heard:
                    self.came.clear()
                    await self.came.wait()
        await self.client.subscribe("nothing/of/interest", timeout=ARRIVES_S)
        await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def connected(broker: Mosquitto, protocol: aiomqtt.ProtocolVersion, user: str) -> AsyncIterator[Listener]:
    password = broker[user].password
    client = aiomqtt.Client(broker.host, broker.port, username=user, password=password, protocol=protocol, timeout=ARRIVES_S)
    async with client:
        listener = Listener(client)
        listening = asyncio.create_task(listener.listen())
        try:
            yield listener
            assert not listening.done(), f"{user} was put out for what was denied"
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)


async def publish(sender: Listener, user: str, topic: str, *, retain: bool = False) -> None:
    with contextlib.suppress(aiomqtt.MqttError):  # a client of MQTT 5 is told that it may not, one of 3.1.1 is not
        await sender.client.publish(topic, user, qos=1, retain=retain)


def test_table_has_every_channel_of_the_contract_and_one_it_does_not_have() -> None:
    assert set(CHANNELS) == {*(channel.value for channel in Channel), "other"}
    assert set(ROWS) == {relation(user, device) for user in EVERYONE for device in DEVICES.values()}
    assert all(len(cells) == len(CHANNELS) and set(cells) <= {"says", "hears", "-"} for cells in ROWS.values())


@pytest.mark.parametrize(
    ("protocol", "how"),
    [(V311, "all"), (V5, "all"), (V311, "exactly"), (V5, "exactly"), (V5, "by channel"), (V311, "by device"), (V5, "shared")],
)
async def test_what_anybody_says_about_any_device_reaches_only_who_may_hear_it(
    broker: Mosquitto, protocol: aiomqtt.ProtocolVersion, how: str
) -> None:
    wanted: dict[str, set[str]] = {user: set() for user in EVERYONE}
    async with contextlib.AsyncExitStack() as stack:
        clients = {user: await stack.enter_async_context(connected(broker, protocol, user)) for user in EVERYONE}
        for hearer in clients.values():
            await hearer.client.subscribe([(each, 1) for each in filters(how)])
        for sender, listener in clients.items():
            for device in DEVICES.values():
                for channel in CHANNELS:
                    topic = f"tirta/v1/{device}/{channel}"
                    await publish(listener, sender, topic)
                    if allowed(sender, device, channel) == "says":
                        hearers = [user for user in EVERYONE if allowed(user, device, channel) == "hears"]
                        for user in hearers:
                            wanted[user].add(f"{sender} says {topic}")
        if how == "shared":  # the broker gives each message to one of the group, who may be one that must not hear it
            for hearer in clients.values():
                await hearer.wait_for(set())
            assert all(clients[user].heard <= wanted[user] for user in EVERYONE)
            return
        for user, hearer in clients.items():
            await hearer.wait_for(wanted[user])
    assert {user: hearer.heard for user, hearer in clients.items()} == wanted
    assert {user: len(heard) for user, heard in wanted.items()} == {
        **dict.fromkeys(DEVICES.values(), 4), INGEST: 4, CONTROL: 12, PROBE: 0
    }  # fmt: skip


async def test_what_is_kept_for_later_is_told_later_to_nobody_else(broker: Mosquitto) -> None:
    """Retained status, configuration and `reported`, asked for by everybody after they were said."""
    async with contextlib.AsyncExitStack() as stack:
        clients = {user: await stack.enter_async_context(connected(broker, V5, user)) for user in EVERYONE}
        for sender, channel in ((FIRST, "status"), (FIRST, "reported"), (CONTROL, "config"), (SECOND, "config")):
            await publish(clients[sender], sender, f"tirta/v1/{FIRST}/{channel}", retain=True)
        wanted: dict[str, set[str]] = {user: set() for user in EVERYONE}
        wanted[CONTROL] = {f"{FIRST} says tirta/v1/{FIRST}/{channel}" for channel in ("status", "reported")}
        wanted[FIRST] = {f"{CONTROL} says tirta/v1/{FIRST}/config"}
        for hearer in clients.values():
            await hearer.client.subscribe([("#", 1), *((each, 1) for each in filters("exactly"))])
        for user, hearer in clients.items():
            await hearer.wait_for(wanted[user])
        assert {user: hearer.heard for user, hearer in clients.items()} == wanted


@pytest.mark.parametrize("protocol", [V311, V5])
async def test_last_will_reaches_control_for_ones_own_status_and_nobody_for_anything_else(
    broker: Mosquitto, protocol: aiomqtt.ProtocolVersion
) -> None:
    """A device that dies has its will said; one to another device's topics is refused or said to nobody."""

    async def die(topic: str) -> None:
        will = aiomqtt.Will(topic, FIRST, qos=1)
        client = aiomqtt.Client(
            broker.host, broker.port, username=FIRST, password=broker[FIRST].password, protocol=protocol, will=will
        )
        with contextlib.suppress(aiomqtt.MqttError):
            async with client:
                connection = client._client.socket()
                assert isinstance(connection, socket.socket)
                connection.shutdown(socket.SHUT_RDWR)  # a clean end would take the will back

    others = [user for user in EVERYONE if user != FIRST]
    async with contextlib.AsyncExitStack() as stack:
        clients = {user: await stack.enter_async_context(connected(broker, protocol, user)) for user in others}
        for hearer in clients.values():
            await hearer.client.subscribe("#", qos=1)
        for topic in (f"{SECOND}/status", f"{SECOND}/command", f"{FIRST}/command", f"{FIRST}/stored", f"{FIRST}/status"):
            await die(f"tirta/v1/{topic}")
        wanted = {user: set[str]() for user in others} | {CONTROL: {f"{FIRST} says tirta/v1/{FIRST}/status"}}
        for user, hearer in clients.items():
            await hearer.wait_for(wanted[user])
        assert {user: hearer.heard for user, hearer in clients.items()} == wanted


@pytest.mark.parametrize(
    "topic", ["$SYS/broker/uptime", "tirta/v2/pilot/bed-1/telemetry", "tirta/v1/pilot/bed-1", "other/topic"]
)
async def test_topics_outside_the_contract_carry_nothing_to_anybody(broker: Mosquitto, topic: str) -> None:
    async with contextlib.AsyncExitStack() as stack:
        clients = {user: await stack.enter_async_context(connected(broker, V5, user)) for user in EVERYONE}
        for hearer in clients.values():
            await hearer.client.subscribe([("#", 1), ("$SYS/#", 1), (topic, 1)])
        for user, listener in clients.items():
            await publish(listener, user, topic, retain=True)
        for hearer in clients.values():
            await hearer.wait_for(set())
        assert {user: hearer.heard for user, hearer in clients.items()} == {user: set() for user in EVERYONE}
