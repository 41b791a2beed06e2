# SPDX-License-Identifier: Apache-2.0
"""What happens, as it happens: server-sent events at `/events`.

Invariant: a slow reader never holds up the service: the feed bounds each reader's queue and counts what it drops, and a
stream ends when the service does, and within 5 s when its token is revoked. A comment every 15 s keeps quiet connections
open.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
from fastapi import APIRouter, Depends, Query
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel, ConfigDict, Field

from api.access import StillAdmitted
from api.errors import InvalidField, Unavailable
from api.instants import optional_instant
from api.names import ZoneText, parse_device_id, zone_in_body
from api.services import Needs
from ingest.feed import Event, Subscription, TooManySubscribers

__all__ = ["router"]

STOP_CHECK_S: Final = 1.0  # how long a quiet stream may hold up the service's end [s]
TOKEN_CHECK_S: Final = 3.5  # between two looks at the token; with a quiet wait and the look itself under 5 [s]

router = APIRouter(prefix="/events", tags=["events"])


class EventFilter(BaseModel):
    """Which events are wanted."""

    model_config = ConfigDict(extra="forbid")

    zone: ZoneText | None = Field(default=None, description="Only of this zone.", examples=["taman-kota:bedeng-1:1"])
    device: str | None = Field(
        default=None, max_length=130, description="Only of this device.", examples=["taman-kota:bedeng-1"]
    )
    event: Literal["telemetry", "act", "decision", "device"] | None = Field(
        default=None, description="Only of this sort.", examples=["act"]
    )


def _wanted(request: Annotated[EventFilter, Query()]) -> EventFilter:
    """Check the filter before the stream begins: after its first byte an error has no status left."""
    if request.zone is not None:
        zone_in_body("zone", request.zone)
    if request.device is not None and parse_device_id(request.device) is None:
        raise InvalidField("device", "a device is named {site}:{device}, such as taman-kota:bedeng-1")
    return request


async def _subscription(services: Needs) -> AsyncIterator[Subscription]:
    """Subscribe before the stream begins and let go when it has ended."""
    try:
        async with services.feed.subscribe() as subscription:
            yield subscription
    except TooManySubscribers as exc:
        raise Unavailable(str(exc) or (TooManySubscribers.__doc__ or "")) from exc


@router.get("", response_class=EventSourceResponse)
async def follow_events(
    services: Needs,
    wanted: Annotated[EventFilter, Depends(_wanted)],
    subscription: Annotated[Subscription, Depends(_subscription)],
    still_admitted: StillAdmitted,
) -> AsyncIterator[ServerSentEvent]:
    """Follow telemetry, acts, decisions and devices as they happen.

    The event `missed` says how many events this reader was too slow for. The stream ends when its token is revoked.
    """
    yield ServerSentEvent(comment="following")
    missed = 0
    now = asyncio.get_running_loop().time  # the wall's pace: a fast clock of the platform asks no more often
    due = now() + TOKEN_CHECK_S
    while not services.stopping():
        if now() >= due:
            if not await still_admitted():
                return
            due = now() + TOKEN_CHECK_S
        event = await subscription.next(STOP_CHECK_S)
        if subscription.missed > missed:
            yield ServerSentEvent(event="missed", raw_data=f'{{"events":{subscription.missed - missed}}}')
            missed = subscription.missed
        if event is not None and _matches(wanted, event):
            text = msgspec.json.encode(_shown(event.data)).decode("utf-8")
            yield ServerSentEvent(event=event.name, id=str(event.number), raw_data=text)


def _matches(wanted: EventFilter, event: Event) -> bool:
    if wanted.event is not None and event.name != wanted.event:
        return False
    zone = event.data.get("zone")
    if wanted.zone is not None and zone != wanted.zone:
        return False
    device = event.data.get("device") or str(zone).rpartition(":")[0]
    return wanted.device is None or device == wanted.device


def _shown(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the event with its instants as the API writes them: `at_ms` becomes `at`."""
    return {
        name.removesuffix("_ms"): optional_instant(value) if name.endswith("_ms") else value for name, value in data.items()
    }
