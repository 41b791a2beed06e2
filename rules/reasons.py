# SPDX-License-Identifier: Apache-2.0
"""Why a zone or pond acts, or does not: one bit for each reason.

Decisions are kept with their bits, so a bit means the same for ever: new reasons take new bits, and none is used again.
"""

from __future__ import annotations

import enum
from typing import TypeAlias

import numpy as np

from rules.columns import Flags, Words

__all__ = ["Marks", "Reason", "gather", "names"]


class Reason(enum.IntFlag):
    """What spoke for or against an act in this tick; a decision carries at least one."""

    # Reasons to water, or none.
    DRY = 1 << 0
    """The soil is below its lower threshold."""
    LATCHED = 1 << 1
    """Between the thresholds and still filling to the upper one."""
    WET_ENOUGH = 1 << 2
    """Not below the lower threshold and not filling: no water is wanted."""

    # What holds water back, or makes it less.
    OUTSIDE_HOURS = 1 << 3
    """Local time is outside the zone's allowed hours."""
    SOAKING = 1 << 4
    """Water is soaking in: the reading is from before that was over, or it is between two cycles of a run."""
    BUDGET_SPENT = 1 << 5
    """Nothing is left of the day's litres."""
    BUDGET_CLIPPED = 1 << 6
    """The run was shortened to what is left of the day's litres."""
    MAX_RUN_CLIPPED = 1 << 7
    """The run was shortened to the longest that is allowed at a time."""
    BELOW_USEFUL_RUN = 1 << 8
    """The run would be too short to be of use and was left out."""

    # Reasons to feed, or none.
    MEAL_DUE = 1 << 9
    """A planned meal is due."""
    NO_MEAL_DUE = 1 << 10
    """No planned meal is due now."""
    MEAL_MISSED = 1 << 11
    """A meal is later than its grace allows; it is not made up."""

    # What holds feed back, or makes it less.
    LOW_OXYGEN = 1 << 12
    """Dissolved oxygen, as last read, is at or below the level at which fish are not fed."""
    OXYGEN_REDUCED = 1 << 13
    """Dissolved oxygen, as last read, is short of plenty: the meal was made smaller."""
    OXYGEN_UNKNOWN = 1 << 14
    """No fresh reading of dissolved oxygen: at most the cautious share of the meal is given."""
    RATION_CLIPPED = 1 << 15
    """The meal was cut to the largest allowed, or to what is left of the day's grams."""
    GRAMS_DAY_SPENT = 1 << 16
    """Nothing is left of the day's grams."""
    MEAL_GAP = 1 << 17
    """The last meal was too short a time ago."""

    # What is known, and what may act at all.
    NO_READING = 1 << 18
    """No reading, or one that no soil or water can have."""
    STALE_READING = 1 << 19
    """The last reading is too old, or from too far ahead, to act on."""
    DISABLED = 1 << 20
    """Switched off by the operator."""
    OFFLINE = 1 << 21
    """The device is not connected."""
    BUSY = 1 << 22
    """An act is under way here."""
    UNSETTLED = 1 << 23
    """An earlier act's end is not known; it holds the zone until it is."""
    INVALID_PARAMETER = 1 << 24
    """A parameter or planned amount is not a number or contradicts another; nothing acts until it is mended."""
    INVALID_STATE = 1 << 25
    """What was given today, the time since the last act or the clock is not a usable number; nothing acts."""
    INTERLOCK = 1 << 26
    """The last check refused or cut what the rule asked for: a fault in the rule that must be looked into."""

    # Reasons to water by the clock, or none.
    RUN_DUE = 1 << 27
    """A planned run is due."""
    NO_RUN_DUE = 1 << 28
    """No planned run is due now."""
    RUN_MISSED = 1 << 29
    """A run is later than its grace allows."""
    CARRIED = 1 << 30
    """Litres of missed runs come on top."""
    SEASON_OUT = 1 << 31
    """The season's factor of this month is 0: nothing is wanted."""

    # What people put off.
    PAUSED = 1 << 32
    """A person paused the zone, or the place it lies in."""
    RAIN_DELAY = 1 << 33
    """A person put watering off because of rain."""
    SKIPPED_ONCE = 1 << 34
    """A person had this planned moment left out."""
    OUTSIDE_DATES = 1 << 35
    """The schedule is not in force on this date."""

    # What pumps and mains that zones share have room for.
    QUEUED = 1 << 37
    """A pump or main has no room now: it waits for its turn."""
    NO_ROOM_IN_WINDOW = 1 << 38
    """It waited for its turn until it was too late to begin."""
    FLOW_ABOVE_RESOURCE = 1 << 39
    """The zone alone takes more than its pump or main delivers."""
    WINDOW_TOO_SHORT = 1 << 40
    """With all its cycles the run takes longer than the allowed hours last."""

    # What the sky says.
    RAIN_EXPECTED = 1 << 46
    """Enough rain is forecast for the hours to come."""
    RAIN_FALLEN = 1 << 47
    """Enough rain was measured in the hours before."""
    # What the agency's budget of water says.
    MONTH_SPENT = 1 << 41
    """Nothing that is worth a run is left of the agency's litres for this month."""
    MONTH_CLIPPED = 1 << 42
    """The run was shortened to what is left of the agency's litres for this month."""
    VALVE_TEST = 1 << 43
    """A test of the valves is under way."""

    # What has to be looked at.
    DISPROVED = 1 << 44
    """Acts in a row had no effect: a person looks, or an act by hand proves that all is well."""


Marks: TypeAlias = tuple[tuple[Reason, Flags], ...]  # reasons, each with the rows in which it holds


def gather(zones: int, *marks: tuple[Reason, Flags]) -> Words:
    """Join masks into one word of reasons a zone.

    Parameters
    ----------
    zones : int
        Number of rows.
    *marks : tuple of Reason and ndarray, shape (zones,)
        A reason, and where it holds.

    Returns
    -------
    ndarray of int64, shape (zones,)
        The bits of every reason that holds.
    """
    reasons = np.zeros(zones, dtype=np.int64)
    for reason, where in marks:
        reasons |= where * np.int64(reason)
    return reasons


def names(flags: int | np.integer) -> tuple[str, ...]:
    """Spell out a word of reasons, lowest bit first: ``("dry", "outside-hours")``.

    A bit this version does not know (kept by a later one) is called by its number, ``"bit-31"``.
    """
    word = int(flags)
    return tuple(_name(bit) for bit in range(word.bit_length()) if word >> bit & 1)


def _name(bit: int) -> str:
    name = Reason(1 << bit).name
    return f"bit-{bit}" if name is None else name.lower().replace("_", "-")
