# SPDX-License-Identifier: Apache-2.0
"""Errors of the simulators, split by remedy.

SimulatorError
├── InvalidScenario   fix the input
└── MemoryInUse       fix the deployment
"""

from __future__ import annotations

__all__ = ["InvalidScenario", "MemoryInUse", "SimulatorError"]


class SimulatorError(Exception):
    """Something about the virtual devices is wrong."""

    def __str__(self) -> str:
        return super().__str__() or (type(self).__doc__ or "").strip()


class InvalidScenario(SimulatorError):
    """The scenario says something that cannot be simulated; correct the file."""


class MemoryInUse(SimulatorError):
    """Another process runs these virtual devices; stop it, or give this one a folder of its own."""
