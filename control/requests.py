# SPDX-License-Identifier: Apache-2.0
"""Acts that people ask for by hand.

Invariant: what is asked for by hand obeys the same limits as what is planned: the longest run, the day's litres and grams, the
agency's litres of the month, one act in a zone at a time. Who has the right may go beyond a budget of the day or the month,
with a written reason and for that one act; beyond the longest run nobody. The same idempotency key never makes a second act.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from control.audit import Trail, record
from control.budgets import WaterBook
from control.calendars import day_start
from control.checks import check_number, check_text, storable
from control.commands import EXPIRES_MS, whole_seconds
from control.cycles import withdraw_rest
from control.definitions import FeedingDefinition
from control.errors import Conflict, Invalid
from control.ids import new_id
from control.ledger import Order, act_record, cancel, plan_act
from control.limits import find_excess
from control.loads import Load, zone_loads
from control.models import ActRow
from control.plots import PlotCache, load_plots
from control.records import Act, Zone, ZoneParameters
from control.registry import get_site
from control.settling import Settlement, settle_by_hand
from control.sight import place_of_site
from control.turns import check_room
from control.zones import get_zone
from rules.interlocks import STOP_MARGIN

__all__ = [
    "ACTIONS",
    "LONGEST_WHY",
    "SHORTEST_WHY",
    "check_free",
    "order_by_hand",
    "record_act",
    "request_act",
    "settle_act",
    "stored_key",
    "withdraw_act",
]

ACTIONS: Final = {"irrigate": "bed", "feed": "pond", "aerate": "pond"}  # what may be asked for, and of which type of zone
MAX_KEY: Final = 200  # characters of an idempotency key
SHORTEST_WHY: Final = 10  # characters of a reason to go beyond a budget
LONGEST_WHY: Final = 300
MOST: Final = 1e6  # of one act beyond the day's budget [L], [g]


def request_act(
    session: Session,
    zone_key: str,
    action: str,
    *,
    seconds: float | None = None,
    litres: float | None = None,
    grams: float | None = None,
    actor: str,
    idempotency_key: str | None = None,
    override: str | None = None,
    book: WaterBook | None = None,
    now_ms: int,
    trail: Trail | None = None,
) -> tuple[Act, bool]:
    """Plan an act asked for by hand, and tell whether it is new.

    Parameters
    ----------
    seconds, litres, grams : float or None
        How much: `irrigate` takes seconds or litres or both, `feed` grams, `aerate` seconds. [s], [L], [g]
    idempotency_key : str or None
        The same key of the same caller gives the act that is there.
    override : str or None
        Why it may go beyond a budget; whether the caller may decide that was asked before. It is kept where it was needed. The
        device keeps the zone's litres and grams of a day by itself and is not told otherwise: what is beyond those it ends or
        refuses, and the act says so.
    book : WaterBook or None
        Knows what was given this month; None counts it anew.

    Raises
    ------
    NotFound
        There is no such zone.
    Invalid
        The action or an amount does not fit this zone; the field is named.
    Conflict
        The zone is busy or unsettled, a budget does not hold it, its pump has no room, or the key was used for something else.
    """
    zone = _zone_for(session, zone_key, action)
    key = stored_key((trail.whose if trail else "") or actor, idempotency_key)
    limits = _limits(session, zone)
    why = None if override is None else _written(override)
    wanted = _amounts(action, limits, seconds, litres, grams, beyond=why is not None)
    known = None if key is None else session.scalar(select(ActRow).where(ActRow.idempotency_key == key))
    if known is not None:
        if (known.zone_key, known.action, known.seconds, known.litres, known.grams) != (zone_key, action, *wanted):
            raise Conflict("this Idempotency-Key was used for another act; take a new one")
        return act_record(known), False
    beyond = _check_load(session, zone, limits, wanted[1:], why is not None, book or WaterBook(), now_ms)
    if action == "irrigate":
        check_room(session, zone.key, limits.flow_l_min, now_ms)
    run_s = wanted[0] if wanted[0] is not None else (wanted[2] or 0.0) / (limits.grams_per_s or 1.0)
    order = replace(
        order_by_hand(zone.device_key, zone_key, action, actor, now_ms),
        seconds=wanted[0],
        litres=wanted[1],
        grams=wanted[2],
        max_seconds=max(1, min(whole_seconds(run_s * STOP_MARGIN), limits.max_seconds)),
        idempotency_key=key,
        override=why if beyond else None,
        beyond=beyond or None,
    )
    act, new = plan_act(session, new_id(now_ms), order, cause="asked for by hand")
    more = {"override": act.override, "beyond": act.beyond} if act.override else {}
    record_act(session, trail or Trail(actor, "local", now_ms), "act.request", act, **more)
    return act, new


def withdraw_act(session: Session, act_id: str, *, actor: str, now_ms: int, trail: Trail | None = None) -> Act:
    """Withdraw an act that waits, or release one whose end is unknown; see `control.ledger.cancel`."""
    act = cancel(session, act_id, actor, now_ms=now_ms)
    withdraw_rest(session, select(ActRow).where(ActRow.id == act_id), actor, now_ms)
    record_act(session, trail or Trail(actor, "local", now_ms), "act.withdraw", act)
    return act


def settle_act(session: Session, act_id: str, seen: Settlement, *, actor: str, now_ms: int, trail: Trail | None = None) -> Act:
    """End an act of unknown end as a person saw it; see `control.settling.settle_by_hand`."""
    act = settle_by_hand(session, act_id, seen, actor, now_ms=now_ms)
    told = {"seen": seen.reason, "result": [act.result_seconds, act.result_litres, act.result_grams]}
    record_act(session, trail or Trail(actor, "local", now_ms), "act.settle", act, **told)
    return act


def record_act(session: Session, trail: Trail, action: str, act: Act, **more: Any) -> None:
    """Enter into the audit trail what was asked for by hand."""
    amounts = {"seconds": act.seconds, "litres": act.litres, "grams": act.grams}
    told: dict[str, Any] = {"action": act.action, "zone": act.zone_key, "device": act.device_key, "state": act.state}
    told |= {name: value for name, value in amounts.items() if value is not None}
    place = place_of_site(session, act.device_key.partition(":")[0])
    record(session, trail, action, f"act:{act.id}", place=place, after=told | more)


def _zone_for(session: Session, zone_key: str, action: str) -> Zone:
    zone = get_zone(session, zone_key)
    if action not in ACTIONS:
        raise Invalid("action", f"one of {', '.join(ACTIONS)}")
    if ACTIONS[action] != zone.type:
        raise Invalid("action", f"zone {zone_key} is a {zone.type}; {action} is for a {ACTIONS[action]}")
    return zone


def order_by_hand(device_key: str, zone_key: str | None, action: str, actor: str, now_ms: int) -> Order:
    """Return the order of an act by hand, without amounts; no zone is every zone."""
    return Order(
        device_key=device_key,
        zone_key=zone_key,
        action=action,
        origin="manual",
        version=0,
        actor=actor,
        planned_ms=now_ms,
        issued_ms=now_ms,
        expires_ms=now_ms + EXPIRES_MS,
    )


def stored_key(whose: str, key: str | None, about: str = "") -> str | None:
    """Return how a caller's idempotency key is kept: another caller's same key is another, and so it is about another thing."""
    if key is None:
        return None
    if not 1 <= len(key) <= MAX_KEY or not storable(key):
        raise Invalid("idempotency_key", f"1 to {MAX_KEY} characters")
    told = f"{whose}\x1f{key}" + (f"\x1f{about}" if about else "")
    return hashlib.sha256(told.encode()).hexdigest()


def _written(override: str) -> str:
    text = check_text("override", override, LONGEST_WHY)
    if len(text) < SHORTEST_WHY:
        raise Invalid("override", f"say why in {SHORTEST_WHY} characters or more; it stays with the act")
    return text


def _limits(session: Session, zone: Zone) -> ZoneParameters:
    """Return the zone's parameters with its limits lowered to those of its enabled schedule."""
    own = zone.parameters
    litres_day, grams_day, max_seconds = own.litres_day, own.grams_day, own.max_seconds
    for plot in load_plots(session, PlotCache(), zone.key):
        if isinstance(plot.definition, FeedingDefinition):
            grams_day = min(grams_day, plot.definition.grams_day)
        else:
            litres_day = min(litres_day, plot.definition.litres_day)
            max_seconds = min(max_seconds, plot.definition.max_seconds)
    return ZoneParameters(own.area_m2, own.root_depth_m, own.flow_l_min, own.grams_per_s, max_seconds, litres_day, grams_day)


