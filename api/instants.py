# SPDX-License-Identifier: Apache-2.0
"""Instants as the API writes and reads them: RFC 3339, answered in UTC with `Z`, inside as ms since the Unix epoch.

Invariant: an instant is read with its offset and never without, so that nobody has to guess a zone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, WithJsonSchema

__all__ = ["Every", "Instant", "When", "format_instant", "format_instants", "optional_instant", "parse_every", "parse_instant"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_RFC3339: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_EVERY: Final = re.compile(r"([1-9][0-9]{0,5})(s|m|h|d)")
_UNIT_MS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
EVERY_MAX_MS: Final = 366 * 86_400_000  # longest window [ms]
_SHOWN_MIN_MS: Final = -62_135_596_800_000  # 0001-01-01T00:00:00Z
_SHOWN_MAX_MS: Final = 253_402_300_799_999  # 9999-12-31T23:59:59.999Z


def format_instant(ms: int) -> str:
    """Write an instant as `2026-11-22T05:00:00Z`, with milliseconds only where there are some."""
    moment = _EPOCH + min(max(int(ms), _SHOWN_MIN_MS), _SHOWN_MAX_MS) * _MILLISECOND
    text = moment.isoformat(timespec="milliseconds" if moment.microsecond else "seconds")
    return text.removesuffix("+00:00") + "Z"


def format_instants(instants: Iterable[int]) -> dict[int, str]:
    """Write many instants as `format_instant` does, each to its text: quicker where many fall into the same seconds."""
    seconds: dict[int, str] = {}
    written = {}
    for ms in instants:
        shown_ms = min(max(ms, _SHOWN_MIN_MS), _SHOWN_MAX_MS)
        rest = shown_ms % 1000
        second = seconds.get(shown_ms - rest)
        if second is None:
            second = seconds[shown_ms - rest] = format_instant(shown_ms - rest)
        written[ms] = f"{second[:-1]}.{rest:03}Z" if rest else second
    return written


def optional_instant(ms: int | None) -> str | None:
    """Write an instant that may be absent."""
    return None if ms is None else format_instant(ms)


def parse_instant(text: object) -> int:
    """Read an RFC 3339 instant with any offset.

    Returns
    -------
    int
        Milliseconds since the Unix epoch; what is finer is cut off. [ms]

    Raises
    ------
    ValueError
        The text is not such an instant, or no such day or time exists.
    """
    if not isinstance(text, str) or _RFC3339.fullmatch(text) is None:
        hint = " (write the + of an offset as %2B in an address)" if isinstance(text, str) and " " in text else ""
        raise ValueError(f"give an instant with its offset, such as 2026-11-22T05:00:00Z or 2026-11-22T13:00:00+08:00{hint}")
    # Python reads digits beyond the microsecond, but not a lower-case t or z.
    return (datetime.fromisoformat(text.upper()) - _EPOCH) // _MILLISECOND


def parse_every(text: object) -> int:
    """Read the length of a window: a whole number and s, m, h or d. [ms]

    Raises
    ------
    ValueError
        It is written otherwise, or longer than 366 days.
    """
    match = _EVERY.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError("give a whole number and s, m, h or d, such as 5m, 1h or 1d")
    length = int(match[1]) * _UNIT_MS[match[2]]
    if length > EVERY_MAX_MS:
        raise ValueError("a window is at most 366d")
    return length


_INSTANT_SCHEMA: Final[dict[str, Any]] = {"type": "string", "format": "date-time"}

When = Annotated[str, WithJsonSchema(_INSTANT_SCHEMA)]
"""An instant in an answer: already written by `format_instant`."""

Instant = Annotated[int, BeforeValidator(parse_instant), WithJsonSchema(_INSTANT_SCHEMA)]
"""An instant in a request; validated into milliseconds. [ms]"""

Every = Annotated[
    int, BeforeValidator(parse_every), WithJsonSchema({"type": "string", "pattern": "^[1-9][0-9]{0,5}(s|m|h|d)$"})
]
"""Length of a window in a request; validated into milliseconds. [ms]"""
