# SPDX-License-Identifier: Apache-2.0
"""Certificates for tests: what an authority that is not Tirta's would make, good and bad, and requests of devices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

__all__ = ["Signer", "request_pem", "write_pair"]

PEM = serialization.Encoding.PEM


@dataclass(frozen=True)
class Signer:
    """A key and its certificate, root or between."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(PEM).decode()

    @property
    def key_pem(self) -> str:
        return _key_pem(self.key)

    @classmethod
    def root(cls, title: str = "City root") -> Signer:
        key = _new_key()
        return cls(key, _signed(key, title, key.public_key(), title, ca=True))

    def below(self, title: str) -> Signer:
        """Make an authority between."""
        key = _new_key()
        return Signer(key, _signed(self.key, self.title, key.public_key(), title, ca=True))

    def server(
        self,
        names: Sequence[x509.GeneralName],
        *,
        begins: datetime | None = None,
        ends: datetime | None = None,
        use: x509.ObjectIdentifier = ExtendedKeyUsageOID.SERVER_AUTH,
        fetched: bool = False,
        title: str = "server",
    ) -> Signer:
        """Make a certificate for a server, or with another `use` for a client."""
        key = _new_key()
        certificate = _signed(
            self.key, self.title, key.public_key(), title, names=names, begins=begins, ends=ends, use=use, fetched=fetched
        )
        return Signer(key, certificate)

    @property
    def title(self) -> str:
        return str(self.certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


def write_pair(folder: Path, server: Signer, *above: Signer) -> tuple[Path, Path]:
    """Write a chain and its key; return where they are."""
    certificate, key = folder / "given.pem", folder / "given.key"
    certificate.write_text("".join(one.pem for one in (server, *above)))
    key.write_text(server.key_pem)
    return certificate, key


def request_pem(key: ec.EllipticCurvePrivateKey | None = None) -> str:
    """Make a signing request as a device would."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(_name("whatever it calls itself"))
    return builder.sign(key or _new_key(), hashes.SHA256()).public_bytes(PEM).decode()


def _signed(
    signer: ec.EllipticCurvePrivateKey,
    issuer: str,
    key: ec.EllipticCurvePublicKey,
    title: str,
    *,
    ca: bool = False,
    names: Sequence[x509.GeneralName] = (),
    begins: datetime | None = None,
    ends: datetime | None = None,
    use: x509.ObjectIdentifier | None = None,
    fetched: bool = False,
) -> x509.Certificate:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(title))
        .issuer_name(_name(issuer))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins or now - timedelta(hours=1))
        .not_valid_after(ends or now + timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    if use is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage([use]), critical=False)
    if fetched:
        where = x509.AccessDescription(
            AuthorityInformationAccessOID.CA_ISSUERS,
            x509.UniformResourceIdentifier("http://ca.example/between.der"),
        )
        builder = builder.add_extension(x509.AuthorityInformationAccess([where]), critical=False)
    return builder.sign(signer, hashes.SHA256())


def _name(title: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, title)])


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
