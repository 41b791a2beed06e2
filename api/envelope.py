# SPDX-License-Identifier: Apache-2.0
"""What surrounds every answer: header fields, the language of errors, a bound on the body, a last net for the unexpected.

Invariant: an answer is never kept by a cache, never framed, never guessed at by a browser, and shows no traceback.
"""

from __future__ import annotations

import logging
from typing import Final

import msgspec
from fastapi import HTTPException
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.languages import Language, asked_language, told_in
from api.problems import MEDIA_TYPE, problem_response

__all__ = ["BODY_MAX", "HEADERS", "HSTS", "BodyLimit", "Envelope"]

BODY_MAX: Final = 1 << 20  # bytes of a request's body

HEADERS: Final = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}

# Over TLS only (RFC 6797, section 7.2). Half a year; not for names below this one, which need not be ours.
HSTS: Final = ("strict-transport-security", "max-age=15768000")

_TOO_LARGE: Final = f"The body is larger than {BODY_MAX} bytes; send less."

_log = logging.getLogger(__name__)


class Envelope:
    """Set the header fields of every answer, and answer for what nobody expected."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False
        held: Message | None = None  # the head of a problem, until its words are known

        async def send_with_headers(message: Message) -> None:
            nonlocal started, held
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                if scope["scheme"] == "https":
                    headers[HSTS[0]] = HSTS[1]
                if Headers(raw=message["headers"]).get("content-type") == MEDIA_TYPE:
                    held = message
                    return
            elif held is not None:
                head, held = held, None
                message = {**message, "body": _told(scope, head, message["body"])}
                await send(head)
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except Exception:
            _log.exception("%s %s failed", scope["method"], scope["path"], extra={"action": "request_failed"})
            if started:
                raise
            response = problem_response(500, "Something went wrong here; the service's log says what.")
            await response(scope, receive, send_with_headers)


def _told(scope: Scope, head: Message, body: bytes) -> bytes:
    """Return a problem's body in the caller's language, and make its head say so."""
    given = scope.get("state", {}).get("language")
    language: Language = given or asked_language(Headers(scope=scope).get("accept-language", ""))
    headers = MutableHeaders(scope=head)
    headers["content-language"] = language
    headers.add_vary_header("accept-language")
    if "content-encoding" not in headers and language != "en":
        body = msgspec.json.encode(told_in(language, msgspec.json.decode(body)))
        headers["content-length"] = str(len(body))
    return body


class BodyLimit:
    """Refuse a body of more than `BODY_MAX` bytes, by its announced length or while it is read."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "")
        if announced.isascii() and announced.isdigit() and (len(announced) > 18 or int(announced) > BODY_MAX):
            await problem_response(413, _TOO_LARGE, headers={"connection": "close"})(scope, receive, send)
            return
        taken = 0

        async def receive_bounded() -> Message:
            nonlocal taken
            message = await receive()
            if message["type"] == "http.request":
                taken += len(message.get("body", b""))
                if taken > BODY_MAX:
                    raise HTTPException(413, _TOO_LARGE)
            return message

        await self._app(scope, receive_bounded, send)
