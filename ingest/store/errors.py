# SPDX-License-Identifier: Apache-2.0
"""Errors of the series stores, told apart by what there is to do about them.

StoreError
├── StoreUnavailable     try again later
├── StoreRejected        correct the rows or the question
└── StoreRefused         correct the deployment
"""

from __future__ import annotations

__all__ = ["StoreError", "StoreRefused", "StoreRejected", "StoreUnavailable"]


class StoreError(Exception):
    """The series store could not do what was asked of it."""

    def __init__(self, detail: str = "") -> None:
        self.detail = detail
        message = " ".join((type(self).__doc__ or "").split("\n\n")[0].split())
        super().__init__(f"{message} {detail}" if detail else message)


class StoreUnavailable(StoreError):
    """The series store cannot answer now; the same call is worth trying again.

    Attributes
    ----------
    retry_after_s : float or None
        How long the store itself asked us to wait. [s]
    silent : bool
        Nothing of the store itself was heard: it may have died, and have forgotten what its disk did not have yet.
    """

    def __init__(self, detail: str = "", retry_after_s: float | None = None, *, silent: bool = False) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s
        self.silent = silent


class StoreRejected(StoreError):
    """The series store does not accept these rows or this question; sending them again changes nothing."""


class StoreRefused(StoreError):
    """The series store does not let us in or cannot be used; somebody must correct the deployment."""
