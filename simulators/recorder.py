# SPDX-License-Identifier: Apache-2.0
"""From the sensors of a virtual device to its outbox, each record with its number; and the state of nature between runs.

Invariant: the first record of a boot is number 0 and each next one is one higher, whatever is sent or lost.
"""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np

from gateway.messages import Position
from gateway.payloads import encode_object
from simulators.machine import Machine
from simulators.memory import Memory
from simulators.outbox import Outbox

__all__ = ["NATURE_MS", "STEP_MS", "Recorder"]

STEP_MS: Final = 300_000  # nature is reckoned in steps no longer than this [ms]
NATURE_MS: Final = 10 * 86_400_000  # nature goes on by itself for so long at most [ms]


class Recorder:
    """Measure, number and keep.

    Parameters
    ----------
    seed : int
        Of the sensors' noise, which differs from boot to boot.
    """

    def __init__(self, machine: Machine, memory: Memory, *, seed: int, cbor: bool) -> None:
        self.outbox = Outbox(memory, cbor=cbor)
        self._machine = machine
        self._memory = memory
        self._cbor = cbor
        self._seq = 0
        before = int(str(memory.recall("boot") or 0))
        last = memory.recall("last")
        self.last = msgspec.convert(last, Position) if isinstance(last, dict) and last["boot"] == before else None
        self.boot = before + 1
        memory.keep("boot", self.boot)
        self._random = np.random.default_rng([seed, self.boot])

    @property
    def oldest(self) -> Position:
        """The oldest record held, or where the next one will stand."""
        return self.outbox.oldest or Position(self.boot, self._seq)

    def measure(self, zone: int, now_ms: int, *, timed: bool) -> None:
        """Keep a record of one zone; `timed` is whether the time is known."""
        position = Position(self.boot, self._seq)
        record: dict[str, float | bool] = {"ts": now_ms} if timed else {}
        record |= {"boot": position.boot, "seq": position.seq, "zone": zone}
        record |= self._machine.measure(zone, now_ms, self._random)
        self._seq += 1
        with self._memory.atomic():
            self.outbox.put(position, encode_object(record, cbor=self._cbor))
            self._memory.keep("last", {"boot": position.boot, "seq": position.seq})

    def measure_all(self, now_ms: int, *, timed: bool) -> None:
        """Keep a record of every zone, and the state of nature."""
        with self._memory.atomic():
            for zone in range(1, self._machine.zones + 1):
                self.measure(zone, now_ms, timed=timed)
            self.keep_nature(now_ms)

    def keep_nature(self, now_ms: int) -> None:
        """Keep how nature stands."""
        self._memory.keep("nature", {"ts": now_ms, "zones": self._machine.snapshot()})

    def restore_nature(self, now_ms: int) -> None:
        """Let nature go on from how it stood when the device was last alive; nothing was open meanwhile."""
        kept = self._memory.recall("nature")
        if not isinstance(kept, dict):
            return
        self._machine.restore(kept["zones"])
        now = max(int(kept["ts"]), now_ms - NATURE_MS)
        while now < now_ms:
            step = min(STEP_MS, now_ms - now)
            now += step
            self._machine.advance(now, step / 1000.0)
