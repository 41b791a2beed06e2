# SPDX-License-Identifier: Apache-2.0
"""The devices ingest knows, as small numbers: arrays elsewhere are indexed by them.

Invariant: a number names the same device as long as the process runs; a device that is taken away keeps its number and
loses its kind. Numbers are never stored.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

from gateway.quantities import Kind
from gateway.topics import PREFIX, Address

__all__ = ["DeviceTable"]


class DeviceTable:
    """Map telemetry topics to device numbers, and numbers back to names and kinds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._addresses: list[Address] = []
        self._kinds: list[Kind | None] = []
        self._by_topic: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._addresses)

    @property
    def by_topic(self) -> dict[str, int]:
        """Telemetry topic to number; also of devices taken away. To be read only."""
        return self._by_topic

    def put(self, address: Address, kind: Kind) -> int:
        """Make a device known, or give a known one its kind, and return its number."""
        topic = f"{PREFIX}/{address.site}/{address.device}/telemetry"
        with self._lock:
            index = self._by_topic.get(topic)
            if index is None:
                index = len(self._addresses)
                self._addresses.append(address)
                self._kinds.append(kind)
                self._by_topic[topic] = index
            self._kinds[index] = kind
            return index

    def put_all(self, devices: Iterable[tuple[Address, Kind]]) -> None:
        """Make many devices known."""
        for address, kind in devices:
            self.put(address, kind)

    def remove(self, address: Address) -> None:
        """Take a device away: what it sends from now on goes to quarantine."""
        index = self.index(address)
        if index is not None:
            self._kinds[index] = None

    def index(self, address: Address) -> int | None:
        """Return the number of a device, or None."""
        return self._by_topic.get(f"{PREFIX}/{address.site}/{address.device}/telemetry")

    def kind(self, index: int) -> Kind | None:
        """Return the kind of a device; None when it was taken away."""
        return self._kinds[index]

    def address(self, index: int) -> Address:
        """Return the address of a device."""
        return self._addresses[index]

    def names(self, index: int) -> tuple[str, str]:
        """Return the site's and the device's name."""
        address = self._addresses[index]
        return address.site, address.device
