# SPDX-License-Identifier: Apache-2.0
"""The names and addresses by which people and boards reach this machine."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable, Sequence
from typing import Final

import psutil
from cryptography import x509

from tirta.errors import CertificateUnfit

__all__ = ["ALWAYS", "general_name", "machine_addresses", "machine_names", "missing_names"]

ALWAYS: Final = ("localhost", "127.0.0.1", "::1")  # this machine's own commands and health checks
_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_HOST: Final = re.compile(rf"(?=.{{1,253}}$)(\*\.)?({_LABEL}\.)*{_LABEL}", re.IGNORECASE)


def general_name(name: str) -> x509.GeneralName:
    """Return a name or an address as it stands in a certificate.

    Raises
    ------
    CertificateUnfit
        It is neither.
    """
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        if not _HOST.fullmatch(name):
            message = f"{name!r} is neither a host name nor an address; write it as in tirta.lan or 192.168.1.10"
            raise CertificateUnfit(message) from None
        return x509.DNSName(name.lower())


def machine_names() -> tuple[str, ...]:
    """Return the host name, with .local too, and the IPv4 addresses as they are now.

    IPv6 addresses change by the day on many networks and are left to the setting `tls.names`, as are names that only the
    network's own name server knows.
    """
    host = socket.gethostname().lower()
    names = [host] if _HOST.fullmatch(host) else []
    if names and "." not in host:
        names.append(f"{host}.local")
    return (*names, *machine_addresses())


def machine_addresses() -> tuple[str, ...]:
    """Return the machine's IPv4 addresses beyond loopback, as they are now."""
    addresses = {
        entry.address
        for entries in psutil.net_if_addrs().values()
        for entry in entries
        if entry.family == socket.AF_INET and not ipaddress.ip_address(entry.address).is_loopback
    }
    return tuple(sorted(addresses))


def missing_names(wanted: Iterable[str], there: Sequence[x509.GeneralName]) -> list[str]:
    """Return the names that a certificate does not stand for; one of `*.lan` stands for each name directly below `lan`."""
    hosts = {name.value.lower() for name in there if isinstance(name, x509.DNSName)}
    addresses = {name.value for name in there if isinstance(name, x509.IPAddress)}
    missing = []
    for name in wanted:
        value = general_name(name).value
        covered = value in addresses or value in hosts or f"*.{str(value).partition('.')[2]}" in hosts
        if not covered:
            missing.append(name)
    return missing
