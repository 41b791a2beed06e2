# SPDX-License-Identifier: Apache-2.0
"""Plain records that leave this room: what the registry, the schedules and the ledger answer with.

Invariant: instants are milliseconds since the Unix epoch, UTC, in fields ending in `_ms`; records never change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final, Literal, NamedTuple, TypeAlias
from zoneinfo import ZoneInfo

__all__ = [
    "ZONE_TYPES",
    "Act",
    "Agency",
    "City",
    "Decision",
    "Device",
    "Hold",
    "Holiday",
    "Schedule",
    "Seen",
    "SharedResource",
    "Site",
    "Suspension",
    "Transition",
    "Zone",
    "ZoneParameters",
    "ZoneSpec",
]

ZONE_TYPES: Final = ("bed", "pond", "point")  # a point only measures

# What a rule, or who held it back, saw: kept with a decision and told in its sentence.
Seen: TypeAlias = float | bool | str | None

ZoneType = Literal["bed", "pond", "point"]


@dataclass(frozen=True, slots=True)
class City:
    """A city or regency."""

    name: str
    title: str
    created_ms: int
    version: int


@dataclass(frozen=True, slots=True)
class Agency:
    """A department of a city; `key` is "{city}:{name}"."""

    key: str
    city: str
    name: str
    title: str
    created_ms: int
    version: int


@dataclass(frozen=True, slots=True)
class Site:
    """A place with one time zone (IANA name).

    Attributes
    ----------
    agency : str
        Key of the agency that it belongs to, "{city}:{agency}".
    pillars : tuple of str
        What of a smart city it serves.
    activity : str or None
        The activity of the master plan that it serves.
    position : tuple of float or None
        Longitude and latitude. [degrees, WGS 84]
    """

    name: str
    title: str
    timezone: str
    created_ms: int
    agency: str = ""
    pillars: tuple[str, ...] = ()
    activity: str | None = None
    tags: tuple[str, ...] = ()
    position: tuple[float, float] | None = None
    version: int = 1

    @property
    def zone(self) -> ZoneInfo:
        """Its time zone."""
        return ZoneInfo(self.timezone)


@dataclass(frozen=True, slots=True)
class Holiday:
    """A holiday of an agency."""

    day: date
    title: str


@dataclass(frozen=True, slots=True)
class SharedResource:
    """A pump, a main or a supply that beds of a site share; `key` is "{site}:{name}".

    Attributes
    ----------
    kind : str
        "pump", "main" or "supply".
    max_flow_l_min : float or None
        Most that it delivers at once; None binds nobody. [L/min]
    max_zones : int or None
        Most zones at once; None binds nobody.
    min_rest_s : int
        Least time from a standstill to the next start. [s]
    zones : tuple of str
        Keys of the zones that are watered through it.
    """

    key: str
    site: str
    name: str
    title: str
    kind: Literal["pump", "main", "supply"]
    max_flow_l_min: float | None
    max_zones: int | None
    min_rest_s: int
    zones: tuple[str, ...]
    created_ms: int
    version: int


@dataclass(frozen=True, slots=True)
class ZoneParameters:
    """What a zone is like, and its hard limits; None is not known, and what needs it does not act.

    Attributes
    ----------
    area_m2, root_depth_m, flow_l_min : float or None
        Of a bed: wetted area [m2], depth of soil to wet [m], rated flow of its valve [L/min].
    grams_per_s : float or None
        Of a pond: rate of its feeder. [g/s]
    flow_within_s : int
        So long after its valve opens, there has to be flow. [s]
    max_seconds : int
        Longest run of one act. [s]
    litres_day, grams_day : float
        Most that is given in a day of the site, by whomever. [L], [g]
    """

    area_m2: float | None = None
    root_depth_m: float | None = None
    flow_l_min: float | None = None
    grams_per_s: float | None = None
    max_seconds: int = 900
    litres_day: float = 500.0
    grams_day: float = 2000.0
    flow_within_s: int = 30


@dataclass(frozen=True, slots=True)
class ZoneSpec:
    """A zone to be created with its device."""

    number: int
    title: str
    type: ZoneType
    parameters: ZoneParameters = field(default_factory=ZoneParameters)


@dataclass(frozen=True, slots=True)
class Zone:
    """A bed, pond or measuring point; `key` is "{site}:{device}:{number}"."""

    key: str
    site: str
    device: str
    number: int
    title: str
    type: ZoneType
    parameters: ZoneParameters
    tags: tuple[str, ...] = ()
    version: int = 1

    @property
    def device_key(self) -> str:
        """The key of its device, "{site}:{device}"."""
        return f"{self.site}:{self.device}"


@dataclass(frozen=True, slots=True)
class Device:
    """A field device; `key` is "{site}:{device}".

    Attributes
    ----------
    zones : int
        Number of its zones.
    last_n : int
        Highest command number used or heard of.
    config_version : int
        Version of the configuration it was last told; 0 for none.
    reported : mapping or None
        The configuration in force, in its own words.
    """

    key: str
    site: str
    name: str
    kind: str
    title: str
    zones: int
    created_ms: int
    revoked_ms: int | None
    online: bool
    last_seen_ms: int | None
    last_n: int
    firmware: str | None
    boot: int | None
    rssi: float | None
    config_version: int
    reported: Mapping[str, Any] | None
    tags: tuple[str, ...] = ()
    version: int = 1


@dataclass(frozen=True, slots=True)
class Schedule:
    """What is to be done in a zone; `definition` is that of `control.schedules`, as plain values."""

    id: str
    zone_key: str
    kind: str
    version: int
    enabled: bool
    definition: Mapping[str, Any]
    created_ms: int
    updated_ms: int


@dataclass(frozen=True, slots=True)
class Act:
    """One physical act, or a stop.

    Attributes
    ----------
    reference : str
        The id by which the device knows it: the same, or "local-{boot}-{k}" for what was done at the board.
    zone_key : str or None
        None for a stop of all zones of the device.
    origin : str
        "schedule:{id}", "manual" or "device".
    actor : str
        Who asked: "controller", a token's name, "device".
    planned_ms, issued_ms, expires_ms : int
        The planned moment, when it was committed, and the last instant at which it may begin.
    seconds, litres, grams : float or None
        What was asked for. [s], [L], [g]
    max_seconds : int or None
        When the device ends it by itself. [s]
    n : int or None
        Its command number, once it was handed over.
    result_seconds, result_litres, result_grams : float or None
        What was truly done, in the device's words.
    part, parts : int
        Which of the acts in which its run goes, from 1 on; a run in one go has one.
    override : str or None
        Why it may go beyond a budget, in the words of the person who asked for it.
    beyond : str or None
        Which budgets it goes beyond, of "day", "month" and "device" (the device's own), with blanks between.
    verdict : str or None
        Whether it had its effect, one of `control.proof.VERDICTS`; None for what moves nothing, or is not judged yet.
    proof : mapping or None
        What the verdict rests on: `finding`, `judged_ms`, and numbers named with their units.
    """

    id: str
    reference: str
    device_key: str
    zone_key: str | None
    action: str
    origin: str
    version: int
    actor: str
    planned_ms: int
    issued_ms: int
    expires_ms: int
    seconds: float | None
    litres: float | None
    grams: float | None
    max_seconds: int | None
    state: str
    reason: str | None
    n: int | None
    sent_ms: int | None
    begun_ms: int | None
    ended_ms: int | None
    result_seconds: float | None
    result_litres: float | None
    result_grams: float | None
    part: int = 1
    parts: int = 1
    override: str | None = None
    beyond: str | None = None
    verdict: str | None = None
    proof: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Transition:
    """An act's step from `before` (None at first) to `state`."""

    at_ms: int
    before: str | None
    state: str
    cause: str
    actor: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What a rule decided for a zone, and the numbers it saw; `reasons` are names of `rules.Reason`."""

    id: int
    zone_key: str
    at_ms: int
    kind: str
    acted: bool
    reasons: tuple[str, ...]
    inputs: Mapping[str, Seen]
    act_id: str | None


class Hold(NamedTuple):
    """Something that keeps a zone from acting: a bit of `rules.Reason`, and what its sentence needs."""

    zone_key: str
    reason: int
    inputs: Mapping[str, Seen] = {}


@dataclass(frozen=True, slots=True)
class Suspension:
    """Something that a person put off.

    Attributes
    ----------
    kind : str
        "pause", "rain-delay" or "skip".
    on : str
        Of what: "zone:{zone}", "site:{site}", "agency:{agency}" or "city:{city}".
    site : str or None
        Of a zone or site.
    begun_ms, until_ms : int, int or None
        From when until when; None is until somebody resumes; of a skip the planned moment that is left out.
    note, actor : str
        Why, and by whom.
    ended_ms, ended_by, ending : int, str, str, or None
        When and by whom it was ended, and how: "resumed", "over" or "replaced".
    """

    id: str
    kind: str
    on: str
    site: str | None
    begun_ms: int
    until_ms: int | None
    note: str
    actor: str
    ended_ms: int | None
    ended_by: str | None
    ending: str | None
