# SPDX-License-Identifier: Apache-2.0
"""What a day's calendars plan, and how a report of it is judged; the calendars are expanded here by dateutil alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from dateutil.rrule import rrulestr

from tirta.client.reports import DayReport, DayRow

__all__ = ["DAY", "ZONE", "Plan", "faults_of", "planned"]

ZONE: Final = ZoneInfo("Asia/Makassar")
DAY: Final = date(2026, 11, 24)  # a Tuesday
MOVED: Final = frozenset({"done", "failed", "indeterminate", "unknown"})  # of an act that began, the ledger says one of these


@dataclass(frozen=True, slots=True)
class Plan:
    """A schedule as it is asked for, and the same as rules: (RFC 5545, time of day)."""

    zone: str
    definition: Mapping[str, Any]
    rules: Sequence[tuple[str, str]]


def planned(plans: Iterable[Plan], day: date = DAY) -> Counter[tuple[str, datetime]]:
    """Return the moments of a local date, by zone."""
    found: Counter[tuple[str, datetime]] = Counter()
    begin = datetime.combine(day, time(0))
    for plan in plans:
        for rule, at in plan.rules:
            hour, minute = map(int, at.split(":"))
            first = datetime.combine(day - timedelta(days=70), time(hour, minute))
            for moment in rrulestr(rule, dtstart=first).between(begin, begin + timedelta(days=1), inc=True):
                if moment.date() == day:
                    found[plan.zone, moment.replace(tzinfo=ZONE)] += 1
    return found


def faults_of(report: DayReport, plans: Iterable[Plan], began: Mapping[str, int], ended: frozenset[str]) -> list[str]:
    """Return what is wrong with a report, row by row; nothing where it has no gap.

    Parameters
    ----------
    began : mapping
        How often each act truly began, by its id, as the devices saw it.
    ended : frozenset of str
        States that are an end.
    """
    wanted, rows = planned(plans, report.date), [row for row in report.rows if row.sort == "calendar"]
    told = Counter((row.zone or "", row.at.astimezone(ZONE)) for row in rows)
    wrong = [f"{zone} {at:%H:%M}: planned and not told" for zone, at in (wanted - told).elements()]
    wrong += [f"{zone} {at:%H:%M}: told and not planned" for zone, at in (told - wanted).elements()]
    for row in rows:
        name = f"{row.zone} {row.at.astimezone(ZONE):%H:%M} {row.state}"
        wrong += [f"{name}: {what}" for what in _wrong_in(row, began, ended)]
    totals = report.totals
    counted = totals.done + sum(totals.not_done.values()) + sum(totals.open.values()) + totals.without_row
    if not (totals.planned == counted == wanted.total()):
        wrong.append(f"planned are {wanted.total()}, told {totals.planned}, counted {counted}")
    return wrong


def _wrong_in(row: DayRow, began: Mapping[str, int], ended: frozenset[str]) -> list[str]:
    wrong = [] if row.state in ended else ["has no end"]
    if row.ended is None:
        wrong.append("does not say when it ended")
    if row.state != "done" and row.reason is None and row.state != "indeterminate":
        wrong.append("says no reason")
    if not (row.sentence.id and row.sentence.en):
        wrong.append("has no sentence")
    times = began.get(row.act or "", 0)
    if times > 1:
        wrong.append(f"began {times} times")
    if (times == 1 and row.state not in MOVED) or (times == 0 and row.state == "done"):
        wrong.append(f"truly began {times} times")
    if row.state == "done" and row.result.litres is None and row.result.grams is None:
        wrong.append("does not say what was given")
    return wrong
