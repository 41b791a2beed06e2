# SPDX-License-Identifier: Apache-2.0
"""Limits of amounts where acts enter the ledger: checked in the transaction that plans them, so that none slips between.

                       asked for by a rule                 asked for by a person
    longest run        cut, by the rules                   refused
    zone's day         cut or held, by the rules           refused, or overridden with a written reason
    agency's month     cut or held, here                   refused, or overridden with a written reason

The loads of zones and the month's litres are read in the same transaction, and there is one writer at a time. Invariant: what
is planned in one go never adds up to more than was left of a month; who was planned earlier goes first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from control.budgets import Standing
from control.commands import whole_seconds
from control.definitions import FeedingDefinition
from control.evaluation import Outcome
from control.holds import Holds
from control.loads import Load
from control.models import SiteRow
from control.plots import Plot
from control.records import Hold, ZoneParameters
from rules.reasons import Reason

__all__ = ["Excess", "MonthRest", "find_excess"]

TOLERANCE_L: Final = 1e-6  # what sums of floating numbers may be off [L]


@dataclass(frozen=True, slots=True)
class Excess:
    """A budget that an act would exceed.

    Attributes
    ----------
    budget : str
        "day" or "month".
    detail : str
        What is left of what.
    """

    budget: str
    detail: str


def find_excess(
    load: Load, limits: ZoneParameters, month: Standing | None, litres: float | None, grams: float | None
) -> list[Excess]:
    """Return the budgets that an act asked for by hand would exceed.

    Parameters
    ----------
    load : Load
        What the ledger says of the zone now.
    limits : ZoneParameters
        The zone's limits, lowered to those of its schedule.
    month : Standing or None
        Of the zone's agency, where that has a budget.
    """
    found = []
    if litres is not None and load.litres + litres > limits.litres_day + TOLERANCE_L:
        left = max(limits.litres_day - load.litres, 0.0)
        found.append(Excess("day", f"{left:g} L are left of the day's {limits.litres_day:g} L; {litres:g} L are too much"))
    if grams is not None and load.grams + grams > limits.grams_day + TOLERANCE_L:
        left = max(limits.grams_day - load.grams, 0.0)
        found.append(Excess("day", f"{left:g} g are left of the day's {limits.grams_day:g} g; {grams:g} g are too much"))
    if litres is not None and month is not None and month.budget_l is not None and litres > (month.left_l or 0.0) + TOLERANCE_L:
        left, of = month.left_l or 0.0, month.budget_l
        found.append(Excess("month", f"{left:g} L are left of the agency's {of:g} L this month; {litres:g} L are too much"))
    return found


class MonthRest:
    """What is left of this month for those who plan in one transaction."""

    def __init__(self, session: Session, standings: Mapping[str, Standing]) -> None:
        self._left = {agency: one.left_l for agency, one in standings.items() if one.left_l is not None}
        self._budget = {agency: one.budget_l for agency, one in standings.items()}
        sites = select(SiteRow.name, SiteRow.agency_key).where(SiteRow.agency_key.in_(list(self._left)))
        self._agency = {row.name: row.agency_key for row in session.execute(sites)} if self._left else {}

    def hold(self, holds: Holds, plots: Iterable[Plot]) -> None:
        """Hold the beds of agencies of whose month nothing is left."""
        spent = {agency for agency, left in self._left.items() if left <= TOLERANCE_L}
        for plot in plots if spent else ():
            agency = self._agency.get(plot.zone.site)
            if agency in spent and plot.zone.type == "bed":
                holds.add(Hold(plot.zone.key, int(Reason.MONTH_SPENT), {"month_budget": self._budget[agency]}))

    def sift(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """Return the outcomes, those held of which too little is left even if nobody else took any.

        Nothing is taken yet. They stand in no line for a pump that they could not use, tick for tick.
        """
        if not self._agency:
            return list(outcomes)
        return [self._cut(one)[0] if self._takes(one) and not self._cut(one)[0].act else one for one in outcomes]

    def fit(self, outcomes: Sequence[Outcome], rank: Callable[[Outcome], tuple[int, ...]]) -> list[Outcome]:
        """Return the outcomes, in their order, each cut to or held by what is left.

        Who was planned earlier goes first, then by `rank`, then by the zone's key.

        Parameters
        ----------
        rank : callable
            Returns what stands between the planned moment and the key: smaller first.
        """
        if not self._agency:
            return list(outcomes)
        fitted = list(outcomes)
        taking = [place for place, one in enumerate(outcomes) if self._takes(one)]
        for place in sorted(taking, key=lambda place: self._order(outcomes[place], rank)):
            fitted[place], left = self._cut(outcomes[place])
            self._left[self._agency[outcomes[place].plot.zone.site]] = left
        return fitted

    def _takes(self, outcome: Outcome) -> bool:
        return outcome.act and outcome.litres > 0.0 and outcome.plot.zone.site in self._agency

    def _cut(self, outcome: Outcome) -> tuple[Outcome, float]:
        """Return an outcome cut to or held by what is left of its agency's month, and what then is left. [L]"""
        agency = self._agency[outcome.plot.zone.site]
        left = self._left[agency]
        litres = min(outcome.litres, left)
        if litres >= outcome.litres - TOLERANCE_L:
            return outcome, max(left - outcome.litres, 0.0)
        definition = outcome.plot.definition
        seconds = outcome.seconds * litres / outcome.litres
        least_s = 0.0 if isinstance(definition, FeedingDefinition) else definition.min_seconds
        if litres <= TOLERANCE_L or seconds < least_s:
            return self._changed(outcome, agency, Reason.MONTH_SPENT, 0.0, 0.0), left
        return self._changed(outcome, agency, Reason.MONTH_CLIPPED, seconds, litres), left - litres

    def _changed(self, outcome: Outcome, agency: str, reason: Reason, seconds: float, litres: float) -> Outcome:
        seen = {"month_budget": self._budget[agency], "month_asked": outcome.litres}
        return replace(
            outcome,
            act=litres > 0.0,
            seconds=seconds,
            litres=litres,
            # At rated flow not even the device's own stop lets more through than the month has left.
            max_seconds=min(outcome.max_seconds, whole_seconds(seconds)),
            reasons=outcome.reasons | int(reason),
            withheld=litres <= 0.0,
            inputs=lambda: {**outcome.inputs(), **seen, "seconds": seconds, "litres": litres},
        )

    def _order(self, outcome: Outcome, rank: Callable[[Outcome], tuple[int, ...]]) -> tuple[int, tuple[int, ...], str]:
        # What no calendar planned is planned now, after what has come before.
        planned_ms = outcome.due.planned_ms if outcome.due is not None else 2**62
        return planned_ms, rank(outcome), outcome.plot.zone.key
