# SPDX-License-Identifier: Apache-2.0
"""Watering by soil moisture, with hysteresis between two thresholds.

A bed that falls below `low` is filled to `high`: the dose is the water missing in the root zone,
(high - soil_moisture) x root_depth x area, the soil moisture being taken as even over the root zone. The bed then stays
alone until it is below `low` again, so that the valve does not chatter about one threshold. Nothing is given
without a fresh reading, outside the allowed hours, or beyond the longest run and the day's litres.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rules import interlocks
from rules.columns import Flags, Numbers, Words, in_blocks
from rules.plan import Plan
from rules.reasons import Marks, Reason, gather

__all__ = ["IrrigationCalendar", "IrrigationParams", "IrrigationState", "evaluate"]

LITRES_PER_M3 = 1000.0  # [L m-3]
SECONDS_PER_MINUTE = 60.0  # [s min-1]


@dataclass(frozen=True, slots=True)
class IrrigationState:
    """What is known of the zones now; columns of shape (n,).

    Attributes
    ----------
    soil_moisture : ndarray
        Volumetric water content of the root zone; NaN where never read. [m3 m-3]
    age_s : ndarray
        Age of that reading; below 0 where its clock runs ahead. [s]
    litres_today : ndarray
        Water given since local midnight, by whomever. [L]
    busy : ndarray of bool
        An act is under way.
    unsettled : ndarray of bool
        The end of an earlier act is not known.
    online : ndarray of bool
        The device is connected.
    since_last_s : ndarray
        Time since the zone's last act ended; inf where there was none. [s]
    latched : ndarray of bool
        `Plan.latched` of the tick before; False at first.
    held : ndarray of int64
        Bits of `Reason` that keep the zone from acting for causes outside this rule; 0 where none does.
    """

    soil_moisture: Numbers
    age_s: Numbers
    litres_today: Numbers
    busy: Flags
    unsettled: Flags
    online: Flags
    since_last_s: Numbers
    latched: Flags
    held: Words


@dataclass(frozen=True, slots=True)
class IrrigationParams:
    """How the zones are to be watered; columns of shape (n,), every number finite, or the zone does not act.

    Attributes
    ----------
    enabled : ndarray of bool
        Whether the rule may act at all.
    low, high : ndarray
        Thresholds, 0 <= low <= high <= 1: filling begins below the first and ends at the second. [m3 m-3]
    root_depth : ndarray
        Depth of soil to be wetted, above 0. [m]
    area : ndarray
        Wetted area, above 0. [m2]
    flow : ndarray
        Rated flow of the valve, above 0. [L min-1]
    max_seconds : ndarray
        Longest run of one act, above 0. [s]
    min_seconds : ndarray
        Shortest run worth beginning, 0 to `max_seconds`. [s]
    litres_day : ndarray
        Most water in a local day, 0 or more. [L]
    soak_s : ndarray
        Time the water takes to reach the sensor, 0 or more: a reading sooner after an act does not count. [s]
    stale_s : ndarray
        Age beyond which a reading is not acted on, above 0. [s]
    """

    enabled: Flags
    low: Numbers
    high: Numbers
    root_depth: Numbers
    area: Numbers
    flow: Numbers
    max_seconds: Numbers
    min_seconds: Numbers
    litres_day: Numbers
    soak_s: Numbers
    stale_s: Numbers


@dataclass(frozen=True, slots=True)
class IrrigationCalendar:
    """What the calendar says of this moment; columns of shape (n,).

    Attributes
    ----------
    allowed : ndarray of bool
        Local time lies in the zone's allowed hours, [start, end).
    """

    allowed: Flags


def evaluate(state: IrrigationState, params: IrrigationParams, calendar: IrrigationCalendar, now: float) -> Plan:
    """Decide for every zone whether to water now, how much, and why.

    Parameters
    ----------
    state : IrrigationState
    params : IrrigationParams
    calendar : IrrigationCalendar
    now : float
        Seconds since the epoch, UTC, at which ages and calendar were reckoned. Used as a check alone: if it is not
        finite, no age can be believed and nothing acts. Rules that follow sun or season take it as their time. [s]

    Returns
    -------
    Plan
        Element-wise, float64; the inputs are not modified. What is NaN does not act, and says so by a reason.

    Raises
    ------
    ValueError
        The columns are not all of one length.
    """
    return in_blocks(_decide, state, params, calendar, now)


def _decide(state: IrrigationState, params: IrrigationParams, calendar: IrrigationCalendar, now: float) -> Plan:
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
            max_litres=params.litres_day - state.litres_today,
            max_grams=np.zeros_like(params.litres_day),
        )


def _ask(state: IrrigationState, params: IrrigationParams, calendar: IrrigationCalendar, now: float) -> Plan:
    valid = _valid(params)
    measured = (state.soil_moisture >= 0.0) & (state.soil_moisture <= 1.0)
    # A reading from ahead of our clock is as doubtful as an old one.
    fresh = measured & (np.abs(state.age_s) <= params.stale_s)
    known = valid & fresh
    dry = state.soil_moisture < params.low
    need = (params.high - state.soil_moisture) * params.root_depth * params.area * LITRES_PER_M3
    latched = _latched(state, params, known, need)
    wanted = params.enabled & known & latched
    unread = params.enabled & valid & ~fresh
    holds = _holds(state, params, calendar.allowed, now, wanted)
    free = wanted & (gather(len(wanted), *holds) == 0) & (state.held == 0)
    act, seconds, litres, cuts = _dose(state, params, need, free)
    reasons = np.where(wanted, state.held, 0) | gather(
        len(wanted),
        (Reason.DISABLED, ~params.enabled),
        (Reason.INVALID_PARAMETER, params.enabled & ~valid),
        (Reason.NO_READING, unread & ~measured),
        (Reason.STALE_READING, unread & measured),
        (Reason.OFFLINE, unread & ~state.online),
        (Reason.DRY, wanted & dry),
        (Reason.LATCHED, wanted & ~dry),
        (Reason.WET_ENOUGH, params.enabled & known & ~latched),
        *holds,
        *cuts,
    )
    return Plan(
        act=act,
        seconds=seconds,
        litres=litres,
        grams=np.zeros_like(litres),
        # At rated flow not even the device's own stop lets more through than the day has left.
        max_seconds=np.minimum(
            seconds * interlocks.STOP_MARGIN,
            np.minimum(params.max_seconds, _seconds(params.litres_day - state.litres_today, params)),
        ),
        reasons=reasons,
        latched=latched,
        withheld=np.zeros_like(act),
    )


def _latched(state: IrrigationState, params: IrrigationParams, known: Flags, need: Numbers) -> Flags:
    """Move the latch by the reading, or keep it where there is none."""
    # A bed that lacks less than a useful run is as full as it gets: else it would wait, half latched, and be topped up
    # far above `low` as soon as it had dried by that little.
    unfilled = (need > 0.0) & (_seconds(need, params) >= params.min_seconds)
    return np.where(known, (state.soil_moisture < params.low) | (state.latched & unfilled), state.latched)


def _valid(params: IrrigationParams) -> Flags:
    """Tell which rows have parameters that agree; a comparison with NaN is False."""
    return (
        (params.low >= 0.0)
        & (params.low <= params.high)
        & (params.high <= 1.0)
        & (params.root_depth > 0.0)
        & (params.root_depth < math.inf)
        & (params.area > 0.0)
        & (params.area < math.inf)
        & (params.flow > 0.0)
        & (params.flow < math.inf)
        & (params.max_seconds > 0.0)
        & (params.max_seconds < math.inf)
        & (params.min_seconds >= 0.0)
        & (params.min_seconds <= params.max_seconds)
        & (params.litres_day >= 0.0)
        & (params.litres_day < math.inf)
        & (params.soak_s >= 0.0)
        & (params.soak_s < math.inf)
        & (params.stale_s > 0.0)
        & (params.stale_s < math.inf)
    )


def _holds(state: IrrigationState, params: IrrigationParams, allowed: Flags, now: float, wanted: Flags) -> Marks:
    """List what keeps a zone that wants water from getting it now."""
    counted = (state.litres_today >= 0.0) & (state.litres_today < math.inf) & ~np.isnan(state.since_last_s)
    # The reading has to be from after the soak: a later clock alone does not show where the last water went, and a slow
    # sensor would have the same dose given twice.
    soaked = state.since_last_s - np.maximum(state.age_s, 0.0) >= params.soak_s
    return (
        (Reason.INVALID_STATE, wanted & ~(counted & math.isfinite(now))),
        (Reason.OUTSIDE_HOURS, wanted & ~allowed),
        (Reason.SOAKING, wanted & ~soaked & ~np.isnan(state.since_last_s)),
        (Reason.BUDGET_SPENT, wanted & (state.litres_today >= params.litres_day)),
        (Reason.OFFLINE, wanted & ~state.online),
        (Reason.BUSY, wanted & state.busy),
        (Reason.UNSETTLED, wanted & state.unsettled),
    )


def _dose(
    state: IrrigationState, params: IrrigationParams, need: Numbers, free: Flags
) -> tuple[Flags, Numbers, Numbers, Marks]:
    """Cut the water missing to the longest run and the day's rest; leave out what is too short to be of use."""
    run = params.max_seconds * params.flow / SECONDS_PER_MINUTE
    left = params.litres_day - state.litres_today
    litres = np.minimum(np.minimum(need, run), left)
    seconds = np.minimum(_seconds(litres, params), params.max_seconds)
    useful = (seconds > 0.0) & (seconds >= params.min_seconds)
    cuts = (
        (Reason.MAX_RUN_CLIPPED, free & (run < need) & (run <= left)),
        (Reason.BUDGET_CLIPPED, free & (left < need) & (left < run)),
        (Reason.BELOW_USEFUL_RUN, free & ~useful),
    )
    act = free & useful
    return act, np.where(act, seconds, 0.0), np.where(act, litres, 0.0), cuts


def _seconds(litres: Numbers, params: IrrigationParams) -> Numbers:
    return litres / params.flow * SECONDS_PER_MINUTE
