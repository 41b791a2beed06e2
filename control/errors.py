# SPDX-License-Identifier: Apache-2.0
"""Errors of the control room, split by remedy.

ControlError
├── InvalidRequest           fix the input
│   ├── NotFound
│   ├── Conflict
│   └── Invalid
├── DatabaseUnavailable      retry
└── DatabaseMismatch         fix the deployment
"""

from __future__ import annotations

__all__ = ["Conflict", "ControlError", "DatabaseMismatch", "DatabaseUnavailable", "Invalid", "InvalidRequest", "NotFound"]


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
    """A field's value cannot be taken; `field` names it and `detail` says what would do."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(f"{field}: {detail}")
        self.field = field
        self.detail = detail


class DatabaseUnavailable(ControlError):
    """The control database did not answer; try again when its disk and its lock are free."""


class DatabaseMismatch(ControlError):
    """The control database was written by a newer Tirta, or is none; use that version, or restore a backup."""
