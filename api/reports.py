# SPDX-License-Identifier: Apache-2.0
"""What a day came to: `/reports/day`.

Invariant: each moment that the calendars had planned is a row; `without_row` counts those of which the ledger knows nothing.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from api.access import Caller
from api.acts import Amounts
from api.errors import InvalidField
from api.instants import When, format_instant, optional_instant
from api.permissions import require
from api.problems import refusals
from api.sentences import Sentence
from api.services import Needs
from control.access import Permission
from control.proof import VERDICTS
from control.reports import MAX_ROWS, DayReport, DayRow, Totals, day_report
from control.states import STATES

__all__ = ["DayReportAnswer", "day_answer", "router"]

router = APIRouter(prefix="/reports", tags=["reports"])

_VERDICTS: Final[list[JsonValue]] = list(VERDICTS)
_STATES: Final[list[JsonValue]] = [*STATES, "ahead", "waiting", "quiet", "without-row"]


class DayRowAnswer(BaseModel):
    """A planned moment, or something that was done beside the calendars."""

    zone: str | None = Field(description="Id of the zone; null is every zone.", examples=["taman-kota:bedeng-1:1"])
    device: str = Field(description="Id of the device.", examples=["taman-kota:bedeng-1"])
    title: str = Field(description="What the zone is called.", examples=["Bedeng 1"])
    at: When = Field(description="The planned moment, or when it was asked for.", examples=["2026-11-21T21:30:00Z"])
    sort: Literal["calendar", "rule", "hand", "board", "other"] = Field(
        description="`calendar`: planned. `rule`: asked for by a rule for what it measured. `hand`: by a person. `board`: done "
        "by the device or at its button. `other`: of a schedule, and not in its calendar as that is now."
    )
    action: str = Field(description="What was to be done.", examples=["irrigate"])
    state: str = Field(
        description="Of the act; or `ahead`, `waiting`, `quiet` (looked at, and nothing needed), `without-row`.",
        json_schema_extra={"enum": _STATES},
        examples=["skipped"],
    )
    reason: str | None = Field(description="Why it stands so.", examples=["offline"])
    schedule: str | None = Field(description="Id of the schedule.", examples=["01KAQZ7J5RT0M3Q4W1D0V6B3NM"])
    version: int = Field(description="Version of the schedule that counted then.", examples=[1])
    part: int = Field(description="Which part of a run in cycles this is; each is a row, the run counts once.", examples=[1])
    parts: int = Field(description="Of how many.", examples=[1])
    act: str | None = Field(description="Id of the act.", examples=["01KAQZ7J5RT0M3Q4W1D0V6B3NM"])
    amount: Amounts = Field(description="What was planned or asked for.")
    result: Amounts = Field(description="What was truly done, as the device says.")
    verdict: str | None = Field(
        description="Whether it had its effect, by what was measured; null until that is judged.",
        json_schema_extra={"enum": [*_VERDICTS, None]},
        examples=["proved"],
    )
    begun: When | None = Field(description="When it began.", examples=[None])
    ended: When | None = Field(description="When it ended.", examples=["2026-11-21T22:00:00Z"])
    sentence: Sentence = Field(description="What became of it and why, in words.")


class DayTotals(BaseModel):
    """What the day comes to; `planned` is `done`, all of `not_done` and `open`, and `without_row`, together."""

    planned: int = Field(description="Moments that the calendars had planned.", examples=[12])
    done: int = Field(description="Of them done.", examples=[9])
    not_done: dict[str, int] = Field(
        description="Of them over and not done, by state and reason.", examples=[{"skipped: offline": 2}]
    )
    open: dict[str, int] = Field(description="Of them under way, waiting or to come, by state.", examples=[{"ahead": 1}])
    without_row: int = Field(description="Of them such that the ledger knows nothing of: a fault.", examples=[0])
    others: dict[str, int] = Field(description="What no calendar planned, by `sort`.", examples=[{"hand": 1}])
    litres: float = Field(description="Water given, by whomever. [L]", examples=[540.0])
    grams: float = Field(description="Feed given, by whomever. [g]", examples=[1200.0])


class DayReportAnswer(BaseModel):
    """A site's day."""

    site: str = Field(description="Name of the site.", examples=["taman-kota"])
    title: str = Field(description="What it is called.", examples=["Taman Kota"])
    timezone: str = Field(description="Its IANA time zone.", examples=["Asia/Makassar"])
    date: str = Field(description="The local date.", examples=["2026-11-22"], json_schema_extra={"format": "date"})
    start: When = Field(description="When the day begins.", examples=["2026-11-21T16:00:00Z"])
    end: When = Field(description="When it ends.", examples=["2026-11-22T16:00:00Z"])
    seen: When = Field(description="As it was known then.", examples=["2026-11-22T05:00:00Z"])
    totals: DayTotals = Field(description="What it comes to, all rows counted.")
    rows: list[DayRowAnswer] = Field(description=f"By zone and time, the first {MAX_ROWS:,}.")
    left_out: int = Field(description="Further rows that are counted and not shown.", examples=[0])


