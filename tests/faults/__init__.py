# SPDX-License-Identifier: Apache-2.0
"""Fault tests: what survives when each part dies, with an oracle that shares no code with the product."""

from __future__ import annotations

from typing import Final

from tests.faults import broker_death, journal_disk, kill_ingest, poison, tcp_chaos
from tests.faults.case import FaultTest

__all__ = ["ALL"]

ALL: Final[tuple[FaultTest, ...]] = (
    kill_ingest.TEST,
    broker_death.TEST,
    journal_disk.TEST,
    tcp_chaos.TEST,
    poison.TEST,
)
