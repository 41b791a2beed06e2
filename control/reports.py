# SPDX-License-Identifier: Apache-2.0
"""The report of a day: every moment that a site's calendars had planned, what became of it and why; and what else was done.

What was planned is reckoned anew from the schedules, each version for its own time, and compared with the ledger.
Invariant: a planned moment of which the ledger knows nothing is a row of the report too, and is counted by itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Final, Literal, TypeAlias

from sqlalchemy import select
from sqlalchemy.orm import Session

from control.agenda import Due
from control.calendars import instant, local_date
from control.database import in_parts
from control.definitions import IrrigationDefinition
from control.errors import Invalid
from control.grounds import decisions_at, decisions_of_acts
from control.ledger import act_record
from control.models import ActRow, ControllerRow, DeviceRow, TransitionRow, ZoneRow
from control.moments import PlannedMoment, planned_moments
from control.records import Act, Decision, Site
from control.sentences import Language
from control.sentences.acts import CAUSES
from control.sentences.moments import act_because, moment_sentence
from control.sentences.reasons import REASONS
from control.sites import get_site
from control.states import OPEN
from control.valve_tests import ORIGIN as TEST_ORIGIN
from control.versions import versions_between

__all__ = ["MAX_ROWS", "DayReport", "DayRow", "Sort", "Totals", "day_report"]

MAX_ROWS: Final = 10_000  # of one answer; all are counted
MAX_AHEAD_DAYS: Final = 14
FIRST_DAY: Final = date(2000, 1, 1)
DAY_MS: Final = 86_400_000
LOOK_MS: Final = 90_000  # a window that opens is looked at by the tick after that, which takes a moment itself [ms]
GROUNDS_MS: Final = 40 * DAY_MS  # a decision about a moment comes no later than this after it [ms]
KEPT_MS: Final = 80 * DAY_MS  # of a moment that lies further back, the decision may have been let go of [ms]
_LANGUAGES: Final[tuple[Language, ...]] = ("id", "en")

Sort: TypeAlias = Literal["calendar", "rule", "hand", "board", "other"]
_UNDER_WAY: Final = frozenset(OPEN) | {"ahead", "waiting"}
_SORTS: Final[dict[str, Sort]] = {"manual": "hand", "device": "board"}


@dataclass(frozen=True, slots=True)
class DayRow:
    """One row.

    Attributes
    ----------
    sort : str
        "calendar" for a planned moment, "rule" for what a rule asked for by what it measured, "hand" for what a person asked
        for, "board" for what the device did by itself or at its button, "other" for what the calendars, as they are now, do
        not have.
    state : str
        Of the act; or "ahead", "waiting", "quiet" (looked at, and nothing needed) or "without-row".
    reason : str or None
        Why it stands so, by the name of a reason.
    act : Act or None
        None where there is none; what was planned is then in `due`.
    sentence : mapping
        What became of it and why, by language.
    """

    zone_key: str | None
    device_key: str
    title: str
    at_ms: int
    sort: Sort
    action: str
    state: str
    reason: str | None
    schedule_id: str | None
    version: int
    sentence: Mapping[str, str]
    act: Act | None = None
    due: Due | None = None


@dataclass(slots=True)
class Totals:
    """What a day comes to: `planned` is `done`, what was not, what is open, and what has no row, together.

    Attributes
    ----------
    not_done : Counter
        By state and reason, as "skipped: offline".
    open : Counter
        By state.
    others : Counter
        What no calendar planned, by sort.
    litres, grams : float
        Given, by whomever. [L], [g]
    """

    planned: int = 0
    done: int = 0
    not_done: Counter[str] = field(default_factory=Counter)
    open: Counter[str] = field(default_factory=Counter)
    without_row: int = 0
    others: Counter[str] = field(default_factory=Counter)
    litres: float = 0.0
    grams: float = 0.0


@dataclass(frozen=True, slots=True)
class DayReport:
    """A site's day in [start, end), as it was known at `seen_ms`; `left_out` further rows are counted and not shown."""

    site: Site
    day: date
    start_ms: int
    end_ms: int
    seen_ms: int
    rows: Sequence[DayRow]
    totals: Totals
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class _Grounds:
    """What rows are explained with."""

    of_acts: Mapping[str, Decision]
    held_by: Mapping[str, tuple[str, ...]]
    now: Mapping[str, Decision]
    titles: Mapping[str, str]
    looked_ms: int
    now_ms: int


