# SPDX-License-Identifier: Apache-2.0
"""What the platform itself puts into the journal: what statuses tell of numbers, a lost session, a record replayed.

They stand in the journal beside the devices' bursts so that they are decided about in its order, and after a crash again in
the same order. Each is a burst whose topics begin with `$`, which no telemetry topic does:

    $status/{site}/{device}         a device's status, cut down to `boot`, `oldest` and `last`
    $session-lost                   the broker had forgotten our session, or died with more than it had saved; since when
                                    something may be missing, in ms since the Unix epoch, or nothing where nobody knows
    $replay/{id}/{attempt}/{topic}  a quarantined payload, with its first time of receipt; a burst of its own
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gateway.errors import InvalidInput
from gateway.messages import Status, decode_message, encode_message
from gateway.topics import Address, Channel, parse_topic
from ingest.bursts import StoredBurst
from ingest.quarantine import QuarantinedRecord

__all__ = [
    "Replayed",
    "find_status",
    "is_own",
    "is_session_lost",
    "lost_since_ms",
    "replay_burst",
    "replayed",
    "session_lost_burst",
    "status_burst",
    "statuses",
]

_STATUS = "$status/"
_SESSION_LOST = "$session-lost"
_REPLAY = "$replay/"


@dataclass(frozen=True, slots=True)
class Replayed:
    """A record that is decided about anew.

    Attributes
    ----------
    id : int
        Its id in quarantine.
    attempt : int
        How often it had been replayed before.
    burst : StoredBurst
        The payload alone, with the topic and time of receipt that it first had.
    """

    id: int
    attempt: int
    burst: StoredBurst


def is_own(burst: StoredBurst) -> bool:
    """Tell whether a burst is the platform's own."""
    return bool(burst.topics) and burst.topics[0][:1] == "$"


def find_status(topic: str, payload: bytes) -> tuple[Address, Status] | None:
    """Return who sent a status that tells something of numbers, and what; None for every other message."""
    try:
        address, channel = parse_topic(topic)
        if channel is not Channel.STATUS or not payload:
            return None
        status = decode_message(payload, Status)
    except InvalidInput:
        return None
    told = Status(status.online, boot=status.boot, oldest=status.oldest, last=status.last)
    return None if told == Status(status.online) else (address, told)


def status_burst(at_ms: int, told: Iterable[tuple[Address, Status]]) -> StoredBurst:
    """Return a burst of what statuses tell."""
    words = [(f"{_STATUS}{address.site}/{address.device}", encode_message(status)) for address, status in told]
    return StoredBurst(at_ms, [topic for topic, _ in words], [payload for _, payload in words])


def statuses(burst: StoredBurst) -> list[tuple[Address, Status]]:
    """Return what statuses tell in a burst of the platform's own."""
    found = []
    for topic, payload in zip(burst.topics, burst.payloads, strict=True):
        if topic.startswith(_STATUS):
            site, _, device = topic.removeprefix(_STATUS).partition("/")
            found.append((Address(site, device), decode_message(payload, Status)))
    return found


def session_lost_burst(at_ms: int, since_ms: int | None = None) -> StoredBurst:
    """Return the burst that says that the broker may have lost what it acknowledged between `since_ms` and `at_ms`."""
    return StoredBurst(at_ms, [_SESSION_LOST], [b"" if since_ms is None else b"%d" % since_ms])


def is_session_lost(burst: StoredBurst) -> bool:
    """Tell whether a burst says so."""
    return list(burst.topics) == [_SESSION_LOST]


def lost_since_ms(burst: StoredBurst) -> int | None:
    """Return since when something may be missing, of a burst that says so; None where it was not known."""
    return int(burst.payloads[0]) if burst.payloads[0] else None


def replay_burst(record: QuarantinedRecord) -> StoredBurst:
    """Return the burst that brings a quarantined record back; its payload must be complete."""
    return StoredBurst(record.at_ms, [f"{_REPLAY}{record.id}/{record.replays}/{record.topic}"], [record.payload])


def replayed(burst: StoredBurst) -> Replayed | None:
    """Return the record that a burst brings back, or None."""
    if not burst.topics or not burst.topics[0].startswith(_REPLAY):
        return None
    number, attempt, topic = burst.topics[0].removeprefix(_REPLAY).split("/", 2)
    return Replayed(int(number), int(attempt), StoredBurst(burst.received_ms, [topic], burst.payloads))
