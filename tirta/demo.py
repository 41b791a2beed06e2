# SPDX-License-Identifier: Apache-2.0
"""The simulated pilot: its sites, devices and schedules, and the process that plays its devices.

The devices are a process of their own that outlives a killed Tirta; the next start finds it and takes it over.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from control import registry, schedules
from control.database import Database
from control.errors import Conflict, NotFound
from control.records import ZoneParameters, ZoneSpec
from gateway import Address
from gateway.credentials import hash_password, new_credential
from gateway.processes import DetachedProcess, write_private
from simulators.scenario import DeviceSpec, load_scenario
from tirta.folder import DataFolder

__all__ = ["SCENARIO", "DemoDevices", "dawn_ms", "prepare_demo", "read_credentials", "zone_specs"]

logger = logging.getLogger(__name__)

SCENARIO = "demo"
_WATCH_S = 2.0  # between two looks at the devices' process [s]
_STOP_S = 2.5  # given to the devices to say goodbye [s]

# Leaf vegetables, kept between a fifth and three tenths of water by volume, at whatever hour the pilot is started.
_WATERING = {"type": "irrigation", "low": 0.20, "high": 0.30, "max_seconds": 600, "litres_day": 300.0, "soak_s": 600}
# Three meals of about one per cent of the biomass each.
_MEALS = {
    "type": "feeding",
    "meals": [{"time": "07:00", "grams": 400.0}, {"time": "12:00", "grams": 400.0}, {"time": "16:30", "grams": 400.0}],
    "grams_day": 1300.0,
    "oxygen_stop": 3.0,
    "oxygen_reduce": 4.0,
}


def dawn_ms(now_ms: int) -> int:
    """Return 05:00 of today at the pilot's site, where a new fast clock begins. [ms since the Unix epoch]"""
    zone = ZoneInfo(load_scenario(SCENARIO).sites[0].timezone)
    today = datetime.fromtimestamp(now_ms / 1000, zone).replace(hour=5, minute=0, second=0, microsecond=0)
    return int(today.timestamp() * 1000)


def prepare_demo(database: Database, folder: DataFolder, now_ms: int) -> Mapping[Address, str]:
    """Create the pilot where it is not there yet; return its devices' passwords."""
    demo = folder.file("demo")
    demo.mkdir(mode=0o700, exist_ok=True)
    path = demo / "credentials.json"
    passwords: dict[str, str] = {}
    with suppress(FileNotFoundError):
        passwords = json.loads(path.read_text("utf-8"))
    scenario = load_scenario(SCENARIO)
    addresses = [Address(site.name, device.name) for site in scenario.sites for device in site.devices]
    made = {address for address in addresses if address.username not in passwords}
    passwords |= {address.username: new_credential(address.username).password for address in made}
    # The file first: a password in the registry that nobody knows would shut the device out for ever.
    write_private(path, json.dumps(passwords, indent=1) + "\n")
    with database.session() as session:
        for site in scenario.sites:
            with suppress(Conflict):
                registry.create_site(session, site.name, site.title, site.timezone, now_ms=now_ms)
            for device in site.devices:
                address = Address(site.name, device.name)
                password = passwords[address.username]
                if not _create_device(session, device, address, password, now_ms) and address in made:
                    with suppress(NotFound):
                        registry.set_password_hash(session, address.key, hash_password(password))
    return {address: passwords[address.username] for address in addresses}


def _create_device(session: Session, device: DeviceSpec, address: Address, password: str, now_ms: int) -> bool:
    """Register a device with its schedule; False where it is there, or was and somebody revoked it."""
    zones, hashed = zone_specs(device), hash_password(password)
    try:
        registry.create_device(session, address.site, address.device, device.kind, device.title, zones, hashed, now_ms=now_ms)
    except Conflict:
        return False
    schedules.create_schedule(session, f"{address.key}:1", _WATERING if device.beds else _MEALS, now_ms=now_ms)
    return True


def zone_specs(device: DeviceSpec) -> list[ZoneSpec]:
    """Return the zones that a scenario's device is registered with."""
    beds = [
        ZoneSpec(
            number,
            bed.title or f"Bed {number}",
            "bed",
            ZoneParameters(
                area_m2=bed.bed.area_m2,
                root_depth_m=bed.bed.root_depth_m,
                flow_l_min=bed.bed.flow_l_min,
                max_seconds=900,
                litres_day=400.0,
            ),
        )
        for number, bed in enumerate(device.beds, 1)
    ]
    ponds = [
        ZoneSpec(
            number,
            pond.title or f"Pond {number}",
            "pond",
            ZoneParameters(grams_per_s=pond.pond.feeder_g_s, max_seconds=600, grams_day=1500.0),
        )
        for number, pond in enumerate(device.ponds, 1)
    ]
    return beds or ponds


class DemoDevices:
    """The process that plays the pilot's devices."""

    def __init__(self, folder: DataFolder) -> None:
        self._folder = folder
        self._demo = folder.file("demo")
        self._process = DetachedProcess(self._demo / "devices.pid.json")
        self._command: list[str] = []

    async def start(self, broker_url: str, speed: float) -> bool:
        """Start the devices, or take over those that run on the same broker and pace; tell whether they were taken over."""
        command = [sys.executable, "-m", "tirta", "simulate", SCENARIO, "--broker", broker_url]
        command += ["--credentials", str(self._demo / "credentials.json"), "--clock", str(self._folder.file("clock.json"))]
        self._command = [*command, "--state", str(self._demo / "devices"), "--oracle"]
        plan = json.dumps({"broker": broker_url, "speed": speed})
        path = self._demo / "devices.plan.json"
        with suppress(FileNotFoundError):
            if self._process.find() is not None and path.read_text("utf-8") == plan:
                return True
        await self._process.stop(_STOP_S)
        self._process.start(self._command, log=self._demo / "devices.log")
        write_private(path, plan)
        return False

    async def watch(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Start the devices again when their process dies, until cancelled."""
        while True:
            await sleep(_WATCH_S)
            if self._process.find() is not None:
                continue
            try:
                self._process.start(self._command, log=self._demo / "devices.log")
            except OSError as exc:  # a full disk passes, and takes nothing but the demo with it meanwhile
                logger.warning("the demo's devices died and cannot start: %s", exc, extra={"action": "demo_failed"})
            else:
                logger.warning("the demo's devices died and start again", extra={"action": "demo_restarted"})

    async def stop(self) -> None:
        """End the devices: each closes its valves and says goodbye."""
        await self._process.stop(_STOP_S)


def read_credentials(path: Path) -> Mapping[Address, str]:
    """Read a file of device passwords: {"site/device": "password"}."""
    pairs = json.loads(path.read_text("utf-8"))
    return {Address(*username.split("/", 1)): password for username, password in pairs.items()}
