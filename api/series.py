# SPDX-License-Identifier: Apache-2.0
"""Measurements of a zone over time: `/zones/{zone}/series`.

Invariant: a range is half-open, [start, end); windows are aligned to the Unix epoch and bear the instant of their start.
The store chooses the tier, so a page is the same whichever answers it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Final

import msgspec
import numpy as np
from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from api.errors import InvalidField
from api.instants import Every, Instant, When, format_instant
from api.names import ZoneId, ZoneKey
from api.problems import refusals
from api.services import Needs, Services, kind_of
from control import registry
from gateway import Kind
from ingest.store.protocol import Aggregate, Series, SeriesQuery, TierName

__all__ = ["ROWS_MAX", "router"]

ROWS_MAX: Final = 10_000  # rows in one answer
RANGE_DEFAULT_MS: Final = 86_400_000  # how far back an answer reaches when no start is given [ms]
_NAMES_MAX: Final = 2_000  # characters of a list of quantities

router = APIRouter(prefix="/zones", tags=["series"])


class SeriesRequest(BaseModel):
    """Which measurements are wanted."""

    model_config = ConfigDict(extra="forbid")

    quantities: str | None = Field(
        default=None,
        max_length=_NAMES_MAX,
        description="Names of quantities, comma between them; all that the device's kind measures when absent (with "
        "`aggregate=difference`, all its running totals).",
        examples=["soil_moisture,flow"],
    )
    start: Instant | None = Field(
        default=None,
        description="First instant that belongs to the range; a day before `end` when absent.",
        examples=["2026-11-22T00:00:00Z"],
    )
    end: Instant | None = Field(
        default=None,
        description="First instant that no longer belongs to it; now when absent.",
        examples=["2026-11-23T00:00:00Z"],
    )
    every: Every | None = Field(
        default=None,
        description="Length of a window: a whole number and s, m, h or d. Rows as they were sent when absent.",
        examples=["1h"],
    )
    aggregate: Aggregate | None = Field(
        default=None,
        description="What a window is made into; `mean` when absent. Goes with `every`. `difference` is how far a running "
        "total rose, from the record before the window on.",
        examples=["mean"],
    )
    limit: int = Field(default=1_000, ge=1, le=ROWS_MAX, description="Most rows in the answer; the earliest are given.")
    after: Instant | None = Field(default=None, description="The `next` of the page before.", examples=["2026-11-22T12:00:00Z"])


class SeriesRow(BaseModel):
    """One row: an instant, and a value for each quantity asked for."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, float | None]

    at: When = Field(
        description="Time of measurement, or start of the window.",
        examples=["2026-11-22T05:00:00Z"],
    )


class SeriesAnswer(BaseModel):
    """Measurements in order of time."""

    zone: str = Field(description="Id of the zone.", examples=["taman-kota:bedeng-1:1"])
    start: When = Field(description="Start of the range, which belongs to it.", examples=["2026-11-22T00:00:00Z"])
    end: When = Field(description="End of the range, which does not belong to it.", examples=["2026-11-23T00:00:00Z"])
    every_s: float | None = Field(description="Length of a window; null for rows as sent. [s]", examples=[3600])
    aggregate: Aggregate | None = Field(description="What a window was made into.", examples=["mean"])
    tier: TierName = Field(
        description="What this was answered from: rows as sent (`raw`), or windows of five minutes or an hour kept ready. "
        "The numbers are the same.",
        examples=["1h"],
    )
    kept_from: When | None = Field(
        description="Nothing older is kept in this tier; null where it is kept for ever.", examples=["2026-08-24T05:00:00Z"]
    )
    units: dict[str, str] = Field(description="Unit of each quantity.", examples=[{"soil_moisture": "m3/m3"}])
    items: list[SeriesRow] = Field(
        description="Rows; null where a quantity was not measured, booleans as 0 and 1.",
        examples=[[{"at": "2026-11-22T05:00:00Z", "soil_moisture": 0.31}]],
    )
    next: str | None = Field(description="The `after` of the page that follows; null on the last page.", examples=[None])


