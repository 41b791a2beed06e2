# SPDX-License-Identifier: Apache-2.0
"""Forecasts of the weather at sites: kept by issue, the newest in force, asked for rain and evapotranspiration.

Invariants: the same issue of a source given again takes the place of what was there; of several the one issued last is in
force, whatever came in last; one that is older than `BELIEVED_MS` is not believed. Intervals are half-open, [start, end).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import astuple, dataclass
from itertools import pairwise
from typing import Any, Final, NamedTuple

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from control.access import Principal
from control.audit import Trail, record
from control.checks import check_text, storable
from control.database import in_parts
from control.errors import Invalid, NotFound
from control.ids import act_id, is_id
from control.paging import Order, cut
from control.sight import place_of_site, seen_sites
from control.weather_models import ForecastRow

__all__ = [
    "BELIEVED_MS",
    "BOUNDS",
    "Forecast",
    "ForecastCache",
    "ForecastEntry",
    "delete_forecast",
    "get_forecast",
    "keep_forecast",
    "list_forecasts",
    "load_forecasts",
]

HOUR_MS: Final = 3_600_000
BELIEVED_MS: Final = 36 * HOUR_MS  # from its issue, a forecast is believed for so long [ms]
MAX_ENTRIES: Final = 400  # sixteen days of hours, and some
MAX_ISSUES: Final = 50  # of one site; the oldest are forgotten
LONGEST_MS: Final = 25 * HOUR_MS  # of an entry: the day on which clocks are put back [ms]
AHEAD_MS: Final = 17 * 24 * HOUR_MS  # from its issue, an entry lies at most so far ahead [ms]
BEHIND_MS: Final = 2 * 24 * HOUR_MS  # and so far back: the day of the issue begins before it [ms]
EARLY_MS: Final = 900_000  # a source's clock may run ahead of ours by so much [ms]
LATE_MS: Final = 30 * 24 * HOUR_MS  # an issue older than that tells nothing any more [ms]
MAX_SOURCE: Final = 64  # characters

# What an entry may say: lowest and highest. [mm], [1], [degC], [mm]
BOUNDS: Final = {
    "rain_mm": (0.0, 1000.0),
    "rain_probability": (0.0, 1.0),
    "temperature_min_c": (-60.0, 60.0),
    "temperature_max_c": (-60.0, 60.0),
    "temperature_mean_c": (-60.0, 60.0),
    "et0_mm": (0.0, 30.0),
}
ORDER: Final = Order(ForecastRow.id, {"issued": ForecastRow.id}, "-issued", is_id)


@dataclass(frozen=True, slots=True)
class ForecastEntry:
    """What is forecast for [start, end); None is not said.

    Attributes
    ----------
    start_ms, end_ms : int
        An hour, a few hours or a day. [ms since the Unix epoch, UTC]
    rain_mm : float or None
        Depth of rain in all of it. [mm]
    rain_probability : float or None
        That it rains so; None where the source gives rain alone, which then counts as sure. [1]
    temperature_min_c, temperature_max_c, temperature_mean_c : float or None
        Of the air. [degC]
    et0_mm : float or None
        Reference evapotranspiration in all of it. [mm]
    """

    start_ms: int
    end_ms: int
    rain_mm: float | None = None
    rain_probability: float | None = None
    temperature_min_c: float | None = None
    temperature_max_c: float | None = None
    temperature_mean_c: float | None = None
    et0_mm: float | None = None


@dataclass(frozen=True, slots=True)
class Forecast:
    """One issue of a source for a site; `entries` in order of time, none over another."""

    id: str
    site: str
    source: str
    issued_ms: int
    received_ms: int
    received_by: str
    entries: tuple[ForecastEntry, ...]

    def believed(self, now_ms: int) -> bool:
        """Tell whether it is young enough to act on."""
        return now_ms - self.issued_ms <= BELIEVED_MS

    def rain_mm(self, start_ms: int, end_ms: int, probability: float = 0.0) -> float:
        """Return the rain in [start, end) of the entries with at least that probability, each spread evenly. [mm]"""
        return math.fsum(
            _share(entry, start_ms, end_ms) * (entry.rain_mm or 0.0)
            for entry in self.entries
            if (1.0 if entry.rain_probability is None else entry.rain_probability) >= probability
        )

    def et0_mm(self, start_ms: int, end_ms: int) -> float | None:
        """Return the evapotranspiration in [start, end); None where an instant of it has none. [mm]"""
        told = [(_share(entry, start_ms, end_ms), entry) for entry in self.entries if entry.et0_mm is not None]
        covered = math.fsum(share * (entry.end_ms - entry.start_ms) for share, entry in told)
        if end_ms - start_ms - covered > 0.5:  # of a millisecond
            return None
        return math.fsum(share * (entry.et0_mm or 0.0) for share, entry in told)


class _Stamp(NamedTuple):
    """Which issue, as it was received."""

    issued_ms: int
    received_ms: int
    id: str


class ForecastCache:
    """Forecasts of the last reading, by site: one is parsed once."""

    def __init__(self) -> None:
        self.kept: dict[str, tuple[_Stamp, Forecast]] = {}


def keep_forecast(
    session: Session,
    site: str,
    source: str,
    issued_ms: int,
    entries: Iterable[ForecastEntry],
    *,
    now_ms: int,
    trail: Trail,
) -> tuple[Forecast, bool]:
    """Keep an issue of a source, in the place of the same issue if it is there; tell whether it is new.

    Raises
    ------
    NotFound
        There is no such site.
    Invalid
        A field cannot be taken; entries are named as `entries.0.rain_mm`.
    """
    place = place_of_site(session, site)
    if place is None:
        raise NotFound("site", site)
    source = check_text("source", source, MAX_SOURCE)
    if not now_ms - LATE_MS <= issued_ms <= now_ms + EARLY_MS:
        raise Invalid("issued", "within the last 30 days, and not in the future; look at the clocks")
    checked = _checked(entries, issued_ms)
    forecast_id = act_id(f"forecast:{source}", 0, site, issued_ms)
    row = session.get(ForecastRow, forecast_id)
    new = row is None
    before = None if row is None else _told(row)
    if row is None:
        row = ForecastRow(id=forecast_id, site=site, source=source, issued_ms=issued_ms)
        session.add(row)
    row.received_ms, row.received_by = now_ms, trail.actor
    row.entries = [list(astuple(entry)) for entry in checked]
    session.flush()
    _forget_old(session, site)
    record(session, trail, "forecast.keep", f"forecast:{row.id}", place=place, before=before, after=_told(row))
    return _forecast(row), new


def get_forecast(session: Session, forecast_id: str) -> Forecast:
    """Return one issue."""
    return _forecast(_row(session, forecast_id))


def list_forecasts(
    session: Session,
    *,
    site: str | None = None,
    seen_by: Principal | None = None,
    sort: str | None = None,
    limit: int = 100,
    after: str | None = None,
) -> tuple[list[Forecast], str | None]:
    """Return issues, the latest first unless told otherwise, and the cursor of the next page if there is one."""
    query = select(ForecastRow)
    if (sites := seen_sites(seen_by)) is not None:
        query = query.where(ForecastRow.site.in_(sites))
    if site is not None:
        query = query.where(ForecastRow.site == (site if storable(site) else ""))
    return cut(session, query, ORDER, _forecast, sort=sort, limit=limit, after=after)


def delete_forecast(session: Session, forecast_id: str, *, trail: Trail) -> None:
    """Withdraw an issue; the one before it is in force again."""
    row = _row(session, forecast_id)
    place = place_of_site(session, row.site)
    record(session, trail, "forecast.delete", f"forecast:{row.id}", place=place, before=_told(row))
    session.delete(row)


def load_forecasts(session: Session, cache: ForecastCache, sites: Collection[str]) -> dict[str, Forecast]:
    """Return the forecast in force of each of `sites` that has one, believed or not."""
    newest: dict[str, _Stamp] = {}
    for part in in_parts(sites):
        last = (
            select(ForecastRow.site, func.max(ForecastRow.issued_ms).label("issued_ms"))
            .where(ForecastRow.site.in_(part))
            .group_by(ForecastRow.site)
            .subquery()
        )
        query = select(ForecastRow.site, ForecastRow.issued_ms, ForecastRow.received_ms, ForecastRow.id).join(
            last, (ForecastRow.site == last.c.site) & (ForecastRow.issued_ms == last.c.issued_ms)
        )
        for site, issued_ms, received_ms, forecast_id in session.execute(query):
            newest[site] = max(_Stamp(issued_ms, received_ms, forecast_id), newest.get(site, _Stamp(0, 0, "")))
    kept = {site: cache.kept[site] for site, stamp in newest.items() if site in cache.kept and cache.kept[site][0] == stamp}
    changed = {stamp.id: stamp for site, stamp in newest.items() if site not in kept}
    for part in in_parts(changed):
        for row in session.scalars(select(ForecastRow).where(ForecastRow.id.in_(part))):
            kept[row.site] = changed[row.id], _forecast(row)
    cache.kept = kept
    return {site: forecast for site, (_, forecast) in kept.items()}


def _checked(entries: Iterable[ForecastEntry], issued_ms: int) -> list[ForecastEntry]:
    """Return the entries in order, or raise Invalid for the first that is wrong."""
    given = list(entries)
    if not 1 <= len(given) <= MAX_ENTRIES:
        raise Invalid("entries", f"1 to {MAX_ENTRIES} of them")
    for number, entry in enumerate(given):
        _check_entry(f"entries.{number}", entry, issued_ms)
    order = sorted(range(len(given)), key=lambda number: given[number].start_ms)
    for before, number in pairwise(order):
        if given[number].start_ms < given[before].end_ms:
            raise Invalid(f"entries.{number}", f"it lies over entries.{before}; give each hour or day once")
    return [given[number] for number in order]


def _check_entry(field: str, entry: ForecastEntry, issued_ms: int) -> None:
    if not 0 < entry.end_ms - entry.start_ms <= LONGEST_MS:
        raise Invalid(field, "it ends after it starts, and lasts a day at most")
    if entry.start_ms < issued_ms - BEHIND_MS or entry.end_ms > issued_ms + AHEAD_MS:
        raise Invalid(field, "it lies from 2 days before the issue to 17 days after it")
    if all(getattr(entry, name) is None for name in BOUNDS):
        raise Invalid(field, f"it says at least one of {', '.join(BOUNDS)}")
    for name, (low, high) in BOUNDS.items():
        value = getattr(entry, name)
        if value is not None and not low <= value <= high:  # NaN neither
            raise Invalid(f"{field}.{name}", f"a number from {low:g} to {high:g}")
    if entry.rain_probability is not None and entry.rain_mm is None:
        raise Invalid(f"{field}.rain_mm", "how much, of which rain_probability says how likely")
    warm = [entry.temperature_min_c, entry.temperature_mean_c, entry.temperature_max_c]
    known = [value for value in warm if value is not None]
    if known != sorted(known):
        raise Invalid(field, "temperature_min_c, temperature_mean_c and temperature_max_c rise in this order")


def _share(entry: ForecastEntry, start_ms: int, end_ms: int) -> float:
    """Return which part of the entry lies in [start, end). [1]"""
    both_ms = min(entry.end_ms, end_ms) - max(entry.start_ms, start_ms)
    return max(both_ms, 0) / (entry.end_ms - entry.start_ms)


def _forget_old(session: Session, site: str) -> None:
    query = select(ForecastRow.id).where(ForecastRow.site == site).order_by(ForecastRow.id.desc()).offset(MAX_ISSUES)
    if old := session.scalars(query.limit(MAX_ISSUES)).all():
        session.execute(delete(ForecastRow).where(ForecastRow.id.in_(old)))


def _row(session: Session, forecast_id: str) -> ForecastRow:
    row = session.get(ForecastRow, forecast_id) if is_id(forecast_id) else None
    if row is None:
        raise NotFound("forecast", forecast_id)
    return row


def _told(row: ForecastRow) -> dict[str, Any]:
    """Return what the audit trail is told: how much and until when, for the numbers themselves are kept beside."""
    entries: Sequence[Sequence[float | None]] = row.entries
    rain = math.fsum(entry[2] or 0.0 for entry in entries)
    return {
        "site": row.site,
        "source": row.source,
        "issued_ms": row.issued_ms,
        "received_ms": row.received_ms,
        "entries": len(entries),
        "end_ms": entries[-1][1],
        "rain_mm": round(rain, 3),
    }


def _forecast(row: ForecastRow) -> Forecast:
    entries = tuple(ForecastEntry(*entry) for entry in row.entries)
    return Forecast(row.id, row.site, row.source, row.issued_ms, row.received_ms, row.received_by, entries)
