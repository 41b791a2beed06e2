# SPDX-License-Identifier: Apache-2.0
"""Commands: what is handed over to devices now, in which order, under which number.

Invariants: an act keeps its id and its number however often it is sent, and gets another number only when the device has
refused that one as used; a device gets the next number only when the one before has had a word or has expired; nothing is
handed over to a zone with an act of unknown end; that an act was handed over is committed before it is published, for
after that nobody can say that it was not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from control.ids import new_id
from control.ledger import act_record, step
from control.models import OPEN_ACTS, ActRow, DeviceRow
from control.records import Act
from control.states import HELD_FOR
from gateway.messages import Amount, Command, encode_message
from gateway.payloads import MAX_UINT32
from gateway.topics import Address, Channel, build_topic

__all__ = ["ACK_WAIT_MS", "EXPIRES_MS", "Outgoing", "build_command", "due_pings", "hand_over", "ping", "whole_seconds"]

EXPIRES_MS: Final = 300_000  # from its issue, an act may begin for this long [ms]
MAX_PINGS: Final = 100  # devices asked for their status at a time
ACK_WAIT_MS: Final = 60_000  # without a word for this long, the same command is sent again [ms]


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to publish; `act_id` is empty for one that belongs to no act."""

    act_id: str
    device_key: str
    topic: str
    payload: bytes
    expires_ms: int
    retain: bool = False


def build_command(act: Act) -> Command:
    """Return the command for an act as the device has to be told it."""
    stops = act.action == "stop"
    amount = Amount(
        seconds=_rounded(act.seconds) if act.action != "feed" else None,
        litres=_rounded(act.litres) if act.action == "irrigate" else None,
        grams=_rounded(act.grams) if act.action == "feed" else None,
    )
    return Command(
        id=act.reference,
        action=act.action,
        issued=act.issued_ms,
        expires=act.expires_ms,
        n=None if stops else act.n,
        zone=None if act.zone_key is None else int(act.zone_key.rpartition(":")[2]),
        amount=None if stops else amount,
        max_seconds=None if stops else act.max_seconds,
    )


def hand_over(
    session: Session,
    now_ms: int,
    again: Collection[str] = (),
    *,
    everything: bool = False,
    only_stops: bool = False,
) -> tuple[list[Outgoing], list[Act]]:
    """Choose what to send now and mark it as sent; return that, stops first, and the acts whose state changed.

    Parameters
    ----------
    again : collection of str
        Acts, or devices, whose unanswered commands are sent again without waiting for the ack's time to pass.
    everything : bool
        Whether all of them are, as when nobody knows what the broker has been given.
    only_stops : bool
        Leave everything else as it is.
    """
    query = (
        select(ActRow, DeviceRow)
        .join(DeviceRow, DeviceRow.key == ActRow.device_key)
        .where(OPEN_ACTS, ActRow.state.in_(("planned", "held", "sent")), ActRow.expires_ms >= now_ms)
        .where(DeviceRow.revoked_ms.is_(None))
        .order_by(DeviceRow.key, ActRow.issued_ms, ActRow.id)
    )
    if only_stops:
        query = query.where(ActRow.action == "stop", ActRow.state != "sent")

    def due_again(row: ActRow) -> bool:
        # Sent in the future: the clock was put back, and nobody shall wait for it to come there again.
        waiting = 0 <= now_ms - (row.sent_ms or 0) < ACK_WAIT_MS
        return everything or not waiting or row.id in again or row.device_key in again

    stops: list[Outgoing] = []
    outgoing: list[Outgoing] = []
    changed: list[Act] = []
    undecided = _undecided_zones(session, now_ms)
    for _, group in groupby(session.execute(query).all(), key=lambda pair: pair[1].key):
        pairs = list(group)
        device: DeviceRow = pairs[0][1]
        acts: list[ActRow] = [row for row, _ in pairs]
        chosen, moved = _choose(session, device, acts, now_ms, due_again, undecided)
        for row in chosen:
            (stops if row.action == "stop" else outgoing).append(_outgoing(device, row))
        changed += [act_record(row) for row in moved]
    return [*stops, *outgoing], changed


