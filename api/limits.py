# SPDX-License-Identifier: Apache-2.0
"""How often each caller may ask: so many requests in a minute, told in header fields with every answer.

    RateLimit-Policy: "read";q=12000;w=60
    RateLimit: "read";r=11990;t=42

(draft-ietf-httpapi-ratelimit-headers). Invariant: memory is bounded, for callers are counted in one minute at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from api.errors import TooManyRequests

__all__ = ["STRANGER", "Limited", "RateConfig", "RateLimits"]

WINDOW_S: Final = 60  # over which is counted [s]
STRANGER: Final = "@"  # begins what a caller is called who is known by the network alone
CALLERS_MAX: Final = 50_000  # counted in one window; past it, strangers share one count


@dataclass(frozen=True, slots=True)
class RateConfig:
    """Requests in a minute.

    Attributes
    ----------
    read, write : int
        Of one caller: GET, and what changes something.
    sign_in, refused : int
        From one address: attempts to sign in, and requests without a valid token or session.
    """

    read: int = 12_000
    write: int = 6_000
    sign_in: int = 60
    refused: int = 1_200


@dataclass(frozen=True, slots=True)
class Limited:
    """How a caller stands after this request."""

    sort: str
    allowed: int
    left: int
    reset_s: int

    @property
    def headers(self) -> Mapping[str, str]:
        """The header fields that say so."""
        return {
            "ratelimit-policy": f'"{self.sort}";q={self.allowed};w={WINDOW_S}',
            "ratelimit": f'"{self.sort}";r={self.left};t={self.reset_s}',
        }


@dataclass(slots=True)
class RateLimits:
    """Counts requests; used from the event loop alone.

    Parameters
    ----------
    monotonic : callable
        Returns a time that only goes forward. [s]
    """

    monotonic: Callable[[], float]
    config: RateConfig = field(default_factory=RateConfig)
    _window: int = -1
    _counts: dict[tuple[str, str], int] = field(default_factory=dict)

    def ask(self, caller: str, sort: str) -> Limited:
        """Count a request of a sort: "read", "write", "sign-in" or "refused".

        Raises
        ------
        TooManyRequests
            There were too many in this minute.
        """
        now_s = self.monotonic()
        window = int(now_s // WINDOW_S)
        if window != self._window:
            self._window = window
            self._counts.clear()
        key = (caller, sort)
        if key not in self._counts and len(self._counts) >= CALLERS_MAX and caller.startswith(STRANGER):
            key = (STRANGER, sort)  # who is known is never counted with them: there are as many as were let in
        count = self._counts[key] = self._counts.get(key, 0) + 1
        allowed: int = getattr(self.config, sort.replace("-", "_"))
        limited = Limited(sort, allowed, max(allowed - count, 0), int((window + 1) * WINDOW_S - now_s) + 1)
        if count > allowed:
            raise TooManyRequests(limited.reset_s, dict(limited.headers))
        return limited
