# SPDX-License-Identifier: Apache-2.0
"""One physical act of a virtual device, from its beginning to its end, and the judgement of a command before it.

Invariant: whatever was asked and whatever is wrong, an act has an end no later than its hard stop.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from gateway.messages import Amount, Command, ZoneLimits
from simulators.machine import Machine, Place

__all__ = ["Act", "find_fault_in", "plan_act"]

LONGEST_S: Final = 86_400  # no act of a virtual device lasts longer, whatever it is told [s]
PATIENCE_MS: Final = {"no-flow": 20_000, "jam": 5_000, "hopper-empty": 0}  # before a fault ends the act [ms]
_TINY: Final = 1e-6  # L or g: less than rounding


@dataclass(slots=True)
class Act:
    """What is going on at one place.

    Attributes
    ----------
    stop_ms : int
        The hard stop: it runs no longer than this. [ms]
    asked_ms : int or None
        How long was asked for. [ms]
    asked, budget : float or None
        How much was asked for, and what the day still allows. [L or g]
    ran_ms, given, idle_ms
        How long it has run, what it gave, and for how long a fault has kept it from giving. [ms, L or g, ms]
    """

    command: Command
    place: Place
    stop_ms: int
    asked_ms: int | None = None
    asked: float | None = None
    budget: float | None = None
    ran_ms: int = 0
    given: float = 0.0
    idle_ms: int = 0

    def remaining_ms(self, rate: float, fault: str | None) -> int:
        """Return how long it may run on before it has to be looked at again, at least 1. [ms]"""
        ends = [self.stop_ms - self.ran_ms]
        if self.asked_ms is not None:
            ends.append(self.asked_ms - self.ran_ms)
        if fault is not None:
            ends.append(PATIENCE_MS.get(fault, 0) - self.idle_ms)
        elif rate > 0.0:
            amounts = [amount for amount in (self.asked, self.budget) if amount is not None]
            # Sums of small steps are off by a hair, which must not cost a whole millisecond.
            ends += [math.ceil((amount - self.given) / rate * 1000.0 - _TINY) for amount in amounts]
        return max(min(ends), 1)

    def go_on(self, milliseconds: int, given: float, fault: str | None) -> None:
        """Count what happened in a stretch of time. [ms, L or g]"""
        self.ran_ms += milliseconds
        self.given += given
        self.idle_ms = self.idle_ms + milliseconds if fault is not None else 0

    def outcome(self, fault: str | None) -> tuple[str, str | None] | None:
        """Return the final state and its reason, or None when it goes on."""
        if self.asked is not None and self.given >= self.asked - _TINY:
            return "done", None
        if self.asked_ms is not None and self.ran_ms >= self.asked_ms:
            return "done", None
        if self.ran_ms >= self.stop_ms:
            return "done", "max-seconds"
        if self.budget is not None and self.given >= self.budget - _TINY:
            return "done", "stopped"
        if fault is not None and self.idle_ms >= PATIENCE_MS.get(fault, 0):
            return "failed", fault
        return None

    def most(self, rate: float) -> Amount:
        """Return the most it can give, whatever happens; what is counted when nobody knows how it ended."""
        stop_ms = self.stop_ms if self.asked_ms is None else min(self.stop_ms, self.asked_ms)
        bounds = [bound for bound in (self.asked, self.budget) if bound is not None]
        return self._amount(stop_ms / 1000.0, min([rate * stop_ms / 1000.0, *bounds]))

    def result(self) -> Amount:
        """Return what was truly done."""
        return self._amount(round(self.ran_ms / 1000.0, 3), round(self.given, 3))

    def _amount(self, seconds: float, given: float) -> Amount:
        litres, grams = (given if self.place[1] == action else None for action in ("irrigate", "feed"))
        return Amount(seconds, litres, grams)


def find_fault_in(command: Command, machine: Machine) -> str | None:
    """Return the contract's reason why a command can not be an act of this machine, or None."""
    if command.action not in machine.actions:
        return "unknown-action"
    amount = command.amount or Amount()
    wanted = {
        "irrigate": (amount.seconds, amount.litres),
        "feed": (amount.grams,),
        "aerate": (amount.seconds,),
    }[command.action]
    given = [value for value in wanted if value is not None]
    limit = command.max_seconds
    fits = (
        command.zone is not None
        and command.zone <= machine.zones
        and bool(given)
        and min(given) > 0.0
        and limit is not None
        and 0.001 <= limit <= LONGEST_S
    )
    return None if fits else "out-of-range"


def plan_act(command: Command, limits: ZoneLimits, spent: Amount) -> Act | None:
    """Return the act within the zone's limits, or None when the day's budget does not allow it.

    Parameters
    ----------
    command : Command
        One in which `find_fault_in` found none.
    limits : ZoneLimits
        What the device keeps by itself, whatever it is told.
    spent : Amount
        What this zone was given today. [L, g]
    """
    assert command.zone is not None
    assert command.amount is not None
    assert command.max_seconds is not None
    amount, stop_s = command.amount, min(command.max_seconds, LONGEST_S if limits.max_seconds is None else limits.max_seconds)
    asked, cap, used = {
        "irrigate": (amount.litres, limits.litres_day, spent.litres or 0.0),
        "feed": (amount.grams, limits.grams_day, spent.grams or 0.0),
        "aerate": (None, None, 0.0),
    }[command.action]
    budget = None if cap is None else cap - used
    if stop_s < 0.001 or (budget is not None and (budget <= _TINY or (asked is not None and asked > budget + _TINY))):
        return None
    asked_s = amount.seconds if command.action != "feed" else None
    return Act(
        command=command,
        place=(command.zone, command.action),
        stop_ms=math.floor(stop_s * 1000.0),
        asked_ms=None if asked_s is None else max(math.floor(asked_s * 1000.0), 1),
        asked=asked,
        budget=budget,
    )
