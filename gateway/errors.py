# SPDX-License-Identifier: Apache-2.0
"""Errors of the gateway, split by remedy.

GatewayError
├── InvalidInput            fix the input
│   ├── InvalidTopic
│   ├── InvalidAddress
│   ├── InvalidCatalogue
│   └── InvalidMessage      (carries the contract's error code)
├── LinkLost                retry
│   └── MalformedPacket
├── LinkRefused             fix the deployment
│   └── LinkTakenOver
├── BrokerMissing           fix the deployment
└── BrokerFailed            fix the deployment
"""

from __future__ import annotations

__all__ = [
    "BrokerFailed",
    "BrokerMissing",
    "GatewayError",
    "InvalidAddress",
    "InvalidCatalogue",
    "InvalidInput",
    "InvalidMessage",
    "InvalidTopic",
    "LinkLost",
    "LinkRefused",
    "LinkTakenOver",
    "MalformedPacket",
]


class GatewayError(Exception):
    """Something between Tirta and its devices is wrong."""

    def __str__(self) -> str:
        return super().__str__() or (type(self).__doc__ or "").strip()


class InvalidInput(GatewayError):
    """What was given does not fit the wire contract; correct it and try again."""


class InvalidTopic(InvalidInput):
    """The topic is not one of tirta/v1/{site}/{device}/{channel}."""

    def __init__(self, topic: str) -> None:
        super().__init__(f"{topic!r} is not a topic of tirta/v1/{{site}}/{{device}}/{{channel}}")
        self.topic = topic


class InvalidAddress(InvalidInput):
    """The broker's address is not of the form mqtt://user:password@host:1883 or mqtts://user:password@host:8883."""


class InvalidCatalogue(InvalidInput):
    """A catalogue file names something that is not there or contradicts itself."""


class InvalidMessage(InvalidInput):
    """A payload does not fit the contract.

    Attributes
    ----------
    code : str
        One of the contract's error codes, as told to the device.
    detail : str
        What was wrong, for the person at the bench.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


class LinkLost(GatewayError):
    """The connection to the broker was lost; send again when it is back."""


class MalformedPacket(LinkLost):
    """The broker sent bytes that are not MQTT 5; the connection is ended and made again."""


class LinkRefused(GatewayError):
    """The broker refused: check the credential, its rights and the address."""


class LinkTakenOver(LinkRefused):
    """Another client took over this session; stop it, then restart this one."""


class BrokerMissing(GatewayError):
    """mosquitto is not installed; get it with: apt-get install mosquitto"""


class BrokerFailed(GatewayError):
    """mosquitto did not start; its log says why."""
