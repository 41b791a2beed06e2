# SPDX-License-Identifier: Apache-2.0
"""Run all devices of a scenario against a broker, until cancelled.

Invariant: the same scenario, seed and folder are the same devices after a restart: boot counts, ledgers and outboxes go on.
"""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import functools
import random
import sqlite3
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from gateway.clock import Clock
from gateway.topics import Address
from simulators.controller import VirtualIrrigationController
from simulators.device import VirtualDevice
from simulators.errors import InvalidScenario
from simulators.events import Event, Watcher
from simulators.faults import KINDS_OF_FAULT, MAX_FAULTS, Fault, Faults
from simulators.feeder import VirtualPondFeeder
from simulators.machine import Machine
from simulators.memory import Memory, open_storage
from simulators.oracle import Oracle
from simulators.physics import Bed, Pond, Weather
from simulators.scenario import DeviceSpec, Scenario, SiteSpec
from simulators.shell import BrokerAddress, Shell

__all__ = ["build_device", "check_faults", "run"]

STORAGE_NAME = "devices.sqlite"


async def run(
    scenario: Scenario,
    broker: BrokerAddress,
    credentials: Mapping[Address, str],
    clock: Clock,
    *,
    state_dir: Path | None = None,
    seed: int | None = None,
    faults: Sequence[Fault] = (),
    on_event: Watcher | None = None,
    oracle: bool = False,
) -> None:
    """Run a scenario's devices until cancelled; each then ends what it does and says that it is offline.

    Parameters
    ----------
    credentials : mapping
        The password of each device.
    state_dir : Path or None
        Where the devices' non-volatile memory lies; None forgets all at the end.
    seed : int or None
        Of noise and weather; None takes the scenario's.
    faults : sequence of Fault
        What breaks, and when, since now.
    on_event : callable or None
        Told of everything that happens; called in the event loop, so it must be quick.
    oracle : bool
        Whether to write in `state_dir` what each device saw (`simulators.oracle`).

    Raises
    ------
    InvalidScenario
        A device has no password, a fault is of no device here, or an oracle has no folder.
    MemoryInUse
        Another process runs devices in this folder.
    """
    places = [(site, spec) for site in scenario.sites for spec in site.devices]
    addresses = [Address(site.name, spec.name) for site, spec in places]
    if missing := [address.username for address in addresses if address not in credentials]:
        raise InvalidScenario(f"no password for the device {missing[0]}; create it, or add it to the credentials")
    if oracle and state_dir is None:
        raise InvalidScenario("an oracle writes into the state folder; name one")
    check_faults(scenario, faults)
    chosen, origin_ms = scenario.seed if seed is None else seed, clock.now_ms()
    with contextlib.ExitStack() as stack:
        watch = on_event
        if state_dir is not None and oracle:
            watch = _both(stack.enter_context(Oracle(state_dir)).note, on_event)
        storage = stack.enter_context(contextlib.closing(open_storage(state_dir and state_dir / STORAGE_NAME)))
        async with asyncio.TaskGroup() as devices:
            for place, (site, spec) in enumerate(places):
                address = Address(site.name, spec.name)
                own = Faults(address, faults, origin_ms)
                start = functools.partial(build_device, site, spec, storage, seed=chosen, faults=own, watch=watch)
                protocol = spec.mqtt or ("3.1.1" if place % 2 == 0 else "5")
                jitter = random.Random(_own_seed(chosen, address.username))
                shell = Shell(start(clock.now_ms()), broker, credentials[address], clock, jitter, start, protocol, watch)
                devices.create_task(shell.run(), name=address.key)


def build_device(
    site: SiteSpec,
    spec: DeviceSpec,
    storage: sqlite3.Connection,
    now_ms: int,
    *,
    seed: int,
    faults: Faults | None = None,
    watch: Watcher | None = None,
) -> VirtualDevice:
    """Return one device of a scenario, with the scenario's seed; a second call on the same storage is its restart."""
    address = Address(site.name, spec.name)
    weather = Weather(site.climate, _own_seed(seed, site.name))  # one sky over all devices of a site
    machine: Machine
    if spec.kind == "irrigation-controller":
        beds = [Bed.at_moisture(zone.bed, zone.soil_moisture) for zone in spec.beds]
        machine = VirtualIrrigationController(beds, weather)
    else:
        ponds = [Pond(zone.pond, zone.biomass_kg, hopper_g=zone.hopper_g) for zone in spec.ponds]
        machine = VirtualPondFeeder(ponds, weather)
    memory = Memory(storage, address.key)
    cbor, synchronised = spec.encoding == "cbor", spec.synchronised
    own = _own_seed(seed, address.username)
    return VirtualDevice(
        address, machine, memory, now_ms, seed=own, cbor=cbor, synchronised=synchronised, faults=faults, watch=watch
    )


def check_faults(scenario: Scenario, faults: Sequence[Fault]) -> None:
    """Look whether each fault is of a device and a zone that the scenario has.

    Raises
    ------
    InvalidScenario
        With what there is.
    """
    devices = {Address(site.name, spec.name): spec for site in scenario.sites for spec in site.devices}
    counts = Counter(fault.address for fault in faults)
    for fault in faults:
        name, spec = fault.address.username, devices.get(fault.address)
        if spec is None:
            near = difflib.get_close_matches(name, [address.username for address in devices], n=1)
            hint = f"did you mean {near[0]}?" if near else f"it has {len(devices)}, such as {next(iter(devices)).username}"
            raise InvalidScenario(f"--fault {name}={fault.kind}: the scenario has no such device; {hint}")
        kind = KINDS_OF_FAULT[fault.kind]
        if kind.device not in (None, spec.kind):
            raise InvalidScenario(f"--fault {name}={fault.kind}: that is of a {kind.device}; {name} is a {spec.kind}")
        if fault.zone is not None and fault.zone > spec.zones:
            raise InvalidScenario(f"--fault {name}:{fault.zone}={fault.kind}: {name} has the zones 1 to {spec.zones}")
        if counts[fault.address] > MAX_FAULTS:
            raise InvalidScenario(f"--fault {name}: {counts[fault.address]} faults; a device takes up to {MAX_FAULTS}")


def _own_seed(seed: int, name: str) -> int:
    # Not by its place in the scenario: adding a device must not change the others.
    return zlib.crc32(f"{seed}/{name}".encode())


def _both(first: Watcher, second: Watcher | None) -> Watcher:
    def watch(event: Event) -> None:
        first(event)
        if second is not None:
            second(event)

    return watch
