# SPDX-License-Identifier: Apache-2.0
"""What virtual devices saw with their own eyes, for a test that compares it with the platform's word.

For each device, beside one another: `{site}__{device}.acked.log`, a line `boot seq` for each record that the broker has
acknowledged; `{site}__{device}.acts.log`, a line of JSON for each beginning and each end of an act that truly moved.
Invariant: a line is written in one piece, after the acknowledgement, and before the act.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from gateway.topics import Address
from simulators.events import Event, What

__all__ = ["Oracle"]

_NAMES = {What.ACT_BEGUN: "begin", What.ACT_ENDED: "end"}


class Oracle:
    """Append events to files; a context manager."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[tuple[Address, str], int] = {}

    def __enter__(self) -> Oracle:
        self._folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        for number in self._files.values():
            os.close(number)
        self._files.clear()

    def note(self, event: Event) -> None:
        """Write down an event, when it is one of those that count."""
        if event.what is What.RECORDS_ACKNOWLEDGED:
            lines = "".join(f"{position.boot} {position.seq}\n" for position in event.positions)
            self._append(event.address, "acked", lines.encode())
        elif event.what in _NAMES:
            line = {"event": _NAMES[event.what], "ts": event.at_ms, **event.detail}
            self._append(event.address, "acts", msgspec.json.encode(line) + b"\n")

    def _append(self, address: Address, name: str, text: bytes) -> None:
        number = self._files.get((address, name))
        if number is None:
            path = self._folder / f"{address.site}__{address.device}.{name}.log"
            number = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
            self._files[address, name] = number
        # One write, so that a kill leaves whole lines.
        os.write(number, text)
