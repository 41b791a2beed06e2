# SPDX-License-Identifier: Apache-2.0
"""Answer a question for windows from a tier, and from the rows where the tier is not up to date; the same for every store."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np

from ingest.store.errors import StoreRejected
from ingest.store.protocol import LOOK_BACK_MS, Series, SeriesQuery, TierName
from ingest.store.tiers import Retention, Span, Tier, choose_tier, covered_spans, kept_from_ms
from ingest.store.windows import NEEDED, Windows, answer, join_windows

__all__ = ["Kept", "RowsReader", "TierReader", "answer_query", "empty_series", "needed_columns", "tier_series"]

Kept = tuple[int | None, int | None]  # from when on the rows, and a tier's windows, are kept [ms]
TierReader = Callable[[Span, int], list[Windows]]
RowsReader = Callable[[list[Span]], list[Windows]]


def answer_query(
    query: SeriesQuery,
    limits: tuple[Retention, int, frozenset[str]],
    as_sent: Callable[[SeriesQuery], Series],
    read_rows: Callable[[int, list[Span]], list[Windows]],
    from_tier: Callable[[Tier, Kept], Series],
) -> Series:
    """Answer from the coarsest tier that can, and say which.

    Parameters
    ----------
    limits : Retention, int, frozenset of str
        How long tiers are kept, the platform's time [ms], and which quantities are running totals.
    as_sent : callable
        Gives rows, or windows that the engine itself makes of rows.
    read_rows : callable
        Gives windows of some length [ms] made of the rows in spans.
    from_tier : callable
        Answers from a tier; see `tier_series`.

    Raises
    ------
    StoreRejected
        The difference is asked of what is no running total.
    """
    retention, now_ms, totals = limits
    if query.aggregate == "difference" and (other := set(query.quantities) - totals):
        raise StoreRejected(f"{', '.join(sorted(other))}: no running total, so it has no difference.")
    tier = choose_tier(query)
    name: TierName = "raw" if tier is None else tier.name
    raw_from, tier_from = (kept_from_ms(retention, which, now_ms) for which in ("raw", name))
    start_ms = max(query.start_ms, (raw_from if tier is None else 0) or 0)
    if query.start_ms >= query.end_ms or start_ms >= query.end_ms:
        series = empty_series(query)
    elif tier is not None:
        series = from_tier(tier, (raw_from, tier_from))
    elif query.every_ms is not None and query.aggregate == "difference":
        span = (max(_first_ms(query), raw_from or 0), query.end_ms)
        series = _series(read_rows(query.every_ms, [span]), query)
    else:
        series = as_sent(replace(query, start_ms=start_ms))
    return replace(series, tier=name, kept_from_ms=tier_from)


def needed_columns(query: SeriesQuery) -> list[tuple[str, str]]:
    """Return the (quantity, statistic) that a question is answered from."""
    return [(name, statistic) for name in query.quantities for statistic in NEEDED[query.aggregate]]


def _first_ms(query: SeriesQuery) -> int:
    """Return from when on measurements count: a difference needs those before its first window. [ms]"""
    if query.every_ms is None or query.aggregate != "difference":
        return query.start_ms
    return max(query.start_ms // query.every_ms * query.every_ms - LOOK_BACK_MS, 0)


def empty_series(query: SeriesQuery) -> Series:
    """Return the answer where nothing was measured."""
    return Series(np.empty(0, np.int64), {name: np.empty(0) for name in query.quantities}, truncated=False)


def tier_series(
    query: SeriesQuery,
    tier: Tier,
    kept: Kept,
    touched: Iterable[int],
    read_tier: TierReader,
    read_rows: RowsReader,
) -> Series:
    """Return windows of one zone.

    Parameters
    ----------
    query : SeriesQuery
        Its `every_ms` is a multiple of the tier's unit.
    kept : tuple of int or None
        From when on the rows, and the tier's windows, are kept. [ms]
    touched : iterable of int
        Hours of the zone whose windows are not up to date.
    read_tier : callable
        Gives the tier's windows in a span, at most so many of each kind of device, the earliest.
    read_rows : callable
        Gives windows of the tier's length, or smaller, made of the rows in spans.
    """
    assert query.every_ms is not None
    raw_from, tier_from = kept
    span, rows_spans = covered_spans(max(_first_ms(query), tier_from or 0), query.end_ms, tier.unit_ms, touched, raw_from)
    most = (query.limit + 1) * (query.every_ms // tier.unit_ms) + LOOK_BACK_MS // tier.unit_ms
    parts = [_outside(part, rows_spans, tier.unit_ms) for part in read_tier(span, most)] if span[0] < span[1] else []
    if rows_spans:
        parts += read_rows(rows_spans)
    return _series(parts, query)


def _series(parts: list[Windows], query: SeriesQuery) -> Series:
    began, values = answer(join_windows(parts, needed_columns(query)), query)
    cut = slice(0, query.limit)
    return Series(began[cut], {name: column[cut] for name, column in values.items()}, truncated=len(began) > query.limit)


def _outside(windows: Windows, spans: list[Span], unit_ms: int) -> Windows:
    """Leave out the windows that the rows answer."""
    keep = np.ones(len(windows), np.bool_)
    for first, last in spans:
        keep &= (windows.began_ms + unit_ms <= first) | (windows.began_ms >= last)
    return windows.chosen(keep)
