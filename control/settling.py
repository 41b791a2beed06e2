# SPDX-License-Identifier: Apache-2.0
"""Settling acts by what devices say: acks, the ledger in their status, acts done by hand at the board.

Invariant: the device's word wins. A word that is no news changes nothing, so hearing it again, late or out of order, is
harmless.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from control.checks import plain
from control.ids import act_id
from control.ledger import act_record, enter, step
from control.models import OPEN_ACTS, ActRow, DeviceRow, ZoneRow
from control.records import Act
from control.states import ENDED
from gateway.messages import Ack, Amount, LedgerEntry, Status
from gateway.payloads import MAX_AHEAD_MS, MAX_BACK_MS
from gateway.topics import Address

__all__ = ["LOCAL", "live_device", "settle", "settle_status"]

LOCAL: Final = "local-"  # begins the id of what a person did at the board
STATUS_LEDGER: Final = 16  # acts that a status lists at most; one that lists fewer lists all it has
MAX_REASON: Final = 200  # characters
LOCAL_ACTIONS: Final = ("irrigate", "feed", "aerate")


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


def settle_status(session: Session, address: Address, status: Status, now_ms: int, *, retained: bool = False) -> list[Act]:
    """Settle acts by the device's own ledger; return those that changed.

    An unknown act whose number the device, alive and past the act's expiry, has not reached is concluded never to have
    begun; one whose number it has taken, and which its whole ledger does not list, is indeterminate. A retained status
    is from an earlier time and says nothing of that.
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
    if status.online and not retained:
        listed = {entry.id for entry in status.ledger}
        query = select(ActRow).where(OPEN_ACTS, ActRow.device_key == device.key, ActRow.state == "unknown")
        for row in session.scalars(query).all():
            if row.reference not in listed and _conclude(session, row, status, now_ms):
                changed[row.id] = act_record(row)
    return list(changed.values())


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
    if row.n is None or (status.n is not None and status.n < row.n):
        row.reason = "never-begun"
        return step(session, row, "expired", f"the device's last number is {status.n}", "device", now_ms)
    if status.n is not None and len(status.ledger) < STATUS_LEDGER:
        # It took the number and lists all it has: it refused, or lost its memory. What may have been given counts.
        row.reason = "not-in-ledger"
        return step(session, row, "indeterminate", "the device does not know of it", "device", now_ms)
    return False


def _hear(session: Session, row: ActRow, word: Ack | LedgerEntry, at_ms: int, now_ms: int) -> bool:
    state = "expired" if word.state == "rejected" and word.reason == "expired" else word.state
    if state == row.state:
        # The ledger in a status may have ended it without its amounts; the ack then brings them.
        missing = word.result is not None and row.result_seconds is row.result_litres is row.result_grams is None
        if missing:
            _keep_result(row, word.result)
        return missing
    if not step(session, row, state, _reason(word) or f"the device says {word.state}", "device", now_ms):
        return False
    row.reason = _reason(word)
    _keep_result(row, word.result)
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
        actor="device",
        planned_ms=at_ms,
        issued_ms=at_ms,
        expires_ms=at_ms,
        begun_ms=at_ms,
        ended_ms=at_ms if ack.state in ENDED else None,
        max_seconds=zone.max_seconds,
        reason=_reason(ack),
    )
    _keep_result(row, ack.result)
    enter(session, row, ack.state, "done by hand at the board", "device", now_ms)
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
