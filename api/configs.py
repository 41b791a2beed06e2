# SPDX-License-Identifier: Apache-2.0
"""The configuration of devices: what people set of it, and what each device says is in force: `/devices/{device}/config`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from api.access import CallersTrail
from api.bodies import Body, IfMatch, tagged
from api.errors import InvalidField
from api.names import DeviceId
from api.problems import refusals
from api.services import Needs, Services
from control import configs, registry
from control.audit import Trail
from control.configs import DeviceConfig, Wanted
from gateway.payloads import MAX_ZONE

__all__ = ["ConfigAnswer", "config_answer", "router"]

router = APIRouter(prefix="/devices/{device}/config", tags=["devices"])


class Calibration(Body):
    """How a quantity is corrected: what is sent is gain x measured + offset."""

    gain: float = Field(default=1.0, ge=-1e6, le=1e6, description="Factor. [1]", examples=[1.02])
    offset: float = Field(default=0.0, ge=-1e9, le=1e9, description="Added, in the quantity's unit.", examples=[-0.01])


class FallbackRun(Body):
    """A run of a fallback program, every day."""

    zone: int = Field(ge=1, le=MAX_ZONE, description="Number of the bed at its device.", examples=[1])
    time: str = Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$", description="Local time HH:MM.", examples=["05:30"])
    seconds: int = Field(ge=1, le=86400, description="How long, within the longest run of the zone. [s]", examples=[300])


class Fallback(Body):
    """What a device waters by itself when the platform has been silent; feeding is never part of it."""

    after_h: int = Field(ge=1, le=720, description="Silent for so long. [h]", examples=[24])
    runs: list[FallbackRun] = Field(min_length=1, max_length=64, description="Its runs.")


class NewConfig(Body):
    """What people set of a device's configuration; what is absent is set back. Limits of zones are those of the zones."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"telemetry_s": 300, "calibration": {"soil_moisture": {"gain": 1.02, "offset": -0.01}}, "fallback": None}
            ]
        }
    )

    telemetry_s: int | None = Field(
        default=None, ge=1, le=86400, description="How often it measures; null is as often as all. [s]", examples=[300]
    )
    calibration: dict[Annotated[str, Field(max_length=64)], Calibration] = Field(
        default={}, max_length=64, description="Corrections by quantity, of those that its kind measures."
    )
    fallback: Fallback | None = Field(default=None, description="What it waters when the platform is silent; null is nothing.")


class SettingAnswer(BaseModel):
    """One key of the configuration: as wanted, and as the device has it."""

    key: str = Field(description="Name; limits of zones as `zones.1.litres_day`.", examples=["zones.1.litres_day"])
    desired: JsonValue = Field(description="What it is told.", examples=[400.0])
    reported: JsonValue = Field(description="What it says is in force.", examples=[400.0])
    state: Literal["in-force", "waiting", "refused", "different"] = Field(
        description="`waiting` for the device; `refused` with its reason; `different`: it says another value.",
        examples=["in-force"],
    )
    reason: str | None = Field(description="Why the device refuses it, in its own words.", examples=[None])


class ConfigAnswer(BaseModel):
    """A device's configuration, key by key beside what the device says is in force."""

    version: int = Field(description="Version that the device is to have.", examples=[4])
    reported_version: int | None = Field(description="Version that it says it has; null: it never said.", examples=[4])
    state: Literal["in-force", "waiting", "refused", "different"] = Field(
        description="The worst of its settings.", examples=["in-force"]
    )
    set: NewConfig = Field(description="What people set of it.")
    settings: list[SettingAnswer] = Field(description="Every setting.")


@router.put("", responses=refusals(404, 412))
async def change_config(
    device: DeviceId, body: NewConfig, services: Needs, trail: CallersTrail, version: IfMatch, response: Response
) -> ConfigAnswer:
    """Replace what people set of a device's configuration; `If-Match` and `ETag` are of the device. It is told at once."""
    now, config = await run_in_threadpool(_change, device.key, body, services, trail, version)
    services.controller.wake()
    tagged(now, response)
    return config_answer(config)


def _change(key: str, body: NewConfig, services: Services, trail: Trail, version: int | None) -> tuple[int, DeviceConfig]:
    wanted = Wanted(
        telemetry_s=body.telemetry_s,
        calibration={name: value.model_dump() for name, value in body.calibration.items()} or None,
        fallback=None if body.fallback is None else body.fallback.model_dump(),
    )
    with services.database.session() as session:
        _check_quantities(body, services, registry.get_device(session, key).kind)
        configs.set_config(session, key, wanted, version=version, trail=trail)
        session.flush()
        return registry.get_device(session, key).version, services.controller.device_config(session, key)


def config_answer(config: DeviceConfig) -> ConfigAnswer:
    """Return how a device's configuration is shown."""
    wanted: dict[str, Any] = {
        "telemetry_s": config.wanted.telemetry_s,
        "calibration": {name: dict(value) for name, value in (config.wanted.calibration or {}).items()},
        "fallback": config.wanted.fallback,
    }
    return ConfigAnswer(
        version=config.version,
        reported_version=config.reported_version,
        state=config.state,
        set=NewConfig.model_validate(wanted),
        settings=[
            SettingAnswer(key=one.key, desired=one.desired, reported=one.reported, state=one.state, reason=one.reason)
            for one in config.settings
        ],
    )


def _check_quantities(body: NewConfig, services: Services, kind_name: str) -> None:
    kind = services.catalogue.kinds.get(kind_name)
    for name in body.calibration:
        if kind is not None and kind.quantity(name) is None:
            raise InvalidField("calibration", f"{name[:64]!r} is not measured by a {kind_name}")
