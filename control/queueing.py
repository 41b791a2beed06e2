# SPDX-License-Identifier: Apache-2.0
"""Queueing: who may begin now on pumps and mains that zones share, and when the others would.

Pure. Runs stand in line by their planned time, of equals the more urgent first, then by name. Whoever has room on all that
it needs begins; whoever has none waits, and nobody behind it begins on anything it needs, so that a large run is not kept
out for ever by small ones. Invariants: at no moment does a resource serve more zones or a greater flow than it may; after
standing still it rests as long as it must; the same runs get the same answer, whatever order they are given in.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Final

__all__ = ["MAX_CYCLES", "Line", "Placed", "Resource", "Run", "Wish", "admit", "cycles_of", "too_much", "unroll"]

MAX_CYCLES: Final = 24  # of one run
STEP_MS: Final = 60_000  # what waits is looked at this often [ms]
SLACK: Final = 1e-9  # share of a greatest flow that sums of flows may be off by [1]

Span = tuple[int, int]  # [start, end) in ms since the Unix epoch, UTC
_Taken = tuple[Span, float, tuple[str, ...]]  # span, flow and resources of what is under way


@dataclass(frozen=True, slots=True)
class Resource:
    """A pump, a main, or a supply that zones share.

    Attributes
    ----------
    max_flow_l_min : float
        Most that it delivers at once; inf where nothing binds it. [L min-1]
    max_zones : float
        Most zones at once; inf where nothing binds it.
    min_rest_s : int
        Least time from a standstill to the next start. [s]
    """

    max_flow_l_min: float = math.inf
    max_zones: float = math.inf
    min_rest_s: int = 0


@dataclass(frozen=True, slots=True)
class Run:
    """A run that wants to begin.

    Attributes
    ----------
    key : str
        Its name; of two with everything else equal the lesser comes first.
    planned_ms : int
        For when it was planned. [ms since the Unix epoch, UTC]
    flow_l_min : float
        NaN where it is not known: it then has the resource alone, where that has a greatest flow. [L min-1]
    resources : tuple of str
        What it needs, all of them at once.
    priority : int
        The greater is the more urgent.
    """

    key: str
    planned_ms: int
    flow_l_min: float = math.nan
    resources: tuple[str, ...] = ()
    priority: int = 0


@dataclass(slots=True)
class Line:
    """What a resource serves at a moment.

    Attributes
    ----------
    zones, flow_l_min : int, float
        How many, and how much together; NaN where one of them is not known. [L min-1]
    stopped_ms : int or None
        When it came to stand still the last time, as far as that may matter. [ms]
    """

    resource: Resource
    zones: int = 0
    flow_l_min: float = 0.0
    stopped_ms: int | None = None

    def has_room(self, flow_l_min: float, now_ms: int) -> bool:
        """Tell whether a run of that flow may begin."""
        if not self.zones:
            rested = self.stopped_ms is None or now_ms - self.stopped_ms >= self.resource.min_rest_s * 1000
            return rested and self.resource.max_zones >= 1
        if self.zones >= self.resource.max_zones:
            return False
        most = self.resource.max_flow_l_min
        return most == math.inf or self.flow_l_min + flow_l_min <= most * (1 + SLACK)  # NaN fits with nothing

    def begin(self, flow_l_min: float) -> None:
        """Serve one more."""
        self.zones += 1
        self.flow_l_min += flow_l_min

    def stopped(self, at_ms: int) -> None:
        """Know that it served somebody up to then."""
        self.stopped_ms = at_ms if self.stopped_ms is None else max(self.stopped_ms, at_ms)


def too_much(run: Run, resources: Mapping[str, Resource]) -> str | None:
    """Return the resource on which a run never fits, even alone; None where it can."""
    for name in run.resources:
        if name in resources and (run.flow_l_min > resources[name].max_flow_l_min * (1 + SLACK)):
            return name
    return None


def admit(runs: Iterable[Run], lines: Mapping[str, Line], now_ms: int) -> dict[str, str]:
    """Let begin who has room, in their order, and return of each that has to wait what it waits for.

    Parameters
    ----------
    runs : iterable of Run
        Each of another key; a resource that is not among `lines` binds nobody.
    lines : mapping
        What each resource serves now. Those that begin are added.

    Returns
    -------
    dict
        Key of a run that waits to the resource that has no room, or that another waits for.
    """
    waiting: dict[str, str] = {}
    claimed: set[str] = set()
    for run in sorted(runs, key=_order):
        needed = [name for name in run.resources if name in lines]
        if (before := next((name for name in needed if name in claimed), None)) is not None:
            waiting[run.key] = before
        elif (full := next((name for name in needed if not lines[name].has_room(run.flow_l_min, now_ms)), None)) is not None:
            waiting[run.key] = full
            claimed.update(needed)
        else:
            for name in needed:
                lines[name].begin(run.flow_l_min)
    return waiting


def cycles_of(seconds: float, cycle_s: float) -> int:
    """Return in how many cycles a run goes, as even ones as can be: a short last one would only wet the pipes.

    Parameters
    ----------
    cycle_s : float
        Longest time open at a stretch; 0 for as long as it takes. [s]
    """
    return min(max(math.ceil(seconds / cycle_s - SLACK), 1), MAX_CYCLES) if cycle_s > 0 else 1


@dataclass(frozen=True, slots=True)
class Wish:
    """A run with all its cycles, to be looked ahead for.

    Attributes
    ----------
    run : Run
    ready_ms : int
        Its first cycle begins no earlier. [ms since the Unix epoch, UTC]
    patience_ms : int
        A cycle that is ready begins no later than this after it. [ms]
    cycles_ms : tuple of int
        For how long the valve is open each time. [ms]
    soak_ms : int
        Least pause between two cycles. [ms]
    open : tuple of Span
        Within which cycles may begin; empty for always.
    """

    run: Run
    ready_ms: int
    patience_ms: int
    cycles_ms: tuple[int, ...]
    soak_ms: int = 0
    open: tuple[Span, ...] = ()

    def may_begin(self, now_ms: int) -> bool:
        """Tell whether a cycle may begin at that moment."""
        return not self.open or any(start <= now_ms < end for start, end in self.open)


@dataclass(slots=True)
class Placed:
    """Where a run would go.

    Attributes
    ----------
    spans : list of Span
        Of the cycles that find room, in order.
    resource : str or None
        What the first one that finds none waits for in vain.
    complete : bool
        Whether all find room.
    """

    spans: list[Span] = field(default_factory=list)
    resource: str | None = None
    complete: bool = False


def unroll(
    wishes: Sequence[Wish], resources: Mapping[str, Resource], taken: Iterable[tuple[Span, float, Sequence[str]]] = ()
) -> dict[str, Placed]:
    """Say when runs would begin if everything goes as it should: `admit` asked at every whole minute on which it matters.

    Parameters
    ----------
    taken : iterable of (span, flow, resources)
        What is under way, and until when. Flow in L min-1.
    """
    wished = {wish.run.key: wish for wish in wishes}
    found = {key: Placed() for key in wished}
    under_way = [(span, flow, tuple(names)) for span, flow, names in taken]
    stopped: dict[str, int] = {}
    numbers = count()
    due = [(_next_step(wish.ready_ms), next(numbers), wish.run.key, wish.ready_ms) for wish in wishes]
    heapq.heapify(due)
    ready: dict[str, int] = {}  # key to since when
    while due:
        now_ms = due[0][0]
        while due and due[0][0] <= now_ms:
            _, _, key, since_ms = heapq.heappop(due)
            if key:
                ready[key] = since_ms
        for span, _, names in under_way:
            if span[1] <= now_ms:
                stopped.update((name, max(span[1], stopped.get(name, 0))) for name in names)
        under_way = [one for one in under_way if one[0][1] > now_ms]
        ready = {key: since_ms for key, since_ms in ready.items() if now_ms - since_ms <= wished[key].patience_ms}
        trying = [wished[key] for key in ready if wished[key].may_begin(now_ms)]
        waiting = _waiting(trying, resources, under_way, stopped, now_ms)
        for wish in trying:
            key = wish.run.key
            found[key].resource = waiting.get(key)
            if key not in waiting:
                del ready[key]
                under_way.append(_begin(wish, found[key], now_ms, due, numbers))
        if ready:
            heapq.heappush(due, (now_ms + STEP_MS, next(numbers), "", 0))
    return found


def _waiting(
    wishes: Sequence[Wish],
    resources: Mapping[str, Resource],
    under_way: Sequence[_Taken],
    stopped: Mapping[str, int],
    now_ms: int,
) -> dict[str, str]:
    never = {wish.run.key: name for wish in wishes if (name := too_much(wish.run, resources)) is not None}
    lines = {name: Line(resource, stopped_ms=stopped.get(name)) for name, resource in resources.items()}
    for _, flow, names in under_way:
        for name in names:
            if name in lines:
                lines[name].begin(flow)
    return never | admit([wish.run for wish in wishes if wish.run.key not in never], lines, now_ms)


def _begin(wish: Wish, placed: Placed, now_ms: int, due: list[tuple[int, int, str, int]], numbers: Iterator[int]) -> _Taken:
    end_ms = now_ms + wish.cycles_ms[len(placed.spans)]
    placed.spans.append((now_ms, end_ms))
    placed.complete = len(placed.spans) == len(wish.cycles_ms)
    if not placed.complete:
        ready_ms = end_ms + wish.soak_ms
        heapq.heappush(due, (_next_step(ready_ms), next(numbers), wish.run.key, ready_ms))
    return (now_ms, end_ms), wish.run.flow_l_min, wish.run.resources


def _next_step(ms: int) -> int:
    return -(-ms // STEP_MS) * STEP_MS


def _order(run: Run) -> tuple[int, int, str]:
    return run.planned_ms, -run.priority, run.key