def due_pings(session: Session, now_ms: int) -> list[Outgoing]:
    """Return pings of devices whose status settles something: an act of unknown end, or one that waits for the device.

    One that is thought to be away is asked too, after those that are there: if it hears, it is not.
    """
    query = (
        select(DeviceRow.site, DeviceRow.name, DeviceRow.online)
        .join(ActRow, ActRow.device_key == DeviceRow.key)
        .where(OPEN_ACTS, ActRow.state.in_(("unknown", "held")), DeviceRow.revoked_ms.is_(None))
        .distinct()
        .order_by(DeviceRow.online.desc(), DeviceRow.site, DeviceRow.name)
        .limit(MAX_PINGS)
    )
    return [ping(Address(site, name), now_ms) for site, name, _ in session.execute(query)]


def ping(address: Address, now_ms: int) -> Outgoing:
    """Return a command that asks a device for its status."""
    command = Command(id=new_id(now_ms), action="ping", issued=now_ms, expires=now_ms + EXPIRES_MS)
    return Outgoing("", address.key, build_topic(address, Channel.COMMAND), encode_message(command), command.expires)


def whole_seconds(seconds: float) -> int:
    """Round up to what the wire knows; hard limits are whole, so that this stays within them. [s]"""
    return math.ceil(round(seconds, 3))


def _choose(
    session: Session,
    device: DeviceRow,
    acts: list[ActRow],
    now_ms: int,
    due_again: Callable[[ActRow], bool],
    undecided: Collection[str | None],
) -> tuple[list[ActRow], list[ActRow]]:
    chosen: list[ActRow] = []
    moved: list[ActRow] = []
    # A stop carries no number and is never held back: to stop is always safe.
    for row in (row for row in acts if row.action == "stop"):
        if row.state != "sent" or due_again(row):
            if row.state != "sent":
                moved.append(row)
            _send(session, row, now_ms)
            chosen.append(row)
    numbered = [row for row in acts if row.action != "stop"]
    unanswered = [row for row in numbered if row.state == "sent"]
    if unanswered:
        chosen += [row for row in unanswered if device.online and due_again(row)]
        for row in chosen:
            _send(session, row, now_ms)
        return chosen, moved
    # A number that the device has refused as used shows that it knows a higher one: it has to tell it first.
    waits_for_number = any(row.n is not None and device.last_n <= row.n for row in numbered)
    for row in numbered:
        if not device.online or device.last_n >= MAX_UINT32:
            why = "not-connected"
        elif waits_for_number:
            why = "replayed"
        elif row.zone_key in undecided:
            why = "unsettled"
        else:
            row.n = device.last_n = device.last_n + 1
            _send(session, row, now_ms)
            return [*chosen, row], [*moved, row]
        if step(session, row, "held", HELD_FOR[why], "controller", now_ms):
            moved.append(row)
        row.reason = why
    return chosen, moved


def _undecided_zones(session: Session, now_ms: int) -> frozenset[str | None]:
    """Return the zones with an act that was handed over and of whose end nothing will be known by the clock."""
    silent = and_(ActRow.state == "sent", ActRow.expires_ms < now_ms)
    query = select(ActRow.zone_key).where(OPEN_ACTS, or_(ActRow.state == "unknown", silent), ActRow.action != "stop")
    return frozenset(session.scalars(query))


def _send(session: Session, row: ActRow, now_ms: int) -> None:
    if step(session, row, "sent", "handed over", "controller", now_ms):
        row.reason = None
    row.sent_ms = now_ms


def _outgoing(device: DeviceRow, row: ActRow) -> Outgoing:
    topic = build_topic(Address(device.site, device.name), Channel.COMMAND)
    return Outgoing(row.id, device.key, topic, encode_message(build_command(act_record(row))), row.expires_ms)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
