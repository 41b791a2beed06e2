# SPDX-License-Identifier: Apache-2.0
"""Identifiers shaped like a ULID: 48 bits of time, 80 bits of tail, in Crockford's base32.

Invariant: ids sort by their time, and the id of a planned act follows from what it is, so planning it again finds it.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from typing import Final

__all__ = ["act_id", "is_id", "new_id"]

ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's: no I, L, O, U
LENGTH: Final = 26  # characters of 5 bits; the first holds 3
TAIL_BYTES: Final = 10
_ID = re.compile(f"[0-7][{ALPHABET}]{{{LENGTH - 1}}}")


def act_id(origin: str, version: int, zone_key: str, planned_ms: int, part: int = 1) -> str:
    """Return the id of the act that `origin` plans in a zone for a moment: the same for the same act, for ever.

    Parameters
    ----------
    origin : str
        What plans it: "schedule:{id}", or what makes a request by hand unique.
    planned_ms : int
        The planned moment. [ms since the Unix epoch]
    part : int
        Of a run that goes in several; they sort in their order.
    """
    name = "\x1f".join((origin, str(version), zone_key, str(planned_ms), *([str(part)] if part > 1 else ())))
    return _encode(planned_ms + part - 1, hashlib.blake2b(name.encode("utf-8"), digest_size=TAIL_BYTES).digest())


def new_id(now_ms: int) -> str:
    """Return an id that nobody can guess, sorting by `now_ms`. [ms since the Unix epoch]"""
    return _encode(now_ms, secrets.token_bytes(TAIL_BYTES))


def is_id(text: str) -> bool:
    """Tell whether `text` has the shape of an id."""
    return _ID.fullmatch(text) is not None


def _encode(ms: int, tail: bytes) -> str:
    number = (ms & (1 << 48) - 1) << 80 | int.from_bytes(tail, "big")
    return "".join(ALPHABET[number >> shift & 31] for shift in range(5 * (LENGTH - 1), -1, -5))
