# SPDX-License-Identifier: Apache-2.0
"""Checks of what people write: names, titles, time zones, limits of lists.

Invariant: what passes here can be stored and sent; what does not is named by its field, with what would do.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Final
from zoneinfo import ZoneInfo

from control.errors import Invalid, Stale
from control.models import Changeable
from gateway.topics import is_name

__all__ = [
    "MAX_PAGE",
    "PILLARS",
    "RESERVED",
    "check_language",
    "check_limit",
    "check_name",
    "check_number",
    "check_pillars",
    "check_position",
    "check_tags",
    "check_text",
    "check_timezone",
    "check_version",
    "is_number",
    "is_pair",
    "plain",
    "storable",
    "tag_words",
]

MAX_PAGE: Final = 1000  # items in one answer
MAX_TITLE: Final = 200  # characters
MAX_TAGS: Final = 20  # on one thing
PILLARS: Final = ("governance", "branding", "economy", "living", "society", "environment")  # of a smart city
LANGUAGES: Final = ("id", "en")
# What stands in the ledger and the audit trail for no person and no token: nobody else may look like it.
RESERVED: Final = frozenset({"command-line", "controller", "device", "stranger", "tirta"})
_TAG = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
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


def is_pair(text: str) -> bool:
    """Tell whether a text is a key of two names: "{site}:{device}", "{city}:{agency}"."""
    first, colon, second = text.partition(":")
    return bool(colon) and is_name(first) and is_name(second)


def is_number(text: str) -> bool:
    """Tell whether a text is the key of a numbered row."""
    return text.isascii() and text.isdecimal() and len(text) <= 18


def check_limit(limit: int) -> int:
    """Return `limit` if a list may have that many items."""
    if not 1 <= limit <= MAX_PAGE:
        raise Invalid("limit", f"1 to {MAX_PAGE}")
    return limit


def storable(key: str) -> bool:
    """Tell whether a database takes `key` as text: no NUL, no lone surrogate, not endless."""
    return len(key) <= 400 and "\x00" not in key and not any("\ud800" <= letter <= "\udfff" for letter in key)


def plain(text: str, longest: int) -> str:
    """Return what somebody else wrote, a device say, as every database keeps it."""
    return text[:longest].replace("\x00", "").encode("utf-8", "replace").decode("utf-8")


def check_version(row: Changeable, what: str, version: int | None) -> None:
    """Pass if the row still has the version that a change was made from; None does not ask.

    Raises
    ------
    Stale
        Somebody changed it in the meantime.
    """
    if version is not None and version != row.version:
        raise Stale(what, row.version, version, row.updated_by, row.updated_ms)


def check_language(text: str) -> str:
    """Return `text` if it is a language that Tirta speaks."""
    if text not in LANGUAGES:
        raise Invalid("language", f"one of {', '.join(LANGUAGES)}")
    return text


def check_pillars(pillars: Sequence[str]) -> list[str]:
    """Return the pillars in their order, each once."""
    if unknown := [pillar for pillar in pillars if pillar not in PILLARS]:
        raise Invalid("pillars", f"{unknown[0][:40]!r} is none of {', '.join(PILLARS)}")
    return [pillar for pillar in PILLARS if pillar in pillars]


def check_tags(tags: Sequence[str]) -> str | None:
    """Return tags as they are kept: " a b ", sorted, each once; None for none."""
    words = sorted(set(tags))
    if len(words) > MAX_TAGS or not all(map(_TAG.fullmatch, words)):
        raise Invalid("tags", f"at most {MAX_TAGS}, each 1 to 40 of a-z, 0-9, - and _, beginning with a letter or digit")
    return f" {' '.join(words)} " if words else None


def tag_words(kept: str | None) -> tuple[str, ...]:
    """Return tags out of how they are kept."""
    return tuple((kept or "").split())


def check_position(position: tuple[float, float] | None) -> tuple[float | None, float | None]:
    """Return longitude and latitude. [degrees, WGS 84]"""
    if position is None:
        return None, None
    longitude, latitude = position
    if not (math.isfinite(longitude) and math.isfinite(latitude) and abs(longitude) <= 180 and abs(latitude) <= 90):
        raise Invalid("position", "longitude from -180 to 180 and latitude from -90 to 90, in this order")
    return longitude, latitude
