# SPDX-License-Identifier: Apache-2.0
"""The three tiers of a series, how long each is kept, and which of them answers a question.

    raw   rows as they were sent            90 days
    5m    windows of five minutes           730 days
    1h    windows of an hour                for ever

A window of a tier is made from the rows themselves, and made again when a late row touches its hour. What is touched and
not yet made again is answered from the rows, so an answer is the same whichever tier gives it.

Invariant: an hour whose rows are not all kept any more is closed: its windows are never made again of what is left. A store
takes no row past its age; where the age was raised since, an hour is closed whose windows count more than it has rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from ingest.store.batch import Batch, RejectedRow
from ingest.store.protocol import HOUR_MS, SeriesQuery, TierName

__all__ = [
    "DAY_MS",
    "SPANS_MAX",
    "TIERS",
    "Retention",
    "Span",
    "Tier",
    "choose_tier",
    "covered_spans",
    "is_old",
    "kept_from_ms",
    "too_old",
    "without",
]

DAY_MS: Final = 24 * HOUR_MS
SPANS_MAX: Final = 16  # ranges of rows read for one answer; more are read as one


@dataclass(frozen=True, slots=True)
class Tier:
    """Windows of one length. [ms]"""

    name: TierName
    unit_ms: int


TIERS: Final = (Tier("5m", 300_000), Tier("1h", HOUR_MS))

Span = tuple[int, int]  # half-open [start, end) since the Unix epoch [ms]


@dataclass(frozen=True, slots=True)
class Retention:
    """How long each tier is kept, by the platform's clock. [days]

    Attributes
    ----------
    raw_days, five_minutes_days, hours_days : int or None
        None keeps for ever. Rows older than `raw_days` are not taken any more.
    """

    raw_days: int | None = 90
    five_minutes_days: int | None = 730
    hours_days: int | None = None

    def days(self, tier: TierName) -> int | None:
        """Return how long a tier is kept."""
        return {"raw": self.raw_days, "5m": self.five_minutes_days, "1h": self.hours_days}[tier]


def kept_from_ms(retention: Retention, tier: TierName, now_ms: int) -> int | None:
    """Return the whole hour from which on a tier is kept, None where all of it is. [ms]"""
    days = retention.days(tier)
    return None if days is None else max(now_ms - days * DAY_MS, 0) // HOUR_MS * HOUR_MS


def is_old(hour: int, now_ms: int) -> bool:
    """Tell whether rows of an hour since the Unix epoch may have been let go; the least time they are kept is a day."""
    return (hour + 1) * HOUR_MS <= now_ms - DAY_MS


def too_old(batch: Batch, retention: Retention, now_ms: int) -> tuple[RejectedRow, ...]:
    """Return the rows that belong to hours whose rows are not kept any more.

    Who decides about a record refuses it by the same age; what is found here has waited until then.
    """
    kept = kept_from_ms(retention, "raw", now_ms)
    if kept is None:
        return ()
    reason = f"measured more than {retention.raw_days} days ago, rows of that age are not kept (TIRTA_RETENTION_RAW_DAYS)"
    return tuple(
        RejectedRow(number, index, reason, expired=True)
        for number, rows in enumerate(batch.rows)
        for index in np.flatnonzero(rows.ts_ms < kept).tolist()
    )


def without(batch: Batch, rejected: Iterable[RejectedRow]) -> Batch:
    """Return the batch without these rows."""
    unwanted: dict[int, list[int]] = {}
    for row in rejected:
        unwanted.setdefault(row.rows, []).append(row.index)
    parts = (rows.without(unwanted[i]) if i in unwanted else rows for i, rows in enumerate(batch.rows))
    return replace(batch, rows=tuple(parts))


def choose_tier(query: SeriesQuery) -> Tier | None:
    """Return the coarsest tier whose windows make up those asked for, None where only rows do."""
    if query.every_ms is None:
        return None
    return next((tier for tier in reversed(TIERS) if query.every_ms % tier.unit_ms == 0), None)


def covered_spans(
    start_ms: int, end_ms: int, unit_ms: int, touched: Iterable[int], raw_from_ms: int | None
) -> tuple[Span, list[Span]]:
    """Divide a range between a tier and the rows.

    Parameters
    ----------
    start_ms, end_ms : int
        Range asked for, [start, end). [ms]
    unit_ms : int
        Length of the tier's windows. [ms]
    touched : iterable of int
        Hours since the Unix epoch whose windows are not up to date.
    raw_from_ms : int or None
        From when on rows are kept. A window before it that the range cuts is given whole.

    Returns
    -------
    span, list of spans
        What the tier answers, and what is read from the rows, in order; where they meet, the rows are right.
    """
    low, high = -(-start_ms // unit_ms) * unit_ms, end_ms // unit_ms * unit_ms
    raw_from = -1 if raw_from_ms is None else raw_from_ms
    if start_ms < raw_from:
        low = start_ms // unit_ms * unit_ms
    if end_ms <= raw_from:
        high = -(-end_ms // unit_ms) * unit_ms
    wanted = [(start_ms, min(low, end_ms)), (max(high, start_ms), end_ms)]
    wanted += [(max(hour * HOUR_MS, start_ms), min((hour + 1) * HOUR_MS, end_ms)) for hour in touched]
    spans: list[Span] = []
    for first, last in sorted(wanted):
        if last <= max(first, raw_from):
            continue
        if spans and first <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(spans[-1][1], last))
        else:
            spans.append((first, last))
    if len(spans) > SPANS_MAX:
        spans = [(spans[0][0], spans[-1][1])]
    return (low, max(low, high)), spans
