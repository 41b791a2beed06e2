# SPDX-License-Identifier: Apache-2.0
"""Who may say what to whom, looked at by what is delivered (mosquitto grants any subscription and filters going out)."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import aiomqtt
import pytest
from paho.mqtt.client import Client, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion

from gateway.credentials import CONTROL, INGEST, PROBE, Credential
from tests.servers.mosquitto import Mosquitto

A, B = "pilot/bed-1", "pilot-2/bed-1"
UP = ("telemetry", "status", "ack", "reported")
DOWN = ("command", "config", "stored", "error")
CHANNELS = (*UP, *DOWN, "other")
ROLES = {
    INGEST: ({"stored", "error"}, {"telemetry"}),
    CONTROL: ({"command", "config"}, {"status", "ack", "reported"}),
}
PROTOCOLS = [aiomqtt.ProtocolVersion.V311, aiomqtt.ProtocolVersion.V5]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path, devices=(A, B, PROBE)) as running:
        yield running


def may_write(user: str, device: str, channel: str) -> bool:
    return channel in (ROLES[user][0] if user in ROLES else UP if user == device else ())


def may_read(user: str, device: str, channel: str) -> bool:
    return channel in (ROLES[user][1] if user in ROLES else DOWN if user == device else ())


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_every_direction_and_pair_is_delivered_only_as_the_contract_says(
    broker: Mosquitto, protocol: aiomqtt.ProtocolVersion
) -> None:
    everyone = (A, B, INGEST, CONTROL, PROBE)
    delivered: set[tuple[str, str]] = set()
    async with contextlib.AsyncExitStack() as stack:
        clients = {}
        for user in everyone:
            clients[user] = await stack.enter_async_context(
                aiomqtt.Client(broker.host, broker.port, username=user, password=broker[user].password, protocol=protocol)
            )
            await clients[user].subscribe("#", qos=1)

        async def listen(user: str) -> None:
            async for message in clients[user].messages:
                assert isinstance(message.payload, bytes)
                delivered.add((user, f"{message.payload.decode()} {message.topic}"))

        listeners = [asyncio.create_task(listen(user)) for user in everyone]
        wanted = set()
        for sender in everyone:
            for device in (A, B):
                for channel in CHANNELS:
                    topic = f"tirta/v1/{device}/{channel}"
                    with contextlib.suppress(aiomqtt.MqttError):  # a 5.0 client is told, a 3.1.1 client is not
                        await clients[sender].publish(topic, sender, qos=1)
                    if may_write(sender, device, channel):
                        wanted |= {(user, f"{sender} {topic}") for user in everyone if may_read(user, device, channel)}
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(60):
                while len(delivered) < len(wanted):  # noqa: ASYNC110 - counts what arrives
                    await asyncio.sleep(0.02)
        await asyncio.sleep(0.3)  # time for what must not come
        for listener in listeners:
            assert not listener.done(), "a denied publish ended a connection"
            listener.cancel()
        await asyncio.gather(*listeners, return_exceptions=True)
    assert delivered == wanted
    assert len(wanted) == 16


def paho_connects(broker: Mosquitto, credential: Credential | None, protocol: int, client_id: str = "") -> Client | None:
    """Connect, and give the client, or None when it was refused."""
    answered = threading.Event()
    accepted: list[bool] = []
    client = Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=protocol)  # type: ignore[arg-type]
    if credential is not None:
        client.username_pw_set(credential.username, credential.password)

    def on_connect(_client: object, _data: object, _flags: object, code: object, _properties: object) -> None:
        accepted.append(not code.is_failure)  # type: ignore[attr-defined]
        answered.set()

    client.on_connect = on_connect
    client.connect(broker.host, broker.port)
    client.loop_start()
    assert answered.wait(60)
    if accepted[0]:
        return client
    client.disconnect()
    client.loop_stop()
    return None


def leave(client: Client) -> None:
    client.disconnect()
    client.loop_stop()


@pytest.mark.parametrize("protocol", [MQTTv311, MQTTv5])
def test_client_without_or_with_a_wrong_credential_is_refused(broker: Mosquitto, protocol: int) -> None:
    assert paho_connects(broker, None, protocol, "somebody") is None
    assert paho_connects(broker, Credential(A, ""), protocol) is None
    assert paho_connects(broker, Credential(A, broker[B].password), protocol) is None
    assert paho_connects(broker, Credential("pilot/unknown", "x"), protocol) is None
    right = paho_connects(broker, broker[A], protocol)
    assert right is not None
    leave(right)


@pytest.mark.parametrize("protocol", [MQTTv311, MQTTv5])
def test_device_that_calls_itself_by_anothers_client_id_takes_no_session(broker: Mosquitto, protocol: int) -> None:
    victim = paho_connects(broker, broker[INGEST], protocol)
    assert victim is not None
    ended = threading.Event()
    victim.on_disconnect = lambda *_args: ended.set()
    for name in (INGEST, B):
        thief = paho_connects(broker, broker[A], protocol, name)
        assert thief is not None
        leave(thief)
    assert not ended.wait(0.5)
    assert victim.is_connected()
    leave(victim)


def test_device_that_publishes_to_foreign_topics_stays_connected_and_disturbs_nobody(broker: Mosquitto) -> None:
    got: list[str] = []
    done = threading.Event()
    ingest = paho_connects(broker, broker[INGEST], MQTTv311)
    device = paho_connects(broker, broker[A], MQTTv311)
    assert ingest is not None
    assert device is not None

    def on_message(_client: object, _data: object, message: object) -> None:
        got.append(message.topic)  # type: ignore[attr-defined]
        done.set()

    ingest.on_message = on_message
    ingest.subscribe("tirta/v1/+/+/telemetry", 1)
    for topic in (f"tirta/v1/{B}/telemetry", "tirta/v1/x", "$SYS/a", f"tirta/v1/{A}/command", f"tirta/v1/{A}/telemetry"):
        device.publish(topic, b"{}", 1).wait_for_publish(10)
    assert done.wait(60)
    assert got == [f"tirta/v1/{A}/telemetry"]
    for client in (ingest, device):
        assert client.is_connected()
        leave(client)
