# SPDX-License-Identifier: Apache-2.0
"""What may listen where: plain on this machine, with TLS beyond it.

Invariant: nothing listens beyond loopback without TLS, but HTTP where somebody said that a proxy stands before it.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from gateway.processes import write_private
from tirta.errors import NotPossible
from tirta.folder import DataFolder
from tirta.settings import Settings, split_host_port
from tirta.web import is_loopback, require_safe

if TYPE_CHECKING:
    from tirta.certificates import Certificates
    from tirta.certificates.keeper import CertificateConfig

__all__ = [
    "as_it_runs",
    "certificate_config",
    "note_listeners",
    "open_certificates",
    "plain_listeners",
    "require_safe_listeners",
    "secure_listeners",
]

# Settings, of which the command line may say others than doctor is told.
_LISTENING: Final = ("http", "mqtt", "https", "mqtts", "mqtts_certificates", "behind_proxy")


def plain_listeners(settings: Settings) -> dict[str, str]:
    """Return what listens without TLS: what it is -> its address."""
    own = {"MQTT": settings.mqtt} if settings.broker.url is None else {}
    return {"HTTP": settings.http} | own


def secure_listeners(settings: Settings) -> dict[str, str]:
    """Return what listens with TLS: what it is -> its address."""
    found = {"HTTPS": settings.https, "MQTTS": settings.mqtts, "MQTTS for certificates": settings.mqtts_certificates}
    return {what: where for what, where in found.items() if where is not None}


def require_safe_listeners(settings: Settings) -> None:
    """Refuse settings that would have something listen where it must not.

    Raises
    ------
    NotPossible
        Something would be reached from outside without TLS, or would be of a broker that is not Tirta's own.
    """
    require_safe("HTTP", split_host_port(settings.http)[0], behind_proxy=settings.behind_proxy)
    if settings.broker.url is None:
        host = split_host_port(settings.mqtt)[0]
        if not is_loopback(host):
            raise NotPossible(
                f"MQTT would listen on {host} without TLS: leave it on 127.0.0.1 and add --mqtts HOST:PORT (docs/tls.md)"
            )
    elif settings.mqtts is not None or settings.mqtts_certificates is not None:
        raise NotPossible(
            "mqtts is for Tirta's own broker, and broker.url names another: where that listens is said in its own configuration"
        )


def note_listeners(settings: Settings, folder: DataFolder) -> None:
    """Write down what is listened on, for `as_it_runs`."""
    said = settings.model_dump(mode="json", include=set(_LISTENING))
    write_private(folder.file("listening.json"), json.dumps(said) + "\n")


def as_it_runs(settings: Settings, folder: DataFolder) -> Settings:
    """Return the settings with what the running service listens on; as they are where none runs."""
    if not (folder.path.exists() and folder.in_use):
        return settings
    with suppress(OSError, ValueError):
        said = json.loads(folder.file("listening.json").read_text("utf-8"))
        return settings.model_copy(update={name: said[name] for name in _LISTENING if name in said})
    return settings


def certificate_config(settings: Settings, folder: DataFolder) -> CertificateConfig:
    """Return where the certificate comes from."""
    from tirta.certificates.keeper import CertificateConfig

    tls = settings.tls
    return CertificateConfig(folder.file("tls"), tls.certificate, tls.key, tls.names, tls.days)


def open_certificates(settings: Settings, folder: DataFolder) -> Certificates | None:
    """Return the certificate in use where anything listens with TLS, made or renewed where that is due.

    Raises
    ------
    CertificateUnfit
        There is none that can be used.
    """
    if not secure_listeners(settings):
        return None
    from tirta.certificates import Certificates

    certificates = Certificates(certificate_config(settings, folder))
    certificates.open()
    if settings.mqtts_certificates is not None:
        _ = certificates.devices  # there has to be an authority that devices are known by
    return certificates
