# SPDX-License-Identifier: Apache-2.0
"""The table of what proof of effect says of zones; see `control.proofs`."""

from __future__ import annotations

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from control.models import Row

__all__ = ["ZoneProofRow"]

HELD = text("held_ms IS NOT NULL")


class ZoneProofRow(Row):
    """How a zone stands since its last verdicts: disproved acts in a row, since when it is held, since when it leaks."""

    __tablename__ = "zone_proof"

    zone_key: Mapped[str] = mapped_column(ForeignKey("zone.key"), primary_key=True)
    disproved: Mapped[int]  # in a row
    finding: Mapped[str | None]  # of the last one disproved
    act_id: Mapped[str | None]  # that one
    since_ms: Mapped[int | None]  # of the first of the row
    held_ms: Mapped[int | None]
    released_ms: Mapped[int | None]  # by a person, the last time
    leak_ms: Mapped[int | None]
    leak_l_min: Mapped[float | None]

    __table_args__ = (Index("ix_zone_proof_held", "zone_key", sqlite_where=HELD, postgresql_where=HELD),)
