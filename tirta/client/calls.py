# SPDX-License-Identifier: Apache-2.0
"""Requests to a running Tirta: sent again where that can do no harm, decoded into their types, refused as errors by remedy.

Invariants: what could have been done already is not sent again unless it is safe to do twice; a wait has a bound; neither the
token nor a body is ever logged.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import quote

import httpx2
import msgspec

from gateway.broker_url import tls_context
from tirta.errors import (
    ChangedMeanwhile,
    NotPermitted,
    NotThere,
    Refused,
    ServiceAnswer,
    ServiceBroken,
    ServiceUnavailable,
)

__all__ = ["Calls", "Retry", "given"]

PAGE: Final = 1000  # items asked for at a time
REPEATABLE: Final = frozenset({"GET"})  # a revoked device, for one, is not there when it is revoked again
UNSENT: Final = (httpx2.ConnectError, httpx2.ConnectTimeout)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Retry:
    """How long a request is tried.

    Attributes
    ----------
    attempts : int
        In all; 1 never tries again.
    wait_s : float
        Before the second attempt where the service does not say, doubling. [s]
    longest_s : float
        Longest wait before one attempt; a service that asks for more is not waited for. [s]
    """

    attempts: int = 4
    wait_s: float = 0.5
    longest_s: float = 20.0


class _Page(msgspec.Struct, frozen=True):
    """One page of a list, its items not decoded yet."""

    items: list[msgspec.Raw]
    next: str | None


class _FieldError(msgspec.Struct, frozen=True):
    field: str
    detail: str


class _Problem(msgspec.Struct, frozen=True):
    title: str = ""
    detail: str = ""
    errors: list[_FieldError] | None = None


class Calls:
    """One kept connection to the API.

    Parameters
    ----------
    url : str
        Address of the service, as http://127.0.0.1:8080.
    token : str
        Bearer token.
    why : str
        Why things are changed, for the audit trail.
    retry : Retry, optional
        How often and how long a request is tried.
    ca : Path, optional
        Certificates (PEM) to trust for https, instead of the system's; who answers is verified in any case.
    timeout_s : float
        Longest silence within an answer. [s]
    sleep : callable
        Waits between attempts. [s]
    transport : httpx2.BaseTransport, optional
        Instead of the network.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        why: str = "",
        retry: Retry | None = None,
        ca: Path | None = None,
        timeout_s: float = 30.0,
        sleep: Callable[[float], None] = time.sleep,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self._why = why
        self._retry = retry or Retry()
        self._sleep = sleep
        # Proxies of the environment are for the outside world, not for a service on this machine or its network.
        self._http = httpx2.Client(
            base_url=url,
            headers={"authorization": f"Bearer {token}"},
            timeout=timeout_s,
            verify=True if ca is None else tls_context(ca),
            trust_env=False,
            transport=transport,
        )

    def close(self) -> None:
        """Let go of the connection."""
        self._http.close()

    def send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | float | bool | None] | None = None,
        body: object = None,
        version: int | None = None,
        key: str | None = None,
        patient: bool = True,
    ) -> bytes:
        """Send one request, again where that can do no harm, and return the body of its answer.

        Parameters
        ----------
        query : mapping, optional
            Parameters; what is None is left out.
        version : int, optional
            The version that a change is made from.
        key : str, optional
            Idempotency key: with it even what creates something may be sent again.
        patient : bool
            Whether to try again at all.

        Raises
        ------
        ServiceUnavailable
            It does not answer, or not now, after all attempts.
        Refused, NotPermitted, ServiceBroken
            It answered that it will not, or cannot.
        """
        request = self._http.build_request(
            method,
            path,
            params={name: _word(value) for name, value in (query or {}).items() if value is not None},
            json=body,
            headers=self._headers(version, key),
        )
        attempt, attempts = 1, self._retry.attempts if patient else 1
        repeatable = method in REPEATABLE or key is not None
        while True:
            trouble, unsent = self._try(request)
            if isinstance(trouble, bytes):
                return trouble
            again = isinstance(trouble, ServiceUnavailable) and (repeatable or unsent) and attempt < attempts
            wait_s = getattr(trouble, "retry_after_s", None) or self._retry.wait_s * 2.0 ** (attempt - 1)
            if not again or wait_s > self._retry.longest_s:
                raise trouble
            self._sleep(wait_s)
            attempt += 1

    def one(self, model: type[T], method: str, path: str, **options: Any) -> T:
        """Send a request and return its answer as what it is."""
        return msgspec.json.decode(self.send(method, path, **options), type=model)

    def every(self, model: type[T], path: str, **query: str | float | bool | None) -> Iterator[T]:
        """Yield each item of a list, asking page by page as they are taken."""
        after: str | None = None
        while True:
            page = self.one(_Page, "GET", path, query={**query, "limit": PAGE, "after": after})
            for item in page.items:
                yield msgspec.json.decode(item, type=model)
            after = page.next
            if after is None:
                return

    def _headers(self, version: int | None, key: str | None) -> dict[str, str]:
        given = {
            "if-match": None if version is None else f'"{version}"',
            "idempotency-key": key,
            "x-reason": quote(self._why) or None,
        }
        return {name: value for name, value in given.items() if value is not None}

    def _try(self, request: httpx2.Request) -> tuple[bytes | ServiceAnswer, bool]:
        """Return the answer, or what was wrong and whether nothing can have been done."""
        try:
            answer = self._http.send(request)
        except httpx2.HTTPError as exc:
            gone = ServiceUnavailable(0, f"no answer from {self._http.base_url}: {exc}")
            gone.__cause__ = exc
            return gone, isinstance(exc, UNSENT)
        if answer.is_success:
            return answer.content, False
        return _error(answer), answer.status_code == 429


def given(**fields: object) -> dict[str, object]:
    """Return the fields of a body that are given, as JSON takes them; what is UNSET is left out."""
    return {name: msgspec.to_builtins(value) for name, value in fields.items() if value is not msgspec.UNSET}


def _word(value: str | float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _error(answer: httpx2.Response) -> ServiceAnswer:
    status = answer.status_code
    try:
        problem = msgspec.json.decode(answer.content, type=_Problem)
    except (msgspec.DecodeError, UnicodeDecodeError):
        problem = _Problem(detail=answer.text[:200])
    fields = {each.field: each.detail for each in problem.errors or ()}
    detail = "; ".join(f"{field}: {text}" for field, text in fields.items()) or problem.detail or problem.title
    if status in (429, 503):
        after = answer.headers.get("retry-after", "")
        return ServiceUnavailable(status, detail, float(after) if after.isascii() and after.isdecimal() else None)
    if status in (401, 403):
        return NotPermitted(status, detail)
    if status == 404:
        return NotThere(status, detail, fields)
    if status == 412:
        tag = answer.headers.get("etag", "").strip('"')
        return ChangedMeanwhile(status, detail, int(tag) if tag.isascii() and tag.isdecimal() else None)
    return ServiceBroken(status, detail) if status >= 500 else Refused(status, detail, fields)
