# SPDX-License-Identifier: Apache-2.0
"""The last word on every act: hard limits that hold whatever the rule before them said.

Nothing here trusts a rule. An act passes only if every amount and every limit is a finite number, is cut to the limits,
and is refused where the zone must not act at all. A sound rule is never corrected here: each correction carries
`Reason.INTERLOCK`.
"""

from __future__ import annotations

import numpy as np

from rules.columns import Flags, Numbers, Words
from rules.plan import Plan
from rules.reasons import Reason, gather

__all__ = ["STOP_MARGIN", "apply"]

STOP_MARGIN = 1.1  # a device's own stop, as a multiple of the expected run: room for its timer, little for a fault [1]


def apply(
    plan: Plan,
    *,
    enabled: Flags,
    online: Flags,
    busy: Flags,
    unsettled: Flags,
    held: Words,
    max_seconds: Numbers,
    max_litres: Numbers,
    max_grams: Numbers,
) -> Plan:
    """Refuse or cut what must not be done.

    Parameters
    ----------
    plan : Plan
        What the rule asks for.
    enabled, online, busy, unsettled : ndarray of bool, shape (n,)
        Only an enabled, connected zone with no act under way or unknown may act.
    held : ndarray of int64, shape (n,)
        Bits of `Reason` that keep the zone from acting, whatever the rule says; 0 where none does.
    max_seconds, max_litres, max_grams : ndarray, shape (n,)
        Longest run of one act; most that it may still give: a day's budget less what was given. [s], [L], [g]

    Returns
    -------
    Plan
        The plan within the limits. NaN, an infinity or a negative number among a row's amounts or limits, or nothing
        left to give: the row does not act. Where an act is refused, the row is `withheld`.
    """
    litres = np.minimum(plan.litres, max_litres)
    grams = np.minimum(plan.grams, max_grams)
    stop = np.minimum(plan.max_seconds, max_seconds)
    seconds = np.minimum(plan.seconds, stop)
    something = (
        _finite(plan, max_seconds, max_litres, max_grams)
        & (seconds > 0.0)
        & (litres >= 0.0)
        & (grams >= 0.0)
        & ((litres > 0.0) | (grams > 0.0))
    )
    act = plan.act & something & enabled & online & ~busy & ~unsettled & (held == 0)
    refused = plan.act & ~act
    cut = act & ((seconds < plan.seconds) | (litres < plan.litres) | (grams < plan.grams) | (stop < plan.max_seconds))
    marks = gather(
        len(act),
        (Reason.DISABLED, plan.act & ~enabled),
        (Reason.OFFLINE, plan.act & ~online),
        (Reason.BUSY, plan.act & busy),
        (Reason.UNSETTLED, plan.act & unsettled),
        (Reason.INTERLOCK, refused | cut),
    )
    return Plan(
        act=act,
        seconds=np.where(act, seconds, 0.0),
        litres=np.where(act, litres, 0.0),
        grams=np.where(act, grams, 0.0),
        max_seconds=np.where(act, stop, 0.0),
        reasons=plan.reasons | marks | np.where(plan.act, held, 0),
        latched=plan.latched.copy(),
        withheld=plan.withheld | refused,
    )


def _finite(plan: Plan, max_seconds: Numbers, max_litres: Numbers, max_grams: Numbers) -> Flags:
    # One sum stands for all seven: NaN and infinities survive addition, and numbers whose sum overflows are absurd.
    with np.errstate(all="ignore"):
        asked = plan.seconds + plan.litres + plan.grams + plan.max_seconds
        finite: Flags = np.isfinite(asked + max_seconds + max_litres + max_grams)
    return finite
