# SPDX-License-Identifier: Apache-2.0
"""A private authority that signs the server's certificate and those of devices.

Its key lies in a file of its own, readable by its owner only, and is needed for signing alone. Its certificate says for
which names it may sign (RFC 5280, section 4.2.1.10): a phone that trusts it does so for this network and not for the world.
That part is not marked critical, though the section asks for it: what boards run refuses a critical part it does not know.
"""

from __future__ import annotations

import ipaddress
import os
import stat
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.processes import write_private
from tirta.certificates.names import ALWAYS, general_name
from tirta.errors import CertificateUnfit

__all__ = ["Authority", "new_key", "private_pem"]

YEARS: Final = 10
_BACKDATED: Final = timedelta(hours=1)  # a board's clock may be a little behind ours
_PRIVATE: Final = (
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "169.254.0.0/16",
    "127.0.0.0/8",
    "::1/128",
    "fc00::/7",
    "fe80::/10",
)
_INTERNAL: Final = ("home.arpa", "internal", "lan", "local", "localhost")  # names that no one on the Internet has
_NO_USAGE: Final = dict.fromkeys(
    (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    ),
    False,
)


def new_key() -> ec.EllipticCurvePrivateKey:
    """Make a private key (P-256: what phones, boards and browsers all have)."""
    return ec.generate_private_key(ec.SECP256R1())


def private_pem(key: ec.EllipticCurvePrivateKey) -> str:
    """Write a private key as PEM, without a passphrase."""
    encoded = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return encoded.decode("ascii")


