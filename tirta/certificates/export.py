# SPDX-License-Identifier: Apache-2.0
"""The authority's certificate as phones, browsers and boards take it; nothing of it is secret."""

from __future__ import annotations

import plistlib
import uuid
from typing import Final, Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

__all__ = ["FORMATS", "ExportFormat", "exported", "fingerprint"]

ExportFormat = Literal["pem", "der", "mobileconfig", "c"]
FORMATS: Final = {
    "pem": "computers, Firefox, mosquitto_pub, Python",
    "der": "Android, Windows, MicroPython",
    "mobileconfig": "iPhone, iPad, Mac",
    "c": "boards in C: a header with the PEM as a string",
}


def exported(certificate: x509.Certificate, form: ExportFormat) -> bytes:
    """Return the certificate in one of the formats."""
    if form == "der":
        return certificate.public_bytes(serialization.Encoding.DER)
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    if form == "mobileconfig":
        return _profile(certificate)
    return _header(certificate, pem.decode("ascii")) if form == "c" else pem


def fingerprint(certificate: x509.Certificate) -> str:
    """Return its SHA-256 as phones show it, to be compared by eye."""
    return certificate.fingerprint(hashes.SHA256()).hex(":").upper()


def _profile(certificate: x509.Certificate) -> bytes:
    """Write a configuration profile (Apple, Configuration Profile Reference, com.apple.security.root)."""
    # The same authority always gives the same identifiers: installed twice, it is there once.
    identity = uuid.uuid5(uuid.NAMESPACE_OID, fingerprint(certificate))
    title = _title(certificate)
    payload = {
        "PayloadType": "com.apple.security.root",
        "PayloadVersion": 1,
        "PayloadIdentifier": f"tirta.authority.{identity}.certificate",
        "PayloadUUID": str(uuid.uuid5(identity, "certificate")).upper(),
        "PayloadDisplayName": title,
        "PayloadContent": certificate.public_bytes(serialization.Encoding.DER),
    }
    profile = {
        "PayloadType": "Configuration",
        "PayloadVersion": 1,
        "PayloadIdentifier": f"tirta.authority.{identity}",
        "PayloadUUID": str(identity).upper(),
        "PayloadDisplayName": title,
        "PayloadDescription": "Lets this device recognise Tirta on the local network.",
        "PayloadContent": [payload],
    }
    return plistlib.dumps(profile)


def _header(certificate: x509.Certificate, pem: str) -> bytes:
    lines = "\n".join(f'    "{line}\\n"' for line in pem.splitlines())
    text = (
        f"/* {_title(certificate)}, until {certificate.not_valid_after_utc:%Y-%m-%d}. Made by `tirta ca export`. */\n"
        "#ifndef TIRTA_CA_H\n#define TIRTA_CA_H\n\n"
        "/* PEM with its closing NUL, as mbedtls_x509_crt_parse and esp_tls take it: sizeof counts the NUL. */\n"
        f"static const char TIRTA_CA_PEM[] =\n{lines};\n\n#endif\n"
    )
    return text.encode("ascii")


def _title(certificate: x509.Certificate) -> str:
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else "authority"
