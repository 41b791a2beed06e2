# SPDX-License-Identifier: Apache-2.0
"""Errors of the HTTP API; each leaf is one status code.

ApiError
├── Unauthenticated     401  sign in, or send a bearer token that is valid
├── Forbidden           403  ask for a role that allows it
├── CrossSite           403  send it from Tirta's own pages
├── NotFound            404  correct the address
├── Conflict            409  read again what is there
├── InvalidField        422  correct the field that is named
├── TooManyRequests     429  wait
└── Unavailable         503  try again later
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "ApiError",
    "Conflict",
    "CrossSite",
    "Forbidden",
    "InvalidField",
    "NotFound",
    "TooManyRequests",
    "Unauthenticated",
    "Unavailable",
]


class ApiError(Exception):
    """The request cannot be answered as asked.

    Attributes
    ----------
    status : int
        HTTP status code of the answer.
    detail : str
        What was wrong and what to do, for the person who sent the request.
    fields : tuple of (str, str)
        Names of wrong fields and what is wrong with each.
    headers : dict
        Header fields that go with the answer.
    """

    status: ClassVar[int] = 500

    def __init__(
        self, detail: str = "", *, fields: tuple[tuple[str, str], ...] = (), headers: dict[str, str] | None = None
    ) -> None:
        self.detail = detail or (type(self).__doc__ or "").strip()
        self.fields = fields
        self.headers = headers or {}
        super().__init__(self.detail)


class Unauthenticated(ApiError):
    """Send a valid token in the header: Authorization: Bearer <token>."""

    status = 401

    def __init__(self, detail: str = "", *, known: bool = False) -> None:
        challenge = 'Bearer realm="tirta"' + (', error="invalid_token"' if known else "")
        super().__init__(detail, headers={"www-authenticate": challenge})


class Forbidden(ApiError):
    """Your roles do not allow this."""

    status = 403

    @classmethod
    def needing(cls, permission: str) -> Forbidden:
        """Return the error that says which permission is missing."""
        return cls(f"Your roles do not allow this: it needs the permission {permission}.")


class CrossSite(ApiError):
    """This request comes from another site's page; what is signed in by cookie is changed from Tirta's own pages only."""

    status = 403


class NotFound(ApiError):
    """There is nothing at this address."""

    status = 404


class Conflict(ApiError):
    """The request contradicts what is there."""

    status = 409


class InvalidField(ApiError):
    """A field of the request is wrong."""

    status = 422

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(f"{field}: {detail}", fields=((field, detail),))


class TooManyRequests(ApiError):
    """There were too many requests."""

    status = 429

    def __init__(self, retry_after_s: int, headers: dict[str, str] | None = None) -> None:
        detail = f"Too many requests in this minute; go on in {retry_after_s} s."
        super().__init__(detail, headers={**(headers or {}), "retry-after": str(retry_after_s)})


class Unavailable(ApiError):
    """Part of the service cannot answer now; try again shortly."""

    status = 503

    def __init__(self, detail: str = "", *, retry_after_s: int = 5) -> None:
        super().__init__(detail, headers={"retry-after": str(retry_after_s)})
