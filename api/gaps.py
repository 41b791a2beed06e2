# SPDX-License-Identifier: Apache-2.0
"""What never arrived of a device's numbered records: `/devices/{device}/gaps`.

Invariant: `missing` and `lost` together are what the device numbered and Tirta does not have, as far as it can be known;
where it cannot, the answer says so (`ends_unknown`, `sessions_lost`) instead of showing 0.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from api.instants import When, format_instant, optional_instant
from api.names import DeviceId
from api.pages import Page
from api.problems import refusals
from api.services import Needs
from control import registry
from ingest.boots import DeviceState, GapRange

__all__ = ["router"]

router = APIRouter(prefix="/devices", tags=["devices"])


class Gap(BaseModel):
    """Numbers of one boot that never arrived, one after another."""

    boot: int = Field(description="Which start of the device.", examples=[7])
    first: int = Field(description="First missing number.", examples=[1841])
    last: int = Field(description="Last missing number.", examples=[1907])
    count: int = Field(description="How many.", examples=[67])
    since: When | None = Field(description="When what showed the gap was received.", examples=["2026-11-22T05:00:00Z"])
    state: Literal["open", "lost"] = Field(description="`open`: may still come. `lost`: the device no longer has them.")


class SessionLost(BaseModel):
    """A time of which the broker may have lost what it had acknowledged; records without numbers are not missed otherwise."""

    start: When = Field(description="Everything acknowledged before is here.", examples=["2026-11-22T05:00:00Z"])
    end: When = Field(description="When it was found out.", examples=["2026-11-22T05:03:00Z"])


class GapsAnswer(BaseModel):
    """What is missing of a device."""

    missing: int = Field(description="Numbers that may still come.", examples=[67])
    lost: int = Field(description="Numbers that will not.", examples=[0])
    ends_unknown: list[int] = Field(
        description="Boots that are over and whose last number the device did not tell: what is missing there cannot be known.",
        examples=[[5]],
    )
    sessions_lost: list[SessionLost] = Field(description="The newest 100 times of which the broker may have lost something.")
    items: list[Gap] = Field(description="The page's gaps, by boot and number.")
    next: str | None = Field(description="The `after` of the page that follows; null on the last page.")


class GapPage(Page):
    """Which part is wanted."""

    after: str | None = Field(default=None, pattern=r"^[0-9]{1,10}:[0-9]{1,10}$", description="The `next` of the page before.")


@router.get("/{device}/gaps", responses=refusals(404))
def list_gaps(device: DeviceId, services: Needs, request: Annotated[GapPage, Query()]) -> GapsAnswer:
    """List the numbers of a device's records that never arrived."""
    with services.database.reader() as session:
        registry.get_device(session, device.key)
    found = services.gaps.of(device)
    state = found.state or DeviceState()
    gaps = state.gaps
    begin = 0
    if request.after is not None:
        boot, _, start = request.after.partition(":")
        begin = bisect_right(gaps, (int(boot), int(start)), key=lambda gap: (gap.boot, gap.start))
    page = gaps[begin : begin + request.limit]
    more = begin + request.limit < len(gaps)
    return GapsAnswer(
        missing=state.waiting,
        lost=state.lost,
        ends_unknown=state.ends_unknown,
        sessions_lost=[
            SessionLost(start=format_instant(lost.start_ms), end=format_instant(lost.end_ms)) for lost in found.sessions
        ],
        items=[_shown(gap) for gap in page],
        next=f"{page[-1].boot}:{page[-1].start}" if more else None,
    )


def _shown(gap: GapRange) -> Gap:
    return Gap(
        boot=gap.boot,
        first=gap.start,
        last=gap.end - 1,
        count=gap.end - gap.start,
        since=optional_instant(gap.since_ms or None),
        state="lost" if gap.lost else "open",
    )
