# SPDX-License-Identifier: Apache-2.0
"""One run of a preview: the controller's own tick on a copy in memory, over days, with devices that do as they are told.

The tick runs at moments at which something can change: a planned start, an act's end, an edge of allowed hours, midnight, the
end of a grace; while something waits for another cause, each minute. Invariant: every moment is a whole minute, as with the
controller.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from control.agenda import Agenda
from control.budgets import WaterBook
from control.errors import PreviewTooLong
from control.evaluation import LatestValues
from control.forecasts import Forecast
from control.ledger import act_record
from control.models import OPEN_ACTS, ActRow, ZoneStateRow
from control.pending import Pending
from control.plots import PlotCache, load_plots
from control.preview_ground import Ground
from control.preview_wakes import waking
from control.preview_weather import Foreseen, soils_of
from control.records import Act, Decision
from control.ticking import MINUTE_MS, run_tick

__all__ = ["Foreshown", "PreviewRun"]

DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class Foreshown:
    """An act as it will be.

    Attributes
    ----------
    act : Act
        State "done" where it will run, else "skipped"; `begun_ms` and `ended_ms` are when.
    why : Decision or None
        What the rule will say: of one that is left out, what held it.
    """

    act: Act
    why: Decision | None = None

    @property
    def runs(self) -> bool:
        """Whether it will be done."""
        return self.act.state == "done"


@dataclass(slots=True)
class PreviewRun:
    """One run of the controller over the days."""

    session: Session
    latest: LatestValues
    ground: Ground
    forecast: Forecast | None
    start_ms: int
    end_ms: int
    stale_s: float
    cache: PlotCache = field(default_factory=PlotCache)
    pending: Pending = field(default_factory=Pending)
    book: WaterBook = field(default_factory=WaterBook)
    agenda: Agenda = field(default_factory=Agenda)
    why: dict[str, Decision] = field(default_factory=dict)
    held: dict[str, Decision] = field(default_factory=dict)
    under_way: list[ActRow] = field(default_factory=list)
    ended: dict[str, int] = field(default_factory=dict)  # last act of each zone
    seen: Foreseen = field(init=False)

    def to_the_end(self, most_ticks: int, late: Callable[[], bool]) -> tuple[Foreshown, ...]:
        """Run, and return what was planned."""
        plots = load_plots(self.session, self.cache)
        soils = soils_of([plot.zone for plot in plots if plot.zone.type == "bed"], self.latest, self.forecast, self.start_ms)
        self.seen = Foreseen(self.latest, self.start_ms, soils)
        for row in self.ground.rows["act"]:
            if row["ended_ms"] is not None and row["state"] != "skipped":
                self.ended[row["zone_key"]] = max(row["ended_ms"], self.ended.get(row["zone_key"], 0))
        now_ms, ticks = self.start_ms // MINUTE_MS * MINUTE_MS + MINUTE_MS, 0
        self._begin(self.start_ms)
        while now_ms < self.end_ms:
            if (ticks := ticks + 1) > most_ticks or late():
                raise PreviewTooLong
            now_ms = self._step(now_ms)
        self._end_until(self.end_ms + DAY_MS)
        return self._found()

    def _step(self, now_ms: int) -> int:
        """Run the tick of now, and return when the next one can find something."""
        self._end_until(now_ms)
        self.seen.now_ms = now_ms
        result = run_tick(self.session, self.seen, self.cache, self.pending, self.book, now_ms=now_ms, stale_s=self.stale_s)
        for decision in result.decisions:
            if decision.act_id is not None:
                self.why[decision.act_id] = decision
            if not decision.acted and not {"run-missed", "meal-missed"} & set(decision.reasons):
                self.held[decision.zone_key] = decision
        for act in result.acts:
            if act.state == "skipped" and act.zone_key in self.held:
                self.why[act.id] = self.held[act.zone_key]
        self._begin(now_ms)
        if any(act.state == "skipped" for act in result.acts):  # behind it another may wait
            return now_ms + MINUTE_MS
        moments = [self.end_ms, *(_end_of(row) for row in self.under_way), *self._wakings(now_ms)]
        return max(int(-(-min(moments) // MINUTE_MS)) * MINUTE_MS, now_ms + MINUTE_MS)

    def _begin(self, now_ms: int) -> None:
        """Let devices begin what waits for them, as they are told."""
        self.under_way = list(self.session.scalars(select(ActRow).where(OPEN_ACTS)))
        for row in self.under_way:
            if row.state != "running":
                row.state = "running"
                row.sent_ms = now_ms if row.sent_ms is None else row.sent_ms
                row.begun_ms = now_ms if row.begun_ms is None else row.begun_ms

    def _end_until(self, now_ms: int) -> None:
        """Let acts end that are over by now, done as they were asked for."""
        for row in sorted(self.under_way, key=_end_of):
            end_ms = _end_of(row)
            if end_ms <= now_ms:
                row.state, row.ended_ms = "done", end_ms
                row.result_seconds, row.result_litres, row.result_grams = row.seconds, row.litres, row.grams
                self.ended[row.zone_key or ""] = end_ms
                self.book.forget([row.begun_ms or end_ms])
                self._soak(row, end_ms)
        self.under_way = [row for row in self.under_way if row.state == "running"]
        self.session.flush()

    def _soak(self, row: ActRow, end_ms: int) -> None:
        site, device, number = (row.zone_key or "::0").split(":")
        soil = self.seen.soils.get((site, device, int(number)))
        if soil is not None and row.litres:
            soil.give(row.litres, end_ms)

    def _wakings(self, now_ms: int) -> Iterator[float]:
        query = select(ZoneStateRow.zone_key, ZoneStateRow.reasons, ZoneStateRow.acted)
        states = {key: (reasons, acted) for key, reasons, acted in self.session.execute(query)}
        yield from (end_ms for end_ms in self.ground.ends_ms if end_ms > now_ms)
        for plot in self.cache.plots:
            key = plot.zone.key
            yield self.agenda.next_ms(plot, now_ms)
            if key in states:
                soil, ended_ms = self.seen.soils.get(plot.latest_key), self.ended.get(key)
                alone = not self.under_way
                yield from waking(plot, *states[key], self.agenda, soil, ended_ms, now_ms, self.end_ms, alone=alone)

    def _found(self) -> tuple[Foreshown, ...]:
        """Return what was planned in these days, in order."""
        query = select(ActRow).where(ActRow.origin.startswith("schedule:"), ActRow.state.in_(("done", "skipped")))
        acts = [act_record(row) for row in self.session.scalars(query) if row.id not in self.ground.acts]
        acts = [act for act in acts if (act.begun_ms or act.planned_ms) < self.end_ms]
        acts.sort(key=lambda act: (act.begun_ms or act.planned_ms, act.id))
        return tuple(Foreshown(act, self.why.get(act.id)) for act in acts)


def _end_of(row: ActRow) -> int:
    begun = row.begun_ms if row.begun_ms is not None else row.issued_ms
    return begun + round((row.seconds or 0.0) * 1000)