def _amounts(
    action: str,
    limits: ZoneParameters,
    seconds: float | None,
    litres: float | None,
    grams: float | None,
    *,
    beyond: bool,
) -> tuple[float | None, float | None, float | None]:
    """Return seconds, litres and grams of an act, each checked; of water, both from either by the rated flow."""
    for name, value in {"seconds": seconds, "litres": litres, "grams": grams}.items():
        fits = name in {"irrigate": ("seconds", "litres"), "feed": ("grams",), "aerate": ("seconds",)}[action]
        if value is not None and not fits:
            raise Invalid(name, f"{action} takes none")
    if action == "aerate":
        if seconds is None:
            raise Invalid("seconds", "say for how long")
        return check_number("seconds", seconds, 0.0, limits.max_seconds), None, None
    if action == "feed":
        return _feed_amounts(limits, grams, beyond=beyond)
    if limits.flow_l_min is None:
        raise Invalid("action", "the zone's flow_l_min is not known; set it first")
    if seconds is None and litres is None:
        raise Invalid("litres", "say how much: litres, seconds or both")
    if litres is not None:
        check_number("litres", litres, 0.0, MOST if beyond else limits.litres_day)
    field = "litres" if seconds is None else "seconds"
    run_s = (litres or 0.0) / limits.flow_l_min * 60 if seconds is None else seconds
    if not 0.0 < run_s <= limits.max_seconds:
        raise Invalid(field, f"a run above 0 and of up to {limits.max_seconds} s; this would be {run_s:g} s")
    return run_s, litres if litres is not None else run_s / 60 * limits.flow_l_min, None


