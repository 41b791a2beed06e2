# SPDX-License-Identifier: Apache-2.0
"""Which acts of unknown end need a hand: those that neither their device nor a person has settled for a while.

Invariant: an act is told as long as it is unknown, and no more of one zone than the oldest.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy import func, select

from control.alarms import Cause
from control.database import Database
from control.errors import DatabaseUnavailable
from control.models import OPEN_ACTS, ActRow, DeviceRow, SiteRow, TransitionRow, ZoneRow

__all__ = ["LASTING_MS", "unknown_acts"]

LASTING_MS: Final = 600_000  # an act that is unknown for so long needs a hand [ms]
MAX_TOLD: Final = 500  # acts looked at; what they hold is told by their zones


def unknown_acts(database: Database, now_ms: int) -> list[Cause] | None:
    """Return the causes; None where the database does not answer."""
    since = (
        select(func.max(TransitionRow.at_ms))
        .where(TransitionRow.act_id == ActRow.id, TransitionRow.state == "unknown")
        .scalar_subquery()
    )
    query = (
        select(ActRow.id, ActRow.device_key, ActRow.zone_key, ActRow.planned_ms, ActRow.action, SiteRow.name, SiteRow.timezone)
        .add_columns(ZoneRow.title.label("zone"), DeviceRow.title.label("device"))
        .join(DeviceRow, DeviceRow.key == ActRow.device_key)
        .join(SiteRow, SiteRow.name == DeviceRow.site)
        .outerjoin(ZoneRow, ZoneRow.key == ActRow.zone_key)
        .where(OPEN_ACTS, ActRow.state == "unknown", since <= now_ms - LASTING_MS)
        .order_by(ActRow.id)
        .limit(MAX_TOLD)
    )
    try:
        with database.reader() as session:
            rows = session.execute(query).all()
    except DatabaseUnavailable:
        return None
    causes: dict[str, Cause] = {}
    for row in rows:
        subject = f"device:{row.device_key}" if row.zone_key is None else f"zone:{row.zone_key}"
        at = datetime.fromtimestamp(row.planned_ms / 1000, ZoneInfo(row.timezone))
        details = {"title": row.zone or row.device, "at": f"{at:%H:%M}", "act": row.id, "action": row.action}
        causes.setdefault(subject, Cause("act-unknown", subject, site=row.name, details=details))
    return list(causes.values())
