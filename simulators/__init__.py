# SPDX-License-Identifier: Apache-2.0
"""Virtual devices that obey the wire contract, with the beds, ponds and weather around them."""

from __future__ import annotations

from simulators.controller import VirtualIrrigationController
from simulators.device import VirtualDevice
from simulators.errors import InvalidScenario, MemoryInUse, SimulatorError
from simulators.events import Event, What
from simulators.faults import Fault, Faults, parse_fault
from simulators.feeder import VirtualPondFeeder
from simulators.fleet import build_device, check_faults, run
from simulators.scenario import Scenario, load_scenario, parse_scenario
from simulators.shell import BrokerAddress

__all__ = [
    "BrokerAddress",
    "Event",
    "Fault",
    "Faults",
    "InvalidScenario",
    "MemoryInUse",
    "Scenario",
    "SimulatorError",
    "VirtualDevice",
    "VirtualIrrigationController",
    "VirtualPondFeeder",
    "What",
    "build_device",
    "check_faults",
    "load_scenario",
    "parse_fault",
    "parse_scenario",
    "run",
]
