# SPDX-License-Identifier: Apache-2.0
"""Conflicts of a schedule, found before it is saved: with itself, with its zone, with its site, with what is there.

Pure over a definition, its zone and its whereabouts. Invariant: what contradicts itself is an error and is not saved; what
only does not go with the zone as it is now is a warning, for the zone may be mended after.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import pairwise
from typing import Final, Literal

from control.agenda import grace_s
from control.calendars import in_hours, instant, minutes_of
from control.definitions import AnyDefinition, FeedingDefinition, TimerDefinition, meal_grams, planned_starts
from control.queueing import MAX_CYCLES
from control.records import Schedule, Seen, Zone
from control.starts import Almanac, Daily, Moment, Start, Weekly, Whereabouts

__all__ = ["Conflicting", "Severity", "find_conflicts"]

DAY_MS: Final = 86_400_000
YEAR_DAYS: Final = 366
WEEKS_DAYS: Final = 15  # of starts that repeat by the week
FEW_DAYS: Final = 3  # of starts that are the same every day: changes of clocks move all alike
WAIT_MS: Final = 15 * 60_000  # steps in which allowed hours are looked for [ms]
LONGEST_WAIT_MS: Final = DAY_MS
SLACK: Final = 1e-9  # of sums of shares and litres

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Conflicting:
    """One conflict.

    Attributes
    ----------
    code : str
        As in docs/schedules.md.
    severity : str
        "error" is not saved; "warning" is told.
    field : str
        What of the schedule to change, as `definition.starts.1.time`.
    numbers : mapping
        What its sentence needs.
    at_ms : int or None
        A planned moment at which it shows. [ms since the Unix epoch, UTC]
    """

    code: str
    severity: Severity
    field: str
    numbers: Mapping[str, Seen]
    at_ms: int | None = None


def find_conflicts(
    definition: AnyDefinition,
    zone: Zone,
    where: Whereabouts,
    *,
    now_ms: int,
    others: Sequence[Schedule] = (),
    almanac: Almanac | None = None,
) -> list[Conflicting]:
    """Return what conflicts in a schedule, errors first; of each code and field the first moment at which it shows.

    Parameters
    ----------
    others : sequence of Schedule
        The zone's other schedules; one that is enabled is in the way of another.
    now_ms : int
        Moments are looked at from here: some days where all days are alike, else a year.
    """
    plan = _Plan(definition, zone, where, now_ms, almanac or Almanac())
    found: dict[tuple[str, str], Conflicting] = {}
    for one in (*_beside(others), *_of_zone(plan), *_of_starts(plan), *_of_moments(plan)):
        found.setdefault((one.code, one.field), one)
    return sorted(found.values(), key=lambda one: one.severity)


class _Plan:
    """A definition with its planned moments looked up."""

    def __init__(self, definition: AnyDefinition, zone: Zone, where: Whereabouts, now_ms: int, almanac: Almanac) -> None:
        self.definition = definition
        self.zone = zone
        self.where = where
        self.starts = planned_starts(definition)
        self.list = "meals" if isinstance(definition, FeedingDefinition) else "starts"
        begin = _begin(definition, self.starts, where, now_ms)
        upto = begin + _horizon_days(definition, self.starts) * DAY_MS
        self.moments = [one for one in almanac.moments(self.starts, where, begin, upto) if definition.in_force(one.day)]

    def amount(self, index: int) -> float | None:
        """Return what a start plans: litres of a bed, grams of a pond; None where the valve's flow is not known."""
        definition = self.definition
        if isinstance(definition, FeedingDefinition):
            return meal_grams(definition, definition.meals[index])
        assert isinstance(definition, TimerDefinition)
        run, flow = definition.starts[index], self.zone.parameters.flow_l_min
        if run.litres is not None:
            return run.litres
        return None if flow is None or run.seconds is None else run.seconds / 60.0 * flow

    def seconds(self, index: int) -> float | None:
        """Return how long a start takes, as far as it can be told. [s]"""
        definition, own = self.definition, self.zone.parameters
        if isinstance(definition, TimerDefinition) and definition.starts[index].seconds is not None:
            return definition.starts[index].seconds
        rate = own.grams_per_s if isinstance(definition, FeedingDefinition) else (own.flow_l_min or 0.0) / 60.0
        amount = self.amount(index)
        return amount / rate if amount is not None and rate else None

    def name(self, index: int, part: str = "time") -> str:
        """Return the name of a field of a start."""
        return f"definition.{self.list}.{index}.{part}"


