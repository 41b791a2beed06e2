# SPDX-License-Identifier: Apache-2.0
"""Checks of what people write: names, titles, time zones, limits of lists.

Invariant: what passes here can be stored and sent; what does not is named by its field, with what would do.
"""

from __future__ import annotations

import math
import re
from typing import Final
from zoneinfo import ZoneInfo

from control.errors import Invalid
from gateway.topics import is_name

__all__ = ["MAX_PAGE", "check_limit", "check_name", "check_number", "check_text", "check_timezone", "storable"]

MAX_PAGE: Final = 1000  # items in one answer
MAX_TITLE: Final = 200  # characters
_TIMEZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}")


def check_name(field: str, text: str) -> str:
    """Return `text` if it may name a site, device or kind."""
    if not is_name(text):
        raise Invalid(field, "1 to 64 of a-z, 0-9, - and _")
    return text


def check_text(field: str, text: str, longest: int = MAX_TITLE) -> str:
    """Return `text` without blanks at its ends, if it is one line of printable characters."""
    text = text.strip()
    if not 1 <= len(text) <= longest or not text.isprintable():
        raise Invalid(field, f"1 to {longest} printable characters on one line")
    return text


def check_timezone(text: str) -> str:
    """Return `text` if it names an IANA time zone."""
    try:
        if len(text) > 64 or _TIMEZONE.fullmatch(text) is None:
            raise ValueError(text)
        ZoneInfo(text)
    except (KeyError, ValueError, OSError) as exc:
        raise Invalid("timezone", "an IANA time zone, as Asia/Makassar") from exc
    return text


def check_number(field: str, value: float, low: float, high: float) -> float:
    """Return `value` if it lies above `low` and not above `high`."""
    if not (math.isfinite(value) and low < value <= high):
        raise Invalid(field, f"a number above {low:g}, up to {high:g}")
    return value


def check_limit(limit: int) -> int:
    """Return `limit` if a list may have that many items."""
    if not 1 <= limit <= MAX_PAGE:
        raise Invalid("limit", f"1 to {MAX_PAGE}")
    return limit


def storable(key: str) -> bool:
    """Tell whether a database takes `key` as text: no NUL, no lone surrogate, not endless."""
    return len(key) <= 400 and "\x00" not in key and not any("\ud800" <= letter <= "\udfff" for letter in key)
