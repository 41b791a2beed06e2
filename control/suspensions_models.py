# SPDX-License-Identifier: Apache-2.0
"""Table of what people put off: pauses, rain delays, single moments to be skipped.

Invariant: what was put off is never changed, only ended, once; so the rows are the history of it.
"""

from __future__ import annotations

from sqlalchemy import Index, text
from sqlalchemy.orm import Mapped, mapped_column

from control.models import Row

__all__ = ["OPEN_SUSPENSIONS", "SuspensionRow"]

# Written out: SQLite uses the partial index only where it sees the index's own condition.
OPEN_SUSPENSIONS = text("ended_ms IS NULL")


class SuspensionRow(Row):
    """A pause, a rain delay, or a planned moment to be skipped; `scope` and `key` say of what."""

    __tablename__ = "suspension"

    id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    scope: Mapped[str]  # "zone", "site", "agency" or "city"
    key: Mapped[str]
    site: Mapped[str | None]  # of a zone or site
    begun_ms: Mapped[int]
    until_ms: Mapped[int | None]  # of a skip its planned moment; None is until somebody resumes
    note: Mapped[str]
    actor: Mapped[str]
    ended_ms: Mapped[int | None]
    ended_by: Mapped[str | None]
    ending: Mapped[str | None]  # "resumed", "over" or "replaced"

    __table_args__ = (
        Index(None, "scope", "key"),
        Index("ix_suspension_open", "ended_ms", sqlite_where=OPEN_SUSPENSIONS, postgresql_where=OPEN_SUSPENSIONS),
    )
