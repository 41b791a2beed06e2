# SPDX-License-Identifier: Apache-2.0
"""What devices sent and Tirta could not take, with the reason: `/quarantine`.

Invariant: what is replayed goes the whole way again, through the journal, and is stored once; what is refused again stays,
with the new reason. Nothing is discarded by a filter that names nothing.
"""

from __future__ import annotations

import asyncio
import base64
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field

from api.access import Caller, CallersTrail
from api.bodies import Body
from api.errors import Conflict, InvalidField, NotFound
from api.instants import When, format_instant
from api.names import RecordId, record_number
from api.pages import Listing, NumberedPage, Sort
from api.permissions import require
from api.problems import refusals
from api.services import Needs, Services
from control.access import Permission, Place, Principal
from control.audit import Trail
from control.audit import record as enter
from control.errors import NotAllowed
from control.sight import place_of_site, site_names
from gateway.topics import NAME_PATTERN
from ingest.quarantine import QuarantinedRecord
from ingest.rejects import STORE_REFUSED

__all__ = ["router"]

router = APIRouter(prefix="/quarantine", tags=["quarantine"])

DISCARD_MAX: Final = 10_000  # entries thrown away by one request
MANY: Final = 1_000  # entries replayed by one request
AT_ONCE: Final = 50  # of these, on their way at a time

_GONE: Final = "There is no quarantine entry with this id; the oldest are dropped when room runs out."


class QuarantineEntry(BaseModel):
    """A message, or a record of one, that was not taken."""

    id: str = Field(description="Id.", examples=["4711"])
    at: When = Field(description="When it was received.", examples=["2026-11-22T05:00:00Z"])
    topic: str = Field(description="Topic it came on.", examples=["tirta/v1/taman-kota/bedeng-1/telemetry"])
    site: str | None = Field(description="Site, where the topic names one.", examples=["taman-kota"])
    device: str | None = Field(description="Device, where the topic names one.", examples=["bedeng-1"])
    reason: str = Field(description="The contract's error code.", examples=["unknown-quantity"])
    detail: str = Field(description="What was wrong.", examples=["soil_moistur: did you mean soil_moisture?"])
    size: int = Field(description="Size of the payload, or of an array of its one record. [bytes]", examples=[71])
    replays: int = Field(description="How often it was replayed and refused again.", examples=[0])
    replayable: bool = Field(description="Whether all of it is kept and a replay can do something.")


class QuarantineDetail(QuarantineEntry):
    """The same with its payload."""

    payload_text: str = Field(
        description="Payload, of one over 64 KiB its first 4 KiB, as text; what is not UTF-8 is shown as U+FFFD.",
        examples=['{"ts":1763770800000,"soil_moistur":0.31}'],
    )
    payload_base64: str = Field(description="The same bytes in Base64.", examples=["eyJ0cyI6MX0="])


class ReplayAnswer(BaseModel):
    """What came of a replay."""

    id: str = Field(description="Id.", examples=["4711"])
    result: Literal["stored", "duplicate", "refused", "waiting"] = Field(
        description="`stored`: taken. `duplicate`: it had arrived before. `refused`: still wrong, and still here. "
        "`waiting`: in the journal, and decided about when its turn comes."
    )
    reason: str | None = Field(description="With `refused`: the error code.", examples=["unknown-quantity"])
    detail: str | None = Field(
        description="With `refused`: what is wrong.", examples=["soil_moistur: did you mean soil_moisture?"]
    )


