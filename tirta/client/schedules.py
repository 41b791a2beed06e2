# SPDX-License-Identifier: Apache-2.0
"""What is to be done in a zone, and when."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import msgspec
from msgspec import UNSET, UnsetType

from tirta.client.calls import Calls, given

__all__ = ["Definition", "Feeding", "Irrigation", "Meal", "Schedule", "Schedules"]


class Irrigation(msgspec.Struct, frozen=True, tag_field="type", tag="irrigation", omit_defaults=True):
    """Keep a bed's soil moisture between `low` and `high`. [m3/m3]"""

    low: float
    high: float
    litres_day: float
    hours: list[tuple[str, str]] | msgspec.UnsetType = msgspec.UNSET
    max_seconds: int | msgspec.UnsetType = msgspec.UNSET
    soak_s: int | msgspec.UnsetType = msgspec.UNSET
    min_seconds: int | msgspec.UnsetType = msgspec.UNSET


class Meal(msgspec.Struct, frozen=True):
    """One meal of the day, in local time."""

    time: str
    grams: float


class Feeding(msgspec.Struct, frozen=True, tag_field="type", tag="feeding", omit_defaults=True):
    """Give a pond its meals, less where oxygen is low."""

    meals: list[Meal]
    grams_day: float
    late_s: int | msgspec.UnsetType = msgspec.UNSET
    min_gap_s: int | msgspec.UnsetType = msgspec.UNSET
    oxygen_stop: float | msgspec.UnsetType = msgspec.UNSET
    oxygen_reduce: float | msgspec.UnsetType = msgspec.UNSET
    cautious_fraction: float | msgspec.UnsetType = msgspec.UNSET


Definition = Irrigation | Feeding


class Schedule(msgspec.Struct, frozen=True):
    """What is to be done in a zone, and when."""

    id: str
    zone: str
    version: int
    enabled: bool
    definition: Definition
    created: datetime
    updated: datetime


class Schedules:
    """`client.schedules`."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def list(self, *, zone: str | None = None, enabled: bool | None = None, sort: str | None = None) -> Iterator[Schedule]:
        """Yield schedules."""
        return self._calls.every(Schedule, "/api/v1/schedules", zone=zone, enabled=enabled, sort=sort)

    def get(self, schedule: str) -> Schedule:
        """Return one schedule."""
        return self._calls.one(Schedule, "GET", f"/api/v1/schedules/{schedule}")

    def create(self, zone: str, definition: Definition, *, enabled: bool = True) -> Schedule:
        """Create a schedule; a zone has one that is followed, at most."""
        body = {"zone": zone, "enabled": enabled, **given(definition=definition)}
        return self._calls.one(Schedule, "POST", "/api/v1/schedules", body=body)

    def change(
        self, schedule: str, definition: Definition, *, enabled: bool | UnsetType = UNSET, version: int | None = None
    ) -> Schedule:
        """Change a schedule; the new version counts from now."""
        body = given(definition=definition, enabled=enabled)
        return self._calls.one(Schedule, "PUT", f"/api/v1/schedules/{schedule}", body=body, version=version)

    def delete(self, schedule: str, *, version: int | None = None) -> None:
        """Delete a schedule; its acts and decisions stay."""
        self._calls.send("DELETE", f"/api/v1/schedules/{schedule}", version=version)