def day_report(session: Session, site_name: str, *, day: date | None = None, now_ms: int) -> DayReport:
    """Return the report of a site's day; today's where none is said.

    Raises
    ------
    NotFound
        There is no such site.
    Invalid
        The day lies too far away.
    """
    site = get_site(session, site_name)
    today = local_date(site.zone, now_ms)
    day = day or today
    if not FIRST_DAY <= day <= today + timedelta(days=MAX_AHEAD_DAYS):
        raise Invalid("date", f"from {FIRST_DAY} to {MAX_AHEAD_DAYS} days ahead")
    start_ms, end_ms = instant(day, 0, site.zone), instant(day + timedelta(days=1), 0, site.zone)
    rows = _rows(session, site_name, start_ms, end_ms, now_ms)
    totals = _totals(rows)
    return DayReport(site, day, start_ms, end_ms, now_ms, rows[:MAX_ROWS], totals, max(len(rows) - MAX_ROWS, 0))


def _rows(session: Session, site: str, start_ms: int, end_ms: int, now_ms: int) -> list[DayRow]:
    planned, acts = planned_moments(session, site, start_ms, end_ms), _acts(session, site, start_ms, end_ms)
    by_moment: dict[tuple[str, int, str | None, int], list[Act]] = {}
    for act in acts:
        by_moment.setdefault((act.origin, act.version, act.zone_key, act.planned_ms), []).append(act)
    alone = [moment for moment in planned if moment.name not in by_moment]
    grounds = _grounds(session, site, acts, alone, (start_ms, end_ms, now_ms))
    rows = [_row_of_act(act, "calendar", grounds) for moment in planned for act in by_moment.pop(moment.name, ())]
    windows = {moment.due.planned_ms for moment in alone if moment.window and moment.due.planned_ms <= now_ms}
    at = {at_ms: decisions_at(session, _zones(alone), at_ms + LOOK_MS) for at_ms in windows}
    rows += [_row_of_moment(moment, at.get(moment.due.planned_ms, grounds.now), grounds) for moment in alone]
    by_rule = _by_rule(session, by_moment.values(), start_ms, end_ms)
    for left in by_moment.values():
        rows += [_row_of_act(act, _sort(act, by_rule), grounds) for act in left]
    return sorted(rows, key=lambda row: (*_place(row), row.at_ms, "" if row.act is None else row.act.id))


def _by_rule(session: Session, left: Iterable[Sequence[Act]], start_ms: int, end_ms: int) -> set[str]:
    """Return the origins that asked by what is measured, whether or not one of their windows began on the day."""
    zones = {act.zone_key for acts in left for act in acts if act.zone_key is not None and act.origin.startswith("schedule:")}
    versions = versions_between(session, zones, start_ms - 1, end_ms)
    return {version.origin for version in versions if isinstance(version.definition, IrrigationDefinition)}


def _grounds(
    session: Session, site: str, acts: Sequence[Act], alone: Sequence[PlannedMoment], times: tuple[int, int, int]
) -> _Grounds:
    start_ms, end_ms, now_ms = times
    acted_in = {act.zone_key for act in acts if act.zone_key is not None}
    controller = session.get(ControllerRow, 1)
    titles = session.execute(
        select(ZoneRow.key, ZoneRow.title).join(DeviceRow, DeviceRow.key == ZoneRow.device_key).where(DeviceRow.site == site)
    )
    return _Grounds(
        decisions_of_acts(session, acted_in, start_ms - DAY_MS, end_ms + GROUNDS_MS),
        _held_by(session, [act.id for act in acts if act.state == "skipped"]),
        decisions_at(session, _zones(alone), now_ms + 1),
        {row.key: row.title for row in titles},
        -1 if controller is None else controller.last_tick_ms,
        now_ms,
    )


def _acts(session: Session, site: str, start_ms: int, end_ms: int) -> list[Act]:
    query = (
        select(ActRow)
        .join(DeviceRow, DeviceRow.key == ActRow.device_key)
        .where(DeviceRow.site == site, ActRow.planned_ms >= start_ms, ActRow.planned_ms < end_ms)
    )
    return [act_record(row) for row in session.scalars(query)]


