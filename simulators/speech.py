# SPDX-License-Identifier: Apache-2.0
"""What a virtual device has to say: messages waiting to be published.

Invariant: a final ack is on non-volatile memory until the broker has it; everything else is said anew on each connection.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec

from gateway.messages import Ack, encode_message
from gateway.topics import Channel
from simulators.memory import Memory

__all__ = ["Outgoing", "Speech"]

HELD_ACKS: Final = 256  # final acks kept until the broker has them


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to be published at QoS 1; `place` is where a final ack is kept until the broker has it."""

    channel: Channel
    payload: bytes
    retain: bool = False
    place: int | None = None


class Speech:
    """Collect messages until somebody takes them.

    Parameters
    ----------
    lost : callable
        Whether what is said now is lost on the way, without the device's knowing.
    """

    def __init__(self, memory: Memory, *, cbor: bool, lost: Callable[[], bool] = lambda: False) -> None:
        self._memory = memory
        self._cbor = cbor
        self._lost = lost
        self._out: list[Outgoing] = []

    def say(self, channel: Channel, message: msgspec.Struct, *, retain: bool = False) -> None:
        """Add a message that needs no keeping."""
        self._out.append(Outgoing(channel, encode_message(message, cbor=self._cbor), retain))

    def say_final(self, ack: Ack) -> None:
        """Add a final ack, kept until the broker has it."""
        payload = encode_message(ack, cbor=self._cbor)
        with self._memory.atomic():
            self._memory.write("insert into acks (device, payload) values (?, ?)", payload)
            rows = self._memory.read("select max(place), count(*) from acks where device = ?")
            place, held = int(str(rows[0][0])), int(str(rows[0][1]))
            if held > HELD_ACKS:
                self._memory.write("delete from acks where place = (select min(place) from acks where device = ?)")
        self._out.append(Outgoing(Channel.ACK, payload, place=place))

    def say_kept(self) -> None:
        """Add the final acks that the broker is not known to have."""
        for place, payload in self._memory.read("select place, payload from acks where device = ? order by place"):
            assert isinstance(place, int)
            assert isinstance(payload, bytes)
            self._out.append(Outgoing(Channel.ACK, payload, place=place))

    def acknowledge(self, sent: Outgoing) -> None:
        """Forget what the broker has."""
        if sent.place is not None:
            self._memory.write("delete from acks where device = ? and place = ?", sent.place)

    def drain(self) -> list[Outgoing]:
        """Take all that was added, less what is lost."""
        out, self._out = self._out, []
        if not self._lost():
            return out
        for gone in out:
            self.acknowledge(gone)  # it believes that the broker has it
        return []
