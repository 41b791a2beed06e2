# SPDX-License-Identifier: Apache-2.0
"""The HTTP application: every route under one gate, one form of error and one set of header fields."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter, Depends, FastAPI
from fastapi.routing import APIRoute
from starlette.middleware.gzip import DEFAULT_EXCLUDED_CONTENT_TYPES, GZipMiddleware

from api import (
    acts,
    alarms,
    audit,
    budgets,
    certificates,
    configs,
    decisions,
    devices,
    events,
    forecasts,
    gaps,
    health,
    installation,
    people,
    places,
    previews,
    quarantine,
    reports,
    resources,
    schedules,
    series,
    session,
    single_sign_on,
    sites,
    stops,
    suspensions,
    tokens,
    valve_tests,
    why,
    zones,
)
from api.access import Gate
from api.envelope import BodyLimit, Envelope
from api.openapi import describe
from api.permissions import permit
from api.problems import MEDIA_TYPE, handle_problems
from api.queries import refuse_repeated
from api.services import Services
from api.vouching import credential_checker

__all__ = ["PREFIX", "create_app", "make_routes"]

PREFIX: Final = "/api/v1"

GZIP_LEAST: Final = 1_024  # answers shorter than this are not worth compressing [bytes]

# Streams of events would come late; the language of problems is chosen after compression.
_PLAIN: Final = (*DEFAULT_EXCLUDED_CONTENT_TYPES, MEDIA_TYPE)
_NOUNS: Final = (
    session,
    single_sign_on,
    people,
    tokens,
    places,
    budgets,
    sites,
    devices,
    configs,
    certificates,
    gaps,
    resources,
    zones,
    why,
    series,
    previews,
    schedules,
    suspensions,
    acts,
    stops,
    valve_tests,
    decisions,
    forecasts,
    alarms,
    quarantine,
    reports,
    events,
    audit,
    installation,
)


def create_app(services: Services) -> FastAPI:
    """Return the application; it opens nothing and starts nothing.

    Parameters
    ----------
    services : Services
        What it needs; owned, and closed after it, by who made it. Closing the feed ends every stream of events.
    """
    app = make_routes(services.version)
    app.state.services = services
    # The one added last stands outermost.
    app.add_middleware(BodyLimit)
    app.add_middleware(GZipMiddleware, minimum_size=GZIP_LEAST, compresslevel=1, exclude_content_types=_PLAIN)
    check = credential_checker(services.database, services.sessions, services.wall)
    app.add_middleware(Gate, check=check, limits=services.rates)
    app.add_middleware(Envelope)
    return app


def make_routes(version: str) -> FastAPI:
    """Return the application with its routes and what stands behind the gate, for who only wants its description."""
    app = FastAPI(
        title="Tirta",
        version=version,
        openapi_url=None,  # served below, behind the gate
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=_operation_id,
    )
    handle_problems(app)
    every = [Depends(permit)]
    app.include_router(health.router, dependencies=every)
    version_1 = APIRouter(prefix=PREFIX, dependencies=[Depends(refuse_repeated)])
    for noun in _NOUNS:
        version_1.include_router(noun.router)
    app.include_router(version_1, dependencies=every)

    @app.get("/openapi.json", include_in_schema=False, dependencies=every)
    def show_openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = describe(app, version)
        return app.openapi_schema

    return app


def _operation_id(route: APIRoute) -> str:
    return route.name
