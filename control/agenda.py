# SPDX-License-Identifier: Apache-2.0
"""The agenda: which planned moments of the zones' calendars have come.

Invariant: it only remembers what calendars say, so a new one, after a restart, gives the same answers.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from control.definitions import FeedingDefinition, IrrigationDefinition, TimerDefinition, meal_grams
from control.plots import Plot
from control.starts import Almanac, Whereabouts
from rules.reasons import Reason

__all__ = ["Agenda", "Due", "grace_s", "patience_s", "put_off_grace_s"]

AHEAD_MS: Final = 36 * 3_600_000  # looked up at a time [ms]
BACK_DAYS: Final = 400  # how far back the latest moment is looked for [d]
DAY_MS: Final = 86_400_000
SOON_S: Final = 120  # what may not be late at all is still given at the first or second tick [s]
UNTIL_NEXT_S: Final = BACK_DAYS * 86_400


@dataclass(frozen=True, slots=True)
class Due:
    """A planned moment that has come; what is planned for it, None where it is planned otherwise. [g], [L], [s]

    `left_out` says why it is not to be given whatever the rule says, as "skipped-once: by NAME", and `left_out_by` who said so.

    Attributes
    ----------
    part, parts : int
        The cycle of a run that is next; the first stands for its whole run, whose parts are not known yet.
    ready_ms : int or None
        When that cycle may begin; None at the planned moment.
    """

    planned_ms: int
    grams: float | None = None
    litres: float | None = None
    seconds: float | None = None
    left_out: str | None = None
    left_out_by: str = "controller"
    part: int = 1
    parts: int = 1
    ready_ms: int | None = None

    @property
    def since_ms(self) -> int:
        """From when on it may begin. [ms since the Unix epoch, UTC]"""
        return self.planned_ms if self.ready_ms is None else self.ready_ms


def grace_s(definition: TimerDefinition | FeedingDefinition) -> int:
    """Return how late what is planned may still be given. [s]"""
    if isinstance(definition, FeedingDefinition) or definition.missed == "late":
        return definition.late_s
    return UNTIL_NEXT_S if definition.missed == "once" else SOON_S


def put_off_grace_s(definition: TimerDefinition | FeedingDefinition) -> int:
    """Return how late what a person put off may still be given: an outage is made up for once, a pause is none. [s]"""
    return min(grace_s(definition), max(definition.late_s, SOON_S))


def patience_s(plot: Plot) -> int:
    """Return how late what is planned in a plot may still be given: longer where it waits for its turn on a pump. [s]"""
    definition = plot.definition
    assert not isinstance(definition, IrrigationDefinition)
    if isinstance(definition, TimerDefinition) and plot.reasons & Reason.QUEUED:
        return max(grace_s(definition), definition.wait_s)
    return grace_s(definition)


@dataclass(slots=True)
class _Page:
    """The moments of one schedule in (after, upto], in order."""

    version: int
    where: Whereabouts
    after_ms: int
    upto_ms: int
    moments: list[Due]
    times: list[int]
    before: Due | None = None  # the latest one up to `after`, where it was looked for
    looked_back: bool = False


class Agenda:
    """Looks planned moments up; keeps one page a schedule."""

    def __init__(self) -> None:
        self._almanac = Almanac()
        self._pages: dict[str, _Page] = {}

    def due(self, plot: Plot, after_ms: int, now_ms: int) -> Sequence[Due]:
        """Return the moments in (after, now] of a plot, oldest first; none where its definition plans none."""
        page = self._turned_to(plot, after_ms, now_ms)
        return page.moments[bisect_right(page.times, after_ms) : bisect_right(page.times, now_ms)]

    def next_ms(self, plot: Plot, after_ms: int) -> int:
        """Return when the next moment after `after` comes, or until when surely none does."""
        page = self._turned_to(plot, after_ms, after_ms)
        come = bisect_right(page.times, after_ms)
        return page.times[come] if come < len(page.times) else page.upto_ms

    def keep(self, plots: Sequence[Plot]) -> None:
        """Forget the pages of schedules that are not among those of `plots`."""
        wanted = {plot.schedule_id for plot in plots}
        self._pages = {key: page for key, page in self._pages.items() if key in wanted}

    def _turned_to(self, plot: Plot, after_ms: int, upto_ms: int) -> _Page:
        page = self._pages.get(plot.schedule_id)
        if (
            page is None
            or (page.version, page.where) != (plot.version, plot.where)
            or not (page.after_ms <= after_ms and upto_ms <= page.upto_ms)
        ):
            page = self._page(plot, min(after_ms, upto_ms - DAY_MS), upto_ms + AHEAD_MS)
            self._pages[plot.schedule_id] = page
        return page

    def latest(self, plot: Plot, now_ms: int) -> Due | None:
        """Return the latest moment up to now, however long ago within 400 days."""
        page = self._pages.get(plot.schedule_id)
        if page is None or (page.version, page.where) != (plot.version, plot.where) or now_ms > page.upto_ms:
            page = self._page(plot, now_ms - DAY_MS, now_ms)
        if come := bisect_right(page.times, now_ms):
            return page.moments[come - 1]
        if not page.looked_back:  # once a page: what came before it does not change
            page.looked_back = True
            for days in (8, 40, BACK_DAYS):
                if moments := self._page(plot, page.after_ms - days * DAY_MS, page.after_ms).moments:
                    page.before = moments[-1]
                    break
        return page.before

    def _page(self, plot: Plot, after_ms: int, upto_ms: int) -> _Page:
        definition = plot.definition
        moments: dict[int, Due] = {}  # two at one moment are one act
        if isinstance(definition, FeedingDefinition):
            for moment in self._almanac.moments(definition.meals, plot.where, after_ms, upto_ms):
                if definition.in_force(moment.day):
                    grams = meal_grams(definition, definition.meals[moment.index])
                    moments.setdefault(moment.at_ms, Due(moment.at_ms, grams=grams))
        elif isinstance(definition, TimerDefinition):
            for moment in self._almanac.moments(definition.starts, plot.where, after_ms, upto_ms):
                if not definition.in_force(moment.day):
                    continue
                run = definition.starts[moment.index]
                moments.setdefault(moment.at_ms, Due(moment.at_ms, litres=run.litres, seconds=run.seconds))
        return _Page(plot.version, plot.where, after_ms, upto_ms, list(moments.values()), list(moments))
