# SPDX-License-Identifier: Apache-2.0
"""Errors of the service as a whole; the command line shows their text and ends with 1.

TirtaError
├── InvalidSettings      fix the input
├── NotPossible          fix the input: what was asked does not go together
├── CertificateUnfit     fix the deployment: a certificate, its key, or the authority
│   └── RequestUnfit     fix the input: a device's signing request
└── ServiceAnswer        what the running service answered (status, detail)
"""

from __future__ import annotations

__all__ = ["CertificateUnfit", "InvalidSettings", "NotPossible", "RequestUnfit", "ServiceAnswer", "TirtaError"]


class TirtaError(Exception):
    """Tirta cannot do this."""


class InvalidSettings(TirtaError):
    """A setting cannot be taken."""


class NotPossible(TirtaError):
    """What was asked for does not go together."""


class CertificateUnfit(TirtaError):
    """A certificate cannot be used."""


class RequestUnfit(CertificateUnfit):
    """A device's signing request cannot be taken."""


class ServiceAnswer(TirtaError):
    """The service answered with an error.

    Attributes
    ----------
    status : int
        HTTP status; 0 when there was no answer.
    """

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
