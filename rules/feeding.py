# SPDX-License-Identifier: Apache-2.0
"""Feeding by planned meals, less or none when the water holds little oxygen.

Digesting costs fish oxygen, so a meal is given whole from `oxygen_reduce` upward, not at all at or below
`oxygen_stop`, and linearly in between. A meal that falls due under low oxygen may still be given while its grace lasts;
later it is missed, and no meal is ever made up. Losing the probe never gives more than keeping it: without a fresh
reading the cautious share is the most, and the last reading, where there is one, can only lessen it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rules import interlocks
from rules.columns import Flags, Numbers, Words, in_blocks
from rules.plan import Plan
from rules.reasons import Marks, Reason, gather

__all__ = ["FeedingCalendar", "FeedingParams", "FeedingState", "evaluate"]

LEAST_RUN_S = 0.1  # a feeder told to turn for less gives nothing that could be counted [s]


@dataclass(frozen=True, slots=True)
class FeedingState:
    """What is known of the ponds now; columns of shape (n,).

    Attributes
    ----------
    dissolved_oxygen : ndarray
        Oxygen in the water; NaN where never read. [mg L-1]
    age_s : ndarray
        Age of that reading; below 0 where its clock runs ahead. [s]
    grams_today : ndarray
        Feed given since local midnight, by whomever. [g]
    busy : ndarray of bool
        An act is under way.
    unsettled : ndarray of bool
        The end of an earlier act is not known.
    online : ndarray of bool
        The device is connected.
    since_last_s : ndarray
        Time since the last feeding ended; inf where there was none. [s]
    held : ndarray of int64
        Bits of `Reason` that keep the zone from acting for causes outside this rule; 0 where none does.
    """

    dissolved_oxygen: Numbers
    age_s: Numbers
    grams_today: Numbers
    busy: Flags
    unsettled: Flags
    online: Flags
    since_last_s: Numbers
    held: Words


@dataclass(frozen=True, slots=True)
class FeedingParams:
    """How the ponds are to be fed; columns of shape (n,), every number finite, or the pond is not fed.

    Attributes
    ----------
    enabled : ndarray of bool
        Whether the rule may act at all.
    oxygen_stop, oxygen_reduce : ndarray
        No feed at or below the first, the whole meal from the second upward; 0 <= stop <= reduce. [mg L-1]
    grams_day : ndarray
        Most feed in a local day, 0 or more. [g]
    max_meal : ndarray
        Largest meal, above 0; the share for low oxygen is taken of what this leaves. [g]
    min_gap_s : ndarray
        Least time between the end of a feeding and the next, 0 or more. [s]
    stale_s : ndarray
        Age beyond which a reading is not acted on, above 0. [s]
    cautious_fraction : ndarray
        Most of a meal that is given when oxygen is not known, 0 (withhold it) to 1. [1]
    grams_per_second : ndarray
        The feeder's rate, above 0. [g s-1]
    max_seconds : ndarray
        Longest run of the feeder at a time, above 0. [s]
    """

    enabled: Flags
    oxygen_stop: Numbers
    oxygen_reduce: Numbers
    grams_day: Numbers
    max_meal: Numbers
    min_gap_s: Numbers
    stale_s: Numbers
    cautious_fraction: Numbers
    grams_per_second: Numbers
    max_seconds: Numbers


@dataclass(frozen=True, slots=True)
class FeedingCalendar:
    """What the calendar says of this moment; columns of shape (n,). Rows that are not due may hold anything.

    Attributes
    ----------
    due : ndarray of bool
        The moment of a planned meal has come and it was not given yet.
    allowed : ndarray of bool
        Local time is inside the allowed hours.
    grams : ndarray
        That meal, above 0. [g]
    late_s : ndarray
        Time past the planned moment; below 0 it is not due yet. [s]
    grace_s : ndarray
        A meal later than this is missed, 0 or more. [s]
    """

    due: Flags
    allowed: Flags
    grams: Numbers
    late_s: Numbers
    grace_s: Numbers


def evaluate(state: FeedingState, params: FeedingParams, calendar: FeedingCalendar, now: float) -> Plan:
    """Decide for every pond whether to feed now, how much, and why.

    Parameters
    ----------
    state : FeedingState
    params : FeedingParams
    calendar : FeedingCalendar
    now : float
        Seconds since the epoch, UTC, at which ages and calendar were reckoned. Used as a check alone: if it is not
        finite, no age can be believed and nothing acts. Rules that follow biomass or season take it as their time. [s]

    Returns
    -------
    Plan
        Element-wise, float64; the inputs are not modified. What is NaN does not act, and says so by a reason.
        `withheld` is set wherever a meal is due or missed and not given.

    Raises
    ------
    ValueError
        The columns are not all of one length.
    """
    return in_blocks(_decide, state, params, calendar, now)


def _decide(state: FeedingState, params: FeedingParams, calendar: FeedingCalendar, now: float) -> Plan:
    # Absurd numbers may overflow or divide by zero on the way; the masks and the interlocks keep such rows from acting.
    with np.errstate(all="ignore"):
        return interlocks.apply(
            _ask(state, params, calendar, now),
            enabled=params.enabled,
            online=state.online,
            busy=state.busy,
            unsettled=state.unsettled,
            held=state.held,
            max_seconds=params.max_seconds,
            max_litres=np.zeros_like(params.grams_day),
            max_grams=np.minimum(params.max_meal, params.grams_day - state.grams_today),
        )


def _ask(state: FeedingState, params: FeedingParams, calendar: FeedingCalendar, now: float) -> Plan:
    due = calendar.due & ~(calendar.late_s < 0.0)
    valid = _valid(params)
    planned = (calendar.grams > 0.0) & (calendar.grams < math.inf)
    planned &= (calendar.grace_s >= 0.0) & (calendar.grace_s < math.inf)
    sound = params.enabled & valid & (planned | ~due)
    missed = sound & due & ~(calendar.late_s <= calendar.grace_s)
    called = sound & due & ~missed
    share, oxygen = _share(state, params, called)
    holds = _holds(state, params, calendar.allowed, now, called)
    free = called & (share > 0.0) & (gather(len(due), *holds) == 0) & (state.held == 0)
    act, seconds, grams, cuts = _meal(state, params, calendar, share, free)
    reasons = np.where(called, state.held, 0) | gather(
        len(due),
        (Reason.DISABLED, ~params.enabled),
        (Reason.INVALID_PARAMETER, params.enabled & ~sound),
        (Reason.MEAL_DUE, called),
        (Reason.MEAL_MISSED, missed),
        (Reason.NO_MEAL_DUE, sound & ~due),
        *oxygen,
        *holds,
        *cuts,
    )
    left_s = (params.grams_day - state.grams_today) / params.grams_per_second
    return Plan(
        act=act,
        seconds=seconds,
        litres=np.zeros_like(grams),
        grams=grams,
        # At its rated speed not even the feeder's own stop lets more out than the day has left.
        max_seconds=np.minimum(seconds * interlocks.STOP_MARGIN, np.minimum(params.max_seconds, left_s)),
        reasons=reasons,
        latched=np.zeros_like(act),
        withheld=due & ~act,
    )


def _valid(params: FeedingParams) -> Flags:
    """Tell which rows have parameters that agree; a comparison with NaN is False."""
    return (
        (params.oxygen_stop >= 0.0)
        & (params.oxygen_stop <= params.oxygen_reduce)
        & (params.oxygen_reduce < math.inf)
        & (params.grams_day >= 0.0)
        & (params.grams_day < math.inf)
        & (params.max_meal > 0.0)
        & (params.max_meal < math.inf)
        & (params.min_gap_s >= 0.0)
        & (params.min_gap_s < math.inf)
        & (params.stale_s > 0.0)
        & (params.stale_s < math.inf)
        & (params.cautious_fraction >= 0.0)
        & (params.cautious_fraction <= 1.0)
        & (params.grams_per_second > 0.0)
        & (params.grams_per_second < math.inf)
        & (params.max_seconds > 0.0)
        & (params.max_seconds < math.inf)
    )


def _share(state: FeedingState, params: FeedingParams, called: Flags) -> tuple[Numbers, Marks]:
    """Say how much of a meal the oxygen allows, 0 to 1, and why."""
    oxygen, stop, reduce = state.dissolved_oxygen, params.oxygen_stop, params.oxygen_reduce
    measured = (oxygen >= 0.0) & (oxygen < math.inf)
    # A reading from ahead of our clock is as doubtful as an old one.
    fresh = measured & (np.abs(state.age_s) <= params.stale_s)
    between = np.where(oxygen > stop, (oxygen - stop) / (reduce - stop), 0.0)
    as_read = np.where(measured & (oxygen < reduce), between, 1.0)
    # With stop = reduce there is no between, and the level itself is still too low.
    as_read = np.where(measured & (oxygen <= stop), 0.0, as_read)
    share = np.where(fresh, as_read, np.minimum(as_read, params.cautious_fraction))
    return share, (
        (Reason.LOW_OXYGEN, called & measured & (as_read <= 0.0)),
        (Reason.OXYGEN_REDUCED, called & (as_read > 0.0) & (as_read < 1.0)),
        (Reason.OXYGEN_UNKNOWN, called & ~fresh),
        (Reason.NO_READING, called & ~measured),
        (Reason.STALE_READING, called & measured & ~fresh),
    )


def _holds(state: FeedingState, params: FeedingParams, allowed: Flags, now: float, called: Flags) -> Marks:
    """List what, besides oxygen, keeps a meal that is due from being given now."""
    counted = (state.grams_today >= 0.0) & (state.grams_today < math.inf) & ~np.isnan(state.since_last_s)
    return (
        (Reason.INVALID_STATE, called & ~(counted & math.isfinite(now))),
        (Reason.OUTSIDE_HOURS, called & ~allowed),
        (Reason.MEAL_GAP, called & (state.since_last_s < params.min_gap_s)),
        (Reason.GRAMS_DAY_SPENT, called & (state.grams_today >= params.grams_day)),
        (Reason.OFFLINE, called & ~state.online),
        (Reason.BUSY, called & state.busy),
        (Reason.UNSETTLED, called & state.unsettled),
    )


def _meal(
    state: FeedingState, params: FeedingParams, calendar: FeedingCalendar, share: Numbers, free: Flags
) -> tuple[Flags, Numbers, Numbers, Marks]:
    """Cut the planned meal to the largest, to its share, to the day's rest and to the longest run, in this order."""
    want = np.minimum(calendar.grams, params.max_meal) * share
    run = params.max_seconds * params.grams_per_second
    left = params.grams_day - state.grams_today
    grams = np.minimum(np.minimum(want, run), left)
    seconds = np.minimum(grams / params.grams_per_second, params.max_seconds)
    useful = (grams > 0.0) & (seconds >= LEAST_RUN_S)
    cuts = (
        (Reason.BELOW_USEFUL_RUN, free & ~useful),
        (Reason.RATION_CLIPPED, free & ((calendar.grams > params.max_meal) | ((left < want) & (left < run)))),
        (Reason.MAX_RUN_CLIPPED, free & (run < want) & (run <= left)),
    )
    act = free & useful
    return act, np.where(act, seconds, 0.0), np.where(act, grams, 0.0), cuts
