# SPDX-License-Identifier: Apache-2.0
"""What a test of valves holds meanwhile: its own zones, so that nothing else opens beside the valve that is tested."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import select
from sqlalchemy.orm import Session

from control.models import ValveTestRow
from control.records import Hold
from rules.reasons import Reason

__all__ = ["valve_holds"]


def valve_holds(session: Session, _now_ms: int) -> Iterator[Hold]:
    """Hold every zone of a test that goes on."""
    for zones in session.scalars(select(ValveTestRow.zones).where(ValveTestRow.ended_ms.is_(None))):
        for zone in zones:
            yield Hold(zone, int(Reason.VALVE_TEST))
