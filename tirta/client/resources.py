# SPDX-License-Identifier: Apache-2.0
"""Pumps, mains and supplies that beds share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from tirta.client.calls import Calls, given

__all__ = ["Resource", "ResourceKind", "Resources"]

ResourceKind = Literal["pump", "main", "supply"]


class Resource(msgspec.Struct, frozen=True):
    """A pump, a main or a supply that beds of a site share."""

    id: str
    site: str
    resource: str
    title: str
    kind: ResourceKind
    max_flow_l_min: float | None
    max_zones: int | None
    min_rest_s: int
    zones: list[str]
    serves: list[str]
    waiting: list[str]
    version: int
    created: datetime


class Resources:
    """`client.resources`; an id is `{site}:{name}`."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def list(self, *, site: str | None = None, zone: str | None = None, sort: str | None = None) -> Iterator[Resource]:
        """Yield pumps, mains and supplies: of a site, or those that a zone shares."""
        return self._calls.every(Resource, "/api/v1/resources", site=site, zone=zone, sort=sort)

    def get(self, resource: str) -> Resource:
        """Return one, with what it serves and what waits for it now."""
        return self._calls.one(Resource, "GET", f"/api/v1/resources/{resource}")

    def create(
        self,
        site: str,
        resource: str,
        title: str,
        *,
        kind: ResourceKind | UnsetType = UNSET,
        max_flow_l_min: float | UnsetType | None = UNSET,
        max_zones: int | UnsetType | None = UNSET,
        min_rest_s: int | UnsetType = UNSET,
        zones: Sequence[str] | UnsetType = UNSET,
    ) -> Resource:
        """Create one; what is not given binds nobody."""
        body = {"site": site, "resource": resource, "title": title, **given(kind=kind, max_flow_l_min=max_flow_l_min)}
        body |= given(max_zones=max_zones, min_rest_s=min_rest_s, zones=zones)
        return self._calls.one(Resource, "POST", "/api/v1/resources", body=body)

    def change(
        self,
        resource: str,
        *,
        version: int | None = None,
        title: str | UnsetType = UNSET,
        kind: ResourceKind | UnsetType = UNSET,
        max_flow_l_min: float | UnsetType | None = UNSET,
        max_zones: int | UnsetType | None = UNSET,
        min_rest_s: int | UnsetType = UNSET,
        zones: Sequence[str] | UnsetType = UNSET,
    ) -> Resource:
        """Change one; what is not given stays as it is, `zones` are replaced all."""
        body = given(title=title, kind=kind, max_flow_l_min=max_flow_l_min, max_zones=max_zones)
        body |= given(min_rest_s=min_rest_s, zones=zones)
        return self._calls.one(Resource, "PATCH", f"/api/v1/resources/{resource}", body=body, version=version)

    def delete(self, resource: str, *, version: int | None = None) -> None:
        """Delete one; its zones are bound by it no longer."""
        self._calls.send("DELETE", f"/api/v1/resources/{resource}", version=version)
