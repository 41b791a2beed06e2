# SPDX-License-Identifier: Apache-2.0
"""What happens, as it happens: server-sent events at `/events`.

Invariant: a slow reader never holds up the service: the feed bounds each reader's queue and counts what it drops, and a
stream ends when the service does, and within 5 s when its token, session or role ends. A comment every 15 s keeps quiet
connections open.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel, ConfigDict, Field

from api.errors import InvalidField, Unavailable
from api.instants import optional_instant
from api.names import ZoneText, parse_device_id, zone_in_body
from api.services import Needs, Services
from control.access import Permission, Principal
from control.errors import DatabaseUnavailable
from control.sight import place_of_agency, place_of_site
from ingest.feed import Event, Subscription, TooManySubscribers

__all__ = ["router"]

STOP_CHECK_S: Final = 1.0  # how long a quiet stream may hold up the service's end [s]
TOKEN_CHECK_S: Final = 3.5  # between two looks at the caller; with a quiet wait and the look itself under 5 [s]

router = APIRouter(prefix="/events", tags=["events"])


class EventFilter(BaseModel):
    """Which events are wanted."""

    model_config = ConfigDict(extra="forbid")

    zone: ZoneText | None = Field(default=None, description="Only of this zone.", examples=["taman-kota:bedeng-1:1"])
    device: str | None = Field(
        default=None, max_length=130, description="Only of this device.", examples=["taman-kota:bedeng-1"]
    )
    event: Literal["telemetry", "act", "decision", "device", "alarm"] | None = Field(
        default=None, description="Only of this sort.", examples=["act"]
    )


def _wanted(request: Annotated[EventFilter, Query()]) -> EventFilter:
    """Check the filter before the stream begins: after its first byte an error has no status left."""
    if request.zone is not None:
        zone_in_body("zone", request.zone)
    if request.device is not None and parse_device_id(request.device) is None:
        raise InvalidField("device", "a device is named {site}:{device}, such as taman-kota:bedeng-1")
    return request


async def _subscription(
    services: Needs,
    last_event_id: Annotated[
        str | None,
        Header(
            pattern=r"^[0-9]{1,18}$",
            description="`id` of the last event that was seen: those since then come first. Browsers send it by themselves.",
            examples=["1795323600017"],
        ),
    ] = None,
) -> AsyncIterator[Subscription]:
    """Subscribe before the stream begins and let go when it has ended."""
    try:
        async with services.feed.subscribe(None if last_event_id is None else int(last_event_id)) as subscription:
            yield subscription
    except TooManySubscribers as exc:
        raise Unavailable(str(exc) or (TooManySubscribers.__doc__ or "")) from exc


@router.get("", response_class=EventSourceResponse)
async def follow_events(
    services: Needs,
    request: Request,
    wanted: Annotated[EventFilter, Depends(_wanted)],
    subscription: Annotated[Subscription, Depends(_subscription)],
) -> AsyncIterator[ServerSentEvent]:
    """Follow telemetry, acts, decisions, devices and alarms as they happen, of the sites that the caller may see.

    The event `missed` says how many events this reader was too slow for, or that were forgotten before it came back.
    The stream ends when its token or session does.
    """
    sight = Sight(services, request)
    yield ServerSentEvent(comment="following")
    missed = 0
    while not services.stopping() and await sight.lasts():
        event = await subscription.next(STOP_CHECK_S)
        if subscription.missed > missed:
            yield ServerSentEvent(event="missed", raw_data=f'{{"events":{subscription.missed - missed}}}')
            missed = subscription.missed
        if event is not None and _matches(wanted, event) and await sight.shows(event):
            text = msgspec.json.encode(_shown(event.data)).decode("utf-8")
            yield ServerSentEvent(event=event.name, id=str(event.number), raw_data=text)


class Sight:
    """What a stream's reader may see, looked at again as long as the stream lasts."""

    def __init__(self, services: Services, request: Request) -> None:
        self._services = services
        self._principal: Principal | None = request.state.principal
        self._again: Callable[[], Awaitable[Principal | None]] = request.state.again
        self._sites: dict[str, bool] = {}
        self._looked_s = time.monotonic()

    async def lasts(self) -> bool:
        """Tell whether the reader is still let in, on the wall's pace: a fast clock of the platform asks no more often."""
        if time.monotonic() - self._looked_s >= TOKEN_CHECK_S:
            self._looked_s = time.monotonic()
            self._sites.clear()
            try:
                self._principal = await self._again()
            except DatabaseUnavailable:
                self._principal = None  # whom nobody can vouch for comes again and is told why
        return self._principal is not None and self._principal.somewhere(Permission.SEE)

    async def shows(self, event: Event) -> bool:
        """Tell whether the reader may see an event."""
        principal = self._principal
        if principal is None or principal.everywhere(Permission.SEE):
            return principal is not None
        data = event.data
        site = str(data.get("zone") or data.get("device") or data.get("site") or "").partition(":")[0]
        if not site:  # of an agency as a whole, or of the installation
            agency = data.get("agency")
            return agency is not None and principal.allows(Permission.SEE, place_of_agency(agency))
        if site not in self._sites:
            self._sites[site] = await run_in_threadpool(self._seen, principal, site)
        return self._sites[site]

    def _seen(self, principal: Principal, site: str) -> bool:
        try:
            with self._services.database.reader() as session:
                place = place_of_site(session, site)
        except DatabaseUnavailable:
            return False
        return place is not None and principal.allows(Permission.SEE, place)


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
