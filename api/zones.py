# SPDX-License-Identifier: Apache-2.0
"""Beds and ponds with their latest values: `/zones`.

A thousand zones are answered in one go: the answer is built by `api.latest` and encoded at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field

from api.access import Caller, CallersTrail
from api.bodies import Body, IfMatch, Tags, Title
from api.errors import InvalidField
from api.instants import When
from api.latest import ShownZone, shown_zones
from api.names import ZoneId
from api.pages import Listing, Page, Sort
from api.problems import refusals
from api.services import Needs, Services
from api.suspensions import HeldBy
from control import proofs, registry
from control.audit import Trail
from control.proofs import ZoneProof
from control.records import Suspension, Zone, ZoneParameters
from control.suspended import suspensions_of
from gateway import Catalogue
from gateway.topics import NAME_PATTERN

__all__ = ["NewParameters", "router"]

router = APIRouter(prefix="/zones", tags=["zones"])


class NewParameters(Body):
    """What a zone is like, and its hard limits; what is absent stays as it is, or at its first value."""

    area_m2: float | None = Field(default=None, gt=0, le=1e6, description="Wetted area of a bed. [m2]", examples=[6.0])
    root_depth_m: float | None = Field(default=None, gt=0, le=10, description="Soil to be wetted. [m]", examples=[0.3])
    flow_l_min: float | None = Field(default=None, gt=0, le=1e5, description="Flow of the valve. [L/min]", examples=[8.5])
    grams_per_s: float | None = Field(default=None, gt=0, le=1e5, description="Rate of the feeder. [g/s]", examples=[5.0])
    max_seconds: int = Field(default=900, gt=0, le=86400, description="Longest run of one act. [s]", examples=[900])
    litres_day: float = Field(default=500.0, gt=0, le=1e6, description="Most water in a day of the site. [L]", examples=[400.0])
    grams_day: float = Field(default=2000.0, gt=0, le=1e6, description="Most feed in a day of the site. [g]", examples=[1000.0])
    flow_within_s: int = Field(
        default=30, gt=0, le=3600, description="So long after its valve opens, there has to be flow. [s]", examples=[30]
    )

    def parameters(self, kept: ZoneParameters | None = None) -> ZoneParameters:
        """Return `kept`, or the first values, with what was given in the body."""
        given = {name: getattr(self, name) for name in self.model_fields_set & ZoneParameters.__dataclass_fields__.keys()}
        return replace(kept or ZoneParameters(), **given)


class ZoneChange(NewParameters):
    """What is to be changed of a zone."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"litres_day": 300.0, "max_seconds": 600}]})

    title: Title | None = Field(default=None, description="What people call it.", examples=["Bedeng depan"])
    tags: Tags | None = Field(default=None, description="Words to find it by.", examples=[["cabai"]])


class Parameters(BaseModel):
    """What a zone is like, and its hard limits; null is not known, and what needs it does not act."""

    area_m2: float | None = Field(description="Wetted area of a bed. [m2]", examples=[6.0])
    root_depth_m: float | None = Field(description="Depth of soil to be wetted. [m]", examples=[0.3])
    flow_l_min: float | None = Field(description="Rated flow of the valve. [L/min]", examples=[8.5])
    grams_per_s: float | None = Field(description="Rate of the feeder. [g/s]", examples=[None])
    max_seconds: int = Field(description="Longest run of one act. [s]", examples=[900])
    litres_day: float = Field(description="Most water in a day of the site. [L]", examples=[400.0])
    grams_day: float = Field(description="Most feed in a day of the site. [g]", examples=[1000.0])
    flow_within_s: int = Field(description="So long after its valve opens, there has to be flow. [s]", examples=[30])


class LatestValue(BaseModel):
    """The newest value of one quantity."""

    value: float | bool = Field(description="In `unit`; true or false where that is `bool`.", examples=[0.31])
    unit: str = Field(description="The quantity's one unit.", examples=["m3/m3"])
    at: When = Field(description="Time of measurement.", examples=["2026-11-22T05:00:00Z"])
    age_s: float = Field(description="How long ago, by the platform's clock. [s]", examples=[12.0])


class ZoneEffect(BaseModel):
    """What proof of effect holds against a zone."""

    disproved: int = Field(description="Acts in a row that had no effect.", examples=[2])
    finding: str | None = Field(description="What the last of them was found to be.", examples=["clogged"])
    act: str | None = Field(description="Id of that act.", examples=["01KAQZ7J5RT0M3Q4W1D0V6B3NM"])
    since: When | None = Field(description="When the first of them was found.", examples=["2026-11-22T05:04:00Z"])
    held: When | None = Field(
        description="Since when nothing is planned here for it, until somebody releases the zone, or an act is proved.",
        examples=["2026-11-22T06:04:00Z"],
    )
    leak: When | None = Field(description="Since when there is flow though all valves are shut.", examples=[None])
    leak_l_min: float | None = Field(description="How much. [L/min]", examples=[None])


