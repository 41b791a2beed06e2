# SPDX-License-Identifier: Apache-2.0
"""TLS on the intranet: a private authority, the server's certificate, those of devices, and their renewal.

Imported only where TLS is used: the library behind it takes its time.
"""

from __future__ import annotations

from tirta.certificates.authority import Authority
from tirta.certificates.devices import DeviceCertificates
from tirta.certificates.keeper import Certificates
from tirta.certificates.names import machine_names
from tirta.certificates.server import ServerCertificate

__all__ = ["Authority", "Certificates", "DeviceCertificates", "ServerCertificate", "machine_names"]
