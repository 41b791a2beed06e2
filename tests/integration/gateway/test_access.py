# SPDX-License-Identifier: Apache-2.0
"""Who gets in at the broker, and what one who is in can do to others; `test_directions.py` has who may say what to whom."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from paho.mqtt.client import Client, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion

from gateway.credentials import INGEST, Credential
from tests.servers.mosquitto import Mosquitto

A, B = "pilot/bed-1", "pilot-2/bed-1"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path, devices=(A, B)) as running:
        yield running


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