def _begin(definition: AnyDefinition, starts: Sequence[Start], where: Whereabouts, now_ms: int) -> int:
    """Return from when on moments are looked at: now, or when the schedule comes in force. [ms since the Unix epoch, UTC]"""
    firsts = [one.first for one in starts]
    first = max(definition.first or date.min, date.min if None in firsts else min(filter(None, firsts), default=date.min))
    if first == date.min:
        return now_ms
    return max(now_ms, instant(first, 0, where.zone) - 1)


def _horizon_days(definition: AnyDefinition, starts: Sequence[Start]) -> int:
    if isinstance(definition, TimerDefinition) and len(set(definition.season)) > 1:
        return YEAR_DAYS
    plain = all(not (one.by_sun or one.first or one.last or one.not_on or one.holidays != "also") for one in starts)
    if plain and all(isinstance(one.days, Daily) for one in starts):
        return FEW_DAYS
    return WEEKS_DAYS if plain and all(isinstance(one.days, Daily | Weekly) for one in starts) else YEAR_DAYS


def _beside(others: Sequence[Schedule]) -> Iterator[Conflicting]:
    for other in others:
        if other.enabled:
            yield Conflicting("other-schedule", "error", "zone", {"schedule": other.id})


def _of_zone(plan: _Plan) -> Iterator[Conflicting]:
    """Find what the zone lacks, and limits of it that are below those of the schedule."""
    definition, own = plan.definition, plan.zone.parameters
    needed = {"irrigation": ("area_m2", "root_depth_m", "flow_l_min"), "timer": ("flow_l_min",), "feeding": ("grams_per_s",)}
    for name in needed[definition.type]:
        if getattr(own, name) is None:
            yield Conflicting("zone-incomplete", "warning", f"zone.{name}", {"name": name})
    if not isinstance(definition, FeedingDefinition) and definition.min_seconds > own.max_seconds:
        numbers: dict[str, Seen] = {"seconds": definition.min_seconds, "limit": own.max_seconds}
        yield Conflicting("run-too-short", "warning", "definition.min_seconds", numbers)


def _of_starts(plan: _Plan) -> Iterator[Conflicting]:
    """Find what is wrong with single starts, whenever they come."""
    definition, own = plan.definition, plan.zone.parameters
    coming = {moment.index for moment in plan.moments}
    for index, start in enumerate(plan.starts):
        if start.by_sun and plan.where.latitude is None:
            yield Conflicting("no-position", "error", plan.name(index), {})
        elif index not in coming:
            yield Conflicting("never-comes", "warning", plan.name(index, "days"), {"time": start.time})
        seconds = plan.seconds(index)
        if seconds is None:
            continue
        longest = _longest(definition, own.max_seconds)
        if seconds > longest:
            asked = isinstance(definition, TimerDefinition) and definition.starts[index].seconds is not None
            severity: Severity = "error" if asked and seconds > _longest(definition, seconds) else "warning"
            numbers: dict[str, Seen] = {"time": start.time, "seconds": seconds, "limit": longest}
            yield Conflicting("run-too-long", severity, plan.name(index, "seconds" if asked else "time"), numbers)


def _longest(definition: AnyDefinition, zone_s: float) -> float:
    """Return the longest run in a zone that runs for so long at a stretch, all its cycles together. [s]"""
    if not isinstance(definition, TimerDefinition):
        return zone_s
    stretch_s = min(definition.max_seconds, zone_s)
    return min(definition.cycle_s, stretch_s) * MAX_CYCLES if definition.cycle_s else stretch_s


def _of_moments(plan: _Plan) -> Iterator[Conflicting]:
    """Find what shows only when planned moments are seen together, or on their dates."""
    yield from _at_one_moment(plan)
    if isinstance(plan.definition, FeedingDefinition):
        yield from _too_close(plan, plan.definition)
    yield from _outside_hours(plan)
    yield from _above_the_day(plan)


def _at_one_moment(plan: _Plan) -> Iterator[Conflicting]:
    for one, other in pairwise(plan.moments):
        if one.at_ms == other.at_ms:
            numbers: dict[str, Seen] = {"time": plan.starts[one.index].time, "other": plan.starts[other.index].time}
            # By the clock and by the sun, or where clocks are changed, two may meet once a year.
            severity: Severity = "error" if numbers["time"] == numbers["other"] else "warning"
            yield Conflicting("same-moment", severity, plan.name(other.index), numbers, other.at_ms)


