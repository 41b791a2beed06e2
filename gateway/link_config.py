# SPDX-License-Identifier: Apache-2.0
"""What a link is told, what it counts, and how long it waits between attempts."""

from __future__ import annotations

import random
import ssl
from dataclasses import dataclass, field

__all__ = ["FEW_INFLIGHT", "MAX_RECEIVE_MAX", "LinkConfig", "LinkCounters", "backoff_s"]

MAX_RECEIVE_MAX = 65534  # 65535 is the default, is left off the wire, and mosquitto then keeps 20 in flight
FEW_INFLIGHT = 10  # any broker has so many on the way: mosquitto's own default is 20, EMQX's 32


@dataclass(frozen=True, slots=True)
class LinkConfig:
    """How to reach the broker, and the link's bounds.

    Attributes
    ----------
    client_id : str
        Equal to `username` with a broker that takes the user name as the client id.
    subscriptions : tuple of (topic filter, QoS 0 or 1)
        Asked for on each connection.
    retained_on_reconnect : bool
        Ask for all retained messages on each connection, not only where a subscription is new.
    tls : ssl.SSLContext or None
        None speaks plain TCP.
    session_expiry_s : int
        How long the broker keeps the session without us. [s]
    keep_alive_s : int
        A dead broker is found within one and a half of these. [s]
    receive_max : int
        Messages the broker may send before the first is acknowledged.
    broker_inflight : int
        The broker has so many messages on the way, unacknowledged, before it holds others back. To be set too low is only
        to see seldom that the link has caught up (`Link.wait_caught_up`).
    max_packet_size : int
        A larger packet ends the connection. [bytes]
    burst_bytes, burst_messages : int
        Unread beyond this pauses the socket. [bytes, count]
    read_bytes : int
        Room for one socket read. [bytes]
    backoff_min_s, backoff_max_s : float
        Wait before the next attempt, jittered, doubling. [s]
    connect_timeout_s : float
        For address, TCP, TLS and the broker's greeting together. [s]
    takeover_hold_s : float
        How long to stand aside when another client seems to use the same id (a broker that says so by reason 142 ends
        the reconnecting for good). [s]
    publish_timeout_s : float
        For one publish, its wait for room in flight included. [s]
    max_inflight : int
        QoS 1 publishes without an acknowledgement; further ones wait.
    """

    host: str
    port: int
    username: str
    password: str = field(repr=False)
    client_id: str
    subscriptions: tuple[tuple[str, int], ...] = ()
    retained_on_reconnect: bool = False
    tls: ssl.SSLContext | None = None
    session_expiry_s: int = 7 * 86400
    keep_alive_s: int = 30
    receive_max: int = MAX_RECEIVE_MAX
    broker_inflight: int = FEW_INFLIGHT
    max_packet_size: int = 2 * 1024 * 1024
    burst_bytes: int = 4 * 1024 * 1024
    burst_messages: int = 65536
    read_bytes: int = 256 * 1024
    backoff_min_s: float = 0.2
    backoff_max_s: float = 30.0
    connect_timeout_s: float = 10.0
    takeover_hold_s: float = 600.0
    publish_timeout_s: float = 30.0
    max_inflight: int = 8192

    def __post_init__(self) -> None:
        if not 1 <= self.receive_max <= MAX_RECEIVE_MAX:
            raise ValueError(f"receive_max is 1 to {MAX_RECEIVE_MAX}, not {self.receive_max}")
        if not 1 <= self.max_inflight <= MAX_RECEIVE_MAX:
            raise ValueError(f"max_inflight is 1 to {MAX_RECEIVE_MAX}, not {self.max_inflight}")
        if not 1 <= self.keep_alive_s <= 65535:
            raise ValueError(f"keep_alive_s is 1 to 65535, not {self.keep_alive_s}")
        for pattern, qos in self.subscriptions:
            if qos not in (0, 1):
                raise ValueError(f"subscription to {pattern!r}: QoS is 0 or 1, not {qos}")


@dataclass(slots=True)
class LinkCounters:
    """What a link has done since it was made; only ever rising.

    `received` and `bursts` count what the reader took, `published` what was acknowledged or, with QoS 0, written.
    `sessions_made` counts connections where the broker had no session of ours, `sessions_lost` those of them where it had had
    one before: what was queued is gone.
    """

    received: int = 0
    bursts: int = 0
    acks_sent: int = 0
    acks_dropped: int = 0
    published: int = 0
    connections: int = 0
    sessions_made: int = 0
    sessions_lost: int = 0
    malformed: int = 0

    @property
    def reconnects(self) -> int:
        """Connections after the first."""
        return max(0, self.connections - 1)


def backoff_s(attempt: int, *, min_s: float, max_s: float, rng: random.Random) -> float:
    """Choose the wait before attempt number `attempt` (from 1): up to doubling, fully jittered, in [min_s, max_s]."""
    ceiling = min(max_s, min_s * 2.0 ** min(attempt, 30))
    return rng.uniform(min_s, max(min_s, ceiling))
