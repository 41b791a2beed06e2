# SPDX-License-Identifier: Apache-2.0
"""What the ledger says of zones now: given today, under way, unsettled, when last.

Invariant: what may have been given counts as given. An act under way, of unknown end, or indeterminate counts in full
until the device says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Select, or_, select
from sqlalchemy.orm import Session

from control.database import in_parts
from control.models import OPEN_ACTS, ActRow
from control.states import OPEN

__all__ = ["COUNTED", "Load", "zone_loads"]

LOOK_BACK_MS: Final = 86_400_000  # before the day began: pauses between acts are at most a day [ms]
COUNTED: Final = ("done", "failed", "indeterminate", "cancelled", *OPEN)
COLUMNS: Final = (
    ActRow.zone_key,
    ActRow.action,
    ActRow.state,
    ActRow.planned_ms,
    ActRow.sent_ms,
    ActRow.begun_ms,
    ActRow.ended_ms,
    ActRow.seconds,
    ActRow.litres,
    ActRow.grams,
    ActRow.result_seconds,
    ActRow.result_litres,
    ActRow.result_grams,
    ActRow.id,
)


@dataclass(slots=True)
class Load:
    """One zone's share of the ledger.

    Attributes
    ----------
    litres, grams : float
        Given, or perhaps given, since the local day began. [L], [g]
    busy, unsettled : bool
        An act is under way; the end of one is not known.
    last_end_ms : int or None
        When an act of the zone last ended, within the last day.
    """

    litres: float = 0.0
    grams: float = 0.0
    busy: bool = False
    unsettled: bool = False
    last_end_ms: int | None = None


def zone_loads(session: Session, day_starts: Mapping[str, int]) -> dict[str, Load]:
    """Return the load of every zone in `day_starts`.

    Parameters
    ----------
    day_starts : mapping
        Zone key to the start of the day it is in. [ms since the Unix epoch]
    """
    nothing = Load()  # one for all to whom nothing was given: nobody changes it
    loads = dict.fromkeys(day_starts, nothing)
    if not loads:
        return loads
    # By when it was issued: a run that is made up for may have been planned days ago.
    since_ms = min(day_starts.values()) - LOOK_BACK_MS
    rows: dict[str, Any] = {}
    session.flush()
    connection = session.connection()
    for part in in_parts(day_starts):
        recent = connection.execute(_acts(ActRow.zone_key.in_(part), ActRow.issued_ms >= since_ms))
        rows.update((row.id, row) for row in recent)
    under_way = _acts(OPEN_ACTS)
    if len(loads) == 1:
        under_way = under_way.where(ActRow.zone_key == next(iter(loads)))
    rows.update((row.id, row) for row in connection.execute(under_way))
    loads.update(_counted(day_starts, rows.values()))
    return loads


def _acts(*where: Any) -> Select[*tuple[Any, ...]]:
    return select(*COLUMNS).where(*where, or_(ActRow.action == "irrigate", ActRow.action == "feed", ActRow.action == "aerate"))


def _counted(day_starts: Mapping[str, int], rows: Iterable[Any]) -> dict[str, Load]:
    loads: dict[str, Load] = {}
    for row in rows:
        if row.zone_key not in day_starts:
            continue
        load = loads.setdefault(row.zone_key, Load())
        if row.state == "unknown":
            load.unsettled = True
        elif row.state in OPEN:
            load.busy = True
        began = row.begun_ms if row.begun_ms is not None else row.planned_ms
        litres, grams = _given(row)
        if began >= day_starts[row.zone_key]:
            load.litres += litres
            load.grams += grams
        if row.ended_ms is not None and row.state != "skipped" and _pauses(row, grams):
            load.last_end_ms = max(load.last_end_ms or 0, row.ended_ms)
    return loads


def _pauses(row: Any, grams: float) -> bool:
    # After any attempt at watering the soil, or the fault, gets its time; a meal that fed nobody delays no other.
    return row.action == "irrigate" or (row.action == "feed" and grams > 0.0)


def _given(row: Any) -> tuple[float, float]:
    if row.state not in COUNTED or (row.state == "cancelled" and row.sent_ms is None):
        return 0.0, 0.0
    if row.state == "failed" and row.result_seconds is row.result_litres is row.result_grams is None:
        return 0.0, 0.0
    share = 1.0
    if row.result_seconds is not None and row.seconds:
        share = min(row.result_seconds / row.seconds, 1.0)
    litres = row.result_litres if row.result_litres is not None else (row.litres or 0.0) * share
    grams = row.result_grams if row.result_grams is not None else (row.grams or 0.0) * share
    return litres, grams
