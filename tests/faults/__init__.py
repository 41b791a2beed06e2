# SPDX-License-Identifier: Apache-2.0
"""Fault tests: what survives when each part dies, with an oracle that shares no code with the product."""

from __future__ import annotations

from typing import Final

from tests.faults import (
    angry_sink,
    broker_death,
    broker_disk,
    command_kills,
    dropped_replies,
    engine_crash,
    expired,
    forgetful_sink,
    journal_disk,
    journal_points,
    kill_ingest,
    overload,
    poison,
    power_cut,
    power_loss,
    store_down,
    tcp_chaos,
    two_services,
    valve_open,
    wrong_day,
)
from tests.faults.case import FaultTest

__all__ = ["ALL"]

ALL: Final[tuple[FaultTest, ...]] = (
    kill_ingest.TEST,
    journal_points.TEST,
    power_loss.TEST,
    broker_death.TEST,
    engine_crash.TEST,
    broker_disk.TEST,
    store_down.TEST,
    forgetful_sink.TEST,
    angry_sink.TEST,
    journal_disk.TEST,
    tcp_chaos.TEST,
    two_services.TEST,
    poison.TEST,
    command_kills.TEST,
    power_cut.TEST,
    expired.TEST,
    dropped_replies.TEST,
    valve_open.TEST,
    overload.TEST,
    wrong_day.TEST,
)
