# SPDX-License-Identifier: Apache-2.0
"""Certificates of devices: which were given to whom, and which count no more.

Invariant: a device has at most one that counts, and none once it is not registered; the broker learns it from the list of
revoked ones, each later than the one before.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from gateway.processes import write_private
from tirta.certificates.authority import Authority
from tirta.errors import CertificateUnfit, RequestUnfit

__all__ = ["DeviceCertificates", "Given"]

LIFE: Final = timedelta(days=365 * 2)  # a board in a bed is not visited every quarter
_LIST_BACKDATED: Final = timedelta(hours=1)  # so that many lists in a second can each be later, and none is of the future
_TITLE_MAX: Final = 64  # signs of a common name (RFC 5280, appendix A.1)
_REQUEST_MAX: Final = 16 * 1024  # [bytes]
_RSA_BITS: Final = 2048


@dataclass(frozen=True, slots=True)
class Given:
    """One certificate that was given to a device.

    Attributes
    ----------
    serial : str
        Its number, in hexadecimal.
    until : str
        When it ends.
    revoked : bool
        Whether it counts no more.
    """

    username: str
    serial: str
    until: str
    revoked: bool = False


class DeviceCertificates:
    """What an authority gave to devices.

    Parameters
    ----------
    folder : Path
        Holds `devices.json` and `devices.crl`.
    authority : Authority
        Signs them.
    """

    def __init__(self, folder: Path, authority: Authority) -> None:
        self.authority = authority
        self._book = folder / "devices.json"
        self._list = folder / "devices.crl"

    @property
    def revoked_pem(self) -> str:
        """The list of those that count no more; empty before it was first written."""
        try:
            return self._list.read_text("ascii")
        except FileNotFoundError:
            return ""

    def given(self) -> list[Given]:
        """Return all that were given and have not ended, oldest first.

        Raises
        ------
        CertificateUnfit
            The file cannot be read.
        """
        try:
            return [Given(**one) for one in json.loads(self._book.read_text("utf-8"))]
        except FileNotFoundError:
            return []
        except (ValueError, TypeError) as exc:
            raise CertificateUnfit(f"{self._book} cannot be read: {exc}; put it back from a backup") from exc

    def sign(self, username: str, request: str, now: datetime) -> str:
        """Give a device a certificate for the key in its request; those it had before count no more.

        Parameters
        ----------
        request
            A signing request (PKCS #10) in PEM. Its key counts, not its names: the name is `username`.

        Returns
        -------
        str
            The certificate, as PEM.

        Raises
        ------
        CertificateUnfit
            The request or the user name does not do, or the authority cannot sign.
        """
        if len(username) > _TITLE_MAX:
            raise CertificateUnfit(
                f"a certificate holds a name of {_TITLE_MAX} signs and {username} has {len(username)}; it signs in by password"
            )
        key = _key_of(request)
        certificate, pem = self.authority.sign_device(username, key, now, LIFE)
        new = Given(username, f"{certificate.serial_number:x}", certificate.not_valid_after_utc.isoformat())
        self._keep([replace(one, revoked=True) if one.username == username else one for one in self.given()] + [new], now)
        return pem

    def settle(self, usernames: Collection[str], now: datetime) -> bool:
        """Revoke what was given to whoever is not among `usernames`; tell whether the list of revoked ones is another.

        Raises
        ------
        CertificateUnfit
            There is something to revoke and the authority's key is not there.
        """
        given = self.given()
        settled = [one if one.username in usernames else replace(one, revoked=True) for one in given]
        listed = self._listed()
        if settled == given and listed is not None and _revoked(given, now) <= {one.serial_number for one in listed}:
            return False
        self._keep(settled, now)
        return True

    def _keep(self, given: list[Given], now: datetime) -> None:
        kept = [one for one in given if datetime.fromisoformat(one.until) > now]
        issued, before = now - _LIST_BACKDATED, self._listed()
        if before is not None:
            issued = max(issued, before.last_update_utc + timedelta(seconds=1))
        revoked = self.authority.sign_revoked(sorted(_revoked(kept, now)), issued, now)
        # The book first: what it says of a certificate is carried out again by the next `settle`, the list alone is not.
        write_private(self._book, json.dumps([asdict(one) for one in kept], indent=1) + "\n")
        write_private(self._list, revoked)

    def _listed(self) -> x509.CertificateRevocationList | None:
        """Return the list as it was last written by this authority."""
        try:
            listed = x509.load_pem_x509_crl(self.revoked_pem.encode("ascii"))
        except ValueError:
            return None
        return listed if self.authority.has_signed(listed) else None


def _revoked(given: list[Given], now: datetime) -> set[int]:
    return {int(one.serial, 16) for one in given if one.revoked and datetime.fromisoformat(one.until) > now}


def _key_of(request: str) -> ec.EllipticCurvePublicKey | rsa.RSAPublicKey:
    if len(request) > _REQUEST_MAX:
        raise RequestUnfit(f"a signing request has at most {_REQUEST_MAX} bytes")
    try:
        asked = x509.load_pem_x509_csr(request.encode("ascii"))
        key, proven = asked.public_key(), asked.is_signature_valid
    except (ValueError, UnsupportedAlgorithm) as exc:
        raise RequestUnfit("this is no signing request in PEM; make one with: openssl req -new") from exc
    if not proven:
        raise RequestUnfit("the signing request is not signed by its own key")
    if isinstance(key, ec.EllipticCurvePublicKey) or (isinstance(key, rsa.RSAPublicKey) and key.key_size >= _RSA_BITS):
        return key
    raise RequestUnfit(f"the key of a signing request is on an elliptic curve, or RSA of {_RSA_BITS} bits and more")
