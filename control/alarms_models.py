# SPDX-License-Identifier: Apache-2.0
"""The table of alarms.

Invariant: of each code and subject at most one alarm is open; the database itself holds to it.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Index, text
from sqlalchemy.orm import Mapped, mapped_column

from control.models import Row

__all__ = ["AlarmRow"]

_OPEN: Final = text("cleared_ms IS NULL")


class AlarmRow(Row):
    """One time in which something was wrong. Its place is that of a site, of an agency, or (neither) the installation."""

    __tablename__ = "alarm"

    id: Mapped[str] = mapped_column(primary_key=True)
    code: Mapped[str]
    severity: Mapped[str]
    subject: Mapped[str]  # "{sort}:{key}" or the name of a part: "device:taman-kota:bedeng-1", "store:influxdb", "journal"
    site: Mapped[str | None] = mapped_column(index=True)
    agency: Mapped[str | None] = mapped_column(index=True)
    details: Mapped[dict[str, Any]]
    since_ms: Mapped[int] = mapped_column(index=True)
    cleared_ms: Mapped[int | None] = mapped_column(index=True)
    seen_ms: Mapped[int | None]
    seen_by: Mapped[str | None]

    __table_args__ = (
        Index("uq_alarm_code_subject_open", "code", "subject", unique=True, sqlite_where=_OPEN, postgresql_where=_OPEN),
    )
