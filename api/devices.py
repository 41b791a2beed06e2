# SPDX-License-Identifier: Apache-2.0
"""Field devices and their credentials: `/devices`.

Invariant: a password is shown in the answer that made it and never again.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, field_validator

from api.access import Caller, CallersTrail
from api.bodies import Body, IfMatch, Name, Tags, Title, tagged
from api.configs import ConfigAnswer, config_answer
from api.errors import InvalidField, Unavailable
from api.instants import When, format_instant, optional_instant
from api.names import DeviceId
from api.pages import Listing, Page, Sort
from api.permissions import require
from api.problems import refusals
from api.services import Issued, Needs, Services
from api.zones import NewParameters
from control import registry
from control.access import Permission
from control.audit import Trail
from control.records import Device, ZoneSpec, ZoneType
from gateway import Address, GatewayError, Kind
from gateway.payloads import MAX_ZONE
from gateway.topics import NAME_PATTERN

__all__ = ["router"]

router = APIRouter(prefix="/devices", tags=["devices"])


class NewZone(NewParameters):
    """A zone of the new device."""

    zone: int = Field(description="Number of the zone at its device.", ge=1, le=MAX_ZONE, examples=[1])
    title: Title = Field(description="What people call it.", examples=["Bedeng 1"])
    type: ZoneType = Field(description="`point` is a zone that only measures.", examples=["bed"])


class NewDevice(Body):
    """A device to be created."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "site": "taman-kota",
                    "device": "bedeng-1",
                    "kind": "irrigation-controller",
                    "title": "Bedeng depan",
                    "zones": [
                        {"zone": 1, "title": "Bedeng 1", "type": "bed", "area_m2": 6.0, "root_depth_m": 0.3, "flow_l_min": 8.5}
                    ],
                }
            ]
        }
    )

    site: Name = Field(description="Name of its site.", examples=["taman-kota"])
    device: Name = Field(description="Its own name there, as it stands in topics.", examples=["bedeng-1"])
    kind: str = Field(description="Kind of device, from the catalogue.", max_length=64, examples=["irrigation-controller"])
    title: Title = Field(description="What people call it.", examples=["Bedeng depan"])
    tags: Tags = Field(default=[], description="Words to find it by.", examples=[["kebun"]])
    zones: list[NewZone] | None = Field(
        default=None,
        description="Its beds or ponds; one with the device's title when absent.",
        min_length=1,
        max_length=MAX_ZONE,
    )

    @field_validator("zones")
    @classmethod
    def _numbered_once(cls, zones: list[NewZone] | None) -> list[NewZone] | None:
        if zones is not None and len({zone.zone for zone in zones}) != len(zones):
            raise ValueError("two zones have the same number")
        return zones


