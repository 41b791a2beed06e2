# SPDX-License-Identifier: Apache-2.0
"""Errors of the service as a whole; the command line shows their text and ends with 1.

TirtaError
├── InvalidSettings      fix the input
├── NotPossible          fix the input: what was asked does not go together
├── CertificateUnfit     fix the deployment: a certificate, its key, or the authority
│   └── RequestUnfit     fix the input: a device's signing request
└── ServiceAnswer        what the running service answered (status, detail)
    ├── NotPermitted         fix the deployment: the token, or its roles
    ├── Refused              fix the input
    │   ├── ChangedMeanwhile     read it again, then decide anew
    │   └── NotThere
    ├── ServiceBroken        report it
    └── ServiceUnavailable   retry
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = [
    "CertificateUnfit",
    "ChangedMeanwhile",
    "InvalidSettings",
    "NotPermitted",
    "NotPossible",
    "NotThere",
    "Refused",
    "RequestUnfit",
    "ServiceAnswer",
    "ServiceBroken",
    "ServiceUnavailable",
    "TirtaError",
]


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
    """The running service answered with an error, or not at all.

    Attributes
    ----------
    status : int
        HTTP status; 0 when there was no answer.
    """

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


class ServiceUnavailable(ServiceAnswer):
    """The service does not answer, or not now.

    Attributes
    ----------
    retry_after_s : float or None
        How long it asks to wait; None where it does not say. [s]
    """

    def __init__(self, status: int, detail: str, retry_after_s: float | None = None) -> None:
        super().__init__(status, detail)
        self.retry_after_s = retry_after_s


class Refused(ServiceAnswer):
    """The service will not take what was asked.

    Attributes
    ----------
    fields : mapping
        What is wrong, by the field that it is about; empty where it is about none.
    """

    def __init__(self, status: int, detail: str, fields: Mapping[str, str] | None = None) -> None:
        super().__init__(status, detail)
        self.fields = dict(fields or {})


class NotThere(Refused):
    """There is no such thing, or it may not be seen."""


class ChangedMeanwhile(Refused):
    """Somebody changed it since the version that the change was made from.

    Attributes
    ----------
    version : int or None
        The version it has now.
    """

    def __init__(self, status: int, detail: str, version: int | None = None) -> None:
        super().__init__(status, detail)
        self.version = version


class NotPermitted(ServiceAnswer):
    """The token is not, or no longer, one that may do this."""


class ServiceBroken(ServiceAnswer):
    """A fault of the service's own; its log has it."""
