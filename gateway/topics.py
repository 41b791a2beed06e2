# SPDX-License-Identifier: Apache-2.0
"""Topics of the wire contract: `tirta/v1/{site}/{device}/{channel}`.

Invariant: a device's identity comes from its topic (which the broker's access list enforces), never from a payload.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from gateway.errors import InvalidTopic

__all__ = [
    "FROM_DEVICE",
    "NAME_PATTERN",
    "PREFIX",
    "TO_DEVICE",
    "Address",
    "Channel",
    "build_topic",
    "channel_filter",
    "is_name",
    "parse_topic",
]

PREFIX: Final = "tirta/v1"
NAME_PATTERN: Final = r"^[a-z0-9_-]{1,64}$"  # a site's or a device's name; also published in the OpenAPI schema
_NAME = re.compile(r"[a-z0-9_-]{1,64}")
_TOPIC = re.compile(r"tirta/v1/([a-z0-9_-]{1,64})/([a-z0-9_-]{1,64})/([a-z]+)")


class Channel(StrEnum):
    """The last level of a topic: what is being said."""

    TELEMETRY = "telemetry"
    STATUS = "status"
    COMMAND = "command"
    ACK = "ack"
    CONFIG = "config"
    REPORTED = "reported"
    STORED = "stored"
    ERROR = "error"


FROM_DEVICE: Final = (Channel.TELEMETRY, Channel.STATUS, Channel.ACK, Channel.REPORTED)
TO_DEVICE: Final = (Channel.COMMAND, Channel.CONFIG, Channel.STORED, Channel.ERROR)


@dataclass(frozen=True, slots=True, order=True)
class Address:
    """Name one device: its site and its own name within it."""

    site: str
    device: str

    @property
    def username(self) -> str:
        """The broker's user name (and client id) of the device."""
        return f"{self.site}/{self.device}"

    @property
    def key(self) -> str:
        """The id used in paths of the HTTP API: `{site}:{device}`."""
        return f"{self.site}:{self.device}"


def is_name(text: str) -> bool:
    """Tell whether `text` may name a site or a device."""
    return _NAME.fullmatch(text) is not None


def build_topic(address: Address, channel: Channel) -> str:
    """Return the topic of one channel of one device.

    Raises
    ------
    InvalidTopic
        The site or the device has a name that the contract does not allow; a wildcard would reach other devices.
    """
    topic = f"{PREFIX}/{address.site}/{address.device}/{channel.value}"
    if _TOPIC.fullmatch(topic) is None:
        raise InvalidTopic(topic)
    return topic


def channel_filter(channel: Channel) -> str:
    """Return the topic filter that matches one channel of every device."""
    return f"{PREFIX}/+/+/{channel.value}"


def parse_topic(topic: str) -> tuple[Address, Channel]:
    """Split a topic into the device it belongs to and its channel.

    Raises
    ------
    InvalidTopic
        The text is not a topic of this contract.
    """
    match = _TOPIC.fullmatch(topic)
    if match is None:
        raise InvalidTopic(topic)
    try:
        channel = Channel(match[3])
    except ValueError as exc:
        raise InvalidTopic(topic) from exc
    return Address(match[1], match[2]), channel
