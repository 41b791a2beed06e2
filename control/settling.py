# SPDX-License-Identifier: Apache-2.0
"""Settling acts by what devices say: acks, the ledger in their status, acts done by hand at the board; or by a person.

Invariant: the device's word wins, also over a person's and over what was concluded from its silence. A word that is no news
changes nothing, so hearing it again, late or out of order, is harmless.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from control.checks import check_text, plain
from control.errors import Conflict, Invalid
from control.ids import act_id
from control.ledger import DEVICE, act_record, act_row, enter, step
from control.models import OPEN_ACTS, ActRow, DeviceRow, ZoneRow
from control.records import Act
from control.states import ENDED, SETTLED
from gateway.messages import Ack, Amount, LedgerEntry, Status
from gateway.payloads import MAX_AHEAD_MS, MAX_BACK_MS
from gateway.topics import Address

__all__ = ["LOCAL", "Settlement", "live_device", "settle", "settle_by_hand", "settle_status"]

LOCAL: Final = "local-"  # begins the id of what a person did at the board
STATUS_LEDGER: Final = 16  # acts that a status lists at most; one that lists fewer lists all it has
MAX_REASON: Final = 200  # characters
LOCAL_ACTIONS: Final = ("irrigate", "feed", "aerate")
MOST: Final = 1e6  # of an amount that a person tells


@dataclass(frozen=True, slots=True)
class Settlement:
    """What a person saw of an act whose end nobody knew.

    Attributes
    ----------
    state : str
        "done", "failed" (nothing came of it) or "indeterminate" (nobody can tell: it counts as given).
    reason : str
        How the person knows it, in words.
    seconds, litres, grams : float or None
        What was given, where that is known; of a done act None is what was asked for. [s], [L], [g]
    """

    state: str
    reason: str
    seconds: float | None = None
    litres: float | None = None
    grams: float | None = None


def settle(session: Session, address: Address, ack: Ack, now_ms: int) -> Act | None:
    """Take a device's word on an act; return the act if that was news.

    None where the device or the act is not known, or nothing changed.
    """
    device = live_device(session, address)
    if device is None:
        return None
    if ack.n is not None and ack.n > device.last_n:
        device.last_n = ack.n
    row = _act_of(session, device.key, ack.id)
    if row is None:
        return _local(session, device, ack, now_ms) if ack.id.startswith(LOCAL) else None
    return act_record(row) if _hear(session, row, ack, _instant(ack.ts, now_ms), now_ms) else None


def settle_status(session: Session, address: Address, status: Status, now_ms: int) -> list[Act]:
    """Settle acts by the device's own ledger; return those that changed.

    An unknown act whose number the device, alive, has not reached is concluded never to have begun, unless it had reached
    that number before and has lost its memory; one whose number it has taken, and which its whole ledger does not list, is
    indeterminate. Only a status that the device itself dates after the act's expiry concludes so: by that clock it refuses
    what has expired, so the act can not begin any more, however long the status, or the command, was on its way.
    """
    device = live_device(session, address)
    if device is None:
        return []
    if status.n is not None and status.n > device.last_n:
        device.last_n = status.n
    changed: dict[str, Act] = {}
    for entry in status.ledger:
        row = _act_of(session, device.key, entry.id)
        if row is not None and _hear(session, row, entry, now_ms, now_ms):
            changed[row.id] = act_record(row)
    if status.online:
        listed = {entry.id for entry in status.ledger}
        query = select(ActRow).where(OPEN_ACTS, ActRow.device_key == device.key, ActRow.state == "unknown")
        for row in session.scalars(query).all():
            if row.reference not in listed and _conclude(session, row, status, now_ms):
                changed[row.id] = act_record(row)
    return list(changed.values())


def settle_by_hand(session: Session, act_id: str, seen: Settlement, actor: str, *, now_ms: int) -> Act:
    """End an act of unknown end as a person saw it; a later word of the device still wins.

    Raises
    ------
    Invalid
        The state is none that a person can tell, the reason is missing, or an amount does not belong to the act.
    Conflict
        Its end is not unknown.
    """
    row = act_row(session, act_id)
    if seen.state not in SETTLED:
        raise Invalid("state", f"one of {', '.join(SETTLED)}")
    reason = check_text("reason", seen.reason, MAX_REASON)
    for name in ("seconds", "litres", "grams"):
        told = getattr(seen, name)
        if told is not None and getattr(row, name) is None:
            raise Invalid(name, f"{row.action} takes none")
        if told is not None and not (math.isfinite(told) and 0.0 <= told <= MOST):
            raise Invalid(name, f"a number from 0 to {MOST:g}")
    if row.state != "unknown":
        todo = "it is over" if row.state in ENDED else "its device may still tell how it ended"
        raise Conflict(f"act {act_id} is {row.state}, not unknown; {todo}")
    step(session, row, seen.state, f"seen: {reason}", actor, now_ms)
    row.reason = "seen-by-hand"
    nothing = 0.0 if seen.state == "failed" else None
    for name in ("seconds", "litres", "grams"):
        told = getattr(seen, name)
        setattr(row, f"result_{name}", nothing if told is None and getattr(row, name) is not None else told)
    return act_record(row)


def live_device(session: Session, address: Address) -> DeviceRow | None:
    """Return the row of a device that is registered and not revoked."""
    row = session.get(DeviceRow, address.key)
    return None if row is None or row.revoked_ms is not None else row


def _act_of(session: Session, device_key: str, reference: str) -> ActRow | None:
    if "\x00" in reference:
        return None
    return session.scalar(select(ActRow).where(ActRow.device_key == device_key, ActRow.reference == reference))


def _conclude(session: Session, row: ActRow, status: Status, now_ms: int) -> bool:
    """Conclude an unknown act from a live status that does not list it; False where nothing follows from that."""
    if row.reference.startswith(LOCAL):
        return False  # no status lists what was done at the board; its ack is kept by the device
    if status.ts is not None and status.ts <= row.expires_ms:
        return False  # by its own clock it may be from before the command came, and may begin it still
    if row.n is None:  # a stop: nothing waits for it any more, and whether it was heard is of the past
        row.reason = "no-answer"
        return step(session, row, "indeterminate", "the device is back and has not answered it", "controller", now_ms)
    if status.n is None or status.ts is None:
        return False
    if status.n < row.n and status.n >= _highest_answered(session, row.device_key):
        row.reason = "never-begun"
        return step(session, row, "expired", f"the device's last number is {status.n}", "controller", now_ms)
    if status.n < row.n or len(status.ledger) < STATUS_LEDGER:
        # It lost its memory, or took the number and lists all it has: it refused. What may have been given counts.
        row.reason = "not-in-ledger"
        return step(session, row, "indeterminate", "the device does not know of it", "controller", now_ms)
    return False


def _highest_answered(session: Session, device_key: str) -> int:
    """Return the highest number of whose act a device has told the beginning or the end; 0 for none."""
    query = select(func.max(ActRow.n)).where(ActRow.device_key == device_key, ActRow.begun_ms.is_not(None))
    return session.scalar(query) or 0


def _hear(session: Session, row: ActRow, word: Ack | LedgerEntry, at_ms: int, now_ms: int) -> bool:
    state = "expired" if word.state == "rejected" and word.reason == "expired" else word.state
    if isinstance(word, Ack) and word.reason == "replayed" and word.state == "rejected":
        if row.state in ("planned", "held", "expired") or (word.n is not None and word.n != row.n):
            return False  # of a number that was given up already, or is not known any more
        if row.state == "sent" and now_ms <= row.expires_ms:
            # It has not acted, and knows a higher number than we do, as after a restore of ours: it gets another one.
            row.reason = "replayed"
            return step(session, row, "held", f"the device has used number {row.n} for another act", DEVICE, now_ms)
    if state == row.state:
        # The ledger in a status may have ended it without its amounts; the ack then brings them.
        missing = word.result is not None and row.result_seconds is row.result_litres is row.result_grams is None
        if missing:
            _keep_result(row, word.result)
        return missing
    if not step(session, row, state, _reason(word) or f"the device says {word.state}", DEVICE, now_ms):
        return False
    row.reason = _reason(word)
    _keep_result(row, word.result)
    at_ms = max(at_ms, min(row.issued_ms, now_ms))  # by the device's clock it may be from before it was asked for
    if state in ENDED:
        row.ended_ms = at_ms
        row.begun_ms = row.begun_ms if row.begun_ms is not None or state in ("rejected", "expired") else at_ms
    else:
        row.begun_ms, row.ended_ms = at_ms, None  # a late word may open again what had been concluded
    return True


def _local(session: Session, device: DeviceRow, ack: Ack, now_ms: int) -> Act | None:
    zone = session.get(ZoneRow, f"{device.key}:{ack.zone or 1}")
    if zone is None or ack.action not in LOCAL_ACTIONS or ack.state == "rejected" or "\x00" in ack.id:
        return None
    at_ms = _instant(ack.ts, now_ms)
    row = ActRow(
        id=act_id(ack.id, 0, zone.key, at_ms),
        reference=ack.id,
        device_key=device.key,
        zone_key=zone.key,
        action=ack.action,
        origin="device",
        version=0,
        actor=DEVICE,
        planned_ms=at_ms,
        issued_ms=at_ms,
        expires_ms=at_ms,
        begun_ms=at_ms,
        ended_ms=at_ms if ack.state in ENDED else None,
        max_seconds=zone.max_seconds,
        reason=_reason(ack),
    )
    _keep_result(row, ack.result)
    enter(session, row, ack.state, "done by hand at the board", DEVICE, now_ms)
    return act_record(row)


def _reason(word: Ack | LedgerEntry) -> str | None:
    return None if word.reason is None else plain(word.reason, MAX_REASON)


def _keep_result(row: ActRow, result: Amount | None) -> None:
    if result is not None:
        row.result_seconds, row.result_litres, row.result_grams = result.seconds, result.litres, result.grams


def _instant(ts: int | None, now_ms: int) -> int:
    """Return the device's time where it can be believed, else the platform's."""
    if ts is None or not now_ms - MAX_BACK_MS <= ts <= now_ms + MAX_AHEAD_MS:
        return now_ms
    return min(ts, now_ms)
