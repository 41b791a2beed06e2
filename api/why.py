# SPDX-License-Identifier: Apache-2.0
"""Why a zone was acted on at an instant, or was not: `/zones/{zone}/why`."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from api.acts import ActDetail, act_detail
from api.grounds import GroundAnswer, ground_answer
from api.instants import Instant, When, format_instant
from api.names import ZoneId
from api.problems import refusals
from api.sentences import Sentence
from api.services import Needs
from control.why import why_zone

__all__ = ["router"]

router = APIRouter(tags=["zones"])


class WhyFilter(BaseModel):
    """About which instant is asked."""

    model_config = ConfigDict(extra="forbid")

    at: Instant | None = Field(default=None, description="The instant; now unless told.", examples=["2026-11-21T21:30:00Z"])


class WhyAnswer(BaseModel):
    """Why a zone was acted on, or was not."""

    zone: str = Field(description="Id of the zone.", examples=["taman-kota:bedeng-3:1"])
    at: When = Field(description="The instant.", examples=["2026-11-21T21:30:00Z"])
    sentence: Sentence = Field(
        description="In one sentence.",
        examples=[
            {
                "id": "Bedeng 3 tidak disiram pukul 05:30: tanah masih cukup basah (31 %, batas 24 %).",
                "en": "Bed 3 was not watered at 05:30: the soil is still moist enough (31%, limit 24%).",
            }
        ],
    )
    ground: GroundAnswer | None = Field(description="What was decided, and on what; null where nothing is kept of then.")
    act: ActDetail | None = Field(description="The act that was under way or left out then.")


@router.get("/zones/{zone}/why", responses=refusals(404))
def explain_zone(zone: ZoneId, services: Needs, request: Annotated[WhyFilter, Query()]) -> WhyAnswer:
    """Tell why a zone was acted on in the minute of an instant, or was not, in words and with what was seen."""
    now_ms = services.clock.now_ms()
    at_ms = now_ms if request.at is None else request.at
    with services.database.reader() as session:
        found = why_zone(session, zone.key, at_ms, now_ms)
    return WhyAnswer(
        zone=found.zone_key,
        at=format_instant(found.at_ms),
        sentence=Sentence(**found.sentence),
        ground=ground_answer(found.ground),
        act=None if found.act is None else act_detail(found.act),
    )
