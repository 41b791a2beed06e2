# SPDX-License-Identifier: Apache-2.0
"""What is wrong, or was: `/alarms`.

Invariant: an alarm ends with its cause and by nobody's word; that somebody has seen it is all that people change. Alarms of the
installation itself are shown to who sees every site.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from api.access import Caller, CallersTrail
from api.bodies import IfMatch, tagged
from api.instants import When, format_instant, optional_instant
from api.names import RecordId
from api.pages import Listing, Page, Sort
from api.problems import refusals
from api.sentences import Sentence
from api.services import Needs
from control import alarms
from control.alarms import Alarm
from control.alarms_codes import Severity
from control.events import alarm_event
from control.sentences import sentences

__all__ = ["router"]

router = APIRouter(prefix="/alarms", tags=["alarms"])


class AlarmAnswer(BaseModel):
    """One time in which something was wrong."""

    id: str = Field(description="Id.", examples=["01KAQZ7J5RT0M3Q4W1D0V6B3NM"])
    code: str = Field(description="What sort of alarm.", examples=["device-offline"])
    severity: Severity = Field(description="`critical`: look now. `warning`: look today. `info`: worth knowing.")
    subject: str = Field(
        description="With what: a part of Tirta, or `{sort}:{id}` of a thing.", examples=["device:taman-kota:bedeng-1"]
    )
    site: str | None = Field(description="At which site.", examples=["taman-kota"])
    agency: str | None = Field(description="Of which agency, where it is one of an agency as a whole.", examples=[None])
    since: When = Field(description="Since when.", examples=["2026-11-22T05:00:00Z"])
    cleared: When | None = Field(description="When its cause was gone; null as long as it is open.", examples=[None])
    seen: When | None = Field(description="When somebody saw it first.", examples=["2026-11-22T05:03:00Z"])
    seen_by: str | None = Field(description="Who.", examples=["ani"])
    text: Sentence = Field(description="What is wrong, in words.")
    details: dict[str, float | str] = Field(
        description="What was found, numbers named with their units; `said` is what the part itself said.",
        examples=[{"title": "Bedeng depan", "limit_min": 15.0}],
    )
    version: int = Field(description="1, and 2 once it was seen; also in `ETag`.", examples=[2])


class AlarmFilter(Page):
    """Which alarms are wanted."""

    code: str | None = Field(default=None, max_length=64, description="Only this code.", examples=["device-offline"])
    subject: str | None = Field(
        default=None, max_length=200, description="Only with this.", examples=["device:taman-kota:bedeng-1"]
    )
    severity: Severity | None = Field(default=None, description="Only of this weight.", examples=["critical"])
    open: bool | None = Field(default=None, description="Only those that are open, or those that are cleared.", examples=[True])
    seen: bool | None = Field(default=None, description="Only those that somebody has seen, or nobody.", examples=[False])
    sort: str | None = Sort("since", "code", "subject")


@router.get("")
def list_alarms(services: Needs, caller: Caller, request: Annotated[AlarmFilter, Query()]) -> Listing[AlarmAnswer]:
    """List alarms, the newest first; those of the installation itself are shown to who sees every site."""
    held = services.held_alarms()
    with services.database.reader() as session:
        found, after = alarms.list_alarms(
            session,
            code=request.code,
            subject=request.subject,
            severity=request.severity,
            is_open=request.open,
            seen=request.seen,
            seen_by=caller,
            sort=request.sort,
            limit=request.limit,
            after=request.after,
            held=held,
        )
    return Listing(items=[_answer(alarm) for alarm in found], next=after)


@router.get("/{record}", responses=refusals(404))
def show_alarm(record: RecordId, services: Needs, caller: Caller, response: Response) -> AlarmAnswer:
    """Show one alarm; `ETag` is its version."""
    held = services.held_alarms()
    with services.database.reader() as session:
        alarm = alarms.get_alarm(session, record, seen_by=caller, held=held)
    tagged(alarm.version, response)
    return _answer(alarm)


@router.post("/{record}/seen", responses=refusals(404, 412))
def see_alarm(
    record: RecordId, services: Needs, caller: Caller, trail: CallersTrail, version: IfMatch, response: Response
) -> AlarmAnswer:
    """Say that one has seen an alarm and takes care of it; the first who did is named."""
    now_ms, held = services.clock.now_ms(), services.held_alarms()
    with services.database.session() as session:
        alarm, new = alarms.mark_seen(session, record, now_ms=now_ms, trail=trail, version=version, seen_by=caller, held=held)
    if new:
        services.feed.publish("alarm", alarm_event(alarm, "seen"))
    tagged(alarm.version, response)
    return _answer(alarm)


def _answer(alarm: Alarm) -> AlarmAnswer:
    return AlarmAnswer(
        id=alarm.id,
        code=alarm.code,
        severity=alarm.severity,  # type: ignore[arg-type]
        subject=alarm.subject,
        site=alarm.site,
        agency=alarm.agency,
        since=format_instant(alarm.since_ms),
        cleared=optional_instant(alarm.cleared_ms),
        seen=optional_instant(alarm.seen_ms),
        seen_by=alarm.seen_by,
        text=Sentence(**sentences(alarm)),
        details=dict(alarm.details),
        version=alarm.version,
    )
