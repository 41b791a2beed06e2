# SPDX-License-Identifier: Apache-2.0
"""`tirta init`: make what a deployment starts from.

Each at its own moment: the secrets in an `.env`, once, before anything runs; the authority and certificate for TLS, once;
and the folder of a mosquitto that runs beside Tirta, at each start, before either. Invariant: what is there and still counts
is never replaced, neither secrets nor the authority nor the broker's users.
"""

from __future__ import annotations

import os
import pwd
import secrets
from pathlib import Path

from gateway.broker_config import BrokerFiles, BrokerLimits, SecureListeners, configuration_text
from gateway.broker_users import BrokerUsers
from gateway.processes import write_private
from tirta.errors import NotPossible
from tirta.folder import DataFolder
from tirta.secure import certificate_config
from tirta.settings import Settings
from tirta.web import require_safe

__all__ = ["write_broker", "write_env", "write_tls"]

_NOTE = """# Secrets of this installation; made by `tirta init`, read by docker-compose.yml. Keep it private and back it up.
"""


def write_env(path: Path) -> str:
    """Write the file, mode 0600, unless it is there; return a line that says what was done.

    Raises
    ------
    NotPossible
        It cannot be written there.
    """
    if path.exists():
        return f"{path} is there already and was left as it is; delete it to make new secrets (InfluxDB keeps its old ones)"
    values = {
        "INFLUX_ORG": "tirta",
        "INFLUX_BUCKET": "tirta",
        "INFLUX_ADMIN_PASSWORD": secrets.token_hex(20),
        "INFLUX_TOKEN": secrets.token_hex(32),
        "GRAFANA_ADMIN_PASSWORD": secrets.token_hex(20),
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_private(path, _NOTE + "".join(f"{name}={value}\n" for name, value in values.items()))
    except OSError as exc:
        raise NotPossible(f"cannot write {path}: {exc.strerror}") from exc
    return f"{path} written; next: docker-compose up -d"


def write_tls(settings: Settings) -> str:
    """Make an authority where there is none, and a certificate by it; or judge the one that is given. Return what was done.

    Raises
    ------
    CertificateUnfit, NotPossible
        The given one cannot be used, or the data folder cannot be written.
    """
    from tirta.certificates import Authority, Certificates
    from tirta.certificates.keeper import utc_now

    folder = DataFolder(settings.data)
    certificates = Certificates(certificate_config(settings, folder))
    own = settings.tls.certificate is None
    try:
        folder.open()
        if (own or settings.mqtts_certificates is not None) and not (certificates.config.folder / "ca.pem").exists():
            Authority.make(certificates.config.folder, certificates.names, utc_now())
        certificates.open()
    except OSError as exc:
        raise NotPossible(f"cannot write {certificates.config.folder}: {exc.strerror}") from exc
    used = certificates.used
    lines = [f"The certificate in {settings.tls.certificate or certificates.file} counts until {used.ends:%Y-%m-%d},"]
    lines += [f"for {', '.join(used.names)}; {'renewed by Tirta' if own else 'a new one put there is taken by itself'}."]
    lines += ["Next: tirta up --https 0.0.0.0:8443 --mqtts 0.0.0.0:8883"]
    if own:
        lines += ["For phones and boards: tirta ca export; keep a copy of the folder, its ca.key is secret."]
    return "\n".join(lines)


def write_broker(
    settings: Settings,
    folder: Path,
    plain: tuple[str, int],
    secure: tuple[str, int] | None = None,
    *,
    behind_proxy: bool = False,
) -> str:
    """Write the folder of a mosquitto that runs beside Tirta; return a line that says what was done.

    The main file is written anew. Users and rights are written only where there are none: then nobody is let in until
    Tirta, told of the folder by TIRTA_BROKER_FOLDER, writes them.

    Parameters
    ----------
    settings : Settings
        Where the certificate comes from; Tirta keeps it new later.
    folder : Path
        As mosquitto itself sees it: its files name each other by it. It keeps its queues there too.
    plain, secure
        Where mosquitto is to listen, without and with TLS: host, port.
    behind_proxy : bool
        Let `plain` be beyond loopback: a private network is before it.

    Raises
    ------
    NotPossible
        It cannot be written there, or would listen beyond loopback without TLS.
    CertificateUnfit
        There is no certificate for `secure`.
    """
    require_safe("mosquitto", plain[0], behind_proxy=behind_proxy)
    files = BrokerFiles(folder.expanduser().resolve())
    # Started as root, mosquitto would become another account that cannot read what is private to this one.
    user = pwd.getpwuid(0).pw_name if os.geteuid() == 0 else None
    try:
        files.store.mkdir(parents=True, exist_ok=True, mode=0o700)
        files.folder.chmod(0o700)
        if secure is not None:
            _write_certificate(settings, files)
        text = configuration_text(
            files,
            host=plain[0],
            port=plain[1],
            limits=BrokerLimits(),
            log=None,
            user=user,
            secure=SecureListeners(passwords=secure),
        )
        write_private(files.configuration, text)
        if not (files.passwords.exists() and files.acl.exists()):
            BrokerUsers(files, {}).write()
    except OSError as exc:
        raise NotPossible(f"cannot write the broker's files in {files.folder}: {exc.strerror}") from exc
    return f"{files.folder} is ready for: mosquitto -c {files.configuration}"


def _write_certificate(settings: Settings, files: BrokerFiles) -> None:
    from tirta.certificates import Certificates

    certificates = Certificates(certificate_config(settings, DataFolder(settings.data)))
    certificates.open()
    files.write_certificates(certificates.broker_certificates())
