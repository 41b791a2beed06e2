# SPDX-License-Identifier: Apache-2.0
"""A model of a broker: sessions, QoS 1 both ways, retained messages, last wills, message expiry.

As mosquitto 2 does it: what was not acknowledged comes again on the next connection with DUP; a message whose time is over
is not delivered any more. What goes wrong between is chance, or a plan: messages that come twice, late, or not at all.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from tests.faults.simulation.timeline import SECOND_US, Timeline

__all__ = ["Broker", "Connection", "Delivered", "Mishaps"]

_WIRE_S = (0.002, 0.03)  # one way [s]
_HELD_S = (0.05, 2.0)  # by which a message is late, that others overtake [s]
_NOTICED_S = (1.0, 30.0)  # until the broker notices that a client is gone: keepalive [s]


@dataclass(slots=True)
class Mishaps:
    """What goes wrong, as probabilities of each delivery, and what is lost by plan.

    Attributes
    ----------
    twice, late : float
        Delivered a second time, as after a lost acknowledgement; delivered so late that others overtake it.
    loses : callable
        Told topic and payload of each message that the broker has acknowledged; true where it then loses it.
    tidies : bool
        Whether messages whose time is over are dropped, as a broker should; devices must not count on it.
    """

    twice: float = 0.0
    late: float = 0.0
    loses: Callable[[str, bytes], bool] = lambda topic, payload: False
    tidies: bool = True


@dataclass(frozen=True, slots=True)
class Delivered:
    """A message as a client gets it; `number` is what it acknowledges."""

    number: int
    topic: str
    payload: bytes
    retained: bool
    dup: bool


@dataclass(slots=True)
class _Message:
    number: int
    topic: str
    payload: bytes
    retained: bool
    expires_us: int | None
    tries: int = 0


@dataclass(slots=True, eq=False)
class _Session:
    client: str
    channels: frozenset[str] = frozenset()
    waiting: dict[int, _Message] = field(default_factory=dict)
    connection: Connection | None = None


class Connection:
    """One client's connection; `open` until either side ends it."""

    def __init__(self, broker: Broker, session: _Session, deliver: Callable[[Delivered], None]) -> None:
        self.open = True
        self.will: tuple[str, bytes] | None = None
        self._broker = broker
        self._session = session
        self._deliver = deliver
        self._arrives = True
        self._sent_us = 0
        self._handed_us = 0

    def publish(
        self, topic: str, payload: bytes, confirmed: Callable[[], None], *, retain: bool = False, expiry_s: int | None = None
    ) -> None:
        """Send a message at QoS 1; `confirmed` is called when its PUBACK is here."""
        timeline = self._broker.timeline

        def arrive() -> None:
            if self.open or self._arrives:
                self._broker.take(topic, payload, retain, expiry_s)
                timeline.after(timeline.between(*_WIRE_S), lambda: confirmed() if self.open else None)

        # Bytes of one connection come in their order.
        self._sent_us = max(self._sent_us, timeline.now_us + round(timeline.between(*_WIRE_S) * SECOND_US))
        timeline.at(self._sent_us, arrive)

    def acknowledge(self, number: int) -> None:
        """Send a PUBACK."""
        timeline = self._broker.timeline

        def arrive() -> None:
            if self.open or self._arrives:
                self._session.waiting.pop(number, None)

        timeline.after(timeline.between(*_WIRE_S), arrive)

    def cut(self, *, noticed: bool = True) -> None:
        """Lose the connection without a word; what is on the wire arrives, or does not."""
        if not self.open:
            return
        self.open = False
        self._arrives = self._broker.timeline.random.random() < 0.5
        if noticed:
            self._broker.timeline.after(self._broker.timeline.between(*_NOTICED_S), self._noticed)

    def hand(self, message: _Message) -> None:
        """Deliver a message, perhaps late."""
        broker, timeline = self._broker, self._broker.timeline
        dup = message.tries > 0
        message.tries += 1
        due_us = max(self._handed_us, timeline.now_us + round(timeline.between(*_WIRE_S) * SECOND_US))
        if timeline.random.random() < broker.mishaps.late:
            due_us += round(timeline.between(*_HELD_S) * SECOND_US)
        else:
            self._handed_us = due_us

        def arrive() -> None:
            if self.open:
                delivered = Delivered(message.number, message.topic, message.payload, message.retained, dup)
                timeline.note("deliver", self._session.client, message.topic, message.payload.decode(), dup)
                self._deliver(delivered)

        timeline.at(due_us, arrive)

    def _noticed(self) -> None:
        if self._session.connection is self:
            self._broker.leave(self._session)


class Broker:
    """Sessions and what waits for them."""

    def __init__(self, timeline: Timeline, mishaps: Mishaps | None = None) -> None:
        self.timeline = timeline
        self.mishaps = mishaps or Mishaps()
        self._sessions: dict[str, _Session] = {}
        self._retained: dict[str, bytes] = {}
        self._numbers = itertools.count(1)

    def connect(
        self,
        client: str,
        channels: Collection[str],
        deliver: Callable[[Delivered], None],
        will: tuple[str, bytes] | None = None,
    ) -> Connection:
        """Connect to the session of a client, which gets what waits for it and what is retained.

        Parameters
        ----------
        channels : collection of str
            What it hears: whole topics, or `+/ack` for a channel of every device.
        """
        session = self._sessions.setdefault(client, _Session(client))
        if session.connection is not None:
            session.connection.open = False
            self.leave(session)
        session.channels = frozenset(channels)
        connection = session.connection = Connection(self, session, deliver)
        connection.will = will
        self.timeline.note("connect", client, len(session.waiting))
        for message in list(session.waiting.values()):
            self._hand(session, message)
        for topic, payload in self._retained.items():
            if _hears(session, topic):
                self._queue(session, topic, payload, retained=True, expires_us=None)
        return connection

    def leave(self, session: _Session) -> None:
        """Say the last will of a client that is gone."""
        connection, session.connection = session.connection, None
        if connection is not None and connection.will is not None:
            self.take(*connection.will, retain=True, expiry_s=None)

    def take(self, topic: str, payload: bytes, retain: bool, expiry_s: int | None) -> None:
        """Take a message from a client."""
        if retain:
            self._retained[topic] = payload
        if self.mishaps.loses(topic, payload):
            self.timeline.note("lost", topic)
            return
        expires_us = None if expiry_s is None else self.timeline.now_us + expiry_s * SECOND_US
        for session in self._sessions.values():
            if _hears(session, topic):
                self._queue(session, topic, payload, retained=False, expires_us=expires_us)

    def _queue(self, session: _Session, topic: str, payload: bytes, *, retained: bool, expires_us: int | None) -> None:
        message = _Message(next(self._numbers), topic, payload, retained, expires_us)
        session.waiting[message.number] = message
        self._hand(session, message)
        if self.timeline.random.random() < self.mishaps.twice:
            self.timeline.after(self.timeline.between(0.1, 20.0), lambda: self._hand(session, message))

    def _hand(self, session: _Session, message: _Message) -> None:
        over = message.expires_us is not None and self.timeline.now_us >= message.expires_us
        if over and self.mishaps.tidies:
            session.waiting.pop(message.number, None)
        elif session.connection is not None and session.connection.open:
            session.connection.hand(message)


def _hears(session: _Session, topic: str) -> bool:
    return topic in session.channels or f"+/{topic.rpartition('/')[2]}" in session.channels
