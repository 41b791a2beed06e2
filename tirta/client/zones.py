# SPDX-License-Identifier: Apache-2.0
"""Beds, ponds and measuring points, with their values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from tirta.client.acts import Why
from tirta.client.calls import Calls, given
from tirta.client.suspensions import HeldBy

__all__ = ["Aggregate", "LatestValue", "NewZone", "Parameters", "Row", "Zone", "ZoneEffect", "ZoneType", "Zones"]

ZoneType = Literal["bed", "pond", "point"]
Aggregate = Literal["mean", "min", "max", "sum", "count", "last", "difference"]


class Parameters(msgspec.Struct, frozen=True):
    """What a zone is like, and its hard limits."""

    area_m2: float | None
    root_depth_m: float | None
    flow_l_min: float | None
    grams_per_s: float | None
    max_seconds: int
    litres_day: float
    grams_day: float
    flow_within_s: int


class LatestValue(msgspec.Struct, frozen=True):
    """The newest value of one quantity."""

    value: bool | float
    unit: str
    at: datetime
    age_s: float


class ZoneEffect(msgspec.Struct, frozen=True):
    """What proof of effect holds against a zone: acts disproved in a row, since when it is held, a leak."""

    disproved: int
    finding: str | None
    act: str | None
    since: datetime | None
    held: datetime | None
    leak: datetime | None
    leak_l_min: float | None


class Zone(msgspec.Struct, frozen=True):
    """A bed, a pond or a measuring point."""

    id: str
    site: str
    device: str
    zone: int
    title: str
    type: ZoneType
    parameters: Parameters
    tags: list[str]
    version: int
    proof: ZoneEffect | None
    held_by: list[HeldBy]
    latest: dict[str, LatestValue]


class NewZone(msgspec.Struct, frozen=True, omit_defaults=True):
    """A zone of a device to be created; what is absent takes its first value."""

    zone: int
    title: str
    type: ZoneType
    area_m2: float | None = None
    root_depth_m: float | None = None
    flow_l_min: float | None = None
    grams_per_s: float | None = None
    max_seconds: int | msgspec.UnsetType = msgspec.UNSET
    litres_day: float | msgspec.UnsetType = msgspec.UNSET
    grams_day: float | msgspec.UnsetType = msgspec.UNSET
    flow_within_s: int | msgspec.UnsetType = msgspec.UNSET


@dataclass(frozen=True, slots=True)
class Row:
    """The values of one instant, or of the window that begins there, by quantity; None was not measured."""

    at: datetime
    values: Mapping[str, float | None]


class _Series(msgspec.Struct, frozen=True):
    items: list[dict[str, str | float | None]]
    next: str | None


class Zones:
    """`client.zones`; an id is `{site}:{device}:{zone}`."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def list(
        self,
        *,
        site: str | None = None,
        device: str | None = None,
        tag: str | None = None,
        quantities: Sequence[str] | None = None,
        sort: str | None = None,
    ) -> Iterator[Zone]:
        """Yield zones with the latest values of these quantities, or of all."""
        wanted = None if quantities is None else ",".join(quantities)
        return self._calls.every(Zone, "/api/v1/zones", site=site, device=device, tag=tag, quantities=wanted, sort=sort)

    def get(self, zone: str) -> Zone:
        """Return one zone with its latest values."""
        return self._calls.one(Zone, "GET", f"/api/v1/zones/{zone}")

    def why(self, zone: str, *, at: datetime | None = None) -> Why:
        """Return why a zone was acted on, or was not, now or at an instant."""
        query: dict[str, str | float | bool | None] = {"at": None if at is None else at.isoformat()}
        return self._calls.one(Why, "GET", f"/api/v1/zones/{zone}/why", query=query)

    def change(
        self,
        zone: str,
        *,
        version: int | None = None,
        title: str | UnsetType = UNSET,
        tags: Sequence[str] | UnsetType = UNSET,
        area_m2: float | UnsetType | None = UNSET,
        root_depth_m: float | UnsetType | None = UNSET,
        flow_l_min: float | UnsetType | None = UNSET,
        grams_per_s: float | UnsetType | None = UNSET,
        max_seconds: int | UnsetType = UNSET,
        litres_day: float | UnsetType = UNSET,
        grams_day: float | UnsetType = UNSET,
        flow_within_s: int | UnsetType = UNSET,
    ) -> Zone:
        """Change a zone; what is not given stays as it is."""
        body = given(title=title, tags=tags, area_m2=area_m2, root_depth_m=root_depth_m, flow_l_min=flow_l_min)
        body |= given(grams_per_s=grams_per_s, max_seconds=max_seconds, litres_day=litres_day, grams_day=grams_day)
        body |= given(flow_within_s=flow_within_s)
        return self._calls.one(Zone, "PATCH", f"/api/v1/zones/{zone}", body=body, version=version)

    def release(self, zone: str) -> Zone:
        """Let a zone act by its schedule again that is held because its acts had no effect."""
        return self._calls.one(Zone, "POST", f"/api/v1/zones/{zone}/release")

    def series(
        self,
        zone: str,
        quantities: Sequence[str],
        *,
        start: datetime,
        end: datetime | None = None,
        every: str | None = None,
        aggregate: Aggregate | None = None,
    ) -> Iterator[Row]:
        """Yield measurements in [start, end), or one row a window of `every`, asking page by page."""
        query: dict[str, str | float | bool | None] = {
            "quantities": ",".join(quantities),
            "start": start.isoformat(),
            "end": None if end is None else end.isoformat(),
            "every": every,
            "aggregate": aggregate,
            "limit": 10_000,
        }
        after: str | None = None
        while True:
            page = self._calls.one(_Series, "GET", f"/api/v1/zones/{zone}/series", query={**query, "after": after})
            for item in page.items:
                at = datetime.fromisoformat(str(item.pop("at")))
                yield Row(at, {name: value for name, value in item.items() if not isinstance(value, str)})
            after = page.next
            if after is None:
                return
