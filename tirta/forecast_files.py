# SPDX-License-Identifier: Apache-2.0
"""Forecasts out of files: CSV with one hour or day a line, and JSON as the API takes it.

Nothing is read but the text that is given. Invariant: a file is taken whole or not at all, and what is wrong is named by its
line, or by its place in the JSON. Times without an offset are the site's own.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from control.calendars import instant
from control.forecasts import BOUNDS, ForecastEntry
from tirta.errors import NotPossible

__all__ = ["COLUMNS", "MAX_BYTES", "Defaults", "Issue", "read_forecasts"]

MAX_BYTES: Final = 4 * 2**20  # of one file
MAX_ROWS: Final = 20_000  # of one file: fifty sites of sixteen days of hours
COLUMNS: Final = ("site", "source", "issued", "start", "day", "hours", *BOUNDS)
HOUR_MS: Final = 3_600_000
_FIRST, _LAST = date(2000, 1, 1), date(2199, 12, 31)

ZoneOf = Callable[[str], ZoneInfo]


@dataclass(frozen=True, slots=True)
class Defaults:
    """What a file need not say; `issued_ms` in ms since the Unix epoch."""

    site: str | None
    source: str
    issued_ms: int


@dataclass(slots=True)
class Issue:
    """One issue for one site; `places` says where in the file each entry stands."""

    site: str
    source: str
    issued_ms: int
    entries: list[ForecastEntry] = field(default_factory=list)
    places: list[str] = field(default_factory=list)


def read_forecasts(text: str, defaults: Defaults, zone_of: ZoneOf) -> list[Issue]:
    """Return the issues in a file's text; JSON where it begins with { or [, else CSV.

    Parameters
    ----------
    zone_of : callable
        Returns the time zone of a site, and raises where there is no such site.

    Raises
    ------
    NotPossible
        Something cannot be read; the text names the line.
    """
    rows = _json_rows(text) if text.lstrip()[:1] in ("{", "[") else _csv_rows(text)
    issues: dict[tuple[str, str, int], Issue] = {}
    count = 0
    for place, row in rows:
        if (count := count + 1) > MAX_ROWS:
            raise NotPossible(f"{place}: more than {MAX_ROWS} entries; give them in several files")
        site = _text(row.get("site")) or defaults.site
        if site is None:
            raise NotPossible(f"{place}: it names no site; add the column site, or say --site")
        zone = zone_of(site)
        issued = _text(row.get("issued"))
        key = site, _text(row.get("source")) or defaults.source, _instant(place, "issued", issued, zone) or defaults.issued_ms
        issue = issues.setdefault(key, Issue(*key))
        issue.entries.append(_entry(place, row, zone))
        issue.places.append(place)
    if not issues:
        raise NotPossible("there is no forecast in it")
    return list(issues.values())


def _csv_rows(text: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    head = text.partition("\n")[0]
    lines = csv.reader(io.StringIO(text.removeprefix("\ufeff")), delimiter=";" if head.count(";") > head.count(",") else ",")
    try:
        names = [name.strip().lower() for name in next(lines, [])]
        _check_columns(names)
        for cells in lines:
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(names):
                raise NotPossible(f"line {lines.line_num}: {len(cells)} values, but {len(names)} columns")
            yield f"line {lines.line_num}", dict(zip(names, cells, strict=True))
    except csv.Error as exc:
        raise NotPossible(f"line {lines.line_num}: {exc}") from exc


def _check_columns(names: list[str]) -> None:
    known = ", ".join(COLUMNS)
    for name in names:
        if name not in COLUMNS:
            raise NotPossible(f"line 1: there is no column {name[:40]!r}; columns are {known}")
        if names.count(name) > 1:
            raise NotPossible(f"line 1: the column {name} comes twice")
    if not {"start", "day"} & set(names) or not set(BOUNDS) & set(names):
        raise NotPossible(f"line 1: name start or day, and what is forecast; columns are {known}")


def _json_rows(text: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    try:
        read = json.loads(text)
    except ValueError as exc:
        where = f"line {exc.lineno}, character {exc.colno}" if isinstance(exc, json.JSONDecodeError) else "the file"
        raise NotPossible(f"{where}: this is no JSON") from exc
    except RecursionError as exc:
        raise NotPossible("the file: this is no JSON") from exc
    for number, one in enumerate(read if isinstance(read, list) else [read]):
        where = f"[{number}]." if isinstance(read, list) else ""
        entries = one.get("entries") if isinstance(one, dict) else None
        if not isinstance(entries, list):
            raise NotPossible(f"{where}entries: a list of hours or days, as POST /api/v1/forecasts takes it")
        above = {name: one.get(name) for name in ("site", "source", "issued")}
        if unknown := sorted(set(one) - {*above, "entries"}):
            raise NotPossible(f"{where}{unknown[0][:40]}: there is no such field")
        for index, entry in enumerate(entries):
            place = f"{where}entries[{index}]"
            if not isinstance(entry, dict) or set(entry) - set(COLUMNS[3:]):
                raise NotPossible(f"{place}: an object with some of {', '.join(COLUMNS[3:])}")
            yield place, {**above, **entry}


def _entry(place: str, row: Mapping[str, Any], zone: ZoneInfo) -> ForecastEntry:
    weather = {name: _number(place, name, row.get(name)) for name in BOUNDS}
    start_ms, day = _instant(place, "start", _text(row.get("start")), zone), _text(row.get("day"))
    hours = _number(place, "hours", row.get("hours"))
    if (start_ms is None) == (not day):
        raise NotPossible(f"{place}: say start (with hours) or day, one of them")
    if start_ms is not None:
        length = 1.0 if hours is None else hours
        if not (1 <= length <= 24 and length == int(length)):
            raise NotPossible(f"{place}: hours: a whole number from 1 to 24")
        return ForecastEntry(start_ms, start_ms + int(length) * HOUR_MS, **weather)
    if hours is not None:
        raise NotPossible(f"{place}: hours go with start; a day is a whole one")
    try:
        first = date.fromisoformat(day)
        if not _FIRST <= first <= _LAST:
            raise ValueError(day)
    except ValueError as exc:
        raise NotPossible(f"{place}: day: {day[:40]!r} is no day; write it as 2026-11-23") from exc
    return ForecastEntry(instant(first, 0, zone), instant(first + timedelta(days=1), 0, zone), **weather)


def _instant(place: str, name: str, text: str, zone: ZoneInfo) -> int | None:
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
        if not _FIRST <= found.date() <= _LAST:
            raise ValueError(text)
    except ValueError as exc:
        hint = "write it as 2026-11-23T06:00, or with an offset as 2026-11-23T06:00+08:00"
        raise NotPossible(f"{place}: {name}: {text[:40]!r} is no time; {hint}") from exc
    return round((found if found.tzinfo else found.replace(tzinfo=zone)).timestamp() * 1000)


def _number(place: str, name: str, value: Any) -> float | None:
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise NotPossible(f"{place}: {name}: a number")
    try:
        return float(value)
    except (ValueError, OverflowError) as exc:
        hint = "; write decimals with a point" if isinstance(value, str) and "," in value else ""
        raise NotPossible(f"{place}: {name}: {str(value)[:40]!r} is no number{hint}") from exc


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""
