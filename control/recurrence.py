# SPDX-License-Identifier: Apache-2.0
"""Recurrence rules of dates (RFC 5545), expanded by dateutil.

Pure. Invariant: no rule that people can write is looked for much longer than for a moment: what dateutil would look for in
vain, up to the year 9999, is refused before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from itertools import islice
from math import gcd
from typing import Final

from dateutil.rrule import rrulestr

__all__ = ["LATEST", "fits_some_date", "rule_dates"]

LATEST: Final = date(2099, 12, 31)  # of every date that people name, and of every rule
MAX_INTERVAL: Final = 400  # [d], or weeks, months, years
MAX_COUNT: Final = 100_000  # more than there are dates
YEAR_WEEKS, MONTH_WEEKS = 53, 5  # most of one weekday in a year, in a month
# Two times every sort of year there is, by its leap day and its weekdays, right before dateutil's last year.
LAST_YEARS: Final = 9944
COMMON: Final = frozenset({"FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST"})
# What dateutil is asked beyond this it may look for day by day: DAILY with BYMONTHDAY=30 in February.
PARTS: Final = {
    "DAILY": frozenset({"BYMONTH"}),
    "WEEKLY": frozenset({"BYMONTH", "BYDAY"}),
    "MONTHLY": frozenset({"BYMONTH", "BYDAY", "BYMONTHDAY", "BYSETPOS"}),
    "YEARLY": frozenset({"BYMONTH", "BYDAY", "BYMONTHDAY", "BYSETPOS"}),
}
VALUES: Final = {
    "UNTIL": (r"[0-9]{8}", "UNTIL is a date, as 20271231"),
    "BYMONTH": (r"0?[1-9]|1[0-2]", "BYMONTH is from 1 to 12"),
    "BYMONTHDAY": (r"[+-]?(0?[1-9]|[12][0-9]|3[01])", "BYMONTHDAY is from 1 to 31, or from -31 to -1"),
    "BYSETPOS": (r"[+-]?([1-9][0-9]?|[12][0-9]{2}|3[0-5][0-9]|36[0-6])", "BYSETPOS is from 1 to 366, or from -366 to -1"),
    "BYDAY": (r"[+-]?([0-9]{1,2})?(MO|TU|WE|TH|FR|SA|SU)", "BYDAY is MO, TU, WE, TH, FR, SA or SU, or as 1FR or -1FR"),
}


def rule_dates(text: str, counted_from: date) -> Iterator[date]:
    """Return the dates of a rule up to `LATEST`, in order.

    Parameters
    ----------
    counted_from : date
        DTSTART: from when INTERVAL and COUNT are counted.

    Raises
    ------
    ValueError
        It is no rule of dates.
    """
    named = _parts(text)
    count = named.pop("COUNT", None)  # for dateutil it does not go with an end
    last = f"{LATEST:%Y%m%d}"
    named["UNTIL"] = min(named.get("UNTIL", last), last)
    return (day.date() for day in islice(_expanded(named, counted_from), None if count is None else int(count)))


def fits_some_date(text: str, counted_from: date) -> bool:
    """Tell whether a rule has a date at all; raises as `rule_dates` does.

    What is no date of any sort of year is told by the last years that dateutil knows, where it soon gives up.
    """
    named = {name: value for name, value in _parts(text).items() if name not in ("COUNT", "UNTIL")}
    if named["FREQ"] in ("MONTHLY", "YEARLY"):
        # Months come again after 12, leap years after 4.
        named["INTERVAL"] = str(gcd(int(named.get("INTERVAL", "1")), 12 if named["FREQ"] == "MONTHLY" else 4))
        year = LAST_YEARS + counted_from.year % 4
        if next(_expanded(named, counted_from.replace(year=year)), None) is None:
            return False
    return next(rule_dates(text, counted_from), None) is not None


def _parts(text: str) -> dict[str, str]:
    parts = [part.partition("=") for part in text.upper().split(";")]
    named = {name: value for name, _, value in parts}
    allowed = PARTS.get(named.get("FREQ", ""))
    if allowed is None or len(named) != len(parts):
        raise ValueError(f"one recurrence rule of dates, as FREQ=MONTHLY;BYDAY=1FR; FREQ is one of {', '.join(PARTS)}")
    if wrong := sorted(set(named) - allowed - COMMON):
        raise ValueError(
            f"FREQ={named['FREQ']} goes with {', '.join(sorted(allowed | COMMON))}, and not with {', '.join(wrong)}"
        )
    if {"COUNT", "UNTIL"} <= set(named):
        raise ValueError("COUNT or UNTIL, not both")
    _check_number(named, "INTERVAL", MAX_INTERVAL)
    _check_number(named, "COUNT", MAX_COUNT)
    for name, (pattern, otherwise) in VALUES.items():
        if name in named and not all(re.fullmatch(pattern, value) for value in named[name].split(",")):
            raise ValueError(otherwise)
    most = YEAR_WEEKS if named["FREQ"] == "YEARLY" and "BYMONTH" not in named else MONTH_WEEKS
    if any(int(number) > most for number in re.findall(r"[0-9]+", named.get("BYDAY", ""))):
        raise ValueError(f"BYDAY counts up to {most} here")
    return named


def _check_number(named: Mapping[str, str], name: str, most: int) -> None:
    value = named.get(name, "1")
    if not re.fullmatch(r"[0-9]{1,9}", value) or not 1 <= int(value) <= most:
        raise ValueError(f"{name} is from 1 to {most}")


def _expanded(named: Mapping[str, str], begin: date) -> Iterator[datetime]:
    try:
        # Without a time zone: the rule is of dates, and UNTIL then needs none either.
        start = datetime(begin.year, begin.month, begin.day)  # noqa: DTZ001
        return iter(rrulestr(";".join(f"{name}={value}" for name, value in named.items()), dtstart=start))
    except (ValueError, TypeError, IndexError, AttributeError) as exc:
        raise ValueError(f"not a recurrence rule: {exc}") from exc
