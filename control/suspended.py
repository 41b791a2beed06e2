# SPDX-License-Identifier: Apache-2.0
"""What people put off, as a tick sees it: who holds which zones, which moments are skipped, what is over.

Invariant: a suspension with an end is over at that instant, whenever it is next looked at.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from control.records import Hold, Suspension
from control.suspensions import suspension_record, zones_of
from control.suspensions_models import OPEN_SUSPENSIONS, SuspensionRow
from rules.reasons import Reason

__all__ = ["PUT_OFF", "Skips", "conclude_suspensions", "load_skips", "suspension_holds", "suspensions_of"]

PUT_OFF: Final = Reason.PAUSED | Reason.RAIN_DELAY | Reason.SKIPPED_ONCE  # what a person put off is not made up for
_REASONS: Final = {"pause": (Reason.PAUSED, "paused"), "rain-delay": (Reason.RAIN_DELAY, "rain_delay")}

Skips = dict[tuple[str, int], Suspension]  # by zone and planned moment


def suspension_holds(session: Session, now_ms: int) -> Iterator[Hold]:
    """Give what pauses and rain delays hold now; the nearer one is told first, a zone's own before its site's."""
    rows = [row for row in _open(session) if row.kind in _REASONS and (row.until_ms is None or now_ms < row.until_ms)]
    for row in sorted(rows, key=lambda each: ("zone", "site", "agency", "city").index(each.scope)):
        reason, name = _REASONS[row.kind]
        told: dict[str, dict[str, str]] = {}  # many zones have one time zone
        for zone_key, timezone in zones_of(session, row):
            if timezone not in told:
                until = {} if row.until_ms is None else {f"{name}_until": _clock(row.until_ms, now_ms, timezone)}
                told[timezone] = {f"{name}_by": row.actor, **until}
            yield Hold(zone_key, reason, told[timezone])


def load_skips(session: Session, now_ms: int) -> Skips:
    """Return the skips whose moment has come."""
    return {
        (row.key, row.until_ms): suspension_record(row)
        for row in _open(session)
        if row.kind == "skip" and row.until_ms is not None and row.until_ms <= now_ms
    }


def conclude_suspensions(session: Session, now_ms: int) -> list[Suspension]:
    """End what is over, and return it: of skips all whose moment has come, left out or not planned any more."""
    ended = []
    for row in _open(session):
        if row.until_ms is None or now_ms < row.until_ms:
            continue
        row.ended_ms, row.ended_by = row.until_ms, "controller"
        row.ending = "over"
        ended.append(suspension_record(row))
    return ended


def suspensions_of(session: Session, zone_keys: Collection[str], now_ms: int) -> dict[str, list[Suspension]]:
    """Return what is put off in zones, at most a page of them, or skipped next, by zone; zones without are left out."""
    found: dict[str, list[Suspension]] = {}
    for row in _open(session):
        if row.until_ms is not None and row.until_ms <= now_ms:
            continue
        for zone_key, _ in zones_of(session, row, zone_keys) if zone_keys else ():
            found.setdefault(zone_key, []).append(suspension_record(row))
    return found


def _open(session: Session) -> list[SuspensionRow]:
    return list(session.scalars(select(SuspensionRow).where(OPEN_SUSPENSIONS).order_by(SuspensionRow.id)))


def _clock(at_ms: int, now_ms: int, timezone: str) -> str:
    """Write when something ends, as clocks at the site say it; with the date unless that is today's."""
    end, now = (datetime.fromtimestamp(ms / 1000, UTC).astimezone(ZoneInfo(timezone)) for ms in (at_ms, now_ms))
    return f"{end:%H:%M}" if end.date() == now.date() else f"{end:%Y-%m-%d %H:%M}"
