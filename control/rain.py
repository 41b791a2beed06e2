# SPDX-License-Identifier: Apache-2.0
"""Rain to come, and rain that fell: what keeps beds whose schedules ask for it from being watered.

Invariants: where neither a forecast that is believed nor a gauge says that it rains enough, nothing is held; what was looked
at goes with each decision of such a bed, held or not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from control.database import in_parts
from control.definitions import FeedingDefinition, RainSkip
from control.forecasts import Forecast, ForecastCache, load_forecasts
from control.plots import Plot
from control.records import Hold, Seen
from control.weather_models import RainHourRow
from rules.reasons import Reason

__all__ = ["RAINED", "forget_rain", "keep_rain", "rain_holds"]

HOUR_MS: Final = 3_600_000
KEPT_MS: Final = 7 * 24 * HOUR_MS  # hours of rain are kept this long [ms]
RAINED: Final = Reason.RAIN_DELAY | Reason.RAIN_EXPECTED | Reason.RAIN_FALLEN  # rain gives what these hold back


def rain_holds(session: Session, plots: Sequence[Plot], cache: ForecastCache, now_ms: int) -> list[Hold]:
    """Return what rain says of each bed whose schedule asks for it; those with the reason 0 are not held."""
    asking = [
        (plot, plot.definition.rain_skip)
        for plot in plots
        if not isinstance(plot.definition, FeedingDefinition) and plot.definition.rain_skip is not None
    ]
    if not asking:
        return []
    sites = {plot.zone.site for plot, _ in asking}
    forecasts = load_forecasts(session, cache, sites)
    known: dict[tuple[str, RainSkip], tuple[int, dict[str, Seen]]] = {}
    fallen: dict[tuple[str, int], float | None] = {}
    found = []
    for plot, skip in asking:
        site = plot.zone.site
        if (site, skip) not in known:  # many beds of a site ask the same
            if (site, skip.hours) not in fallen:
                fallen.update(_fallen(session, sites, skip.hours, now_ms))
            known[site, skip] = _judge(skip, forecasts.get(site), fallen[site, skip.hours], now_ms)
        found.append(Hold(plot.zone.key, *known[site, skip]))
    return found


def keep_rain(session: Session, site: str, hours: Iterable[tuple[int, float]]) -> None:
    """Keep the rain that a site's gauges measured in hours, in the place of what was known of them.

    Parameters
    ----------
    hours : iterable of (int, float)
        Start of the hour [ms since the Unix epoch, UTC], and depth of rain. [mm]
    """
    for hour_ms, mm in hours:
        row = session.get(RainHourRow, (site, hour_ms))
        if row is None:
            session.add(RainHourRow(site=site, hour_ms=hour_ms, mm=mm))
        else:
            row.mm = mm


def forget_rain(session: Session, now_ms: int) -> None:
    """Forget hours that nobody asks for any more."""
    session.execute(delete(RainHourRow).where(RainHourRow.hour_ms < now_ms - KEPT_MS))


def _fallen(session: Session, sites: Iterable[str], hours: int, now_ms: int) -> Iterator[tuple[tuple[str, int], float | None]]:
    """Give the rain measured at each site in the last so many hours; None where no gauge said anything."""
    wanted = sorted(sites)
    found: dict[str, float] = {}
    # An hour that began before counts whole: rain is rather seen for too long than for too short.
    since_ms = (now_ms - hours * HOUR_MS) // HOUR_MS * HOUR_MS
    for part in in_parts(wanted):
        query = (
            select(RainHourRow.site, func.sum(RainHourRow.mm))
            .where(RainHourRow.site.in_(part), RainHourRow.hour_ms >= since_ms, RainHourRow.hour_ms <= now_ms)
            .group_by(RainHourRow.site)
        )
        found.update((site, mm) for site, mm in session.execute(query))
    for site in wanted:
        yield (site, hours), found.get(site)


def _judge(skip: RainSkip, forecast: Forecast | None, fallen_mm: float | None, now_ms: int) -> tuple[int, dict[str, Seen]]:
    reasons = Reason(0)
    seen: dict[str, Seen] = {"rain_limit_mm": skip.mm, "rain_hours": float(skip.hours), "rain_fallen_mm": fallen_mm}
    if fallen_mm is not None and fallen_mm >= skip.mm:
        reasons |= Reason.RAIN_FALLEN
    if forecast is None:
        return int(reasons), {**seen, "forecast": "none"}
    seen["forecast_age_s"] = max(now_ms - forecast.issued_ms, 0) / 1000
    if not forecast.believed(now_ms):
        return int(reasons), {**seen, "forecast": "too-old"}
    expected_mm = forecast.rain_mm(now_ms, now_ms + skip.hours * HOUR_MS, skip.probability)
    if expected_mm >= skip.mm:
        reasons |= Reason.RAIN_EXPECTED
    return int(reasons), {
        **seen,
        "forecast": forecast.source,
        "rain_probability": skip.probability,
        "rain_expected_mm": expected_mm,
    }
