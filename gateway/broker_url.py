# SPDX-License-Identifier: Apache-2.0
"""Read a broker's address: mqtt://user:password@host:1883 or mqtts://user:password@host:8883."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from gateway.errors import InvalidAddress

__all__ = ["BrokerAddress", "parse_broker_url", "tls_context"]

_PORTS = {"mqtt": 1883, "mqtts": 8883}


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """Where a broker listens; `username` and `password` are None where the address names none."""

    host: str
    port: int
    tls: bool
    username: str | None = None
    password: str | None = field(default=None, repr=False)


def parse_broker_url(url: str) -> BrokerAddress:
    """Read an address. Signs like @ and / in a user name or password are written %40 and %2F.

    Raises
    ------
    InvalidAddress
        It has another form; the message says what to write and never shows the password.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as exc:
        # urlsplit quotes what it was given, password and all: so no "from".
        raise InvalidAddress(f"the broker's address has no usable host or port; write {_form()}") from (
            None if "@" in url else exc
        )
    if parts.scheme not in _PORTS:
        raise InvalidAddress(f"the broker's address begins with {parts.scheme or 'no scheme'!r}; write {_form()}")
    if not parts.hostname:
        raise InvalidAddress(f"the broker's address names no host; write {_form()}")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise InvalidAddress(f"the broker's address goes on after the port; write {_form()}")
    if (parts.username is None) != (parts.password is None) or parts.username == "":
        raise InvalidAddress(f"the broker's address needs both user and password, or neither; write {_form()}")
    return BrokerAddress(
        host=parts.hostname,
        port=_PORTS[parts.scheme] if port is None else port,
        tls=parts.scheme == "mqtts",
        username=None if parts.username is None else unquote(parts.username),
        password=None if parts.password is None else unquote(parts.password),
    )


def tls_context(ca_file: Path | None = None) -> ssl.SSLContext:
    """Make a context that verifies the other side's certificate and name, TLS 1.2 or later.

    Parameters
    ----------
    ca_file : Path, optional
        Certificates (PEM) to trust instead of the system's.

    Raises
    ------
    InvalidAddress
        The file is not there or holds no certificate.
    """
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as exc:
        raise InvalidAddress(f"no certificate can be read from {ca_file}: {exc}") from exc
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _form() -> str:
    return "mqtt://user:password@host:1883 or mqtts://user:password@host:8883"
