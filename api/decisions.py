# SPDX-License-Identifier: Apache-2.0
"""Why something was done, or was not: `/decisions`."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from api.access import Caller
from api.instants import When, format_instant
from api.names import ZoneText, zone_in_body
from api.pages import Listing, Page, Sort
from api.sentences import Sentence
from api.services import Needs
from control import decisions
from control.sentences import sentences

__all__ = ["router"]

router = APIRouter(prefix="/decisions", tags=["decisions"])


class DecisionAnswer(BaseModel):
    """What a rule decided for a zone, and the numbers it saw."""

    id: str = Field(description="Id.", examples=["4711"])
    zone: str = Field(description="Id of the zone.", examples=["taman-kota:bedeng-1:1"])
    at: When = Field(description="When it was decided.", examples=["2026-11-22T05:00:00Z"])
    kind: str = Field(description="What was decided about.", examples=["irrigation"])
    acted: bool = Field(description="Whether an act came of it.", examples=[True])
    reasons: list[str] = Field(description="Why.", examples=[["dry"]])
    inputs: dict[str, float | bool | str | None] = Field(
        description="The numbers that were seen, named with their units.",
        examples=[{"soil_moisture": 0.18, "litres_today": 40.0}],
    )
    act: str | None = Field(description="Id of the act that came of it.", examples=["01KAQZ7J5RT0M3Q4W1D0V6B3NM"])
    sentence: Sentence = Field(description="The same in words.")


class DecisionFilter(Page):
    """Which decisions are wanted."""

    zone: ZoneText | None = Field(default=None, description="Only of this zone.", examples=["taman-kota:bedeng-1:1"])
    sort: str | None = Sort("id", "at")


@router.get("")
def list_decisions(services: Needs, caller: Caller, request: Annotated[DecisionFilter, Query()]) -> Listing[DecisionAnswer]:
    """List decisions that acted, fell on a planned moment or differed from the one before; the latest first unless told."""
    zone = None if request.zone is None else zone_in_body("zone", request.zone).key
    with services.database.reader() as session:
        found, after = decisions.list_decisions(
            session, zone_key=zone, seen_by=caller, sort=request.sort, limit=request.limit, after=request.after
        )
    items = [
        DecisionAnswer(
            id=str(decision.id),
            zone=decision.zone_key,
            at=format_instant(decision.at_ms),
            kind=decision.kind,
            acted=decision.acted,
            reasons=list(decision.reasons),
            inputs=dict(decision.inputs),
            act=decision.act_id,
            sentence=Sentence(**sentences(decision)),
        )
        for decision in found
    ]
    return Listing(items=items, next=after)
