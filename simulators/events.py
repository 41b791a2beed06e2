# SPDX-License-Identifier: Apache-2.0
"""What happens to a virtual device, told to whoever watches: a person at the command line, or a test that counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from gateway.messages import Position
from gateway.topics import Address

__all__ = ["Event", "Watcher", "What"]


class What(StrEnum):
    """The sort of event."""

    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    ACT_BEGUN = "act_begun"  # told after the ledger knows and just before the actuator moves
    ACT_ENDED = "act_ended"  # told after the actuator has come to rest
    ACT_REFUSED = "act_refused"
    RECORDS_ACKNOWLEDGED = "records_acknowledged"
    RECORDS_STORED = "records_stored"
    POWER_CUT = "power_cut"
    NOTE_RECEIVED = "note_received"  # the platform's word on something wrong


@dataclass(frozen=True, slots=True)
class Event:
    """One event of one device.

    Attributes
    ----------
    at_ms : int
        On the device's clock. [ms since the Unix epoch]
    detail : mapping
        Of an act: id, action, zone, and at its end state, reason, seconds, litres, grams.
    positions : tuple of Position
        The records it is about.
    """

    address: Address
    at_ms: int
    what: What
    detail: Mapping[str, str | int | float | None] = field(default_factory=dict)
    positions: tuple[Position, ...] = ()


Watcher = Callable[[Event], None]
