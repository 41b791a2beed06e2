# SPDX-License-Identifier: Apache-2.0
"""Pending: which planned moments have come and have no row in the ledger yet.

Invariant: no moment is passed over; of one zone at most 48 a day come in the 400 days that calendars are asked for. For each
plot is known until when nothing can be pending, and only plots whose time has come are looked into; that is forgotten whenever
a plot changes or the clock is put back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from control.agenda import Agenda, Due, patience_s
from control.database import in_parts
from control.definitions import TimerDefinition
from control.ids import act_id
from control.models import ActRow
from control.plots import Plot

__all__ = ["Pending", "act_key", "makes_up_once"]

MINUTE_MS: Final = 60_000


class Pending:
    """Looks for what has come."""

    def __init__(self) -> None:
        self._agenda = Agenda()
        self._plots: Sequence[Plot] = ()
        self._heads: NDArray[np.int64] = np.zeros(0, dtype=np.int64)  # before it nothing of a plot is pending [ms]
        self._last_ms = 0
        self.found: frozenset[str] = frozenset()  # zones of the last time

    def find(self, session: Session, plots: Sequence[Plot], last_ms: int, now_ms: int) -> list[tuple[Plot, list[Due]]]:
        """Return each plot of planned moments that have come and of which the ledger knows nothing, with these, oldest first.

        Parameters
        ----------
        plots : sequence of Plot
            Of definitions that plan moments; the same sequence as long as none of them has changed.
        last_ms : int
            The tick before. [ms since the Unix epoch, UTC]
        """
        if plots is not self._plots or now_ms < self._last_ms:
            self._agenda.keep(plots)
            self._plots, self._heads = plots, np.zeros(len(plots), dtype=np.int64)
        self._last_ms = now_ms
        looked = [
            (row, plots[row], {act_key(plots[row], due.planned_ms): due for due in self._come(plots[row], last_ms, now_ms)})
            for row in np.flatnonzero(self._heads <= now_ms).tolist()
        ]
        known = _known(session, (key for _, _, dues in looked for key in dues))
        found = []
        for row, plot, dues in looked:
            if pending := [due for key, due in dues.items() if key not in known]:
                found.append((plot, pending))
            self._heads[row] = pending[0].planned_ms if pending else self._agenda.next_ms(plot, now_ms)
        self.found = frozenset(plot.zone.key for plot, _ in found)
        return found

    def _come(self, plot: Plot, last_ms: int, now_ms: int) -> Sequence[Due]:
        once = makes_up_once(plot)
        # What was within its grace at the last tick is looked at once more, so that its end is concluded.
        since = max(plot.since_ms, last_ms - (0 if once else patience_s(plot) * 1000) - MINUTE_MS)
        moments = self._agenda.due(plot, since, now_ms)
        if once:  # the one before may wait still, and is concluded when the next one comes
            before = self._agenda.latest(plot, moments[0].planned_ms - 1 if moments else now_ms)
            moments = [before, *moments] if before is not None and before.planned_ms > plot.since_ms else moments
        return moments


def makes_up_once(plot: Plot) -> bool:
    """Tell whether one missed moment is made up for, however late."""
    return isinstance(plot.definition, TimerDefinition) and plot.definition.missed == "once"


def act_key(plot: Plot, planned_ms: int, part: int = 1) -> str:
    """Return the id of the act that a plot's schedule plans for that moment: of a run in cycles, of that part."""
    return act_id(f"schedule:{plot.schedule_id}", plot.version, plot.zone.key, planned_ms, part)


def _known(session: Session, keys: Iterable[str]) -> set[str]:
    known: set[str] = set()
    for part in in_parts(keys):
        known.update(session.scalars(select(ActRow.id).where(ActRow.id.in_(part))))
    return known
