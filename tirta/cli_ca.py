# SPDX-License-Identifier: Apache-2.0
"""`tirta ca …`: the authority and the certificate in use, for phones, boards and whoever looks after them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.processes import write_private
from tirta.client import Client
from tirta.errors import CertificateUnfit, NotPossible
from tirta.folder import DataFolder
from tirta.options import CONFIG, DATA
from tirta.secure import certificate_config
from tirta.settings import Settings, load_settings

if TYPE_CHECKING:
    from cryptography import x509

    from tirta.certificates import Certificates

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="The private authority, and the certificate in use.")


def _certificates(settings: Settings) -> Certificates:
    from tirta.certificates import Certificates

    return Certificates(certificate_config(settings, DataFolder(settings.data)))


def _trusted(certificates: Certificates) -> x509.Certificate:
    """Return what clients have to trust."""
    from tirta.certificates import Authority
    from tirta.certificates.keeper import utc_now
    from tirta.certificates.server import read_given

    config = certificates.config
    if config.certificate is None:
        return Authority(config.folder).certificate
    top = read_given(config.certificate, config.key, utc_now()).chain[-1]
    if top.issuer != top.subject:
        raise CertificateUnfit(
            f"the certificate is given, and its chain ends below {top.issuer.rfc4514_string()}; "
            "phones and boards need the certificate of that authority: ask who gave it"
        )
    return top


@app.command()
def export(
    form: Annotated[
        str, typer.Option("--format", metavar="FORMAT", help="pem, der, mobileconfig (Apple) or c (a header for boards).")
    ] = "pem",
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write it there. [default: standard output]")] = None,
    data: DATA = None,
    config: CONFIG = None,
) -> None:
    """Give out the authority's certificate, for phones, browsers and boards to trust. It holds no secret."""
    from tirta.certificates.export import FORMATS, ExportFormat, exported, fingerprint

    if form not in FORMATS:
        raise typer.BadParameter(f"{form!r} is none of {', '.join(FORMATS)}", param_hint="--format")
    chosen: ExportFormat = form  # type: ignore[assignment]
    certificate = _trusted(_certificates(load_settings(config, data=data)))
    content = exported(certificate, chosen)
    if out is None:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    out.write_bytes(content)
    out.chmod(0o644)
    print(f"{out} written, for {FORMATS[form]}; its SHA-256 is {fingerprint(certificate)}")


@app.command()
def sign(
    device: Annotated[str, typer.Argument(metavar="SITE:DEVICE", help="For example taman-kota:bedeng-1.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for its key, its certificate and the authority's.")] = Path(),
    data: DATA = None,
    config: CONFIG = None,
) -> None:
    """Make a key and a certificate by which a device signs in in place of a password; those it had before count no more.

    The running service signs it; the key is made here and goes nowhere else. It is for the listener `mqtts_certificates`.
    """
    from tirta.certificates.request import new_request

    folder = DataFolder(load_settings(config, data=data).data)
    if not folder.file("ready.json").exists():
        raise NotPossible("the service is not running, and it is what signs; start it with: tirta up")
    key, request = new_request()
    with Client.from_ready_file(folder.file("ready.json")) as client:
        made = client.devices.certify(device, request)
    out.mkdir(parents=True, exist_ok=True)
    name = device.rpartition(":")[2]
    for file, text in ((f"{name}.key", key), (f"{name}.pem", made.certificate), ("ca.pem", made.authority)):
        write_private(out / file, text)
    print(f"{out / name}.key (secret), {out / name}.pem and {out / 'ca.pem'} are for {device}")
    if made.notice:
        print(made.notice)


@app.command()
def renew(
    authority: Annotated[
        bool, typer.Option("--authority", help="Make a new authority too: every phone and board has to be given it.")
    ] = False,
    data: DATA = None,
    config: CONFIG = None,
) -> None:
    """Make a new certificate now, due or not; a running service takes it within seconds and cuts nobody off."""
    from tirta.certificates import Authority
    from tirta.certificates.keeper import utc_now

    settings = load_settings(config, data=data)
    certificates = _certificates(settings)
    if authority:
        if settings.tls.certificate is not None and settings.mqtts_certificates is None:
            raise NotPossible("the certificate is given by somebody else, so is its authority")
        DataFolder(settings.data).open()
        Authority.make(certificates.config.folder, certificates.names, utc_now())
        print("A new authority is made; give it to every phone and board: tirta ca export. The old one is kept as ca.pem.old.")
    if settings.tls.certificate is None or not authority:
        made = certificates.renew()
        print(f"A new certificate is made, until {made.ends:%Y-%m-%d %H:%M} UTC, for {', '.join(made.names)}.")


@app.command()
def show(data: DATA = None, config: CONFIG = None) -> None:
    """Show the authority, the certificate in use and those of devices."""
    from tirta.certificates.export import fingerprint
    from tirta.certificates.server import read_server

    certificates = _certificates(load_settings(config, data=data))
    used = read_server(certificates.file)
    if used is None:
        raise CertificateUnfit("no certificate is in use; make one with: tirta init --tls")
    trusted = _trusted(certificates)
    print(f"authority    {trusted.subject.rfc4514_string()}, until {trusted.not_valid_after_utc:%Y-%m-%d}")
    print(f"             SHA-256 {fingerprint(trusted)}")
    print(f"certificate  until {used.ends:%Y-%m-%d %H:%M} UTC, another from {used.renew_from():%Y-%m-%d %H:%M} UTC on")
    print(f"             for {', '.join(used.names)}")
    for one in certificates.given_to_devices():
        print(f"device       {one.username:<32} until {one.until[:10]}{'  revoked' if one.revoked else ''}")
