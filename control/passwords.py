# SPDX-License-Identifier: Apache-2.0
"""Passwords of people: argon2id, with more than OWASP's least (19 MiB, 2 passes, 1 lane).

Invariants: a check takes as long for nobody as for somebody; at most a few hashes are made at a time, so that signing in
cannot take the machine's memory; what was hashed with weaker numbers is hashed again when its password is next seen.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from control.errors import Invalid, TooManyTries

__all__ = ["MAX_LENGTH", "MIN_LENGTH", "PasswordConfig", "Passwords", "check_password"]

MIN_LENGTH: Final = 12  # characters; no rules of composition (ASVS 5.0, 6.2)
MAX_LENGTH: Final = 200  # characters
BUSY_S: Final = 1  # after which who was refused may try again [s]


@dataclass(frozen=True, slots=True)
class PasswordConfig:
    """How much work a hash is.

    Attributes
    ----------
    memory_kib : int
        Memory of one hash. [KiB]
    passes : int
        How often it is gone through.
    parallel, waiting : int
        Hashes made at a time, and those that wait for their turn; more are refused.
    """

    memory_kib: int = 32 * 1024
    passes: int = 3
    parallel: int = 2
    waiting: int = 14


def check_password(text: str, login: str = "") -> str:
    """Return `text` if it may become a password: 12 to 200 characters, and not the name it belongs to."""
    if not MIN_LENGTH <= len(text) <= MAX_LENGTH:
        raise Invalid("password", f"{MIN_LENGTH} to {MAX_LENGTH} characters")
    if login and text.casefold().replace(login.casefold(), "") == "":
        raise Invalid("password", "something else than your name")
    return text


class Passwords:
    """Makes and checks hashes. Thread-safe; every call takes some ten milliseconds and is made in a thread."""

    def __init__(self, config: PasswordConfig | None = None) -> None:
        config = config or PasswordConfig()
        self._hasher = PasswordHasher(
            time_cost=config.passes, memory_cost=config.memory_kib, parallelism=1, hash_len=32, salt_len=16, type=Type.ID
        )
        self._turns = threading.BoundedSemaphore(config.parallel)
        self._places = threading.BoundedSemaphore(config.parallel + config.waiting)
        self._nobodys: str | None = None

    def hash(self, password: str) -> str:
        """Return the hash of a password, with its salt and numbers.

        Raises
        ------
        TooManyTries
            As many wait as may; so does `verify`.
        """
        with self._turn():
            return self._hasher.hash(_bytes(password))

    def verify(self, kept: str | None, password: str) -> bool:
        """Tell whether the password is the one whose hash is kept; with None kept, take as long and say no."""
        with self._turn():
            if self._nobodys is None:
                self._nobodys = self._hasher.hash(b"nobody")
            try:
                self._hasher.verify(kept or self._nobodys, _bytes(password))
            except (VerificationError, InvalidHashError):
                return False
            return kept is not None

    @contextmanager
    def _turn(self) -> Iterator[None]:
        # Who waits holds a thread, of which the whole service has few: a flood of sign-ins must not take them all.
        if not self._places.acquire(blocking=False):
            raise TooManyTries(BUSY_S)
        try:
            with self._turns:
                yield
        finally:
            self._places.release()

    def outdated(self, kept: str) -> bool:
        """Tell whether a hash was made with other numbers than today's."""
        return self._hasher.check_needs_rehash(kept)


def _bytes(password: str) -> bytes:
    return password[: MAX_LENGTH + 1].encode("utf-8", "surrogatepass")
