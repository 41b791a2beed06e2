# SPDX-License-Identifier: Apache-2.0
"""The certificate by which the server proves itself: read, judged, and when it is time for another.

Invariant: what is taken has its own key, a host name or address, and a chain in order; so a listener never begins with what
no client could accept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

from tirta.certificates.names import missing_names
from tirta.errors import CertificateUnfit

__all__ = ["ServerCertificate", "read_given", "read_server"]

_MAX_BYTES = 256 * 1024  # of a file with a certificate or key


@dataclass(frozen=True, slots=True)
class ServerCertificate:
    """A key with its certificate chain, the server's own first.

    Attributes
    ----------
    pem : str
        Private key and chain.
    chain : tuple of x509.Certificate
        The server's own, and what leads from it to an authority that clients have.
    """

    pem: str = field(repr=False)
    chain: tuple[x509.Certificate, ...]

    @property
    def begins(self) -> datetime:
        """From when it counts."""
        return self.chain[0].not_valid_before_utc

    @property
    def ends(self) -> datetime:
        """Until when it counts: the first of its chain that ends, ends it."""
        return min(one.not_valid_after_utc for one in self.chain)

    @property
    def names(self) -> tuple[str, ...]:
        """The host names and addresses that it stands for."""
        return tuple(str(name.value) for name in _alternatives(self.chain[0]))

    def missing(self, names: Sequence[str]) -> list[str]:
        """Return those of `names` that it does not stand for."""
        return missing_names(names, _alternatives(self.chain[0]))

    def renew_from(self) -> datetime:
        """From when another should take its place: two thirds of its life are over."""
        return self.begins + (self.ends - self.begins) * 2 / 3

    def is_signed_by(self, authority: x509.Certificate) -> bool:
        """Tell whether an authority signed it."""
        try:
            self.chain[0].verify_directly_issued_by(authority)
        except (ValueError, TypeError, InvalidSignature):
            return False
        return True


def read_server(path: Path) -> ServerCertificate | None:
    """Read a file of key and chain that Tirta wrote itself; None where there is none, or none that can be used."""
    try:
        return _read(path, path)
    except CertificateUnfit:
        return None


def read_given(certificate: Path, key: Path | None, now: datetime) -> ServerCertificate:
    """Read a certificate chain and its key that somebody else made.

    Raises
    ------
    CertificateUnfit
        They cannot be used; the message says why and what to do.
    """
    server = _read(certificate, key or certificate)
    if now >= server.ends:
        raise CertificateUnfit(
            f"the certificate in {certificate} ended at {server.ends:%Y-%m-%d %H:%M} UTC; put a new one there"
        )
    if now + timedelta(minutes=5) < server.begins:
        message = f"the certificate in {certificate} counts from {server.begins:%Y-%m-%d %H:%M} UTC on; is the clock right?"
        raise CertificateUnfit(message)
    return server


def _read(certificate: Path, key: Path) -> ServerCertificate:
    chain = _chain(certificate)
    own = chain[0]
    if not _alternatives(own):
        raise CertificateUnfit(
            f"the certificate in {certificate} names no host or address (subjectAltName), so clients refuse it; "
            "ask for one that does"
        )
    if not _is_for_servers(own):
        raise CertificateUnfit(f"the certificate in {certificate} is not meant for a server; ask for one with serverAuth")
    for lower, upper in pairwise(chain):
        try:
            lower.verify_directly_issued_by(upper)
        except (ValueError, TypeError, InvalidSignature) as exc:
            raise CertificateUnfit(
                f"the chain in {certificate} breaks after {_title(lower)}: the next, {_title(upper)}, did not sign it; "
                "put the server's first, then who signed it, then who signed that"
            ) from exc
    if len(chain) == 1 and own.issuer != own.subject and _signer_is_fetched(own):
        raise CertificateUnfit(
            f"the chain in {certificate} is not complete: put that of {own.issuer.rfc4514_string()} after the server's"
        )
    private = _private(key)
    if private.public_key() != own.public_key():
        raise CertificateUnfit(f"the key in {key} does not belong to the certificate in {certificate}")
    encoded = private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    public = b"".join(one.public_bytes(serialization.Encoding.PEM) for one in chain)
    return ServerCertificate((encoded + public).decode("ascii"), chain)


def _chain(path: Path) -> tuple[x509.Certificate, ...]:
    try:
        return tuple(x509.load_pem_x509_certificates(_bytes(path)))
    except ValueError as exc:
        raise CertificateUnfit(f"there is no certificate in PEM in {path}") from exc


def _private(path: Path) -> PrivateKeyTypes:
    try:
        return serialization.load_pem_private_key(_bytes(path), None)
    except TypeError as exc:
        raise CertificateUnfit(f"the key in {path} has a passphrase; store it without, readable by Tirta's user only") from exc
    except ValueError as exc:
        raise CertificateUnfit(f"there is no private key in PEM in {path}") from exc


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as exc:
        raise CertificateUnfit(f"{path} cannot be read: {exc.strerror}; name another, or give it to Tirta's user") from exc
    if len(content) > _MAX_BYTES:
        raise CertificateUnfit(f"{path} is larger than {_MAX_BYTES} bytes: it is no certificate or key")
    return content


def _alternatives(certificate: x509.Certificate) -> list[x509.GeneralName]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [name for name in names if isinstance(name, x509.DNSName | x509.IPAddress)]


def _is_for_servers(certificate: x509.Certificate) -> bool:
    try:
        uses = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return ExtendedKeyUsageOID.SERVER_AUTH in uses or ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in uses


def _signer_is_fetched(certificate: x509.Certificate) -> bool:
    """Tell whether a certificate names an address of who signed it: then that one is an authority between, never a root."""
    try:
        access = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except x509.ExtensionNotFound:
        return False
    return any(one.access_method == AuthorityInformationAccessOID.CA_ISSUERS for one in access)


def _title(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string() or "one without a name"
