# SPDX-License-Identifier: Apache-2.0
"""The one body of every error: problem details by RFC 9457, `application/problem+json`.

Invariant: a problem says what was wrong with the request and what to do, and nothing of the inside; what was
unexpected is logged and answered by a bare 500.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.routing import Match

from api.errors import ApiError
from control import errors as control_errors
from control.definitions import ZONE_TYPE_OF
from gateway import GatewayError
from ingest.errors import IngestError
from ingest.store.errors import StoreError, StoreRejected

__all__ = ["MEDIA_TYPE", "FieldError", "Problem", "handle_problems", "problem_response", "refusals"]

MEDIA_TYPE: Final = "application/problem+json"
ERRORS_MAX: Final = 50  # wrong fields named in one answer
DETAIL_MAX: Final = 1_000  # characters of one detail

_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

_log = logging.getLogger(__name__)

# RFC 9110's words, which Python has from 3.13 on.
_TITLES: Final = {413: "Content Too Large", 422: "Unprocessable Content"}

_MEANINGS: Final = {
    401: "Not signed in, and no token, or one that is not valid (any longer).",
    403: "The caller's roles do not allow this.",
    404: "There is no such thing, or the caller may not see it.",
    409: "The request contradicts what is there.",
    412: "It was changed since the version in `If-Match`.",
    413: "The body is larger than 1 MiB.",
    422: "Something in the request is wrong; `errors` names the fields.",
    429: "Too many requests, or too many failed attempts to sign in.",
    503: "Part of the service cannot answer now; try again later.",
}


class FieldError(BaseModel):
    """A field of the request that is wrong."""

    field: str = Field(description="Name of the field; a dot leads into an object or list.", examples=["meals.0.grams"])
    detail: str = Field(description="What is wrong with it.", examples=["Input should be greater than 0"])


class Problem(BaseModel):
    """Problem details (RFC 9457)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "about:blank",
                    "title": "Unprocessable Content",
                    "status": 422,
                    "detail": "limit: Input should be less than or equal to 1000",
                    "errors": [{"field": "limit", "detail": "Input should be less than or equal to 1000"}],
                }
            ]
        }
    )

    type: str = Field(description="Always `about:blank`: the status says what sort of problem it is.")
    title: str = Field(description="The status in words.")
    status: int = Field(description="The HTTP status code.")
    detail: str = Field(description="What was wrong and what to do about it.")
    errors: list[FieldError] | None = Field(default=None, description="With 422: the fields that are wrong.")