class ReplayRequest(Body):
    """Which entries are to be replayed, the oldest first; all where nothing is named."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "unknown-device", "site": "taman-kota"}]})

    reason: str | None = Field(default=None, max_length=64, description="Only this reason.", examples=["unknown-device"])
    site: str | None = Field(default=None, pattern=NAME_PATTERN, description="Only of this site.", examples=["taman-kota"])
    device: str | None = Field(default=None, pattern=NAME_PATTERN, description="Only of this device.", examples=["bedeng-1"])
    limit: int = Field(default=MANY, ge=1, le=MANY, description="Most entries.", examples=[1000])
    after: str | None = Field(default=None, pattern=r"^[0-9]{1,18}$", description="The `next` of the answer before.")


class ReplaysAnswer(BaseModel):
    """What came of many replays."""

    stored: int = Field(description="Taken.", examples=[12])
    duplicate: int = Field(description="Had arrived before.", examples=[0])
    refused: int = Field(description="Still wrong, and still here.", examples=[3])
    waiting: int = Field(description="In the journal, not decided about yet.", examples=[0])
    incomplete: int = Field(description="Passed over: not all of it is kept, or only a store refused it.", examples=[0])
    next: str | None = Field(description="The `after` to go on with; null when none are left.")


class QuarantineChoice(BaseModel):
    """Which entries are to be thrown away: at least one of these."""

    model_config = ConfigDict(extra="forbid")

    reason: str | None = Field(default=None, max_length=64, description="Of this reason.", examples=["out-of-range"])
    site: str | None = Field(default=None, pattern=NAME_PATTERN, description="Of this site.", examples=["taman-kota"])
    device: str | None = Field(default=None, pattern=NAME_PATTERN, description="Of this device.", examples=["bedeng-1"])


class DiscardAnswer(BaseModel):
    """How many were thrown away."""

    discarded: int = Field(description="Entries that are gone.", examples=[12])
    more: bool = Field(description="Whether to ask again: at most 10,000 go at a time.")


class QuarantineFilter(NumberedPage):
    """Which entries are wanted."""

    reason: str | None = Field(default=None, max_length=64, description="Only this reason.", examples=["out-of-range"])
    site: str | None = Field(default=None, pattern=NAME_PATTERN, description="Only of this site.", examples=["taman-kota"])
    device: str | None = Field(
        default=None, pattern=NAME_PATTERN, description="Only of devices of this name.", examples=["bedeng-1"]
    )
    sort: str | None = Sort("id")


@router.get("")
def list_quarantine(services: Needs, caller: Caller, request: Annotated[QuarantineFilter, Query()]) -> Listing[QuarantineEntry]:
    """List what was not taken, newest first unless told otherwise; what names no site is shown to who sees every site."""
    items, after = services.quarantine.list(
        limit=request.limit,
        after=request.cursor,
        reason=request.reason,
        site=request.site,
        device=request.device,
        sites=_sites(services, caller, Permission.SEE),
        newest_first=_newest_first(request.sort),
    )
    entries = [QuarantineEntry(**_plain(item)) for item in items]
    return Listing(items=entries, next=None if after is None else str(after))


@router.get("/{record}", responses=refusals(404))
def show_quarantine(record: RecordId, services: Needs, caller: Caller) -> QuarantineDetail:
    """Show one entry with its payload."""
    item = _find(services, record, caller, Permission.SEE)
    return QuarantineDetail(
        **_plain(item),
        payload_text=item.payload.decode("utf-8", "replace"),
        payload_base64=base64.b64encode(item.payload).decode("ascii"),
    )


@router.post("/{record}/replay", responses=refusals(404, 409))
async def replay_quarantine(record: RecordId, services: Needs, caller: Caller, trail: CallersTrail) -> ReplayAnswer:
    """Have one entry decided about anew, after its cause is mended: a device registered, a quantity added to its kind."""
    item = await run_in_threadpool(_find, services, record, caller, Permission.EQUIP)
    if not item.complete:
        raise Conflict(
            "Only the first 4 KiB of this payload are kept: it cannot be replayed; have the device send it in parts."
        )
    if item.reason == STORE_REFUSED:
        raise Conflict(
            "Every store but one has this record, and that one can never take it: discard it once you have seen why."
        )
    await run_in_threadpool(_enter, services, trail, "quarantine.replay", item.id, item.site, {"reason": item.reason})
    return await _replay(services, item)


@router.post("/replay", responses=refusals(404))
async def replay_many(body: ReplayRequest, services: Needs, caller: Caller, trail: CallersTrail) -> ReplaysAnswer:
    """Have many entries decided about anew, the oldest first."""
    sites = await run_in_threadpool(_sites, services, caller, Permission.EQUIP)
    if body.site is not None:
        await run_in_threadpool(require, services, caller, Permission.EQUIP, body.site, "site", body.site)
    asked = body.model_dump(include={"reason", "site", "device"}, exclude_none=True)
    await run_in_threadpool(_enter, services, trail, "quarantine.replay", "*", body.site, asked)
    items = await run_in_threadpool(
        services.quarantine.oldest,
        limit=body.limit,
        after=int(body.after or 0),
        reason=body.reason,
        site=body.site,
        device=body.device,
        sites=sites,
    )
    able = [item for item in items if _replayable(item)]
    results: Counter[str] = Counter()
    for start in range(0, len(able), AT_ONCE):
        answers = await asyncio.gather(*(_replay(services, item) for item in able[start : start + AT_ONCE]))
        results.update(answer.result for answer in answers)
    return ReplaysAnswer(
        **{result: results[result] for result in ("stored", "duplicate", "refused", "waiting")},
        incomplete=len(items) - len(able),
        next=str(items[-1].id) if len(items) == body.limit else None,
    )


@router.delete("/{record}", status_code=204, responses=refusals(404))
def discard_quarantine(record: RecordId, services: Needs, caller: Caller, trail: CallersTrail) -> None:
    """Throw one entry away."""
    item = _find(services, record, caller, Permission.EQUIP)
    _enter(services, trail, "quarantine.discard", item.id, item.site, {"reason": item.reason, "topic": item.topic})
    if not services.quarantine.discard(item.id):
        raise NotFound(_GONE)


@router.delete("", responses=refusals(404))
def discard_many(
    services: Needs, caller: Caller, trail: CallersTrail, request: Annotated[QuarantineChoice, Query()]
) -> DiscardAnswer:
    """Throw away what is of a reason, a site or a device."""
    if request.reason is None and request.site is None and request.device is None:
        raise InvalidField("reason", "name a reason, a site or a device; everything at once is not thrown away")
    if request.site is not None:  # or an entry would say at somebody else's site that this was tried
        require(services, caller, Permission.EQUIP, request.site, "site", request.site)
    _enter(services, trail, "quarantine.discard", "*", request.site, request.model_dump(exclude_none=True))
    gone = services.quarantine.discard_all(
        limit=DISCARD_MAX,
        reason=request.reason,
        site=request.site,
        device=request.device,
        sites=_sites(services, caller, Permission.EQUIP),
    )
    return DiscardAnswer(discarded=gone, more=gone == DISCARD_MAX)


def _find(services: Services, record: str, caller: Principal, permission: Permission) -> QuarantinedRecord:
    number = record_number(record)
    item = None if number is None else services.quarantine.get(number)
    if item is None:
        raise NotFound(_GONE)
    if not caller.everywhere(permission):
        with services.database.reader() as session:
            place = (None if item.site is None else place_of_site(session, item.site)) or Place()
        if not caller.allows(Permission.SEE, place):
            raise NotFound(_GONE)
        if not caller.allows(permission, place):
            raise NotAllowed(permission)
    return item


def _newest_first(sort: str | None) -> bool:
    if sort not in (None, "id", "-id"):
        raise InvalidField("sort", "id, with - before it for the newest first")
    return sort != "id"


def _sites(services: Services, caller: Principal, permission: Permission) -> Sequence[str] | None:
    with services.database.reader() as session:
        return site_names(session, caller, permission)


def _enter(services: Services, trail: Trail, action: str, number: int | str, site: str | None, told: dict[str, Any]) -> None:
    """Enter into the audit trail what is about to be done to the quarantine, which is a database of its own."""
    with services.database.session() as session:
        place = None if site is None else place_of_site(session, site)
        enter(session, trail, action, f"quarantine:{number}", place=place, after=told)


def _replayable(item: QuarantinedRecord) -> bool:
    return item.complete and item.reason != STORE_REFUSED


async def _replay(services: Services, item: QuarantinedRecord) -> ReplayAnswer:
    result = await services.replay(item)
    now = None
    if result in (None, "refused"):
        now = await run_in_threadpool(services.quarantine.get, item.id)
        result = "stored" if now is None else "refused"
    return ReplayAnswer(id=str(item.id), result=result, reason=now.reason if now else None, detail=now.detail if now else None)


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
        "replays": item.replays,
        "replayable": _replayable(item),
    }
