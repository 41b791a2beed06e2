# SPDX-License-Identifier: Apache-2.0
"""Errors of the control room, split by remedy.

ControlError
├── InvalidRequest           fix the input
│   ├── NotFound
│   ├── Conflict
│   ├── Stale
│   ├── Invalid
│   ├── NotAllowed
│   ├── WrongCredentials
│   └── TooManyTries
├── DatabaseUnavailable      retry
│   └── NotWritten
├── SignOnUnavailable        retry
├── PreviewTooLong           fix the input, or retry
├── DatabaseMismatch         fix the deployment
└── DatabaseInUse            fix the deployment
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

__all__ = [
    "Conflict",
    "ControlError",
    "DatabaseInUse",
    "DatabaseMismatch",
    "DatabaseUnavailable",
    "Invalid",
    "InvalidRequest",
    "NotAllowed",
    "NotFound",
    "NotWritten",
    "PreviewTooLong",
    "SignOnUnavailable",
    "Stale",
    "TooManyTries",
    "WrongCredentials",
]


class ControlError(Exception):
    """Something in the registry, the ledger or their database is wrong."""

    def __str__(self) -> str:
        return super().__str__() or (type(self).__doc__ or "").strip()


class InvalidRequest(ControlError):
    """What was asked cannot be done; change it and ask again."""


class NotFound(InvalidRequest):
    """There is no such thing.

    Attributes
    ----------
    what : str
        The sort of thing: "site", "device", "zone", "schedule", "act", "token".
    key : str
        What it was looked up by.
    """

    def __init__(self, what: str, key: object) -> None:
        super().__init__(f"there is no {what} {str(key)[:140]!r}")
        self.what = what
        self.key = str(key)


class Conflict(InvalidRequest):
    """It stands against what is there now; `detail` says against what."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class Invalid(InvalidRequest):
    """A field's value cannot be taken; `field` names it and `detail` says what would do.

    Attributes
    ----------
    more : tuple of (str, str)
        Other fields that cannot be taken either, each with its detail.
    """

    def __init__(self, field: str, detail: str, more: Iterable[tuple[str, str]] = ()) -> None:
        super().__init__(f"{field}: {detail}")
        self.field = field
        self.detail = detail
        self.more = tuple(more)


class Stale(InvalidRequest):
    """It was changed by somebody else in the meantime; read it again, and make the change from what it is now.

    Attributes
    ----------
    version, given : int
        Which version it has, and which one the change was made from.
    """

    def __init__(self, what: str, version: int, given: int, updated_by: str | None, updated_ms: int | None) -> None:
        by = updated_by or "somebody"
        when = "meanwhile" if updated_ms is None else f"at {datetime.fromtimestamp(updated_ms / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"
        super().__init__(
            f"{by} changed this {what} {when}: it has version {version}, your change was made from version {given}; "
            "read it again and make your change from what it is now"
        )
        self.version = version
        self.given = given


class NotAllowed(InvalidRequest):
    """It may be seen, but your roles do not allow this here; ask an administrator of the agency.

    Attributes
    ----------
    permission : str
        What would be needed.
    """

    def __init__(self, permission: str) -> None:
        super().__init__(f"your roles do not allow this here: it needs the permission {permission!r}")
        self.permission = permission


class WrongCredentials(InvalidRequest):
    """The name or the password is wrong, or this person may not sign in."""


class TooManyTries(InvalidRequest):
    """Too many failed attempts; wait, and try again.

    Attributes
    ----------
    retry_after_s : int
        When it may be tried again. [s]
    """

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"too many failed attempts; try again in {retry_after_s} s")
        self.retry_after_s = retry_after_s


class DatabaseUnavailable(ControlError):
    """The control database did not answer; try again when its disk and its lock are free."""


class NotWritten(DatabaseUnavailable):
    """The control database has not taken this alarm yet, and so nothing about it; try again when its disk has room."""


class SignOnUnavailable(ControlError):
    """The single sign-on did not answer, or not as it should; try again, or look at the settings oidc.…"""


class PreviewTooLong(ControlError):
    """This preview takes too long; ask for fewer days, or again when less is going on."""


class DatabaseMismatch(ControlError):
    """The control database was written by a newer Tirta, or is none; use that version, or restore a backup."""


class DatabaseInUse(ControlError):
    """Another Tirta runs on this control database; stop it, or give this one a database of its own."""
