# SPDX-License-Identifier: Apache-2.0
"""Fill the latest state from the series store after a start, also where the store answers only later.

Invariant: a start waits for it a bounded time. What comes late is as right: a value is replaced only by one measured later.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event, Thread

__all__ = ["LatestRestorer", "RestoreConfig"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RestoreConfig:
    """How long is waited, on the wall.

    Attributes
    ----------
    start_s : float
        Most that a start waits. [s]
    retry_s : float
        Between attempts at a store that does not answer. [s]
    stop_s : float
        Longest wait for the attempt at hand when told to stop. [s]
    """

    start_s: float = 5.0
    retry_s: float = 5.0
    stop_s: float = 2.0


class LatestRestorer:
    """Asks a store for the newest values until it has answered once, in a thread of its own.

    Parameters
    ----------
    restore : callable
        Makes one attempt; returns why not where the store does not answer, None when all is done.
    """

    def __init__(self, restore: Callable[[], str | None], config: RestoreConfig | None = None) -> None:
        self._restore = restore
        self._config = config or RestoreConfig()
        self._tried = Event()
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="restore latest", daemon=True)

    def start(self) -> None:
        """Begin, and wait for the first attempt as long as a start may."""
        self._thread.start()
        self._tried.wait(self._config.start_s)

    def stop(self) -> None:
        """Make no further attempt, and wait a little for the one at hand: the store is closed next."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(self._config.stop_s)

    def _run(self) -> None:
        told = False
        while not self._stopping.is_set():
            trouble = self._restore()
            self._tried.set()
            if trouble is None:
                if told:
                    logger.info("latest values are restored", extra={"action": "latest_restored"})
                return
            logger.log(
                logging.DEBUG if told else logging.WARNING,
                "latest values are not restored yet: %s",
                trouble,
                extra={"action": "latest_unknown"},
            )
            told = True
            self._stopping.wait(self._config.retry_s)
