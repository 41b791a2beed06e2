# SPDX-License-Identifier: Apache-2.0
"""Who may ask for what: the one gate before every route.

Invariant: nothing passes without a valid token but the two addresses named here, and nothing is changed without
operator's rights. The gate stands before the routes and knows none of them, so a new route cannot forget it, no body of a
stranger is read, and a stranger does not learn which addresses exist. A token is looked up for each request: once
revoked it is refused at once. An answer without an end asks again by `StillAdmitted`.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated, Final

from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from api.errors import ApiError, Forbidden, Unauthenticated
from api.problems import problem_response
from control import errors as control_errors
from control import tokens
from control.database import Database
from control.tokens import Principal

__all__ = ["OPEN_PATHS", "Caller", "Gate", "OptionalCaller", "StillAdmitted", "token_checker"]

OPEN_PATHS: Final = frozenset({"/healthz", "/readyz"})  # answer ok or 503 to anybody, reasons only to a token
READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})  # methods that change nothing
READERS: Final = frozenset({"viewer", "service", "operator"})
CHANGERS: Final = frozenset({"operator"})

_BEARER: Final = re.compile(r"[Bb][Ee][Aa][Rr][Ee][Rr] +([A-Za-z0-9._~+/=-]{1,512})")

TokenCheck = Callable[[str], Principal | None]


def token_checker(database: Database) -> TokenCheck:
    """Return a function that looks a token up in the control database."""

    def look_up(token: str) -> Principal | None:
        with database.reader() as session:
            return tokens.check(session, token)

    return look_up


class Gate:
    """Let through who has the rights; turn away the rest.

    Parameters
    ----------
    app : ASGI application
        What lies behind; it finds the caller in `request.state.principal`, and in `request.state.still_admitted` how to ask
        whether the token is valid still.
    check_token : callable
        Returns whose token it is, or None; called in a thread.
    """

    def __init__(self, app: ASGIApp, check_token: TokenCheck) -> None:
        self._app = app
        self._check_token = check_token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            state = scope.setdefault("state", {})
            state["principal"] = await self._admit(scope)
            state["still_admitted"] = partial(
                self._still_admitted, {name: scope[name] for name in ("method", "path", "headers")}
            )
        except ApiError as exc:
            await problem_response(exc.status, exc.detail, headers=exc.headers)(scope, receive, send)
            return
        except control_errors.DatabaseUnavailable:
            detail = "The control database cannot answer now; try again shortly."
            await problem_response(503, detail, headers={"retry-after": "5"})(scope, receive, send)
            return
        await self._app(scope, receive, send)

    async def _still_admitted(self, scope: Scope) -> bool:
        try:
            return await self._admit(scope) is not None
        except (ApiError, control_errors.DatabaseUnavailable):
            return False  # whom nobody can vouch for comes again and is told why

    async def _admit(self, scope: Scope) -> Principal | None:
        given = Headers(scope=scope).getlist("authorization")
        if not given and scope["path"] in OPEN_PATHS:
            return None
        match = _BEARER.fullmatch(given[0].strip()) if len(given) == 1 else None
        if match is None:
            raise Unauthenticated
        principal = await run_in_threadpool(self._check_token, match[1])
        if principal is None:
            raise Unauthenticated("This token is unknown or was revoked; `tirta token create` makes a new one.", known=True)
        allowed = READERS if scope["method"] in READING else CHANGERS
        if principal.rights not in allowed:
            raise Forbidden
        return principal


def _optional_caller(request: Request) -> Principal | None:
    principal: Principal | None = request.state.principal
    return principal


def _caller(request: Request) -> Principal:
    principal: Principal | None = request.state.principal
    if principal is None:
        raise Unauthenticated
    return principal


def _still_admitted(request: Request) -> Callable[[], Awaitable[bool]]:
    ask: Callable[[], Awaitable[bool]] = request.state.still_admitted
    return ask


Caller = Annotated[Principal, Depends(_caller)]
OptionalCaller = Annotated[Principal | None, Depends(_optional_caller)]
StillAdmitted = Annotated[Callable[[], Awaitable[bool]], Depends(_still_admitted)]
"""Tells, each time it is called, whether the caller's token is valid still; False too where nobody can tell."""
