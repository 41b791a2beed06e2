# SPDX-License-Identifier: Apache-2.0
"""The API's description: `/openapi.json`.

Invariant: every answer that a route can give is described, with its media type; what all routes share is written here once.
"""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api.access import COOKIE, OPEN_PATHS, SIGN_IN_PATHS
from api.problems import Problem, refusals

__all__ = ["describe"]

_DESCRIPTION: Final = """\
Watch and steer Tirta's sites, devices, beds and ponds.

Every request carries a token, `Authorization: Bearer <token>` (`tirta token create` makes one), or the cookie of a session
(`POST /api/v1/session`). What the caller's roles do not let see is not found. `X-Reason` with a change says why, for the audit
trail. What may be changed has an `ETag`: with `If-Match` nobody's change is lost. Lists are
`{"items": [...], "next": null}`: ask again with `after` set to `next`. Instants are RFC 3339, answered in UTC.
Ids in paths are `{site}`, `{site}:{device}` and `{site}:{device}:{zone}`. Every error is a problem by RFC 9457.
"""

_TAGS: Final = (
    ("session", "Signing in and out."),
    ("people", "Who signs in, and what they may do."),
    ("tokens", "What programs sign in with."),
    ("places", "Cities and their agencies."),
    ("sites", "Places with one time zone, each of one agency."),
    ("devices", "Field devices and their credentials."),
    ("zones", "Beds and ponds, their latest values and parameters."),
    ("series", "Measurements over time."),
    ("schedules", "What is to be done in a zone, and when."),
    ("acts", "What was planned, sent and done."),
    ("decisions", "Why something was done, or was not."),
    ("reports", "What a day came to."),
    ("quarantine", "What devices sent and could not be taken."),
    ("events", "What happens, as it happens."),
    ("audit", "Who changed and did what."),
    ("platform", "Clock and catalogue."),
    ("health", "Is it up, and what does it count."),
)


def describe(app: FastAPI, version: str) -> dict[str, Any]:
    """Return the OpenAPI description of the application's routes."""
    schema = get_openapi(
        title="Tirta",
        version=version,
        description=_DESCRIPTION,
        routes=app.routes,
        tags=[{"name": name, "description": text} for name, text in _TAGS],
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    components = schema.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(problem.pop("$defs", {}))
    schemas["Problem"] = problem
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    components["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer", "description": "Made by `tirta token create`."},
        "session": {"type": "apiKey", "in": "cookie", "name": COOKIE, "description": "Set by `POST /api/v1/session`."},
    }
    schema["security"] = [{"token": []}, {"session": []}]
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            _complete(path, method.upper(), operation)
    return schema


def _complete(path: str, method: str, operation: dict[str, Any]) -> None:
    """Add the problems that do not depend on the route itself."""
    codes = [401, 403, 429, 503]
    if path.startswith("/api/"):
        codes.append(422)  # a parameter given twice, known or not
    if "requestBody" in operation:
        codes.append(413)
    responses = operation["responses"]
    responses.pop("422", None)
    responses.update({str(code): text for code, text in refusals(*codes).items() if str(code) not in responses})
    if path in OPEN_PATHS:
        operation["security"] = [{}, {"token": []}, {"session": []}]
    elif (method, path) in SIGN_IN_PATHS:
        operation["security"] = [{}]
