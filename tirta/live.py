# SPDX-License-Identifier: Apache-2.0
"""What `tirta up` shows at the terminal: where it answers, and, live, what happens."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO
from zoneinfo import ZoneInfo

from gateway.clock import Clock
from ingest.feed import LiveFeed
from tirta.service import Ready

__all__ = ["TerminalAnnouncer"]

_QUIET_S = 5.0  # between two lines of one zone's measurements, on the wall [s]
_UNITS = {
    "soil_moisture": ("soil moisture", 100.0, " %", 1),
    "dissolved_oxygen": ("dissolved oxygen", 1.0, " mg/L", 1),
    "water_temperature": ("water", 1.0, " °C", 1),
    "flow": ("flow", 1.0, " L/min", 1),
    "hopper_mass": ("hopper", 0.001, " kg", 2),
}


class TerminalAnnouncer:
    """Writes to a terminal."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._zone: ZoneInfo | None = None
        self._shown_s: dict[str, float] = {}

    def show_ready(self, ready: Ready, folder: Path, clock: Clock, zone: ZoneInfo | None) -> None:
        """Say where everything answers; times are shown in `zone`, or in the machine's own."""
        self._zone = zone
        lines = ["", f"  Tirta is ready.   HTTP {ready.http}   MQTT {ready.mqtt}", f"  Data              {folder}"]
        if network := [f"{what} {url}" for what, url in (("HTTPS", ready.https), ("MQTTS", ready.mqtts)) if url]:
            lines.insert(2, f"  Network           {'   '.join(network)}")
        if ready.operator_token:
            lines += [f"  Operator's token  {ready.operator_token}", "                    (shown this once; keep it)"]
        else:
            lines += [f"  Token             in {folder / 'ready.json'} while this runs (another: tirta token create NAME)"]
        if clock.speed != 1:
            lines += [f"  Clock             {self._local(clock.now_ms())}, {clock.speed:g} times as fast as the wall"]
        self._write(*lines, "  Stop with Ctrl-C.", "")

    async def follow(self, feed: LiveFeed, clock: Clock) -> None:
        """Show what happens, until cancelled."""
        async with feed.subscribe() as subscription:
            while True:
                event = await subscription.next(3600.0)
                if event is not None and (line := self._line(event.name, event.data)):
                    self._write(f"  {self._local(clock.now_ms())}  {line}")

    def _line(self, name: str, data: Mapping[str, Any]) -> str | None:
        if name == "telemetry":
            return self._telemetry(data)
        if name == "act" and data["action"] != "stop":
            return f"{data['zone'] or data['device']:<16} {data['sentence']['en']}"
        if name == "decision" and not data["acted"]:
            return f"{data['zone']:<16} {data['sentence']['en']}"
        if name == "alarm" and data["change"] != "seen":
            return f"{data['subject']:<16} {'over: ' if data['change'] == 'cleared' else ''}{data['text']['en']}"
        if name == "device":
            return f"{data['device']:<16} {'online' if data['online'] else 'offline'}" if self._news(data) else None
        return None

    def _telemetry(self, data: Mapping[str, Any]) -> str | None:
        now_s = time.monotonic()
        if now_s - self._shown_s.get(data["zone"], -_QUIET_S) < _QUIET_S:
            return None
        self._shown_s[data["zone"]] = now_s
        values = {name: data["values"][name] for name in _UNITS if name in data["values"]}
        told = []
        for name, value in values.items():
            text, scale, unit, digits = _UNITS[name]
            told.append(f"{text} {value * scale:.{digits}f}{unit}")
        return f"{data['zone']:<16} {', '.join(told)}" if told else None

    def _news(self, data: Mapping[str, Any]) -> bool:
        """Tell whether a device's being online is news: it says how it is far more often than that changes."""
        key = f"{data['device']} online"
        before = self._shown_s.get(key)
        self._shown_s[key] = float(data["online"])
        return before != float(data["online"])

    def _write(self, *lines: str) -> None:
        print(*lines, sep="\n", file=self._out, flush=True)

    def _local(self, ms: int) -> str:
        return datetime.fromtimestamp(ms / 1000, UTC).astimezone(self._zone).strftime("%d %b %H:%M:%S")
