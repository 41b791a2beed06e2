# SPDX-License-Identifier: Apache-2.0
"""The devices ingest knows, as small numbers: arrays elsewhere are indexed by them.

Invariant: a number names the same device as long as the process runs; a device that is taken away keeps its number and
loses its kind. Numbers are never stored.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable

import numpy as np
from numpy.typing import NDArray

from gateway.payloads import MAX_ZONE
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
        self._zones = np.ones((16, MAX_ZONE + 1), np.bool_)

    def __len__(self) -> int:
        return len(self._addresses)

    @property
    def by_topic(self) -> dict[str, int]:
        """Telemetry topic to number; also of devices taken away. To be read only."""
        return self._by_topic

    def put(self, address: Address, kind: Kind, zones: Collection[int] | None = None) -> int:
        """Make a device known, or give a known one its kind, and return its number.

        Parameters
        ----------
        zones : collection of int or None
            The zones it has; None for every number the contract allows.
        """
        topic = f"{PREFIX}/{address.site}/{address.device}/telemetry"
        with self._lock:
            index = self._by_topic.get(topic)
            if index is None:
                index = len(self._addresses)
                self._addresses.append(address)
                self._kinds.append(kind)
                self._by_topic[topic] = index
            self._kinds[index] = kind
            if index >= len(self._zones):
                self._zones = np.vstack([self._zones, np.ones_like(self._zones)])
            self._zones[index] = zones is None
            self._zones[index, list(zones or ())] = True
            return index

    def has_zones(self, devices: NDArray[np.int32], zones: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Return whether each device has each zone, shape (n,)."""
        return np.asarray(self._zones[devices, zones], np.bool_)

    def zones(self, index: int) -> list[int]:
        """Return the numbers of a device's zones."""
        return [int(number) for number in np.flatnonzero(self._zones[index]) if number]

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
