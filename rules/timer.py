# SPDX-License-Identifier: Apache-2.0
"""Watering by the clock: so many litres, or so long, at planned moments, more or less by the season.

A run may go in several cycles with a soak between; each cycle after the first is asked for as a run of its own, with its
share of the litres and a season of 1. A run that falls due while something holds it (hours, an act under way, a device that
is away) may still begin while its grace lasts; later it is missed. Litres that were missed and are carried come on top of
the next run, which is cut as every run is: to the longest at a time and to what is left of the day's water.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rules import interlocks
from rules.columns import Flags, Numbers, Words, in_blocks
from rules.plan import Plan
from rules.reasons import Marks, Reason, gather

__all__ = ["TimerCalendar", "TimerParams", "TimerState", "evaluate"]

SECONDS_PER_MINUTE = 60.0  # [s min-1]


@dataclass(frozen=True, slots=True)
class TimerState:
    """What is known of the zones now; columns of shape (n,).

    Attributes
    ----------
    litres_today : ndarray
        Water given since local midnight, by whomever. [L]
    carried : ndarray
        Litres of missed runs that the next one makes up for, 0 or more. [L]
    busy : ndarray of bool
        An act is under way.
    unsettled : ndarray of bool
        The end of an earlier act is not known.
    online : ndarray of bool
        The device is connected.
    held : ndarray of int64
        Bits of `Reason` that keep the zone from acting for causes outside this rule; 0 where none does.
    """

    litres_today: Numbers
    carried: Numbers
    busy: Flags
    unsettled: Flags
    online: Flags
    held: Words


@dataclass(frozen=True, slots=True)
class TimerParams:
    """How the zones are to be watered; columns of shape (n,), every number finite, or the zone is not watered.

    Attributes
    ----------
    enabled : ndarray of bool
        Whether the rule may act at all.
    flow : ndarray
        Of the open valve, above 0. [L min-1]
    season : ndarray
        By what the planned amount is multiplied in this month, 0 or more; 0 leaves the month out. [1]
    litres_day : ndarray
        Most water in a local day, 0 or more. [L]
    max_seconds : ndarray
        Longest run, all its cycles together, above 0. [s]
    min_seconds : ndarray
        Shortest run worth beginning, 0 or more. [s]
    """

    enabled: Flags
    flow: Numbers
    season: Numbers
    litres_day: Numbers
    max_seconds: Numbers
    min_seconds: Numbers


@dataclass(frozen=True, slots=True)
class TimerCalendar:
    """What the calendar says of this moment; columns of shape (n,). Rows that are not due may hold anything.

    Attributes
    ----------
    due : ndarray of bool
        The moment of a planned run has come and it was not given yet.
    allowed : ndarray of bool
        Local time is inside the allowed hours.
    soaking : ndarray of bool
        Nothing is due, for it is between two cycles of a run.
    litres : ndarray
        What is planned, 0 or more; NaN where it is planned by time. [L]
    seconds : ndarray
        What is planned, 0 or more; NaN where it is planned by volume. [s]
    late_s : ndarray
        Time past the planned moment; below 0 it is not due yet. [s]
    grace_s : ndarray
        A run later than this is missed, 0 or more. [s]
    """

    due: Flags
    allowed: Flags
    soaking: Flags
    litres: Numbers
    seconds: Numbers
    late_s: Numbers
    grace_s: Numbers


def evaluate(state: TimerState, params: TimerParams, calendar: TimerCalendar, now: float) -> Plan:
    """Decide for every zone whether to begin a planned run now, how long, and why.

    Parameters
    ----------
    state : TimerState
    params : TimerParams
    calendar : TimerCalendar
    now : float
        Seconds since the epoch, UTC. Used as a check alone: if it is not finite, nothing acts. [s]

    Returns
    -------
    Plan
        Element-wise, float64; the inputs are not modified. What is NaN does not act, and says so by a reason.
        `withheld` is set wherever a run is due or missed and not given.

    Raises
    ------
    ValueError
        The columns are not all of one length.
    """
    return in_blocks(_decide, state, params, calendar, now)


def _decide(state: TimerState, params: TimerParams, calendar: TimerCalendar, now: float) -> Plan:
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


def _ask(state: TimerState, params: TimerParams, calendar: TimerCalendar, now: float) -> Plan:
    due = calendar.due & ~(calendar.late_s < 0.0)
    planned = np.where(np.isnan(calendar.litres), calendar.seconds * params.flow / SECONDS_PER_MINUTE, calendar.litres)
    sound = params.enabled & _valid(params) & ((_fits(planned) & _fits(calendar.grace_s)) | ~due)
    missed = sound & due & ~(calendar.late_s <= calendar.grace_s)
    called = sound & due & ~missed
    left = params.litres_day - state.litres_today
    holds: Marks = (
        (Reason.INVALID_STATE, called & ~(_fits(state.litres_today) & _fits(state.carried) & math.isfinite(now))),
        (Reason.OUTSIDE_HOURS, called & ~calendar.allowed),
        (Reason.BUDGET_SPENT, called & (left <= 0.0)),
        (Reason.OFFLINE, called & ~state.online),
        (Reason.BUSY, called & state.busy),
        (Reason.UNSETTLED, called & state.unsettled),
    )
    free = called & (gather(len(due), *holds) == 0) & (state.held == 0)
    want = planned * params.season + state.carried
    run = params.max_seconds * params.flow / SECONDS_PER_MINUTE
    litres = np.minimum(np.minimum(want, run), left)
    seconds = np.minimum(litres / params.flow * SECONDS_PER_MINUTE, params.max_seconds)
    useful = (litres > 0.0) & (seconds >= params.min_seconds)
    act = free & useful
    left_s = left / params.flow * SECONDS_PER_MINUTE
    return Plan(
        act=act,
        seconds=np.where(act, seconds, 0.0),
        litres=np.where(act, litres, 0.0),
        grams=np.zeros_like(litres),
        # Even where the flow meter is dead, the device's own stop keeps to the day's water at the zone's rated flow.
        max_seconds=np.minimum(seconds * interlocks.STOP_MARGIN, np.minimum(params.max_seconds, left_s)),
        reasons=np.where(called, state.held, 0)
        | gather(
            len(due),
            (Reason.DISABLED, ~params.enabled),
            (Reason.INVALID_PARAMETER, params.enabled & ~sound),
            (Reason.RUN_DUE, called),
            (Reason.RUN_MISSED, missed),
            (Reason.NO_RUN_DUE, sound & ~due & ~calendar.soaking),
            (Reason.SOAKING, sound & ~due & calendar.soaking),
            *holds,
            (Reason.SEASON_OUT, called & (params.season <= 0.0)),
            (Reason.CARRIED, free & (state.carried > 0.0)),
            (Reason.BELOW_USEFUL_RUN, free & ~useful & (want > 0.0)),
            (Reason.BUDGET_CLIPPED, free & (left < want) & (left < run)),
            (Reason.MAX_RUN_CLIPPED, free & (run < want) & (run <= left)),
        ),
        latched=np.zeros_like(act),
        withheld=due & ~act,
    )


def _valid(params: TimerParams) -> Flags:
    """Tell which rows have parameters that can be worked with; a comparison with NaN is False."""
    return (
        (params.flow > 0.0)
        & (params.flow < math.inf)
        & _fits(params.season)
        & _fits(params.litres_day)
        & (params.max_seconds > 0.0)
        & (params.max_seconds < math.inf)
        & _fits(params.min_seconds)
    )


def _fits(column: Numbers) -> Flags:
    return (column >= 0.0) & (column < math.inf)
