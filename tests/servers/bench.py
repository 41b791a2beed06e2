# SPDX-License-Identifier: Apache-2.0
"""A device on somebody's bench: written with paho-mqtt, knows nothing of Tirta but its topics.

Invariant: `publish` returns only when the broker has acknowledged.
"""

from __future__ import annotations

import json
from types import TracebackType
from typing import Any, Self

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from tests.servers.tirta import Tirta, eventually
from tirta.client import Client

__all__ = ["BenchDevice", "add_device"]


def add_device(client: Client, name: str, *, site: str = "bench", kind: str = "irrigation-controller") -> tuple[str, str]:
    """Add a device, and its site where it is new; return user name and password."""
    if all(found.site != site for found in client.sites.list()):
        client.sites.create(site, site, "Asia/Makassar")
    made = client.devices.create(site, name, kind, name).credential
    return made.username, made.password


class BenchDevice:
    """One connection; a context manager.

    Parameters
    ----------
    tirta : Tirta
        Whose broker it speaks to.
    login : tuple of str
        User name and password.
    """

    def __init__(
        self, tirta: Tirta, login: tuple[str, str], protocol: MQTTProtocolVersion = MQTTProtocolVersion.MQTTv311
    ) -> None:
        self.username, password = login
        self.base = f"tirta/v1/{self.username}"
        self.heard: list[tuple[str, Any]] = []
        self.refused = ""
        self.disconnects = 0
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=self.username, protocol=protocol)
        self._client.username_pw_set(self.username, password)
        self._client.on_message = self._on_message
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.connect(*tirta.mqtt)

    def __enter__(self) -> Self:
        self._client.loop_start()
        eventually(lambda: self._client.is_connected() or self.refused, f"the broker answers {self.username}")
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    @property
    def connected(self) -> bool:
        """Whether the broker took it and has not put it out."""
        return self._client.is_connected()

    def publish(self, message: Any, *, channel: str = "telemetry", topic: str | None = None, retain: bool = False) -> None:
        """Publish bytes as they are or anything else as JSON, at QoS 1, on a channel of its own or on any topic."""
        payload = message if isinstance(message, bytes) else json.dumps(message).encode()
        self._client.publish(topic or f"{self.base}/{channel}", payload, qos=1, retain=retain).wait_for_publish(10)

    def offer(self, message: bytes, *, channel: str = "telemetry") -> None:
        """Publish without waiting: the broker may close the connection over it."""
        self._client.publish(f"{self.base}/{channel}", message, qos=1)

    def listen(self, *filters: str) -> None:
        """Subscribe to topic filters, or to all that the contract offers a device."""
        for one in filters or [f"{self.base}/{channel}" for channel in ("command", "config", "stored", "error")]:
            self._client.subscribe(one, qos=1)

    def said(self, channel: str) -> list[Any]:
        """Return what was heard on a channel of its own."""
        return [payload for topic, payload in self.heard if topic == f"{self.base}/{channel}"]

    def _on_message(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        self.heard.append((message.topic, json.loads(message.payload)))

    def _on_connect(self, _client: mqtt.Client, _data: object, _flags: object, reason: Any, *_: object) -> None:
        if reason.is_failure:
            self.refused = str(reason)

    def _on_disconnect(self, *_: object) -> None:
        self.disconnects += 1
