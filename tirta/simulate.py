# SPDX-License-Identifier: Apache-2.0
"""`tirta simulate`: run a scenario's virtual devices against any Tirta."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from gateway import Address, Clock
from gateway.broker_url import parse_broker_url, tls_context
from gateway.clock import ScaledClock, WallClock, read_clock
from gateway.processes import write_private
from simulators import BrokerAddress, Event, Fault, Scenario, What, check_faults, load_scenario, parse_fault, run
from simulators.scenario import DeviceSpec
from tirta.client import Client, NewZone
from tirta.demo import read_credentials, zone_specs
from tirta.errors import NotPossible

__all__ = ["Simulation", "run_simulation"]

logger = logging.getLogger(__name__)

_TOLD = {
    What.CONNECTED,
    What.DISCONNECTED,
    What.ACT_BEGUN,
    What.ACT_ENDED,
    What.ACT_REFUSED,
    What.POWER_CUT,
    What.NOTE_RECEIVED,
}


@dataclass(frozen=True, slots=True)
class Simulation:
    """What to run, and against what; see `tirta simulate --help`."""

    scenario: str
    broker: str
    api: str | None
    token_file: Path | None
    credentials: Path | None
    ca: Path | None
    clock: Path | None
    state: Path | None
    oracle: bool
    faults: Sequence[str] = ()


def run_simulation(simulation: Simulation) -> None:
    """Run until SIGTERM or Ctrl-C.

    Raises
    ------
    NotPossible
        The options do not go together.
    InvalidScenario, InvalidAddress, ServiceAnswer
        The scenario, a fault, an address or the service is not as it should be.
    """
    scenario = load_scenario(simulation.scenario)
    faults = [parse_fault(text) for text in simulation.faults]
    check_faults(scenario, faults)  # before anything is created
    address = parse_broker_url(simulation.broker)
    broker = BrokerAddress(address.host, address.port, tls_context(simulation.ca) if address.tls else None)
    clock: Clock = (read_clock(simulation.clock) if simulation.clock else None) or WallClock()
    if (simulation.api is None) == (simulation.credentials is None):
        raise NotPossible("give either --api and --token-file (devices are created) or --credentials (they exist)")
    if simulation.credentials is not None:
        passwords = _read_credentials(simulation.credentials)
    else:
        if simulation.token_file is None:
            raise NotPossible("--api needs --token-file FILE: an operator's token, or a ready file")
        if simulation.state is not None:
            simulation.state.mkdir(parents=True, exist_ok=True)
            if not os.access(simulation.state, os.W_OK):
                raise NotPossible(f"the devices' memory cannot be kept in {simulation.state}; name another with --state")
        with Client(simulation.api or "", _read_token(simulation.token_file), simulation.ca) as client:
            passwords = _create_devices(client, scenario, simulation.state)
            if simulation.clock is None:
                clock = _clock_of(client)
    asyncio.run(_run(simulation, scenario, faults, broker, passwords, clock))


async def _run(
    simulation: Simulation,
    scenario: Scenario,
    faults: Sequence[Fault],
    broker: BrokerAddress,
    passwords: Mapping[Address, str],
    clock: Clock,
) -> None:
    work = asyncio.ensure_future(
        run(
            scenario,
            broker,
            passwords,
            clock,
            state_dir=simulation.state,
            faults=faults,
            on_event=_tell,
            oracle=simulation.oracle,
        )
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, work.cancel)
    with suppress(asyncio.CancelledError):
        await work


def _tell(event: Event) -> None:
    if event.what in _TOLD:
        detail = " ".join(f"{name}={value}" for name, value in event.detail.items() if value is not None)
        logger.info("%s %s %s", event.address.key, event.what.value.replace("_", " "), detail, extra={"action": "device_event"})


def _read_credentials(path: Path) -> Mapping[Address, str]:
    try:
        return read_credentials(path)
    except (OSError, ValueError, TypeError, AttributeError) as exc:
        raise NotPossible(f'{path} is not a file of {{"site/device": "password"}}: {exc}') from exc


def _read_token(path: Path) -> str:
    try:
        text = path.read_text("utf-8").strip()
    except OSError as exc:
        raise NotPossible(f"cannot read the token from {path}: {exc.strerror}") from exc
    with suppress(ValueError, TypeError, KeyError):
        return str(json.loads(text)["token"])
    return text


def _clock_of(client: Client) -> Clock:
    """Return a clock that goes as the service's: boards take their time from it too."""
    answer = client.clock()
    if answer.speed == 1:
        return WallClock()
    return ScaledClock(WallClock().now_ms(), int(answer.now.timestamp() * 1000), answer.speed)


def _create_devices(client: Client, scenario: Scenario, state: Path | None) -> Mapping[Address, str]:
    """Create the scenario's sites and devices where they are not there yet; return the passwords.

    Passwords are kept with the devices' memory, since the service shows each only once. A device that exists and whose
    password is not known gets a new one, unless it is online: then somebody else plays it.
    """
    kept = state / "credentials.json" if state else None
    passwords = dict(_read_credentials(kept)) if kept and kept.exists() else {}
    sites = {site.site for site in client.sites.list()}
    devices = {device.id: device.online for device in client.devices.list()}
    for address in (Address(site.name, spec.name) for site in scenario.sites for spec in site.devices):
        if devices.get(address.key) and address not in passwords:
            raise NotPossible(f"{address.key} is online and its password is not known here; stop it, or name its --state")
    for site in scenario.sites:
        if site.name not in sites:
            client.sites.create(site.name, site.title, site.timezone)
        for spec in site.devices:
            address = Address(site.name, spec.name)
            if address.key not in devices:
                title = spec.title or spec.name
                made = client.devices.create(address.site, address.device, spec.kind, title, zones=_zones(spec))
                passwords[address] = made.credential.password
            elif address not in passwords:
                passwords[address] = client.devices.rotate(address.key).password
    if kept:
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_private(kept, json.dumps({address.username: password for address, password in passwords.items()}))
    return passwords


def _zones(spec: DeviceSpec) -> list[NewZone]:
    return [
        NewZone(zone.number, zone.title, zone.type, **asdict(zone.parameters))  # of the same names
        for zone in zone_specs(spec)
    ]
