# SPDX-License-Identifier: Apache-2.0
"""Credentials at the broker: random secrets, kept hashed in the form of mosquitto's password file.

A hash is `$7$iterations$salt$hash`: PBKDF2 with HMAC-SHA512, salt and hash in base64 (mosquitto 2.0, src/password_mosq.c
and mosquitto_passwd(1)). Secrets are random and of 256 bits: nobody can guess one, however quick a guess is, so one iteration
is enough. More would cost mosquitto dearly: it hashes the password of every live connection anew whenever it reads its files,
and meanwhile serves nobody (10,000 connections: 1 s with the 101 iterations of mosquitto_passwd), and so when all come back.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field

from gateway.errors import InvalidInput

__all__ = ["CONTROL", "INGEST", "PROBE", "Credential", "device_username", "hash_password", "new_credential", "verify_password"]

INGEST = "tirta-ingest"  # role: takes telemetry
CONTROL = "tirta-control"  # role: commands, and what answers them
PROBE = "tirta-probe"  # role: connects to see that the broker is up and has read its files; has no topic

_SECRET_BYTES = 32
_ITERATIONS = 1
_SALT_BYTES = 12
_USERNAME = re.compile(r"[a-z0-9_-]{1,64}(/[a-z0-9_-]{1,64})?")


@dataclass(frozen=True, slots=True)
class Credential:
    """A user name and its secret, shown once and kept by whoever it was made for."""

    username: str
    password: str = field(repr=False)


def device_username(site: str, device: str) -> str:
    """Name a device at the broker: `{site}/{device}`.

    Raises
    ------
    InvalidInput
        A part is not 1 to 64 of a-z 0-9 - _.
    """
    username = f"{site}/{device}"
    if not _USERNAME.fullmatch(username) or "/" in site:
        raise InvalidInput(f"{username!r} is no device: site and device are each 1 to 64 of a-z 0-9 - _")
    return username


def new_credential(username: str) -> Credential:
    """Make a credential with a random secret of 256 bits.

    Raises
    ------
    InvalidInput
        The user name could not stand in the broker's files.
    """
    if not _USERNAME.fullmatch(username):
        raise InvalidInput(f"{username!r} is no user name: a role, or site/device, each part 1 to 64 of a-z 0-9 - _")
    return Credential(username, secrets.token_urlsafe(_SECRET_BYTES))


def hash_password(password: str) -> str:
    """Hash a secret for the broker's password file, with a fresh salt."""
    salt = secrets.token_bytes(_SALT_BYTES)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _ITERATIONS)
    return f"$7${_ITERATIONS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def verify_password(password: str, hashed: str) -> bool:
    """Tell whether `hashed` was made from `password`; a text that is no such hash gives False."""
    try:
        empty, kind, iterations, salt, digest = hashed.split("$")
        rounds = int(iterations)
        if empty or kind != "7" or not 1 <= rounds <= 1_000_000:
            return False
        wanted = base64.b64decode(digest, validate=True)
        given = hashlib.pbkdf2_hmac("sha512", password.encode(), base64.b64decode(salt, validate=True), rounds)
    except ValueError:
        return False
    return hmac.compare_digest(given, wanted)