class DeviceChange(Body):
    """What is to be changed of a device; what is absent stays as it is."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"title": "Bedeng depan", "tags": ["kebun"]}]})

    title: Title | None = Field(default=None, description="What people call it.", examples=["Bedeng depan"])
    tags: Tags | None = Field(default=None, description="Words to find it by.", examples=[["kebun"]])


class DeviceAnswer(BaseModel):
    """A field device."""

    id: str = Field(description="Id in paths: `{site}:{device}`.", examples=["taman-kota:bedeng-1"])
    site: str = Field(description="Name of its site.", examples=["taman-kota"])
    device: str = Field(description="Its own name there.", examples=["bedeng-1"])
    kind: str = Field(description="Kind of device.", examples=["irrigation-controller"])
    title: str = Field(description="What people call it.", examples=["Bedeng depan"])
    zones: int = Field(description="How many zones it has.", examples=[1])
    online: bool = Field(description="Whether it is connected, as last heard.", examples=[True])
    last_seen: When | None = Field(description="When it last said something.", examples=["2026-11-22T05:00:00Z"])
    firmware: str | None = Field(description="Firmware, in its own words.", examples=["1.4.2"])
    boot: int | None = Field(description="How often it has started.", examples=[7])
    rssi: float | None = Field(description="Strength of its radio link. [dBm]", examples=[-67.0])
    last_n: int = Field(description="Number of the last command.", examples=[412])
    config_version: int = Field(description="Version of the configuration it was last told.", examples=[3])
    reported: dict[str, Any] | None = Field(
        description="The configuration in force, in its own words.", examples=[{"version": 3, "telemetry_s": 60}]
    )
    tags: list[str] = Field(description="Words to find it by.", examples=[["kebun"]])
    version: int = Field(description="Rises with each change by a person; also the `ETag`.", examples=[1])
    created: When = Field(description="When it was created.", examples=["2026-11-22T05:00:00Z"])


class DeviceDetail(DeviceAnswer):
    """The same with its configuration."""

    config: ConfigAnswer = Field(description="Its configuration, as wanted and as in force.")


class Credential(BaseModel):
    """What the device signs in with at the broker; the password is shown here and never again."""

    username: str = Field(description="User name, and client id.", examples=["taman-kota/bedeng-1"])
    password: str = Field(description="Password.", examples=["(43 random characters)"])
    notice: str | None = Field(
        default=None, description="What a person has to do at an outside broker before it counts.", examples=[None]
    )


class NewDeviceAnswer(DeviceAnswer):
    """The new device with its credential."""

    credential: Credential = Field(description="Its credential.")


class DeviceFilter(Page):
    """Which devices are wanted."""

    site: str | None = Field(default=None, pattern=NAME_PATTERN, description="Only of this site.", examples=["taman-kota"])
    kind: str | None = Field(
        default=None, pattern=NAME_PATTERN, description="Only of this kind.", examples=["irrigation-controller"]
    )
    tag: str | None = Field(default=None, pattern="^[a-z0-9_-]{1,40}$", description="Only with this tag.", examples=["kebun"])
    online: bool | None = Field(default=None, description="Only those that are, or are not, connected.", examples=[True])
    sort: str | None = Sort("id", "title", "kind", "created")


@router.get("")
def list_devices(services: Needs, caller: Caller, request: Annotated[DeviceFilter, Query()]) -> Listing[DeviceAnswer]:
    """List devices, by id unless told otherwise; revoked ones are left out."""
    with services.database.reader() as session:
        devices, after = registry.list_devices(
            session,
            request.site,
            kind=request.kind,
            tag=request.tag,
            online=request.online,
            seen_by=caller,
            sort=request.sort,
            limit=request.limit,
            after=request.after,
        )
    return Listing(items=[DeviceAnswer(**_plain(device)) for device in devices], next=after)


@router.post("", status_code=201, responses=refusals(404, 409))
async def create_device(
    body: NewDevice, services: Needs, caller: Caller, trail: CallersTrail, response: Response
) -> NewDeviceAnswer:
    """Create a device; the answer shows its credential, once."""
    await run_in_threadpool(require, services, caller, Permission.EQUIP, body.site, "site", body.site)
    device = await run_in_threadpool(_create, body, services, trail)
    address = Address(device.site, device.name)
    try:
        issued = await services.provisioner.provision(address)
    except GatewayError as exc:
        raise Unavailable(
            f"{device.key} is registered, but the broker could not be told of its credential. "
            f"Once it answers again, make a new credential: POST /api/v1/devices/{device.key}/credential"
        ) from exc
    services.controller.wake()
    response.headers["location"] = f"/api/v1/devices/{device.key}"
    return NewDeviceAnswer(**_plain(device), credential=_credential(address, issued))


@router.get("/{device}", responses=refusals(404))
def show_device(device: DeviceId, services: Needs, response: Response) -> DeviceDetail:
    """Show one device with its configuration; `ETag` is its version."""
    with services.database.reader() as session:
        found, config = registry.get_device(session, device.key), services.controller.device_config(session, device.key)
    tagged(found.version, response)
    return DeviceDetail(**_plain(found), config=config_answer(config))


@router.patch("/{device}", responses=refusals(404, 412))
def change_device(
    device: DeviceId, body: DeviceChange, services: Needs, trail: CallersTrail, version: IfMatch, response: Response
) -> DeviceAnswer:
    """Change a device's title or tags."""
    with services.database.session() as session:
        changed = registry.change_device(session, device.key, title=body.title, tags=body.tags, version=version, trail=trail)
    return _tagged(changed, response)


