# SPDX-License-Identifier: Apache-2.0
"""What a day came to."""

from __future__ import annotations

from datetime import date as Date  # noqa: N812 - a field is called date
from datetime import datetime
from typing import Literal

import msgspec

from tirta.client.acts import Amounts, ProofVerdict, Sentence
from tirta.client.calls import Calls

__all__ = ["DayReport", "DayRow", "DayTotals", "Reports"]


class DayRow(msgspec.Struct, frozen=True):
    """A planned moment, or something that was done beside the calendars."""

    zone: str | None
    device: str
    title: str
    at: datetime
    sort: Literal["calendar", "rule", "hand", "board", "other"]
    action: str
    state: str
    reason: str | None
    schedule: str | None
    version: int
    part: int
    parts: int
    act: str | None
    amount: Amounts
    result: Amounts
    verdict: ProofVerdict | None
    begun: datetime | None
    ended: datetime | None
    sentence: Sentence


class DayTotals(msgspec.Struct, frozen=True):
    """What the day comes to."""

    planned: int
    done: int
    not_done: dict[str, int]
    open: dict[str, int]
    without_row: int
    others: dict[str, int]
    litres: float
    grams: float


class DayReport(msgspec.Struct, frozen=True):
    """A site's day, as it was known at `seen`."""

    site: str
    title: str
    timezone: str
    date: Date
    start: datetime
    end: datetime
    seen: datetime
    totals: DayTotals
    rows: list[DayRow]
    left_out: int


class Reports:
    """`client.reports`."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def day(self, site: str, date: Date | None = None) -> DayReport:
        """Return what became of each planned moment of a site's day, today's unless told."""
        return self._calls.one(
            DayReport, "GET", "/api/v1/reports/day", query={"site": site, "date": None if date is None else date.isoformat()}
        )
