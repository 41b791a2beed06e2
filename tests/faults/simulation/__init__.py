# SPDX-License-Identifier: Apache-2.0
"""A simulated world for faults of acts: the product's own server and devices on one clock, with chance as an input.

timeline   the clock, the order of events, the seed, the hash of the story
points     where a process can die, found while the product runs
loop       the event loop of one simulated process
broker     a model broker      server   the controller's process      field   a device with its power and its valves
world      all of it, with the clients, and the oracle
"""

from __future__ import annotations

__all__: list[str] = []