def _held_by(session: Session, act_ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the reasons that held what was left out, as its first step names them after a colon."""
    found = {}
    for part in in_parts(act_ids):
        query = select(TransitionRow.act_id, TransitionRow.cause).where(
            TransitionRow.act_id.in_(part), TransitionRow.before.is_(None)
        )
        for act_id, cause in session.execute(query):
            found[act_id] = tuple(name.strip() for name in cause.partition(":")[2].split(",") if name.strip())
    return found


def _zones(moments: Sequence[PlannedMoment]) -> list[str]:
    return list({moment.zone.key: None for moment in moments})


def _row_of_act(act: Act, sort: Sort, grounds: _Grounds) -> DayRow:
    held_by, decision = grounds.held_by.get(act.id, ()), grounds.of_acts.get(act.id)
    held = next((name for name in (*REASONS, *CAUSES) if name in held_by), None)
    return DayRow(
        zone_key=act.zone_key,
        device_key=act.device_key,
        title=grounds.titles.get(act.zone_key or "", ""),
        at_ms=act.planned_ms,
        sort=sort,
        action=act.action,
        state=act.state,
        reason=held or act.reason,
        schedule_id=act.origin.partition(":")[2] or None,
        version=act.version,
        sentence={language: act_because(act, held_by, decision, language) for language in _LANGUAGES},
        act=act,
    )


def _row_of_moment(moment: PlannedMoment, decisions: Mapping[str, Decision], grounds: _Grounds) -> DayRow:
    decision = decisions.get(moment.zone.key)
    state = _state_of(moment, decision, grounds)
    if decision is not None and state != "quiet" and (state == "ahead" or decision.at_ms < moment.due.planned_ms):
        decision = None  # it is about something else
    reason = None if decision is None else next((name for name in REASONS if name in decision.reasons), None)
    due = moment.due
    told = (state, moment.action, due.litres, due.grams, decision)
    return DayRow(
        zone_key=moment.zone.key,
        device_key=moment.zone.device_key,
        title=moment.zone.title,
        at_ms=due.planned_ms,
        sort="calendar",
        action=moment.action,
        state=state,
        reason=None if state == "without-row" else reason,
        schedule_id=moment.version.schedule_id,
        version=moment.version.version,
        sentence={language: moment_sentence(*told, language) for language in _LANGUAGES},
        due=due,
    )


def _state_of(moment: PlannedMoment, decision: Decision | None, grounds: _Grounds) -> str:
    at_ms = moment.due.planned_ms
    if at_ms > grounds.now_ms:
        return "ahead"
    if moment.window:
        if decision is not None or grounds.now_ms - at_ms > KEPT_MS:
            return "quiet"
        return "without-row" if grounds.looked_ms > at_ms else "waiting"
    ended_ms = moment.version.until_ms
    over = moment.over_ms is not None and grounds.looked_ms > moment.over_ms
    return "without-row" if over or (ended_ms is not None and ended_ms <= grounds.now_ms) else "waiting"


def _sort(act: Act, by_rule: set[str]) -> Sort:
    if act.origin in by_rule:
        return "rule"
    return "hand" if act.origin.startswith(TEST_ORIGIN) else _SORTS.get(act.origin, "other")


def _place(row: DayRow) -> tuple[str, int]:
    """Return where a row stands: by device, then by number of the zone; what concerns the whole device comes first."""
    return row.device_key, 0 if row.zone_key is None else int(row.zone_key.rpartition(":")[2])


def _totals(rows: Sequence[DayRow]) -> Totals:
    totals = Totals()
    moments: dict[tuple[object, ...], list[DayRow]] = {}
    for row in rows:
        if row.act is not None:
            totals.litres += row.act.result_litres or 0.0
            totals.grams += row.act.result_grams or 0.0
        if row.sort == "calendar":
            moments.setdefault((row.schedule_id, row.version, row.zone_key, row.at_ms), []).append(row)
        else:
            totals.others[row.sort] += 1
    for parts in moments.values():
        _count(totals, max(parts, key=_weight))
    return totals


def _weight(row: DayRow) -> int:
    """Return how much a part of a run weighs in what is said of the whole: what is open most, what was done least."""
    if row.state in _UNDER_WAY:
        return 2
    return 0 if row.state == "done" else 1


def _count(totals: Totals, row: DayRow) -> None:
    totals.planned += 1
    if row.state == "done":
        totals.done += 1
    elif row.state == "without-row":
        totals.without_row += 1
    elif row.state in _UNDER_WAY:
        totals.open[row.state] += 1
    else:
        totals.not_done[row.state if row.reason is None else f"{row.state}: {row.reason}"] += 1