def _too_close(plan: _Plan, definition: FeedingDefinition) -> Iterator[Conflicting]:
    """Find meals of which the second comes before the gap after the first is over: late, or too late to be given."""
    for one, other in pairwise(plan.moments):
        free_ms = one.at_ms + int(1000 * ((plan.seconds(one.index) or 0.0) + definition.min_gap_s))
        if not one.at_ms < other.at_ms < free_ms:
            continue
        numbers: dict[str, Seen] = {
            "time": plan.starts[other.index].time,
            "gap_s": (other.at_ms - one.at_ms) / 1000,
            "min_gap_s": definition.min_gap_s,
        }
        missed = free_ms - other.at_ms > definition.late_s * 1000
        name = plan.name(other.index)
        if missed:
            yield Conflicting("meals-too-close", "error", name, numbers, other.at_ms)
        else:
            yield Conflicting("meal-waits", "warning", name, numbers, other.at_ms)


def _outside_hours(plan: _Plan) -> Iterator[Conflicting]:
    """Find moments outside the allowed hours: always, or on some days; missed, or late."""
    outside: dict[int, list[tuple[Moment, bool]]] = defaultdict(list)
    count: dict[int, int] = defaultdict(int)
    for moment in plan.moments:
        count[moment.index] += 1
        if not _allowed(plan, moment.at_ms):
            outside[moment.index].append((moment, _opens_in_time(plan, moment.at_ms)))
    for index, moments in outside.items():
        numbers: dict[str, Seen] = {"time": plan.starts[index].time}
        lost = [moment for moment, opens in moments if not opens]
        if lost:
            severity: Severity = "error" if len(lost) == count[index] else "warning"
            yield Conflicting("outside-hours", severity, plan.name(index), numbers, lost[0].at_ms)
        else:
            yield Conflicting("waits-for-hours", "warning", plan.name(index), numbers, moments[0][0].at_ms)


def _allowed(plan: _Plan, at_ms: int) -> bool:
    definition, zone = plan.definition, plan.where.zone
    return in_hours(definition.hours, zone, at_ms) and not in_hours(definition.closed, zone, at_ms)


def _opens_in_time(plan: _Plan, at_ms: int) -> bool:
    """Tell whether the allowed hours begin before a moment's grace is over."""
    definition = plan.definition
    assert isinstance(definition, (TimerDefinition, FeedingDefinition))
    wait_ms = min(grace_s(definition) * 1000, LONGEST_WAIT_MS)
    edges = [minutes_of(start) for start, _ in definition.hours] + [minutes_of(end) for _, end in definition.closed]
    # Hours open where some begin or closed ones end; local time of day goes on with the instant but for changes of clocks.
    tries = {*range(at_ms, at_ms + wait_ms + 1, WAIT_MS), at_ms + wait_ms}
    midnight = at_ms - minutes_of(_clock(plan, at_ms)) * 60_000
    tries |= {midnight + (edge + day) * 60_000 for edge in edges for day in (0, 1440)}
    return any(at_ms <= each <= at_ms + wait_ms and _allowed(plan, each) for each in tries)


def _clock(plan: _Plan, at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(plan.where.zone):%H:%M}"


def _above_the_day(plan: _Plan) -> Iterator[Conflicting]:
    """Find days on which more is planned than the day's limit of the schedule, or of the zone, allows."""
    sums: dict[date, float] = defaultdict(float)
    shares: dict[date, float] = defaultdict(float)
    last: dict[date, Moment] = {}
    for moment in plan.moments:
        sums[moment.day] += plan.amount(moment.index) or 0.0
        if isinstance(plan.definition, FeedingDefinition):
            shares[moment.day] += plan.definition.meals[moment.index].share or 0.0
        last[moment.day] = moment
    for day, moment in last.items():
        if shares[day] > 1.0 + SLACK:
            numbers: dict[str, Seen] = {"share": shares[day], "day": day.isoformat()}
            yield Conflicting("ration-exceeded", "error", "definition.meals", numbers, moment.at_ms)
        yield from _of_day(plan, day, sums[day], moment.at_ms)


def _of_day(plan: _Plan, day: date, planned: float, at_ms: int) -> Iterator[Conflicting]:
    definition, own = plan.definition, plan.zone.parameters
    if isinstance(definition, FeedingDefinition):
        code, limit, own_limit, factor = "grams-day-exceeded", definition.grams_day, own.grams_day, 1.0
    else:
        assert isinstance(definition, TimerDefinition)
        code, limit, own_limit = "litres-day-exceeded", definition.litres_day, own.litres_day
        factor = definition.season[day.month - 1]
    if planned * factor <= min(limit, own_limit) * (1.0 + SLACK):
        return
    # Told and not refused: what is above the limit is cut, and some plan up to their limit on purpose.
    numbers: dict[str, Seen] = {"planned": planned * factor, "limit": min(limit, own_limit), "day": day.isoformat()}
    yield Conflicting(code, "warning", f"definition.{code.removesuffix('-exceeded').replace('-', '_')}", numbers, at_ms)
