# SPDX-License-Identifier: Apache-2.0
"""What devices sent and Tirta could not take, with the reason: `/quarantine`."""

from __future__ import annotations

import base64
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from api.access import Caller
from api.errors import NotFound
from api.instants import When, format_instant
from api.names import RecordId, record_number
from api.pages import Listing, NumberedPage
from api.problems import refusals
from api.services import Needs, Services
from control.access import Permission, Principal
from control.sight import place_of_site, site_names
from gateway.topics import NAME_PATTERN
from ingest.quarantine import QuarantinedRecord

__all__ = ["router"]

router = APIRouter(prefix="/quarantine", tags=["quarantine"])


class QuarantineEntry(BaseModel):
    """A message, or a record of one, that was not taken."""

    id: str = Field(description="Id.", examples=["4711"])
    at: When = Field(description="When it was received.", examples=["2026-11-22T05:00:00Z"])
    topic: str = Field(description="Topic it came on.", examples=["tirta/v1/taman-kota/bedeng-1/telemetry"])
    site: str | None = Field(description="Site, where the topic names one.", examples=["taman-kota"])
    device: str | None = Field(description="Device, where the topic names one.", examples=["bedeng-1"])
    reason: str = Field(description="The contract's error code.", examples=["unknown-quantity"])
    detail: str = Field(description="What was wrong.", examples=["soil_moistur: did you mean soil_moisture?"])
    size: int = Field(description="Size of the whole payload. [bytes]", examples=[71])


class QuarantineDetail(QuarantineEntry):
    """The same with its payload."""

    payload_text: str = Field(
        description="Payload, at most its first 4 KiB, as text; what is not UTF-8 is shown as U+FFFD.",
        examples=['{"ts":1763770800000,"soil_moistur":0.31}'],
    )
    payload_base64: str = Field(description="The same bytes in Base64.", examples=["eyJ0cyI6MX0="])


class QuarantineFilter(NumberedPage):
    """Which entries are wanted."""

    reason: str | None = Field(default=None, max_length=64, description="Only this reason.", examples=["out-of-range"])
    site: str | None = Field(default=None, pattern=NAME_PATTERN, description="Only of this site.", examples=["taman-kota"])
    device: str | None = Field(
        default=None, pattern=NAME_PATTERN, description="Only of devices of this name.", examples=["bedeng-1"]
    )


@router.get("")
def list_quarantine(services: Needs, caller: Caller, request: Annotated[QuarantineFilter, Query()]) -> Listing[QuarantineEntry]:
    """List what was not taken, newest first; what names no site is shown to who sees every site."""
    with services.database.reader() as session:
        sites = site_names(session, caller)
    items, after = services.quarantine.list(
        limit=request.limit,
        after=request.cursor,
        reason=request.reason,
        site=request.site,
        device=request.device,
        sites=sites,
    )
    entries = [QuarantineEntry(**_plain(item)) for item in items]
    return Listing(items=entries, next=None if after is None else str(after))


@router.get("/{record}", responses=refusals(404))
def show_quarantine(record: RecordId, services: Needs, caller: Caller) -> QuarantineDetail:
    """Show one entry with its payload."""
    number = record_number(record)
    item = None if number is None else services.quarantine.get(number)
    if item is None or not _seen(item.site, services, caller):
        raise NotFound("There is no quarantine entry with this id; the oldest are dropped when room runs out.")
    return QuarantineDetail(
        **_plain(item),
        payload_text=item.payload.decode("utf-8", "replace"),
        payload_base64=base64.b64encode(item.payload).decode("ascii"),
    )


def _seen(site: str | None, services: Services, caller: Principal) -> bool:
    if caller.everywhere(Permission.SEE):
        return True
    with services.database.reader() as session:
        place = None if site is None else place_of_site(session, site)
    return place is not None and caller.allows(Permission.SEE, place)


def _plain(item: QuarantinedRecord) -> dict[str, Any]:
    return {
        "id": str(item.id),
        "at": format_instant(item.at_ms),
        "topic": item.topic,
        "site": item.site,
        "device": item.device,
        "reason": item.reason,
        "detail": item.detail,
        "size": item.size,
    }
