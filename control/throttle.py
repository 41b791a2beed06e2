# SPDX-License-Identifier: Apache-2.0
"""Hold up who guesses: failed attempts are counted by account and by network.

Invariant: what is held up depends only on what was asked, never on whether such an account exists. Memory is bounded: the
ones longest untouched are forgotten first.
"""

from __future__ import annotations

import ipaddress
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from control.errors import NotFound, TooManyTries, WrongCredentials

__all__ = ["Throttle", "ThrottleConfig", "network_of"]

BUSY_S: Final = 1.0  # wait for attempts that are under way [s]


@dataclass(frozen=True, slots=True)
class ThrottleConfig:
    """How many failures are let pass.

    Attributes
    ----------
    account, network : int
        Failures of one account, or from one network (an IPv4 address, 64 bits of an IPv6 address), before it has to wait.
    first_s, longest_s : float
        The first wait; it doubles with each failure, up to the longest. [s]
    forget_s : float
        Without a failure for so long, they are forgotten. [s]
    size : int
        Accounts and networks remembered.
    """

    account: int = 5
    network: int = 20
    first_s: float = 2.0
    longest_s: float = 900.0
    forget_s: float = 3600.0
    size: int = 20_000


@dataclass(slots=True)
class _Count:
    failures: int = 0
    under_way: int = 0
    last_s: float = 0.0


Key = tuple[str, str]


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
        self._counts: OrderedDict[Key, _Count] = OrderedDict()
        self._usual: OrderedDict[Key, None] = OrderedDict()  # accounts, and networks from which they have signed in

    @contextmanager
    def attempt(self, account: str, address: str, *, sort: str = "account") -> Iterator[None]:
        """Try something within this context; a wrong credential, code or old password that leaves it is a failure of both.

        Attempts under way count as failures until they have ended: many at once are no way around the limit. Accounts of
        another `sort` are others, whatever they are called.

        Raises
        ------
        TooManyTries
            One of them has to wait; the error says for how long.
        """
        keys = self._keys(account, network_of(address), sort)
        with self._lock:
            left = max(self._left(key) for key in keys)
            if left > 0:
                raise TooManyTries(max(1, round(left)))
            for key in keys:
                self._counts.setdefault(key, _Count()).under_way += 1
        try:
            yield
        except BaseException as exc:
            self._ended(keys, failed=isinstance(exc, NotFound | WrongCredentials) or getattr(exc, "field", "") == "old")
            raise
        self._ended(keys, failed=False)

    def succeeded(self, account: str, address: str) -> None:
        """Forget the failures of an account, not of the address, which may be trying others; remember where it is at home."""
        usual = (account, network_of(address))
        with self._lock:
            for key in self._keys(*usual)[:1]:
                if (count := self._counts.get(key)) is not None:
                    count.failures = 0
            self._usual[usual] = None
            self._usual.move_to_end(usual)
            while len(self._usual) > self._config.size:
                self._usual.popitem(last=False)

    def _keys(self, account: str, network: str, sort: str = "account") -> tuple[Key, Key]:
        # Where an account has signed in before, what others fail elsewhere does not hold it up: or anybody who knows a
        # name could keep its person out.
        own = ("usual", f"{network} {account}") if (account, network) in self._usual else (sort, account)
        return own, ("network", network)

    def _ended(self, keys: Sequence[Key], *, failed: bool) -> None:
        now_s = self._monotonic()
        with self._lock:
            for key in keys:
                count = self._counts.setdefault(key, _Count())
                count.under_way = max(count.under_way - 1, 0)
                if failed:
                    if now_s - count.last_s > self._config.forget_s:
                        count.failures = 0
                    count.failures += 1
                    count.last_s = now_s
                    self._counts.move_to_end(key)
                elif not count.failures and not count.under_way:
                    del self._counts[key]
            while len(self._counts) > self._config.size:
                self._counts.popitem(last=False)

    def _left(self, key: Key) -> float:
        count = self._counts.get(key)
        allowed = self._config.network if key[0] == "network" else self._config.account
        if count is None or count.failures + count.under_way < allowed:
            return 0.0
        if count.failures < allowed:
            return BUSY_S
        wait_s = min(self._config.first_s * 2.0 ** min(count.failures - allowed, 30), self._config.longest_s)
        left_s = count.last_s + wait_s - self._monotonic()
        return left_s if left_s > 0 or not count.under_way else BUSY_S


def network_of(address: str) -> str:
    """Return what one caller has of addresses: of IPv6 the first 64 bits, within which anybody has as many as they like."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.version == 4:
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Address(int(parsed) >> 64 << 64)) + "/64"
