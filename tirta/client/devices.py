# SPDX-License-Identifier: Apache-2.0
"""Field devices with their credentials, and what they did not deliver."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from tirta.client.calls import Calls, given
from tirta.client.zones import NewZone

__all__ = [
    "Calibration",
    "Certificate",
    "Config",
    "Credential",
    "Device",
    "DeviceDetail",
    "Devices",
    "Fallback",
    "FallbackRun",
    "Gap",
    "Gaps",
    "NewConfig",
    "NewDevice",
    "Revoked",
    "SessionLost",
    "Setting",
]


class Device(msgspec.Struct, frozen=True):
    """A field device. `reported` is its configuration in its own words."""

    id: str
    site: str
    device: str
    kind: str
    title: str
    zones: int
    online: bool
    last_seen: datetime | None
    firmware: str | None
    boot: int | None
    rssi: float | None
    last_n: int
    config_version: int
    reported: dict[str, object] | None
    tags: list[str]
    version: int
    created: datetime


class Calibration(msgspec.Struct, frozen=True):
    """How a quantity is corrected: what is sent is gain x measured + offset."""

    gain: float = 1.0
    offset: float = 0.0


class FallbackRun(msgspec.Struct, frozen=True):
    """A run of a fallback program: number of the bed, local time HH:MM, and how long. [s]"""

    zone: int
    time: str
    seconds: int


class Fallback(msgspec.Struct, frozen=True):
    """What a device waters every day once the platform has been silent for so long. [h]"""

    after_h: int
    runs: list[FallbackRun]


class NewConfig(msgspec.Struct, frozen=True):
    """What people set of a device's configuration; without `telemetry_s` it measures as often as all. [s]"""

    telemetry_s: int | None = None
    calibration: dict[str, Calibration] = {}
    fallback: Fallback | None = None


class Setting(msgspec.Struct, frozen=True):
    """One key of a configuration: what the device is told, and what it says is in force."""

    key: str
    desired: object
    reported: object
    state: Literal["in-force", "waiting", "refused", "different"]
    reason: str | None


class Config(msgspec.Struct, frozen=True):
    """A device's configuration; its `state` is the worst of its settings."""

    version: int
    reported_version: int | None
    state: Literal["in-force", "waiting", "refused", "different"]
    set: NewConfig
    settings: list[Setting]


class DeviceDetail(Device, frozen=True):
    """A field device with its configuration."""

    config: Config


class Credential(msgspec.Struct, frozen=True):
    """What a device signs in with at the broker."""

    username: str
    password: str
    notice: str | None = None

    def __repr__(self) -> str:
        return f"Credential({self.username!r})"


class Certificate(msgspec.Struct, frozen=True):
    """By what a device signs in in place of a password, and the authority's certificate; both PEM."""

    certificate: str
    authority: str
    notice: str | None = None


class NewDevice(Device, frozen=True):
    """A device just created, with its credential."""

    credential: Credential


class Revoked(msgspec.Struct, frozen=True):
    """What is left to do by hand for a device that was revoked."""

    notice: str


class Gap(msgspec.Struct, frozen=True):
    """Numbers of one boot that never arrived, `first` and `last` among them."""

    boot: int
    first: int
    last: int
    count: int
    state: Literal["open", "lost"]
    since: datetime | None


class SessionLost(msgspec.Struct, frozen=True):
    """A time in which the broker had forgotten the platform."""

    start: datetime
    end: datetime


class Gaps(msgspec.Struct, frozen=True):
    """A page of a device's gaps, with the sums of all."""

    items: list[Gap]
    next: str | None
    missing: int
    lost: int
    ends_unknown: list[int]
    sessions_lost: list[SessionLost]


class Devices:
    """`client.devices`; an id is `{site}:{device}`."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def list(
        self,
        *,
        site: str | None = None,
        kind: str | None = None,
        tag: str | None = None,
        online: bool | None = None,
        sort: str | None = None,
    ) -> Iterator[Device]:
        """Yield devices that were not revoked."""
        return self._calls.every(Device, "/api/v1/devices", site=site, kind=kind, tag=tag, online=online, sort=sort)

    def get(self, device: str) -> DeviceDetail:
        """Return one device with its configuration."""
        return self._calls.one(DeviceDetail, "GET", f"/api/v1/devices/{device}")

    def configure(self, device: str, config: NewConfig, *, version: int | None = None) -> Config:
        """Replace what people set of a device's configuration; `version` is the device's."""
        body = msgspec.to_builtins(config)
        return self._calls.one(Config, "PUT", f"/api/v1/devices/{device}/config", body=body, version=version)

    def create(
        self,
        site: str,
        device: str,
        kind: str,
        title: str,
        *,
        zones: Sequence[NewZone] | UnsetType = UNSET,
        tags: Sequence[str] | UnsetType = UNSET,
    ) -> NewDevice:
        """Create a device; its password is in this answer and in no other."""
        body = {"site": site, "device": device, "kind": kind, "title": title, **given(zones=zones, tags=tags)}
        return self._calls.one(NewDevice, "POST", "/api/v1/devices", body=body)

    def change(
        self,
        device: str,
        *,
        version: int | None = None,
        title: str | UnsetType = UNSET,
        tags: Sequence[str] | UnsetType = UNSET,
    ) -> Device:
        """Change a device's title or tags; what is not given stays as it is."""
        body = given(title=title, tags=tags)
        return self._calls.one(Device, "PATCH", f"/api/v1/devices/{device}", body=body, version=version)

    def rotate(self, device: str) -> Credential:
        """Give a device a new credential, valid at once; the old one is shut out."""
        return self._calls.one(Credential, "POST", f"/api/v1/devices/{device}/credential")

    def certify(self, device: str, request: str) -> Certificate:
        """Give a device a certificate for the key in its signing request (PEM); those it had before count no more."""
        return self._calls.one(Certificate, "POST", f"/api/v1/devices/{device}/certificate", body={"request": request})

    def revoke(self, device: str, *, version: int | None = None) -> str | None:
        """Put a device out; return what a person has to do still at an outside broker."""
        answer = self._calls.send("DELETE", f"/api/v1/devices/{device}", version=version)
        return msgspec.json.decode(answer, type=Revoked).notice if answer else None

    def gaps(self, device: str, *, limit: int = 100, after: str | None = None) -> Gaps:
        """Return a page of the numbered records that never arrived, with the sums of all."""
        return self._calls.one(Gaps, "GET", f"/api/v1/devices/{device}/gaps", query={"limit": limit, "after": after})
