# SPDX-License-Identifier: Apache-2.0
"""What the controller counts, for metrics and for tests."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ControllerCounters"]


@dataclass(slots=True)
class ControllerCounters:
    """What the controller did since it started."""

    ticks: int = 0
    ticks_failed: int = 0
    tick_ms: float = 0.0  # how long the last one took, on the wall
    zones: int = 0  # with an enabled schedule, in the last tick
    decisions: int = 0
    acts_planned: int = 0
    acts_unknown: int = 0
    commands_sent: int = 0
    sends_failed: int = 0
    messages: int = 0
    messages_malformed: int = 0
    messages_ignored: int = 0
