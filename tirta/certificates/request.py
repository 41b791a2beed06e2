# SPDX-License-Identifier: Apache-2.0
"""A device's own key, and its request to have it signed."""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from tirta.certificates.authority import new_key, private_pem

__all__ = ["new_request"]


def new_request() -> tuple[str, str]:
    """Return a new private key and a signing request (PKCS #10) for it, both PEM.

    The request names nobody: the authority puts the device's user name there, and a long one would not fit.
    """
    key = new_key()
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    return private_pem(key), request.public_bytes(serialization.Encoding.PEM).decode("ascii")