def _feed_amounts(limits: ZoneParameters, grams: float | None, *, beyond: bool) -> tuple[None, None, float]:
    if grams is None:
        raise Invalid("grams", "say how much")
    if limits.grams_per_s is None:
        raise Invalid("action", "the zone's grams_per_s is not known; set it first")
    check_number("grams", grams, 0.0, MOST if beyond else limits.grams_day)
    if (run_s := grams / limits.grams_per_s) > limits.max_seconds:
        raise Invalid("grams", f"the feeder would run {run_s:g} s; its longest run is {limits.max_seconds} s")
    return None, None, grams


def _check_load(
    session: Session,
    zone: Zone,
    limits: ZoneParameters,
    wanted: tuple[float | None, float | None],
    overridden: bool,
    book: WaterBook,
    now_ms: int,
) -> str:
    """Return the budgets that litres and grams go beyond, as `Act.beyond` has them.

    Raises
    ------
    Conflict
        The zone is not free, or a budget is exceeded that was not overridden.
    """
    site, (litres, grams) = get_site(session, zone.site), wanted
    load = zone_loads(session, {zone.key: day_start(site.zone, now_ms)})[zone.key]
    check_free(zone.key, load)
    month = book.standings(session, now_ms).get(site.agency) if litres is not None else None
    excess = find_excess(load, limits, month, litres, grams)
    if excess and not overridden:
        raise Conflict(excess[0].detail)
    # The device knows the zone's own limits of a day, and not those of its schedule.
    own = find_excess(load, zone.parameters, None, litres, grams)
    return " ".join([*(one.budget for one in excess), *(["device"] if own else [])])


def check_free(zone_key: str, load: Load) -> None:
    """Pass if nothing is under way in a zone, and nothing unsettled.

    Raises
    ------
    Conflict
        It says what to do.
    """
    if load.unsettled:
        raise Conflict(f"the end of an earlier act in zone {zone_key} is not known; settle it, or wait for the device")
    if load.busy:
        raise Conflict(f"an act is under way in zone {zone_key}; stop it, or wait for its end")