@router.get("/{zone}/series", response_model=SeriesAnswer, responses=refusals(404))
def read_series(zone: ZoneId, services: Needs, request: Annotated[SeriesRequest, Query()]) -> Response:
    """Give measurements of one zone over [start, end), as sent or in windows."""
    with services.database.session() as session:
        registry.get_zone(session, zone.key)
        kind = registry.get_device(session, zone.address.key).kind
    query = _query(zone, services, kind_of(services, kind), request)
    series, upto = _page(services.store.series(query), query)
    units = {name: services.catalogue.quantities[name].unit for name in query.quantities}
    answer: dict[str, Any] = {
        "zone": zone.key,
        "start": format_instant(query.start_ms),
        "end": format_instant(query.end_ms),
        "every_s": None if query.every_ms is None else query.every_ms / 1000,
        "aggregate": None if query.every_ms is None else query.aggregate,
        "tier": series.tier,
        "kept_from": None if series.kept_from_ms is None else format_instant(series.kept_from_ms),
        "units": units,
        "items": _rows(series),
        "next": None if upto is None else format_instant(upto),
    }
    return Response(msgspec.json.encode(answer), media_type="application/json")


def _query(zone: ZoneKey, services: Services, kind: Kind, request: SeriesRequest) -> SeriesQuery:
    if request.aggregate is not None and request.every is None:
        raise InvalidField("every", "an aggregate needs the length of its windows, such as every=1h")
    end_ms = services.clock.now_ms() if request.end is None else request.end
    start_ms = end_ms - RANGE_DEFAULT_MS if request.start is None else request.start
    if start_ms > end_ms:
        raise InvalidField("start", "start lies after end")
    if request.after is not None:
        start_ms = min(max(start_ms, request.after), end_ms)
    return SeriesQuery(
        site=zone.address.site,
        device=zone.address.device,
        zone=zone.number,
        quantities=_quantities(request, services, kind),
        start_ms=start_ms,
        end_ms=end_ms,
        every_ms=request.every,
        aggregate=request.aggregate or "mean",
        limit=request.limit,
    )


def _quantities(request: SeriesRequest, services: Services, kind: Kind) -> tuple[str, ...]:
    differing = request.aggregate == "difference"
    wanted = tuple(quantity.name for quantity in kind.quantities if quantity.total or not differing)
    if request.quantities is None:
        if not wanted:
            raise InvalidField("aggregate", f"{kind.name} measures no running total, so there is no difference to give")
        return wanted
    names = tuple(dict.fromkeys(name.strip() for name in request.quantities.split(",")))
    for name in names:
        if kind.quantity(name) is None:
            near = services.catalogue.suggest(name, kind)
            hint = f"did you mean {near}?" if near else "it measures " + ", ".join(q.name for q in kind.quantities)
            raise InvalidField("quantities", f"{kind.name} does not measure {name[:64]!r}: {hint}")
        if name not in wanted:
            totals = ", ".join(wanted) or "none"
            raise InvalidField("quantities", f"{name} is no running total, so it has no difference; of {kind.name}: {totals}")
    return names


def _page(series: Series, query: SeriesQuery) -> tuple[Series, int | None]:
    """Cut a truncated answer where the next page can begin: never between two rows of one millisecond."""
    if not series.truncated:
        return series, None
    last_ms = int(series.ts_ms[-1])
    kept = int(np.searchsorted(series.ts_ms, last_ms))
    if kept == 0:
        return series, last_ms + (query.every_ms or 1)
    values = {name: column[:kept] for name, column in series.values.items()}
    return replace(series, ts_ms=series.ts_ms[:kept], values=values), last_ms


def _rows(series: Series) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = [{"at": format_instant(ms)} for ms in series.ts_ms.tolist()]
    for name, column in series.values.items():
        # The encoder writes NaN as null.
        for row, value in zip(rows, column.tolist(), strict=True):
            row[name] = value
    return rows
