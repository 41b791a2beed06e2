# SPDX-License-Identifier: Apache-2.0
"""Cut arriving bytes into MQTT 5 packets and gather the messages among them into bursts; no input or output here.

This is the hottest loop of the platform: per message one call of the codec and three list appends. Invariants: any cut of
the stream gives the same packets; a packet is never parsed twice before it is whole; memory is bounded by `max_packet_size`
and by the reader, who pauses the socket while `full`.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import mqtt5

from gateway.errors import MalformedPacket

__all__ = ["Burst", "Inbox", "puback_bytes"]

_PUBLISH = 0x30  # packet type in the high four bits [MQTT 5, 2.1.2]
_PUBLISH_QOS1 = 0x32
_DUP_MASKED = 0xF7  # everything of the first byte but DUP: a redelivered message is as common as a new one
_QOS = 0x06
_RETAIN = 0x01
_LENGTH_BYTES = 4  # at most, of the remaining length [MQTT 5, 1.5.5]


@dataclass(frozen=True, slots=True)
class Burst:
    """Messages that arrived together, in order; never empty.

    Attributes
    ----------
    connection : int
        Number of the connection they came by. Acknowledgements die with it.
    topics, payloads : list
        One entry a message.
    retained : list of bool, or None
        None when no message of the burst is a retained one (the usual case).
    acks : bytes
        The PUBACKs of the QoS 1 messages, in order, ready to write; empty when all are QoS 0.
    """

    connection: int
    topics: list[str]
    payloads: list[bytes]
    retained: list[bool] | None
    acks: bytes


def puback_bytes(packet_ids: Sequence[int]) -> bytes:
    """Lay out one successful PUBACK for each id, in order: 0x40 0x02 id-high id-low."""
    ids = array("H", packet_ids)
    if sys.byteorder == "little":
        ids.byteswap()
    raw = ids.tobytes()
    count = len(packet_ids)
    out = bytearray(4 * count)
    out[0::4] = b"\x40" * count
    out[1::4] = b"\x02" * count
    out[2::4] = raw[0::2]
    out[3::4] = raw[1::2]
    return bytes(out)


class Inbox:
    """The receiving half of one connection.

    Parameters
    ----------
    connection : int
        Number written into each burst.
    read_bytes : int
        Room offered to one socket read. [bytes]
    max_packet_size : int
        A packet that announces more is malformed: it would be held whole in memory. [bytes]
    burst_bytes, burst_messages : int
        `full` from here on; the reader then pauses the socket. May be passed by one socket read. [bytes, count]
    """

    def __init__(
        self, *, connection: int, read_bytes: int, max_packet_size: int, burst_bytes: int, burst_messages: int
    ) -> None:
        self._connection = connection
        self._read_bytes = read_bytes
        self._max_packet_size = max_packet_size
        self._burst_bytes = burst_bytes
        self._burst_messages = burst_messages
        self._buffer = bytearray(read_bytes)
        self._view = memoryview(self._buffer)
        self._filled = 0
        self._needed = 0  # parse again only when so many bytes are there
        self._topics: list[str] = []
        self._payloads: list[bytes] = []
        self._packet_ids: list[int] = []
        self._retained_at: list[int] = []
        self._unconsumed = 0
        self._taken = 0
        self._taking = True

    @property
    def waiting(self) -> bool:
        """Whether `take` has something to give."""
        return bool(self._payloads)

    @property
    def arrived(self) -> int | None:
        """How many QoS 1 messages have arrived; None when some were thrown away."""
        return self._taken + len(self._packet_ids) if self._taking else None

    @property
    def full(self) -> bool:
        """Whether the reader should take before more is read."""
        return self._unconsumed >= self._burst_bytes or len(self._payloads) >= self._burst_messages

    def refuse(self) -> None:
        """Throw away, unacknowledged, every message from now on; a QoS 1 message comes again by the next connection."""
        self._taking = False

    def room(self) -> memoryview:
        """Give the free part of the buffer for the next socket read; never empty."""
        wanted = max(self._read_bytes, self._needed)
        if len(self._buffer) != wanted:
            # Grown for one large packet, given back after it. A new buffer: an exported bytearray can't be resized.
            buffer = bytearray(wanted)
            buffer[: self._filled] = self._view[: self._filled]
            self._buffer, self._view = buffer, memoryview(buffer)
        return self._view[self._filled :]

    def received(self, nbytes: int) -> Sequence[mqtt5.Packet]:
        """Parse what the last `room` was filled with.

        Returns the packets that are not messages, in order.

        Raises
        ------
        MalformedPacket
            The stream is not MQTT 5 or breaks a limit. Whole messages before that point can still be taken.
        """
        self._filled += nbytes
        filled = self._filled
        if filled < self._needed:
            return ()
        control: list[mqtt5.Packet] = []
        # Locals and Any on purpose: this loop is the platform's speed; a cast or an isinstance costs a tenth of it.
        read: Any = mqtt5.read
        buffer = self._buffer
        view = self._view[:filled]
        add_topic, add_payload, add_id = self._topics.append, self._payloads.append, self._packet_ids.append
        offset = 0
        self._needed = 0
        try:
            while offset < filled:
                packet, size = read(view[offset:])
                head = buffer[offset]
                offset += size
                if head & _DUP_MASKED == _PUBLISH_QOS1:
                    add_topic(packet.topic)
                    add_payload(packet.payload)
                    add_id(packet.packet_id)
                elif head & 0xF0 == _PUBLISH:
                    self._add(packet, head)
                else:
                    control.append(packet)
        except BaseException as exc:  # noqa: BLE001 - the codec's panic is no Exception; _explain raises all others
            self._needed = self._explain(exc, offset)
        self._keep_remainder(offset)
        return control

    def take(self) -> Burst | None:
        """Hand over everything gathered since the last call, or None."""
        payloads = self._payloads
        if not payloads:
            return None
        retained: list[bool] | None = None
        if self._retained_at:
            retained = [False] * len(payloads)
            for index in self._retained_at:
                retained[index] = True
        burst = Burst(self._connection, self._topics, payloads, retained, puback_bytes(self._packet_ids))
        self._taken += len(self._packet_ids)
        self._forget()
        return burst

    def _forget(self) -> None:
        self._topics, self._payloads, self._packet_ids, self._retained_at = [], [], [], []
        self._unconsumed = 0

    def _add(self, packet: Any, head: int) -> None:
        """Take a message that is retained, of QoS 0, or of a QoS that was never asked for."""
        qos = (head & _QOS) >> 1
        if qos > 1:
            raise MalformedPacket("a QoS 2 message, which was not subscribed to")
        if head & _RETAIN:
            self._retained_at.append(len(self._payloads))
        self._topics.append(packet.topic)
        self._payloads.append(packet.payload)
        if qos:
            self._packet_ids.append(packet.packet_id)

    def _explain(self, exc: BaseException, offset: int) -> int:
        """Map the codec's three failures: incomplete gives the number of bytes to wait for, the rest is malformed."""
        if isinstance(exc, MalformedPacket):
            raise exc
        if isinstance(exc, IndexError):
            length = self._announced_length(offset)
            if length is None:
                return 0
            if length > self._max_packet_size:
                raise MalformedPacket(f"a packet of {length} bytes, above the limit of {self._max_packet_size}") from exc
            if length > self._filled - offset:
                return length
            raise MalformedPacket(f"fields run past the packet's end ({exc})") from exc
        # PyO3's PanicException is raised on some bytes (a topic that is not UTF-8), has no importable class and
        # derives from BaseException.
        if isinstance(exc, ValueError) or type(exc).__name__ == "PanicException":
            raise MalformedPacket(str(exc)) from exc
        raise exc

    def _announced_length(self, offset: int) -> int | None:
        """Read the whole length of the packet at `offset`, or None when its head is not there yet. [bytes]"""
        value = 0
        for index in range(_LENGTH_BYTES):
            at = offset + 1 + index
            if at >= self._filled:
                return None
            byte = self._buffer[at]
            value |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:
                return 2 + index + value
        raise MalformedPacket("a remaining length of more than four bytes")

    def _keep_remainder(self, offset: int) -> None:
        if self._taking:
            self._unconsumed += offset
        else:
            self._forget()
        if offset:
            rest = bytes(self._view[offset : self._filled])
            self._view[: len(rest)] = rest
            self._filled = len(rest)