class ZoneAnswer(BaseModel):
    """A bed, a pond or a measuring point."""

    id: str = Field(description="Id in paths: `{site}:{device}:{zone}`.", examples=["taman-kota:bedeng-1:1"])
    site: str = Field(description="Name of its site.", examples=["taman-kota"])
    device: str = Field(description="Name of its device.", examples=["bedeng-1"])
    zone: int = Field(description="Its number at the device.", examples=[1])
    title: str = Field(description="What people call it.", examples=["Bedeng 1"])
    type: str = Field(description="`bed`, `pond` or `point`.", examples=["bed"])
    parameters: Parameters = Field(description="What it is like, and its hard limits.")
    proof: ZoneEffect | None = Field(
        description="What speaks against it by the proof of its acts' effect; null where nothing does."
    )
    tags: list[str] = Field(description="Words to find it by.", examples=[["cabai"]])
    version: int = Field(description="Rises with each change by a person; also the `ETag`.", examples=[1])
    held_by: list[HeldBy] = Field(description="What people put off here or above, and what is skipped next.", examples=[[]])
    latest: dict[str, LatestValue] = Field(
        description="The newest value of each quantity ever measured here.",
        examples=[{"soil_moisture": {"value": 0.31, "unit": "m3/m3", "at": "2026-11-22T05:00:00Z", "age_s": 12.0}}],
    )


class ZoneFilter(Page):
    """Which zones are wanted."""

    site: str | None = Field(default=None, pattern=NAME_PATTERN, description="Only of this site.", examples=["taman-kota"])
    device: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9_-]{1,64}:[a-z0-9_-]{1,64}$",
        description="Only of this device: `{site}:{device}`.",
        examples=["taman-kota:bedeng-1"],
    )
    tag: str | None = Field(default=None, pattern="^[a-z0-9_-]{1,40}$", description="Only with this tag.", examples=["cabai"])
    sort: str | None = Sort("title")
    quantities: str | None = Field(
        default=None,
        max_length=2_000,
        description="Only the latest values of these quantities, comma between them; the fewer, the quicker.",
        examples=["soil_moisture,flow"],
    )


@router.get("", response_model=Listing[ZoneAnswer])
def list_zones(services: Needs, caller: Caller, request: Annotated[ZoneFilter, Query()]) -> Response:
    """List zones with their latest values, in the order of their device and number unless told otherwise."""
    wanted = None if request.quantities is None else _names(request.quantities, services.catalogue)
    with services.database.reader() as session:
        zones, after = registry.list_zones(
            session,
            site=request.site,
            device=request.device,
            tag=request.tag,
            seen_by=caller,
            sort=request.sort,
            limit=request.limit,
            after=request.after,
        )
        standing = proofs.zone_proofs(session, [zone.key for zone in zones])
        held = suspensions_of(session, [zone.key for zone in zones], services.clock.now_ms())
    return _encoded({"items": _shown(zones, held, services, standing, wanted), "next": after})


@router.get("/{zone}", response_model=ZoneAnswer, responses=refusals(404))
def show_zone(zone: ZoneId, services: Needs) -> Response:
    """Show one zone with its latest values; `ETag` is the version of what people change of it."""
    with services.database.reader() as session:
        found = registry.get_zone(session, zone.key)
        standing = proofs.zone_proofs(session, [zone.key])
    return _tagged(found, services, standing)


@router.patch("/{zone}", response_model=ZoneAnswer, responses=refusals(404, 412))
async def change_zone(zone: ZoneId, body: ZoneChange, services: Needs, trail: CallersTrail, version: IfMatch) -> Response:
    """Change a zone's title, parameters, limits or tags; its device is told the new limits."""
    changed, standing = await run_in_threadpool(_change, zone.key, body, services, trail, version)
    services.controller.wake()
    return _tagged(changed, services, standing)


@router.post("/{zone}/release", response_model=ZoneAnswer, responses=refusals(404))
def release_zone(zone: ZoneId, services: Needs, trail: CallersTrail) -> Response:
    """Let a zone act by its schedule again whose acts had no effect; one that is not held stays as it is."""
    with services.database.session() as session:
        proofs.release_zone(session, zone.key, now_ms=services.clock.now_ms(), trail=trail)
        found = registry.get_zone(session, zone.key)
        standing = proofs.zone_proofs(session, [zone.key])
    return _tagged(found, services, standing)


def _change(
    key: str, body: ZoneChange, services: Services, trail: Trail, version: int | None
) -> tuple[Zone, Mapping[str, ZoneProof]]:
    with services.database.session() as session:
        kept = registry.get_zone(session, key).parameters
        wanted = body.parameters(kept)
        changed = registry.change_zone(
            session,
            key,
            title=body.title,
            parameters=None if wanted == kept else wanted,
            tags=body.tags,
            version=version,
            trail=trail,
        )
        return changed, proofs.zone_proofs(session, [key])


def _tagged(zone: Zone, services: Services, standing: Mapping[str, ZoneProof]) -> Response:
    with services.database.reader() as session:
        held = suspensions_of(session, [zone.key], services.clock.now_ms())
    answer = _encoded(_shown([zone], held, services, standing)[0])
    answer.headers["etag"] = f'"{zone.version}"'
    return answer


def _names(text: str, catalogue: Catalogue) -> list[str]:
    names = list(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in names:
        if name not in catalogue.quantities:
            near = catalogue.suggest(name)
            raise InvalidField(
                "quantities", f"there is no quantity {name[:64]!r}" + (f": did you mean {near}?" if near else "")
            )
    return names


def _shown(
    zones: Sequence[Zone],
    held: Mapping[str, Sequence[Suspension]],
    services: Services,
    standing: Mapping[str, ZoneProof],
    wanted: Sequence[str] | None = None,
) -> list[ShownZone]:
    return shown_zones(zones, held, services.latest, services.catalogue, services.clock.now_ms(), wanted, standing)


def _encoded(answer: object) -> Response:
    return Response(msgspec.json.encode(answer), media_type="application/json")
