# SPDX-License-Identifier: Apache-2.0
"""What a fault test is: a number, a title, and a function from its conditions to its findings."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

__all__ = ["Conditions", "FaultTest", "Findings", "lacking"]


@dataclass(frozen=True, slots=True)
class Conditions:
    """How a fault test runs.

    Attributes
    ----------
    folder : Path
        Empty, the test's own.
    seed : int
        Of everything that is left to chance; printed with the result.
    quick : bool
        The shortened run.
    long : bool
        The run of hours where a test has one.
    """

    folder: Path
    seed: int
    quick: bool = False
    long: bool = False

    @property
    def rng(self) -> random.Random:
        """Chance, always the same for the same seed."""
        return random.Random(self.seed)

    def choose(self, full: Any, quick: Any) -> Any:
        """Return the number for this length of run."""
        return quick if self.quick else full


@dataclass(frozen=True, slots=True)
class Findings:
    """What came out: numbers to be printed, and each criterion with whether it holds."""

    numbers: dict[str, Any]
    criteria: dict[str, bool] = field(default_factory=dict)

    @property
    def failed(self) -> list[str]:
        """The criteria that do not hold."""
        return [name for name, holds in self.criteria.items() if not holds]


@dataclass(frozen=True, slots=True)
class FaultTest:
    """One row of the table in docs/reliability.md."""

    number: int
    title: str
    run: Callable[[Conditions], Findings]


def lacking(reason: str) -> None:
    """Skip where the machine cannot do it; fail where CI=true, for there it must."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
