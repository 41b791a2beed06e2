# SPDX-License-Identifier: Apache-2.0
"""The wire contract, the link to the broker, device credentials and the clock."""

from __future__ import annotations

from gateway.clock import Clock, ScaledClock, SteppedClock, WallClock
from gateway.errors import GatewayError, InvalidMessage, InvalidTopic
from gateway.quantities import Catalogue, Kind, Quantity, load_catalogue
from gateway.topics import Address, Channel, build_topic, channel_filter, parse_topic

__all__ = [
    "Address",
    "Catalogue",
    "Channel",
    "Clock",
    "GatewayError",
    "InvalidMessage",
    "InvalidTopic",
    "Kind",
    "Quantity",
    "ScaledClock",
    "SteppedClock",
    "WallClock",
    "build_topic",
    "channel_filter",
    "load_catalogue",
    "parse_topic",
]
