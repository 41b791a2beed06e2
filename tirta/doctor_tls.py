# SPDX-License-Identifier: Apache-2.0
"""TLS as it is: what listens where, the certificate in use and whether it is shown, the authority, devices' certificates."""

from __future__ import annotations

import socket
import ssl
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from tirta.errors import CertificateUnfit, NotPossible
from tirta.findings import Finding
from tirta.folder import DataFolder
from tirta.secure import certificate_config, plain_listeners, require_safe_listeners, secure_listeners
from tirta.settings import Settings, split_host_port
from tirta.web import ANY_ADDRESS, is_loopback

if TYPE_CHECKING:
    from tirta.certificates import Certificates

__all__ = ["examine_listeners", "examine_tls", "network_addresses"]

_TIMEOUT_S: Final = 3.0
_AUTHORITY_SOON: Final = timedelta(days=180)  # to give every phone and board another
_DEVICE_SOON: Final = timedelta(days=60)


def examine_listeners(settings: Settings) -> Finding:
    """Look at what listens beyond this machine, and how."""
    try:
        require_safe_listeners(settings)
    except NotPossible as exc:
        return Finding("listeners", False, str(exc))
    secure = [f"{what} on {where}" for what, where in secure_listeners(settings).items()]
    plain = [f"{what} on {where}" for what, where in plain_listeners(settings).items() if not _stays_here(where)]
    text = "; ".join(([f"with TLS: {', '.join(secure)}"] if secure else []) + (["plain: loopback only"] if not plain else []))
    if plain:
        trusted = ", ".join(settings.trusted_proxies) or "no proxy: its address stands for everybody's (trusted_proxies)"
        text = "; ".join(
            filter(None, [text, f"{' and '.join(plain)} without TLS, as behind_proxy says: see that only the proxy reaches it"])
        )
        text += f"; forwarded addresses are believed of {trusted}"
    return Finding("listeners", True, text)


def network_addresses(settings: Settings) -> list[str]:
    """Return the addresses of this machine at which boards reach it; none where nothing listens for them."""
    hosts = [split_host_port(where)[0] for where in (settings.mqtts, settings.mqtts_certificates) if where is not None]
    hosts = [host for host in hosts if not is_loopback(host)]
    if any(host in ANY_ADDRESS for host in hosts):
        from tirta.certificates.names import machine_addresses

        hosts = [*machine_addresses(), *(host for host in hosts if host not in ANY_ADDRESS)]
    return list(dict.fromkeys(hosts))


def examine_tls(settings: Settings, folder: DataFolder) -> list[Finding]:
    """Look at certificate, authority and what the running listeners show; nothing where nothing has TLS."""
    if not secure_listeners(settings):
        return []
    from tirta.certificates import Certificates
    from tirta.certificates.keeper import utc_now

    certificates, now = Certificates(certificate_config(settings, folder)), utc_now()
    found = [_certificate(certificates, now)]
    if settings.tls.certificate is None or settings.mqtts_certificates is not None:
        found.append(_authority(certificates, now))
    if folder.path.exists() and folder.in_use:
        found += [_shown(what, where, certificates) for what, where in secure_listeners(settings).items()]
    return found


def _certificate(certificates: Certificates, now: datetime) -> Finding:
    from tirta.certificates.server import read_given, read_server

    config = certificates.config
    try:
        if config.certificate is not None:
            read_given(config.certificate, config.key, now)
    except CertificateUnfit as exc:
        return Finding("certificate", False, str(exc))
    used = read_server(certificates.file)
    if used is None:
        return Finding("certificate", False, "there is none; make one with: tirta init --tls")
    if now >= used.ends:
        return Finding("certificate", False, f"ended at {used.ends:%Y-%m-%d %H:%M} UTC; start Tirta, or: tirta ca renew")
    if missing := used.missing(certificates.names):
        return Finding(
            "certificate",
            False,
            f"does not stand for {', '.join(missing)}, so who connects there refuses it; say all names in tls.names, then: "
            "tirta ca renew (a name outside the authority needs --authority too)",
        )
    if config.certificate is not None and now >= used.renew_from():
        return Finding("certificate", False, f"ends at {used.ends:%Y-%m-%d}; put a new one into {config.certificate}")
    if now >= used.renew_from() + (used.ends - used.begins) / 12:
        return Finding("certificate", False, f"ends at {used.ends:%Y-%m-%d} and is overdue; start Tirta, or: tirta ca renew")
    return Finding("certificate", True, f"until {used.ends:%Y-%m-%d}, for {', '.join(used.names)}")


def _authority(certificates: Certificates, now: datetime) -> Finding:
    try:
        devices = certificates.devices
        given = devices.given()
    except CertificateUnfit as exc:
        return Finding("authority", False, str(exc))
    authority = devices.authority
    mode, ends = authority.key_mode, authority.certificate.not_valid_after_utc
    if mode is not None and mode & 0o077:
        return Finding("authority", False, f"others can read its key; run: chmod 600 {authority.key_file}")
    if now >= ends - _AUTHORITY_SOON:
        return Finding(
            "authority", False, f"ends at {ends:%Y-%m-%d}; make another (tirta ca renew --authority) and give it out"
        )
    soon = [one for one in given if not one.revoked and datetime.fromisoformat(one.until) <= now + _DEVICE_SOON]
    if soon:
        names = ", ".join(f"{one.username} ({one.until[:10]})" for one in soon[:10])
        return Finding("authority", False, f"certificates of devices end: {names}; sign others: tirta ca sign SITE:DEVICE")
    where = "its key is not here: nothing can be renewed or revoked" if mode is None else "its key is for its owner only"
    return Finding("authority", True, f"until {ends:%Y-%m-%d}; {where}")


def _shown(what: str, where: str, certificates: Certificates) -> Finding:
    """Look whether a listener shows the certificate that should be in use, without judging it: who asks may trust nobody."""
    from cryptography.hazmat.primitives.serialization import Encoding

    from tirta.certificates.server import read_server

    host, port = split_host_port(where)
    if port == 0:
        return Finding(what, True, "on a port that was free at the start; not asked")
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # it is compared, byte by byte, with the one in use
    try:
        plain = socket.create_connection((ANY_ADDRESS.get(host, host), port), _TIMEOUT_S)
        with plain, context.wrap_socket(plain) as secure:
            shown = secure.getpeercert(binary_form=True)
    except OSError as exc:
        return Finding(what, False, f"{where} does not speak TLS ({exc}); look at the service's and the broker's log")
    used = read_server(certificates.file)
    if used is None or shown != used.chain[0].public_bytes(Encoding.DER):
        return Finding(what, False, f"{where} shows another certificate than the one in use; it should follow within seconds")
    return Finding(what, True, f"{where} shows the certificate in use")


def _stays_here(where: str) -> bool:
    return is_loopback(split_host_port(where)[0])
