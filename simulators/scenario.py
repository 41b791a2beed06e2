# SPDX-License-Identifier: Apache-2.0
"""Scenarios: which virtual devices there are, where, and what they water and feed. Read from TOML.

Invariant: what a scenario does not say has a default; what it says wrongly is named by its place in the file.
"""

from __future__ import annotations

import dataclasses
import tomllib
import zoneinfo
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, Literal

from gateway.payloads import MAX_ZONE
from simulators.errors import InvalidScenario
from simulators.physics import BedSite, Climate, PondSite
from simulators.tables import KINDS, check_names, fill_in, read_table, read_tables, split_table

__all__ = ["BedSpec", "DeviceSpec", "PondSpec", "Scenario", "SiteSpec", "load_scenario", "parse_scenario"]

MAX_DEVICES: Final = 10_000


@dataclasses.dataclass(frozen=True, slots=True)
class BedSpec:
    """A bed: its title, what it is, and how moist it is at first. [m3 m-3]"""

    bed: BedSite = dataclasses.field(default_factory=BedSite)
    title: str = ""
    soil_moisture: float = 0.26


@dataclasses.dataclass(frozen=True, slots=True)
class PondSpec:
    """A pond: its title, what it is, the fish in it and the feed in its hopper at first. [kg, g]"""

    pond: PondSite = dataclasses.field(default_factory=PondSite)
    title: str = ""
    biomass_kg: float = 40.0
    hopper_g: float = 15_000.0


@dataclasses.dataclass(frozen=True, slots=True)
class DeviceSpec:
    """A device; one kind has beds, the other ponds, each a zone counted from 1.

    Attributes
    ----------
    mqtt : str or None
        The version it speaks; None lets versions alternate from device to device.
    synchronised : bool
        False: it never finds the time, sends no `ts` and refuses acts.
    """

    name: str
    kind: str
    title: str = ""
    mqtt: Literal["3.1.1", "5"] | None = None
    encoding: Literal["json", "cbor"] = "json"
    synchronised: bool = True
    beds: tuple[BedSpec, ...] = ()
    ponds: tuple[PondSpec, ...] = ()

    @property
    def zones(self) -> int:
        """How many beds or ponds it has."""
        return len(self.beds) + len(self.ponds)


@dataclasses.dataclass(frozen=True, slots=True)
class SiteSpec:
    """A site with its climate and its devices."""

    name: str
    timezone: str
    devices: tuple[DeviceSpec, ...]
    title: str = ""
    climate: Climate = dataclasses.field(default_factory=Climate)


@dataclasses.dataclass(frozen=True, slots=True)
class Scenario:
    """All sites, and the seed of what is random in them."""

    sites: tuple[SiteSpec, ...]
    seed: int = 1


def load_scenario(source: Path | str) -> Scenario:
    """Read a scenario file, or a built-in one by its name.

    Raises
    ------
    InvalidScenario
        It is not there, or says something that can not be simulated.
    """
    path = Path(source)
    if path.suffix == ".toml" or path.exists():
        try:
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as exc:
            raise InvalidScenario(f"{path}: {exc}") from exc
        return parse_scenario(text, str(path))
    built_in = files("simulators").joinpath("scenarios")
    names = sorted(entry.name.removesuffix(".toml") for entry in built_in.iterdir() if entry.name.endswith(".toml"))
    if str(source) not in names:
        raise InvalidScenario(f"{source}: neither a file nor one of the built-in scenarios ({', '.join(names)})")
    return parse_scenario(built_in.joinpath(f"{source}.toml").read_text("utf-8"), f"{source} (built in)")


def parse_scenario(text: str, where: str = "scenario") -> Scenario:
    """Read a scenario from TOML.

    Raises
    ------
    InvalidScenario
        With the place in the file, and what is wrong there.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise InvalidScenario(f"{where}: {exc}") from exc
    sites = read_tables(table, "sites", where)
    parsed = tuple(_site(site, f"{where}: sites[{place}]") for place, site in enumerate(sites))
    check_names([site.name for site in parsed], where, "site")
    if (count := sum(len(site.devices) for site in parsed)) > MAX_DEVICES:
        raise InvalidScenario(f"{where}: {count} devices; one process simulates up to {MAX_DEVICES}")
    return fill_in(Scenario, table, where, sites=parsed)


def _site(table: dict[str, Any], where: str) -> SiteSpec:
    devices = tuple(
        _device(device, f"{where}.devices[{place}]") for place, device in enumerate(read_tables(table, "devices", where))
    )
    check_names([device.name for device in devices], where, "device")
    climate = fill_in(Climate, read_table(table, "climate", where), f"{where}.climate")
    site = fill_in(SiteSpec, table, where, devices=devices, climate=climate)
    try:
        zoneinfo.ZoneInfo(site.timezone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as exc:
        raise InvalidScenario(f"{where}.timezone: there is no time zone {site.timezone!r}") from exc
    if not (-90 <= climate.latitude <= 90 and -180 <= climate.longitude <= 180):
        raise InvalidScenario(f"{where}.climate: latitude is -90 to 90, longitude -180 to 180")
    return site


def _device(table: dict[str, Any], where: str) -> DeviceSpec:
    kind = table.get("kind")
    if kind not in KINDS:
        raise InvalidScenario(f"{where}.kind: {kind!r} is not one of {', '.join(KINDS)}")
    name, other = ("beds", "ponds") if kind == "irrigation-controller" else ("ponds", "beds")
    if other in table:
        raise InvalidScenario(f"{where}.{other}: the zones of a {kind} are {name}")
    zones = read_tables(table, name, where)
    if len(zones) > MAX_ZONE:
        raise InvalidScenario(f"{where}.{name}: {len(zones)} zones; a device has up to {MAX_ZONE}")
    if name == "beds":
        beds = tuple(_bed(zone, f"{where}.beds[{place}]") for place, zone in enumerate(zones))
        return fill_in(DeviceSpec, table, where, beds=beds, ponds=())
    ponds = tuple(_pond(zone, f"{where}.ponds[{place}]") for place, zone in enumerate(zones))
    return fill_in(DeviceSpec, table, where, beds=(), ponds=ponds)


def _bed(table: dict[str, Any], where: str) -> BedSpec:
    site, rest = split_table(table, BedSite)
    bed = fill_in(BedSite, site, where)
    if not bed.wilting_point < bed.field_capacity < bed.saturation:
        raise InvalidScenario(f"{where}: wilting_point < field_capacity < saturation is wanted")
    if not (bed.area_m2 > 0 and bed.root_depth_m > 0):
        raise InvalidScenario(f"{where}: area_m2 and root_depth_m are above 0")
    spec = fill_in(BedSpec, rest, where, bed=bed)
    if spec.soil_moisture > bed.saturation:
        raise InvalidScenario(f"{where}.soil_moisture: {spec.soil_moisture} is above saturation, {bed.saturation}")
    return spec


def _pond(table: dict[str, Any], where: str) -> PondSpec:
    site, rest = split_table(table, PondSite)
    pond = fill_in(PondSite, site, where)
    if not (pond.volume_m3 > 0 and pond.depth_m > 0):
        raise InvalidScenario(f"{where}: volume_m3 and depth_m are above 0")
    return fill_in(PondSpec, rest, where, pond=pond)
