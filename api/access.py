# SPDX-License-Identifier: Apache-2.0
"""Who asks: the one gate before every route.

Invariant: nothing passes without a valid token or session but the addresses named here. The gate stands before the routes
and knows none of them, so a new route cannot forget it, no body of a stranger is read, and a stranger does not learn which
addresses exist. Tokens and sessions are looked up for each request: once ended they are refused at once. What the browser
sends by itself, the cookie, counts for a change only when the request comes from our own pages.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Annotated, Final
from urllib.parse import unquote

from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import ApiError, CrossSite, TooManyRequests, Unauthenticated
from api.limits import STRANGER, Limited, RateLimits
from api.problems import problem_response
from api.vouching import Credentials, Vouching
from control import errors as control_errors
from control.access import Principal
from control.audit import MAX_WHY, Trail
from control.throttle import network_of
from gateway.clock import Clock

__all__ = [
    "COOKIE",
    "OPEN_PATHS",
    "READING",
    "REASON",
    "SIGN_IN_PATHS",
    "Caller",
    "CallersTrail",
    "Gate",
    "OptionalCaller",
    "StrangersTrail",
]

ALIVE_PATH: Final = "/healthz"
OPEN_PATHS: Final = frozenset({ALIVE_PATH, "/readyz"})  # answer ok or 503 to anybody, reasons only to who is known
# This is how one becomes known.
SIGN_IN_PATHS: Final = frozenset(
    {
        ("POST", "/api/v1/session"),
        ("POST", "/api/v1/invitation"),
        ("GET", "/api/v1/session/oidc"),
        ("GET", "/api/v1/session/oidc/callback"),
    }
)
READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})  # methods that change nothing
COOKIE: Final = "__Host-tirta"  # the prefix makes browsers refuse it from any other host, path or without Secure
REASON: Final = "x-reason"  # why something is changed, for the audit trail; percent-encoded UTF-8

_BEARER: Final = re.compile(r"[Bb][Ee][Aa][Rr][Ee][Rr] +([A-Za-z0-9._~+/=-]{1,512})")


class Gate:
    """Let through who is known and not too busy; turn away the rest.

    Parameters
    ----------
    app : ASGI application
        What lies behind; it finds the caller in `request.state.principal`.
    check : callable
        Looks tokens and sessions up; called in a thread.
    limits : RateLimits
        How often each may ask.
    """

    def __init__(self, app: ASGIApp, check: Credentials, limits: RateLimits) -> None:
        self._app = app
        self._check = check
        self._vouching = Vouching(check)
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        address = (scope.get("client") or ("",))[0]
        state["principal"], state["address"] = None, address
        try:
            principal = state["principal"] = await self._known(scope, address)
            caller = principal.key if principal else STRANGER + network_of(address)
            limited = self._limits.ask(caller, _sort(scope, principal))
        except ApiError as exc:
            await problem_response(exc.status, exc.detail, headers=exc.headers)(scope, receive, send)
            return
        except control_errors.DatabaseUnavailable:
            detail = "The control database cannot answer now; try again shortly."
            await problem_response(503, detail, headers={"retry-after": "5"})(scope, receive, send)
            return
        if principal is not None and principal.language is not None:
            state["language"] = principal.language
        await self._app(scope, receive, _telling(limited, send))

    async def _known(self, scope: Scope, address: str) -> Principal | None:
        try:
            return await self._admit(scope, address)
        except control_errors.DatabaseUnavailable:
            if scope["path"] != ALIVE_PATH:
                raise
            return None  # who restarts what does not live must not do so because the database is away

    async def _admit(self, scope: Scope, address: str) -> Principal | None:
        headers = Headers(scope=scope)
        if (scope["method"], scope["path"]) in SIGN_IN_PATHS:
            if scope["method"] not in READING:
                _require_own_page(headers, strict=False)
            return None
        given = headers.getlist("authorization")
        cookie = None if given else cookie_parser(headers.get("cookie", "")).get(COOKIE)
        if not given and cookie is None:
            if scope["path"] in OPEN_PATHS:
                return None
            raise await self._refused(address, Unauthenticated())
        if cookie is not None:
            principal = await self._look_up(scope, "session", cookie)
            if principal is None:
                raise await self._refused(address, Unauthenticated("You are no longer signed in; sign in again.", known=True))
            if scope["method"] not in READING:
                _require_own_page(headers, strict=True)
            return principal
        match = _BEARER.fullmatch(given[0].strip()) if len(given) == 1 else None
        if match is None:
            raise await self._refused(address, Unauthenticated())
        principal = await self._look_up(scope, "token", match[1])
        if principal is None:
            detail = "This token is unknown, has ended or was revoked; `tirta token create` makes a new one."
            raise await self._refused(address, Unauthenticated(detail, known=True))
        return principal

    async def _look_up(self, scope: Scope, kind: str, text: str) -> Principal | None:
        shown = (kind, text)
        scope["state"]["again"] = partial(self._vouching.again, shown)  # for what lasts: is the caller still let in?
        if kind == "session":
            scope["state"]["session"] = text
        return (await run_in_threadpool(self._check, [shown])).get(shown)

    async def _refused(self, address: str, error: ApiError) -> ApiError:
        try:
            self._limits.ask(STRANGER + network_of(address), "refused")
        except TooManyRequests as exc:
            return exc
        return error


def _sort(scope: Scope, principal: Principal | None) -> str:
    if principal is None:
        return "read" if scope["path"] in OPEN_PATHS else "sign-in"
    return "read" if scope["method"] in READING else "write"


def _telling(limited: Limited, send: Send) -> Send:
    async def send_with_limits(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(limited.headers)
        await send(message)

    return send_with_limits


def _require_own_page(headers: Headers, *, strict: bool) -> None:
    """Refuse what another site's page made a browser send.

    Parameters
    ----------
    strict : bool
        Also refuse what does not say where it comes from: a browser always does.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        if site != "same-origin":
            raise CrossSite
        return
    origin = headers.get("origin")
    if origin is None and not strict:
        return
    # The scheme is not compared: a proxy with TLS before us speaks plainly with us, and the cookie is Secure.
    if origin is None or origin.partition("://")[2].lower() != headers.get("host", "").lower():
        raise CrossSite


def _optional_caller(request: Request) -> Principal | None:
    principal: Principal | None = request.state.principal
    return principal


def _caller(request: Request) -> Principal:
    principal: Principal | None = request.state.principal
    if principal is None:
        raise Unauthenticated
    return principal


def _reason(request: Request) -> str:
    return unquote(request.headers.get(REASON, ""), errors="replace")[:MAX_WHY]


def _trail(request: Request) -> Trail:
    wall: Clock = request.app.state.services.wall
    return Trail.of(_caller(request), wall.now_ms(), request.state.address, _reason(request))


def _strangers_trail(request: Request) -> Trail:
    wall: Clock = request.app.state.services.wall
    return Trail("stranger", "stranger", wall.now_ms(), request.state.address, _reason(request))


Caller = Annotated[Principal, Depends(_caller)]
OptionalCaller = Annotated[Principal | None, Depends(_optional_caller)]
CallersTrail = Annotated[Trail, Depends(_trail)]
"""Who changes something, from where and why."""
StrangersTrail = Annotated[Trail, Depends(_strangers_trail)]
"""The same of who has yet to say who they are."""
