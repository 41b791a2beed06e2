# SPDX-License-Identifier: Apache-2.0
"""What happens, as it happens: server-sent events at `/events`.

Many follow the same: an event is written once, and each reader is sent what has gathered since the last piece, so that the
work grows with the readers and not with readers times events. The first event after a pause goes out at once. Invariant: a
slow reader never holds up the service: the feed bounds what waits for each reader and counts what it passes over, and a
stream ends when the service does, and within 5 s when its token, session or role ends. A comment every 15 s keeps quiet
connections open.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from api.access import Caller
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
TOKEN_CHECK_S: Final = 2.5  # between two looks at the caller; with a quiet wait and the look itself under 5 [s]
GATHER_S: Final = 0.2  # least time from one piece of a stream to the next [s]
SPREAD_S: Final = 0.1  # so much longer it is for some, evenly, or all streams would fall into one step [s]
CROWD: Final = 100  # streams; where more are followed, each comes in fewer and larger pieces
CROWDED: Final = 4.0  # by so much fewer, at most: an event is seen within little more than a second
COMMENT_S: Final = 15.0  # longest silence of a stream [s]

_GOLDEN: Final = (5**0.5 - 1) / 2  # its multiples fill an interval evenly, however many there are

# What an event on the wire is, for the description.
_EVENT: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "data": {"type": "string"},
        "event": {"type": "string"},
        "id": {"type": "string"},
        "retry": {"type": "integer", "minimum": 0},
    },
}

_HEADERS: Final = {
    "content-type": "text/event-stream; charset=utf-8",
    "x-accel-buffering": "no",  # a proxy before us hands each piece on as it comes
}

router = APIRouter(prefix="/events", tags=["events"])


class EventFilter(BaseModel):
    """Which events are wanted."""

    model_config = ConfigDict(extra="forbid")

    zone: ZoneText | None = Field(default=None, description="Only of this zone.", examples=["taman-kota:bedeng-1:1"])
    device: str | None = Field(
        default=None, max_length=130, description="Only of this device.", examples=["taman-kota:bedeng-1"]
    )
    event: Literal["telemetry", "act", "proof", "decision", "device", "alarm", "suspension"] | None = Field(
        default=None, description="Only of this sort.", examples=["act"]
    )


class _EventStream(StreamingResponse):
    """Without a type of its own: the description says what the stream holds, event by event."""

    media_type = None


def _wanted(request: Annotated[EventFilter, Query()]) -> EventFilter:
    """Check the filter before the stream begins: after its first byte an error has no status left."""
    if request.zone is not None:
        zone_in_body("zone", request.zone)
    if request.device is not None and parse_device_id(request.device) is None:
        raise InvalidField("device", "a device is named {site}:{device}, such as taman-kota:bedeng-1")
    return request


async def _subscription(
    services: Needs,
    caller: Caller,
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
        async with services.feed.subscribe(None if last_event_id is None else int(last_event_id), caller.key) as subscription:
            yield subscription
    except TooManySubscribers as exc:
        raise Unavailable(str(exc) or (TooManySubscribers.__doc__ or "")) from exc


@router.get("", response_class=_EventStream, responses={200: {"content": {"text/event-stream": {"itemSchema": _EVENT}}}})
async def follow_events(
    services: Needs,
    request: Request,
    wanted: Annotated[EventFilter, Depends(_wanted)],
    subscription: Annotated[Subscription, Depends(_subscription)],
) -> _EventStream:
    """Follow telemetry, acts, decisions, devices, alarms and suspensions as they happen, of the sites that the caller may see.

    The event `missed` says how many events this reader was too slow for, or that were forgotten before it came back.
    The stream ends when its token or session does.
    """
    return _EventStream(_pieces(services, Sight(services, request), wanted, subscription), headers=_HEADERS)


async def _pieces(services: Services, sight: Sight, wanted: EventFilter, subscription: Subscription) -> AsyncIterator[bytes]:
    """Give what is sent, piece by piece, until the stream has to end."""
    yield b": following\n\n"
    missed, said_s = 0, time.monotonic()
    gather_s = GATHER_S + SPREAD_S * (subscription.turn * _GOLDEN % 1.0)
    while not services.stopping() and await sight.lasts():
        events = await subscription.take(STOP_CHECK_S)
        piece = b"".join([_written(event) for event in events if _matches(wanted, event) and await sight.shows(event)])
        if subscription.missed > missed:
            piece = b'event: missed\ndata: {"events":%d}\n\n' % (subscription.missed - missed) + piece
            missed = subscription.missed
        now_s = time.monotonic()
        if not piece and now_s - said_s >= COMMENT_S:
            piece = b": still here\n\n"
        if piece:
            yield piece
            said_s = now_s
            await asyncio.sleep(gather_s * min(max(services.feed.listeners / CROWD, 1.0), CROWDED))


class Sight:
    """What a stream's reader may see, looked at again as long as the stream lasts."""

    def __init__(self, services: Services, request: Request) -> None:
        self._services = services
        self._principal: Principal | None = request.state.principal
        self._everything = self._sees_everything()
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
            self._everything = self._sees_everything()
        return self._principal is not None and self._principal.somewhere(Permission.SEE)

    async def shows(self, event: Event) -> bool:
        """Tell whether the reader may see an event."""
        principal, site = self._principal, event.site
        if principal is None or self._everything:
            return principal is not None
        if site is None:  # of an agency as a whole, or of the installation
            agency = event.data.get("agency")
            return agency is not None and principal.allows(Permission.SEE, place_of_agency(agency))
        if site not in self._sites:
            self._sites[site] = await run_in_threadpool(self._seen, principal, site)
        return self._sites[site]

    def _sees_everything(self) -> bool:
        return self._principal is not None and self._principal.everywhere(Permission.SEE)

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
    if wanted.zone is not None and event.zone != wanted.zone:
        return False
    return wanted.device is None or event.device == wanted.device


def _written(event: Event) -> bytes:
    """Return the event as it is sent; written once, whoever asks first."""
    if not event.written:
        data = msgspec.json.encode(_shown(event.data))
        event.written = b"event: %b\ndata: %b\nid: %d\n\n" % (event.name.encode("ascii"), data, event.number)
    return event.written


def _shown(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the event with its instants as the API writes them: `at_ms` becomes `at`."""
    return {
        name.removesuffix("_ms"): optional_instant(value) if name.endswith("_ms") else value for name, value in data.items()
    }