@router.post("/{device}/credential", responses=refusals(404))
async def rotate_credential(device: DeviceId, services: Needs, trail: CallersTrail) -> Credential:
    """Make a new credential, shown once; the old one is shut out."""
    await run_in_threadpool(_require, device, services)
    try:
        return _credential(device, await services.provisioner.rotate(device, trail))
    except GatewayError as exc:
        raise Unavailable(
            f"The broker could not be told of a new credential for {device.key}; make another once it answers again."
        ) from exc


class Revoked(BaseModel):
    """What is left to do for a device that was revoked."""

    notice: str = Field(description="What a person has to do at an outside broker.", examples=["Send the broker SIGHUP."])


@router.delete(
    "/{device}",
    status_code=204,
    response_model=None,
    responses={**refusals(404, 412), 200: {"model": Revoked, "description": "Revoked; something is left to do by hand."}},
)
async def revoke_device(device: DeviceId, services: Needs, trail: CallersTrail, version: IfMatch) -> Response | JSONResponse:
    """Revoke a device: its credential goes, its schedules stop, its history stays."""
    await run_in_threadpool(_revoke, device, services, trail, version)
    try:
        notice = await services.provisioner.revoke(device)
    except GatewayError as exc:
        raise Unavailable(
            f"{device.key} is revoked and what it sends is no longer taken, but the broker could not be told; "
            "it shuts the device out once it answers again."
        ) from exc
    return JSONResponse({"notice": notice}) if notice else Response(status_code=204)


def _credential(address: Address, issued: Issued) -> Credential:
    return Credential(username=address.username, password=issued.password, notice=issued.notice)


def _create(body: NewDevice, services: Services, trail: Trail) -> Device:
    kind = services.catalogue.kinds.get(body.kind)
    if kind is None:
        raise InvalidField("kind", f"there is no such kind; kinds are {', '.join(sorted(services.catalogue.kinds))}")
    with services.database.session() as session:
        return registry.create_device(
            session,
            body.site,
            body.device,
            body.kind,
            body.title,
            _zones(body, kind),
            "",  # nobody can sign in with it; the provisioner sets one that is
            now_ms=services.clock.now_ms(),
            tags=body.tags,
            trail=trail,
        )


def _zones(body: NewDevice, kind: Kind) -> list[ZoneSpec]:
    if body.zones is None:
        type_: ZoneType = "bed" if "irrigate" in kind.actions else "pond" if "feed" in kind.actions else "point"
        return [ZoneSpec(1, body.title, type_)]
    return [ZoneSpec(zone.zone, zone.title, zone.type, zone.parameters()) for zone in body.zones]


def _require(address: Address, services: Services) -> None:
    with services.database.reader() as session:
        registry.get_device(session, address.key)


def _revoke(address: Address, services: Services, trail: Trail, version: int | None) -> None:
    with services.database.session() as session:
        registry.revoke_device(session, address.key, now_ms=services.clock.now_ms(), version=version, trail=trail)


def _tagged(device: Device, response: Response) -> DeviceAnswer:
    tagged(device.version, response)
    return DeviceAnswer(**_plain(device))


def _plain(device: Device) -> dict[str, Any]:
    return {
        "id": device.key,
        "site": device.site,
        "device": device.name,
        "kind": device.kind,
        "title": device.title,
        "zones": device.zones,
        "online": device.online,
        "last_seen": optional_instant(device.last_seen_ms),
        "firmware": device.firmware,
        "boot": device.boot,
        "rssi": device.rssi,
        "last_n": device.last_n,
        "config_version": device.config_version,
        "reported": None if device.reported is None else dict(device.reported),
        "tags": list(device.tags),
        "version": device.version,
        "created": format_instant(device.created_ms),
    }
