# SPDX-License-Identifier: Apache-2.0
"""When the clock alone next changes something for an open act: it is sent again, or concluded.

Invariant: what `control.ledger.expire` concludes and `control.commands` sends again is due no later than is said here, so
that nobody has to wait for the next tick to know that an act has expired or that its end is unknown.
"""

from __future__ import annotations

from sqlalchemy import case, func, or_, select
from sqlalchemy.orm import Session

from control.commands import ACK_WAIT_MS
from control.ledger import NO_END_MS, NO_WORD_MS
from control.models import OPEN_ACTS, ActRow, DeviceRow

__all__ = ["next_deadline"]


def next_deadline(session: Session, now_ms: int) -> int | None:
    """Return the next instant at which something is due by the clock, perhaps one that has passed; None for nothing.

    Parameters
    ----------
    now_ms : int
        What has expired before is not sent again. [ms since the Unix epoch]
    """
    begun = func.coalesce(ActRow.begun_ms, ActRow.issued_ms)
    # What is only accepted may begin until it expires.
    latest = case(((ActRow.state == "accepted") & (ActRow.expires_ms > begun), ActRow.expires_ms), else_=begun)
    end = latest + func.coalesce(ActRow.max_seconds, 0) * 1000 + NO_END_MS
    concluded = case(
        (ActRow.state.in_(("planned", "held")), ActRow.expires_ms + 1),
        (ActRow.state == "sent", ActRow.expires_ms + NO_WORD_MS),
        else_=end,
    )
    ends = select(func.min(concluded)).where(OPEN_ACTS, ActRow.state != "unknown")
    waits = (
        select(func.min(ActRow.sent_ms + ACK_WAIT_MS))
        .join(DeviceRow, DeviceRow.key == ActRow.device_key)
        .where(OPEN_ACTS, ActRow.state == "sent", ActRow.expires_ms >= now_ms, DeviceRow.revoked_ms.is_(None))
        .where(or_(DeviceRow.online, ActRow.action == "stop"))
    )
    return min((due for due in (session.scalar(ends), session.scalar(waits)) if due is not None), default=None)
