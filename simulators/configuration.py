# SPDX-License-Identifier: Apache-2.0
"""From the desired configuration to the one in force: take what fits, refuse the rest by name and reason.

Invariant: a value that is refused changes nothing, and never keeps another one from being taken.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from gateway.errors import InvalidMessage
from gateway.messages import Config, Reported, ZoneLimits
from gateway.payloads import decode_object

__all__ = ["FACTORY", "apply_config"]

FACTORY: Final = Reported(version=0)  # in force before the first configuration arrives
MAX_REFUSED: Final = 32  # keys told as refused; more would not help anybody
_HINTS: Final = {
    "telemetry_s": "a whole number of seconds from 1 to 86400",
    "utc_offset_min": "a whole number of minutes from -840 to 840",
}


def apply_config(payload: bytes, current: Reported, zones: int) -> Reported:
    """Return the configuration in force after `payload`.

    Raises
    ------
    InvalidMessage
        The payload as a whole is not a configuration; the current one stays in force.
    """
    wanted = decode_object(payload)
    if not isinstance(wanted, dict):
        raise InvalidMessage("malformed", "config: an object is wanted")
    try:
        version = msgspec.convert({"version": wanted.get("version")}, Config).version
    except msgspec.ValidationError as exc:
        raise InvalidMessage("malformed", f"config: {exc}") from exc
    refused: dict[str, str] = {}
    taken: dict[str, Any] = {"zones": current.zones} if "zones" not in wanted else {}
    for key in ("telemetry_s", "utc_offset_min"):
        taken[key] = getattr(current, key)
        if key in wanted:
            try:
                taken[key] = getattr(msgspec.convert({"version": version, key: wanted[key]}, Config), key)
            except msgspec.ValidationError:
                refused[key] = f"it is {_HINTS[key]}"
    if "zones" in wanted:
        taken["zones"] = _zones(wanted["zones"], current, zones, refused)
    _refuse_others(wanted, refused)
    return Reported(version=version, refused=dict(list(refused.items())[:MAX_REFUSED]), **taken)


def _refuse_others(wanted: dict[Any, Any], refused: dict[str, str]) -> None:
    if wanted.get("calibration"):
        refused["calibration"] = "virtual sensors have nothing to calibrate"
    if wanted.get("fallback") is not None:
        refused["fallback"] = "this device has no fallback program"
    known = {"version", "telemetry_s", "utc_offset_min", "zones", "calibration", "fallback"}
    refused.update({str(key)[:64]: "unknown key" for key in wanted if key not in known})


def _zones(wanted: object, current: Reported, zones: int, refused: dict[str, str]) -> dict[str, ZoneLimits]:
    if not isinstance(wanted, dict):
        refused["zones"] = "it is an object of zones"
        return current.zones
    limits = {}
    for zone, table in wanted.items():
        name = f"zones.{str(zone)[:16]}"
        if zone not in {str(number) for number in range(1, zones + 1)}:
            refused[name] = f"this device has the zones 1 to {zones}"
        elif not isinstance(table, dict):
            refused[name] = "it is an object of limits"
        else:
            limits[zone] = _limits(name, table, current.zones.get(zone, ZoneLimits()), refused)
    return limits


def _limits(name: str, table: dict[Any, Any], current: ZoneLimits, refused: dict[str, str]) -> ZoneLimits:
    taken: dict[str, Any] = {}
    for key, value in table.items():
        if key not in ZoneLimits.__struct_fields__:
            refused[f"{name}.{str(key)[:32]}"] = "unknown key"
            continue
        try:
            taken[key] = getattr(msgspec.convert({key: value}, ZoneLimits), key)
        except msgspec.ValidationError:
            refused[f"{name}.{key}"] = "it is a number from 0 on, or null for no limit"
            taken[key] = getattr(current, key)  # the limit before stays: losing one is worse than keeping one
    return ZoneLimits(**taken)
