# SPDX-License-Identifier: Apache-2.0
"""Keep a store's tiers: a thread of its own that lets the store make windows and let go of what is past its age.

Invariant: what fails is tried again later and never forgotten, for the store keeps what is to be done; trouble stays here.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from threading import Event, Thread

from ingest.store.errors import StoreError
from ingest.store.protocol import SeriesStore

__all__ = ["TierKeeper", "TierKeeperConfig"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TierKeeperConfig:
    """How often a store is tended, on the wall.

    Attributes
    ----------
    idle_s : float
        Wait when nothing is due. [s]
    rest_s : float
        Wait between two pieces of work, for the rows that arrive meanwhile. [s]
    trouble_s : float
        Wait after a failure. [s]
    stop_s : float
        Longest wait for the piece at hand when told to stop. [s]
    """

    idle_s: float = 2.0
    rest_s: float = 0.01
    trouble_s: float = 30.0
    stop_s: float = 5.0


class TierKeeper:
    """Tends one store from `start` to `stop`.

    Attributes
    ----------
    trouble : str or None
        Why the store could not be tended the last time.
    """

    def __init__(self, store: SeriesStore, config: TierKeeperConfig | None = None) -> None:
        self.trouble: str | None = None
        self._store = store
        self._config = config or TierKeeperConfig()
        self._stopping = Event()
        self._thread = Thread(target=self._run, name=f"tiers {store.name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End after the piece of work at hand; the rest is done after the next start."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(self._config.stop_s)

    def _run(self) -> None:
        wait = self._config.idle_s
        while not self._stopping.wait(wait):
            wait = self.step()

    def step(self) -> float:
        """Do one piece of work; return how long to wait before the next. [s]"""
        try:
            more = self._store.tend()
        except StoreError as exc:
            level = logging.DEBUG if self.trouble else logging.WARNING
            logger.log(level, "tiers of %s: %s", self._store.name, exc, extra={"action": "tiers_failed"})
            self.trouble = str(exc)
            return self._config.trouble_s
        if self.trouble:
            logger.info("tiers of %s are made again", self._store.name, extra={"action": "tiers_recovered"})
            self.trouble = None
        return self._config.rest_s if more else self._config.idle_s