class Authority:
    """The authority of one installation.

    Parameters
    ----------
    folder : Path
        Holds `ca.pem` and `ca.key`.
    """

    def __init__(self, folder: Path) -> None:
        self.certificate_file = folder / "ca.pem"
        self.key_file = folder / "ca.key"
        try:
            self.certificate = x509.load_pem_x509_certificate(self.certificate_file.read_bytes())
        except FileNotFoundError as exc:
            raise CertificateUnfit(f"there is no authority in {folder}; make one with: tirta init --tls") from exc
        except (OSError, ValueError) as exc:
            raise CertificateUnfit(f"{self.certificate_file} cannot be read as a certificate: {exc}") from exc

    @classmethod
    def make(cls, folder: Path, names: Iterable[str], now: datetime) -> Authority:
        """Make an authority that may sign for private addresses, internal names and `names`; an older one is set aside.

        Raises
        ------
        CertificateUnfit
            A name is none.
        OSError
            The folder cannot be written.
        """
        key = new_key()
        identity = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        title = f"Tirta authority {identity.digest.hex()[:8]}"
        name = _title(title)
        certificate = (
            _builder(name, name, key.public_key(), now, timedelta(days=365 * YEARS))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(x509.KeyUsage(**(_NO_USAGE | {"key_cert_sign": True, "crl_sign": True})), critical=True)
            .add_extension(identity, critical=False)
            .add_extension(x509.NameConstraints(_permitted(names), None), critical=False)
            .sign(key, hashes.SHA256())
        )
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for path in (folder / "ca.pem", folder / "ca.key"):
            with suppress(FileNotFoundError):
                path.replace(path.with_suffix(f"{path.suffix}.old"))
        # The key first: a certificate without it would look like an authority whose key is kept elsewhere.
        write_private(folder / "ca.key", private_pem(key))
        write_private(folder / "ca.pem", certificate.public_bytes(serialization.Encoding.PEM).decode("ascii"))
        return cls(folder)

    @property
    def pem(self) -> str:
        """Its certificate."""
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")

    @property
    def key_mode(self) -> int | None:
        """Who may read its key, as in chmod; None where the key is kept elsewhere."""
        try:
            return stat.S_IMODE(os.stat(self.key_file).st_mode)
        except FileNotFoundError:
            return None

    def outside(self, names: Iterable[str]) -> list[str]:
        """Return the names that it may not sign for."""
        constraints = self.certificate.extensions.get_extension_for_class(x509.NameConstraints).value
        return [name for name in names if not _is_permitted(general_name(name), constraints.permitted_subtrees or ())]

    def sign_server(self, names: Sequence[str], now: datetime, life: timedelta) -> str:
        """Return a new private key and its certificate for these names, as one PEM.

        Raises
        ------
        CertificateUnfit
            It may not sign for one of them, or its key is not there.
        """
        if refused := self.outside(names):
            raise CertificateUnfit(
                f"this authority may not sign for {', '.join(refused)}; "
                "make another with `tirta ca renew --authority`, which phones and boards then have to be given"
            )
        key = new_key()
        alternatives = x509.SubjectAlternativeName([general_name(name) for name in dict.fromkeys((*names, *ALWAYS))])
        builder = self._leaf("Tirta", key.public_key(), now, life, ExtendedKeyUsageOID.SERVER_AUTH)
        return private_pem(key) + self._signed(builder.add_extension(alternatives, critical=False))

    def sign_device(
        self, username: str, key: CertificatePublicKeyTypes, now: datetime, life: timedelta
    ) -> tuple[x509.Certificate, str]:
        """Return a certificate by which a device signs in as `username`, and its PEM.

        Raises
        ------
        CertificateUnfit
            The key of the authority is not there.
        """
        pem = self._signed(self._leaf(username, key, now, life, ExtendedKeyUsageOID.CLIENT_AUTH))
        return x509.load_pem_x509_certificate(pem.encode("ascii")), pem

    def sign_revoked(self, serials: Iterable[int], issued: datetime, revoked_at: datetime) -> str:
        """Return the list of certificates that count no more, as PEM.

        Parameters
        ----------
        issued
            Later than that of every list before it, and not in the future.
        """
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(issued)
            .next_update(self.certificate.not_valid_after_utc)
            .add_extension(self._issuer(), critical=False)
        )
        for serial in serials:
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(revoked_at).build()
            builder = builder.add_revoked_certificate(entry)
        return builder.sign(self._key(), hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode("ascii")

    def has_signed(self, revoked: x509.CertificateRevocationList) -> bool:
        """Tell whether a list of revoked certificates is of this authority."""
        key = self.certificate.public_key()
        return isinstance(key, ec.EllipticCurvePublicKey) and revoked.is_signature_valid(key)

    def _leaf(
        self, title: str, key: CertificatePublicKeyTypes, now: datetime, life: timedelta, use: x509.ObjectIdentifier
    ) -> x509.CertificateBuilder:
        if now >= self.certificate.not_valid_after_utc:
            raise CertificateUnfit(
                f"the authority ended at {self.certificate.not_valid_after_utc:%Y-%m-%d}; make another with "
                "`tirta ca renew --authority`, which phones and boards then have to be given"
            )
        return (
            _builder(_title(title), self.certificate.subject, key, now, life, self.certificate.not_valid_after_utc)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.KeyUsage(**(_NO_USAGE | {"digital_signature": True})), critical=True)
            .add_extension(x509.ExtendedKeyUsage([use]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(self._issuer(), critical=False)
        )

    def _issuer(self) -> x509.AuthorityKeyIdentifier:
        own = self.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)

    def _signed(self, builder: x509.CertificateBuilder) -> str:
        return builder.sign(self._key(), hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode("ascii")

    def _key(self) -> ec.EllipticCurvePrivateKey:
        try:
            key = serialization.load_pem_private_key(self.key_file.read_bytes(), None)
        except FileNotFoundError as exc:
            raise CertificateUnfit(f"the authority's key {self.key_file} is not there; put it back to sign with it") from exc
        except (OSError, ValueError, TypeError) as exc:
            raise CertificateUnfit(f"{self.key_file} cannot be read as a private key: {exc}") from exc
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != self.certificate.public_key():
            raise CertificateUnfit(f"{self.key_file} is not the key of {self.certificate_file}; put back what belongs together")
        return key


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: CertificatePublicKeyTypes,
    now: datetime,
    life: timedelta,
    latest: datetime | None = None,
) -> x509.CertificateBuilder:
    end = now + life if latest is None else min(now + life, latest)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
    return builder.serial_number(x509.random_serial_number()).not_valid_before(now - _BACKDATED).not_valid_after(end)


def _title(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _permitted(names: Iterable[str]) -> list[x509.GeneralName]:
    permitted: list[x509.GeneralName] = [x509.IPAddress(ipaddress.ip_network(network)) for network in _PRIVATE]
    permitted += [x509.DNSName(name) for name in _INTERNAL]
    for name in dict.fromkeys(names):
        general = general_name(name)
        if _is_permitted(general, permitted):
            continue
        if isinstance(general, x509.IPAddress):
            permitted.append(x509.IPAddress(ipaddress.ip_network(general.value)))
        else:
            permitted.append(x509.DNSName(str(general.value).removeprefix("*.")))
    return permitted


def _is_permitted(name: x509.GeneralName, permitted: Iterable[x509.GeneralName]) -> bool:
    if isinstance(name, x509.IPAddress):
        networks = [ipaddress.ip_network(one.value) for one in permitted if isinstance(one, x509.IPAddress)]
        return any(name.value in network for network in networks)
    host = str(name.value).removeprefix("*.")
    below = [one.value for one in permitted if isinstance(one, x509.DNSName)]
    return any(host == name or host.endswith(f".{name}") for name in below)
