# SPDX-License-Identifier: Apache-2.0
"""What devices say to the controller: status, ack, reported; a burst in one transaction.

Invariant: nothing that a device sends raises here; what cannot be understood is counted and left.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from sqlalchemy.orm import Session

from control.checks import plain
from control.configs import keep_reported
from control.events import device_event
from control.models import DeviceRow
from control.records import Act
from control.settling import live_device, settle, settle_status
from control.valve_tests import ORIGIN, advance_tests
from gateway.errors import InvalidInput
from gateway.messages import Ack, Reported, Status, decode_message
from gateway.topics import Channel, parse_topic

__all__ = ["Heard", "hear"]

MAX_FIRMWARE: Final = 200  # characters

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Heard:
    """What a burst of messages changed.

    Attributes
    ----------
    devices : list of dict
        Events of devices that told their status.
    came_online : set of str
        Keys of devices that have just connected: commands they did not answer are sent to them again.
    malformed, ignored : int
        Messages that were none of the contract; of strangers, or no news.
    """

    acts: list[Act] = field(default_factory=list)
    devices: list[dict[str, Any]] = field(default_factory=list)
    came_online: set[str] = field(default_factory=set)
    malformed: int = 0
    ignored: int = 0


def hear(session: Session, messages: Iterable[tuple[str, bytes, bool]], now_ms: int) -> Heard:
    """Take in messages, given as (topic, payload, retained), in their order."""
    heard = Heard()
    for topic, payload, retained in messages:
        try:
            _hear_one(session, heard, topic, payload, retained, now_ms)
        except InvalidInput as exc:
            heard.malformed += 1
            logger.debug("message on %s not understood: %s", topic[:200], exc, extra={"action": "message_malformed"})
    if any(act.origin.startswith(ORIGIN) and act.ended_ms is not None for act in heard.acts):
        heard.acts += advance_tests(session, now_ms)
    return heard


def _hear_one(session: Session, heard: Heard, topic: str, payload: bytes, retained: bool, now_ms: int) -> None:
    address, channel = parse_topic(topic)
    device = live_device(session, address)
    if device is None or not payload:
        # A stranger, or one revoked meanwhile; an empty payload is a retained message being cleared.
        heard.ignored += 1
    elif channel is Channel.ACK:
        act = settle(session, address, decode_message(payload, Ack), now_ms)
        if act is None:
            heard.ignored += 1
        else:
            heard.acts.append(act)
    elif channel is Channel.STATUS:
        status = decode_message(payload, Status)
        _keep_status(heard, device, status, retained, now_ms)
        heard.acts += settle_status(session, address, status, now_ms)
    elif channel is Channel.REPORTED:
        keep_reported(device, msgspec.to_builtins(decode_message(payload, Reported)))
    else:
        heard.ignored += 1


def _keep_status(heard: Heard, device: DeviceRow, status: Status, retained: bool, now_ms: int) -> None:
    if status.online and not device.online:
        heard.came_online.add(device.key)
    device.online = status.online
    if not retained or device.last_seen_ms is None:
        device.last_seen_ms = now_ms
    if status.online:
        device.firmware = None if status.fw is None else plain(status.fw, MAX_FIRMWARE)
        device.boot, device.rssi = status.boot, status.rssi
    heard.devices.append(device_event(device))
