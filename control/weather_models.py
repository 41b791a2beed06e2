# SPDX-License-Identifier: Apache-2.0
"""Tables of the weather at sites: what was forecast, and what rain was measured.

Invariant: a site, a source and an issue name one forecast; a site and an hour one depth of rain.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from control.models import Row

__all__ = ["ForecastRow", "RainHourRow"]


class ForecastRow(Row):
    """One issue of a forecast; each of `entries` is a list as `control.forecasts` writes it."""

    __tablename__ = "forecast"

    id: Mapped[str] = mapped_column(primary_key=True)
    site: Mapped[str] = mapped_column(ForeignKey("site.name"))
    source: Mapped[str]
    issued_ms: Mapped[int]
    received_ms: Mapped[int]
    received_by: Mapped[str]
    entries: Mapped[list[Any]] = mapped_column(JSON)

    __table_args__ = (UniqueConstraint("site", "source", "issued_ms"), Index(None, "site", "issued_ms"))


class RainHourRow(Row):
    """Rain that a site's gauges measured in the hour from `hour_ms` on."""

    __tablename__ = "rain_hour"

    site: Mapped[str] = mapped_column(ForeignKey("site.name"), primary_key=True)
    hour_ms: Mapped[int] = mapped_column(primary_key=True)
    mm: Mapped[float]