def problem_response(
    status: int,
    detail: str,
    *,
    fields: Sequence[tuple[str, str]] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Answer with a problem."""
    title = _TITLES.get(status) or HTTPStatus(status).phrase
    body: dict[str, Any] = {"type": "about:blank", "title": title, "status": status, "detail": _clean(detail)}
    if fields:
        body["errors"] = [{"field": _clean(field), "detail": _clean(text)} for field, text in fields[:ERRORS_MAX]]
    return Response(msgspec.json.encode(body), status, headers=dict(headers or {}), media_type=MEDIA_TYPE)


def refusals(*codes: int) -> dict[int | str, dict[str, Any]]:
    """Return the documentation of the problems that a route may answer with."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {code: {"description": _MEANINGS[code], "content": {MEDIA_TYPE: {"schema": schema}}} for code in codes}


def handle_problems(app: FastAPI) -> None:
    """Make every known error of the application a problem."""
    app.add_exception_handler(ApiError, _api_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(control_errors.ControlError, _control_error)
    app.add_exception_handler(StoreError, _store_error)
    app.add_exception_handler(IngestError, _ingest_error)
    app.add_exception_handler(GatewayError, _broker_error)


async def _api_error(_: Request, exc: Exception) -> Response:
    assert isinstance(exc, ApiError)
    return problem_response(exc.status, exc.detail, fields=exc.fields, headers=exc.headers)


async def _http_error(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)
    if exc.status_code == 400:
        # The framework's word for a body that no JSON reader takes: bad UTF-8, endless digits, bottomless nesting.
        detail = "the body cannot be read as JSON in UTF-8"
        return problem_response(422, detail, fields=(("body", detail),))
    detail = exc.detail
    if exc.status_code == 404:
        detail = "There is nothing at this address; /openapi.json lists what there is."
    elif exc.status_code == 405:
        allowed = ", ".join(_allowed(request))
        detail = f"This address does not take that method; it takes {allowed}."
        return problem_response(405, detail, headers={"allow": allowed})
    return problem_response(exc.status_code, detail, headers=exc.headers)


def _allowed(request: Request) -> list[str]:
    """Return the methods of all routes of the address; the exception names only those of the first (RFC 9110, 10.2.1)."""
    asked = {name: request.scope[name] for name in ("type", "path", "root_path", "headers")}
    return [
        method
        for method in _METHODS
        if any(route.matches({**asked, "method": method})[0] is Match.FULL for route in request.app.routes)
    ]


async def _validation_error(_: Request, exc: Exception) -> Response:
    assert isinstance(exc, RequestValidationError)
    fields = tuple(_fields(exc.errors()))
    return problem_response(422, "; ".join(f"{field}: {text}" for field, text in fields[:3]), fields=fields)


async def _control_error(request: Request, exc: Exception) -> Response:
    if isinstance(exc, control_errors.NotFound):
        return problem_response(404, str(exc))
    if isinstance(exc, control_errors.Stale):
        return problem_response(412, str(exc), headers={"etag": f'"{exc.version}"'})
    if isinstance(exc, control_errors.NotAllowed):
        return problem_response(403, str(exc))
    if isinstance(exc, control_errors.WrongCredentials):
        return problem_response(401, str(exc), headers={"www-authenticate": 'Bearer realm="tirta"'})
    if isinstance(exc, control_errors.TooManyTries):
        return problem_response(429, str(exc), headers={"retry-after": str(exc.retry_after_s)})
    if isinstance(exc, control_errors.Conflict):
        return problem_response(409, str(exc))
    if isinstance(exc, control_errors.Invalid):
        return problem_response(422, f"{exc.field}: {exc.detail}", fields=((exc.field, exc.detail), *exc.more))
    if isinstance(exc, control_errors.PreviewTooLong):
        return _unavailable(request, exc, str(exc))
    if isinstance(exc, control_errors.SignOnUnavailable):
        return _unavailable(request, exc, "The single sign-on cannot answer now; try again shortly, or use a password.")
    if isinstance(exc, control_errors.NotWritten):
        return _unavailable(request, exc, str(exc))
    if isinstance(exc, control_errors.DatabaseUnavailable):
        return _unavailable(request, exc, "The control database cannot answer now; try again shortly.")
    raise exc


async def _store_error(request: Request, exc: Exception) -> Response:
    if isinstance(exc, StoreRejected):
        return problem_response(422, exc.detail or str(exc))
    return _unavailable(request, exc, "The series store cannot answer now; try again shortly.")


async def _ingest_error(request: Request, exc: Exception) -> Response:
    return _unavailable(request, exc, "The journal or the quarantine does not take this now; /readyz with a token says why.")


async def _broker_error(request: Request, exc: Exception) -> Response:
    return _unavailable(request, exc, "The broker cannot be told now; try again shortly.")


def _unavailable(request: Request, exc: Exception, detail: str) -> Response:
    _log.warning("%s %s: %s", request.method, request.url.path, exc, extra={"action": "answer_unavailable"})
    return problem_response(503, detail, headers={"retry-after": "5"})


def _fields(errors: Iterable[Mapping[str, Any]]) -> Iterable[tuple[str, str]]:
    for error in errors:
        where, *path = error["loc"]
        if error["type"] == "json_invalid":
            yield "body", f"the body is not JSON: {error['ctx']['error']} at character {path[0]}"
            continue
        if len(path) > 1 and path[0] == "definition" and path[1] in ZONE_TYPE_OF:
            del path[1]  # the validator's note on which sort of definition it read
        if error["type"].startswith("union_tag"):
            path.append(str(error["ctx"]["discriminator"]).strip("'"))
        name = ".".join(str(part) for part in path) or str(where)
        yield name, str(error["msg"]).removeprefix("Value error, ")


def _clean(text: str) -> str:
    """Return the text as UTF-8 can carry it: half a surrogate pair out of a JSON escape would stop the answer."""
    return text[:DETAIL_MAX].encode("utf-8", "replace").decode("utf-8")
