# SPDX-License-Identifier: Apache-2.0
"""Hold up who guesses: failed attempts are counted by account and by address.

Invariant: what is held up depends only on what was asked, never on whether such an account exists. Memory is bounded: the
ones longest untouched are forgotten first.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from control.errors import TooManyTries

__all__ = ["Throttle", "ThrottleConfig"]


@dataclass(frozen=True, slots=True)
class ThrottleConfig:
    """How many failures are let pass.

    Attributes
    ----------
    account, address : int
        Failures of one account, or from one address, before it has to wait.
    first_s, longest_s : float
        The first wait; it doubles with each failure, up to the longest. [s]
    forget_s : float
        Without a failure for so long, they are forgotten. [s]
    size : int
        Accounts and addresses remembered.
    """

    account: int = 5
    address: int = 20
    first_s: float = 2.0
    longest_s: float = 900.0
    forget_s: float = 3600.0
    size: int = 20_000


@dataclass(slots=True)
class _Count:
    failures: int = 0
    last_s: float = 0.0


class Throttle:
    """Counts failures. Thread-safe.

    Parameters
    ----------
    monotonic : callable
        Returns a time that only goes forward. [s]
    """

    def __init__(self, monotonic: Callable[[], float], config: ThrottleConfig | None = None) -> None:
        self._config = config or ThrottleConfig()
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._counts: OrderedDict[tuple[str, str], _Count] = OrderedDict()

    def check(self, account: str, address: str) -> None:
        """Pass if neither has to wait.

        Raises
        ------
        TooManyTries
            One has; the error says for how long.
        """
        with self._lock:
            left = max(self._left(("account", account)), self._left(("address", address)))
        if left > 0:
            raise TooManyTries(max(1, round(left)))

    def failed(self, account: str, address: str) -> None:
        """Count a failure of both."""
        now_s = self._monotonic()
        with self._lock:
            for key in (("account", account), ("address", address)):
                count = self._counts.setdefault(key, _Count())
                if now_s - count.last_s > self._config.forget_s:
                    count.failures = 0
                count.failures += 1
                count.last_s = now_s
                self._counts.move_to_end(key)
            while len(self._counts) > self._config.size:
                self._counts.popitem(last=False)

    def succeeded(self, account: str) -> None:
        """Forget the failures of an account; an address may be trying others."""
        with self._lock:
            self._counts.pop(("account", account), None)

    def _left(self, key: tuple[str, str]) -> float:
        count = self._counts.get(key)
        allowed = self._config.account if key[0] == "account" else self._config.address
        if count is None or count.failures < allowed:
            return 0.0
        wait_s = min(self._config.first_s * 2.0 ** min(count.failures - allowed, 30), self._config.longest_s)
        return count.last_s + wait_s - self._monotonic()
