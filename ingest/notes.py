# SPDX-License-Identifier: Apache-2.0
"""Tell devices what became of what they sent, and listeners what was measured.

`stored` goes out at most once in ten seconds a boot, `error` at most once a second a device, both at QoS 0: a device that
misses one sends again or is told again. Invariant: `stored` only ever names what the journal has committed.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

from gateway.clock import Clock
from gateway.errors import GatewayError
from gateway.link import Link
from gateway.messages import ErrorNote, Stored, encode_message
from gateway.topics import Channel, build_topic
from ingest.decode import DecodedBurst, Reject
from ingest.devices import DeviceTable
from ingest.feed import LiveFeed
from ingest.judge import Judge, Judged
from ingest.store.batch import NOT_GIVEN, Rows

__all__ = ["ERROR_EVERY_MS", "MAX_EVENTS", "STORED_EVERY_S", "Notes"]

logger = logging.getLogger(__name__)

STORED_EVERY_S: Final = 10.0  # [s of the platform's clock]
ERROR_EVERY_MS: Final = 1_000  # [ms of the platform's clock]
MAX_EVENTS: Final = 200  # telemetry events told of one run of bursts; the feed shows life, the series hold all
_MAX_WAITING: Final = 10_000  # devices with an error to be told


class Notes:
    """Gather what is to be told, and tell it at a measured pace."""

    def __init__(self, link: Link, judge: Judge, devices: DeviceTable, feed: LiveFeed, clock: Clock) -> None:
        self._link = link
        self._judge = judge
        self._devices = devices
        self._feed = feed
        self._clock = clock
        self._senders: set[tuple[int, int]] = set()
        self._errors: dict[int, Reject] = {}
        self._told_ms: dict[int, int] = {}

    def add(self, judged: Judged) -> None:
        """Take note of what was decided."""
        self._senders |= judged.senders
        for device, reject in judged.errors:
            if len(self._errors) < _MAX_WAITING:
                self._errors.setdefault(device, reject)
        if self._feed.active:
            self._show(judged.bursts)

    async def run(self) -> None:
        """Tell, until cancelled."""
        ticks = 0
        while True:
            await self._clock.sleep(1.0)
            ticks += 1
            await self._send_errors()
            if ticks % int(STORED_EVERY_S) == 0:
                await self._send_stored()

    async def _send_errors(self) -> None:
        errors, self._errors = self._errors, {}
        now_ms = self._clock.now_ms()
        for device, reject in errors.items():
            if now_ms - self._told_ms.get(device, -ERROR_EVERY_MS) < ERROR_EVERY_MS:
                continue
            self._told_ms[device] = now_ms
            seq = None if reject.seq == NOT_GIVEN else reject.seq
            note = ErrorNote(reject.code, reject.detail[:200], seq)
            await self._send(build_topic(self._devices.address(device), Channel.ERROR), encode_message(note))

    async def _send_stored(self) -> None:
        senders, self._senders = self._senders, set()
        for address, boot, seq in self._judge.positions(senders):
            await self._send(build_topic(address, Channel.STORED), encode_message(Stored(boot, seq)))

    async def _send(self, topic: str, payload: bytes) -> None:
        try:
            await self._link.publish(topic, payload, qos=0)
        except GatewayError as exc:
            logger.debug("not told: %s", exc, extra={"action": "note_dropped"})

    def _show(self, bursts: list[DecodedBurst]) -> None:
        left = MAX_EVENTS
        for burst in bursts:
            for rows in burst.rows:
                for i in range(min(len(rows), left)):
                    self._feed.publish("telemetry", _event(rows, i, self._devices))
                left -= min(len(rows), left)


def _event(rows: Rows, i: int, devices: DeviceTable) -> Mapping[str, Any]:
    site, device = devices.names(int(rows.device[i]))
    values = {name: float(column[i]) for name, column in rows.values.items() if column[i] == column[i]}
    zone = f"{site}:{device}:{rows.zone[i]}"
    return {"zone": zone, "at_ms": int(rows.ts_ms[i]), "values": values}