class DayFilter(BaseModel):
    """Which day is wanted."""

    model_config = ConfigDict(extra="forbid")

    site: str = Field(max_length=64, description="Name of the site.", examples=["taman-kota"])
    date: str | None = Field(
        default=None,
        pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$",
        description="Local date of the site; today unless told.",
        examples=["2026-11-22"],
    )


@router.get("/day", responses=refusals(404))
def report_day(services: Needs, caller: Caller, request: Annotated[DayFilter, Query()]) -> DayReportAnswer:
    """Tell of each moment that a site's calendars had planned on a day what became of it and why, and what else was done."""
    require(services, caller, Permission.SEE, request.site, "site", request.site)
    day = _day(request.date)
    with services.database.reader() as session:
        return day_answer(day_report(session, request.site, day=day, now_ms=services.clock.now_ms()))


def day_answer(report: DayReport) -> DayReportAnswer:
    """Return a report as it is answered."""
    return DayReportAnswer(
        site=report.site.name,
        title=report.site.title,
        timezone=report.site.timezone,
        date=report.day.isoformat(),
        start=format_instant(report.start_ms),
        end=format_instant(report.end_ms),
        seen=format_instant(report.seen_ms),
        totals=_totals(report.totals),
        rows=[_row(row) for row in report.rows],
        left_out=report.left_out,
    )


def _day(text: str | None) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as exc:
        raise InvalidField("date", "there is no such date; give one as 2026-11-22") from exc


def _totals(totals: Totals) -> DayTotals:
    return DayTotals(
        planned=totals.planned,
        done=totals.done,
        not_done=dict(totals.not_done),
        open=dict(totals.open),
        without_row=totals.without_row,
        others=dict(totals.others),
        litres=round(totals.litres, 3),
        grams=round(totals.grams, 3),
    )


def _row(row: DayRow) -> DayRowAnswer:
    act, due = row.act, row.due
    asked = act if act is not None else due
    return DayRowAnswer(
        zone=row.zone_key,
        device=row.device_key,
        title=row.title,
        at=format_instant(row.at_ms),
        sort=row.sort,
        action=row.action,
        state=row.state,
        reason=row.reason,
        schedule=row.schedule_id,
        version=row.version,
        part=1 if act is None else act.part,
        parts=1 if act is None else act.parts,
        act=None if act is None else act.id,
        amount=Amounts(
            seconds=None if asked is None else asked.seconds,
            litres=None if asked is None else asked.litres,
            grams=None if asked is None else asked.grams,
        ),
        result=Amounts(
            seconds=None if act is None else act.result_seconds,
            litres=None if act is None else act.result_litres,
            grams=None if act is None else act.result_grams,
        ),
        verdict=None if act is None else act.verdict,
        begun=None if act is None else optional_instant(act.begun_ms),
        ended=None if act is None else optional_instant(act.ended_ms),
        sentence=Sentence(**row.sentence),
    )
