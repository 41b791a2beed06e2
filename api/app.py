# SPDX-License-Identifier: Apache-2.0
"""The HTTP application: every route under one gate, one form of error and one set of header fields."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter, Depends, FastAPI
from fastapi.routing import APIRoute

from api import acts, decisions, devices, events, gaps, health, installation, quarantine, schedules, series, sites, zones
from api.access import Gate, token_checker
from api.envelope import BodyLimit, Envelope
from api.openapi import describe
from api.problems import handle_problems
from api.queries import refuse_repeated
from api.services import Services

__all__ = ["PREFIX", "create_app"]

PREFIX: Final = "/api/v1"

_NOUNS: Final = (sites, devices, gaps, zones, series, schedules, acts, decisions, quarantine, events, installation)


def create_app(services: Services) -> FastAPI:
    """Return the application; it opens nothing and starts nothing.

    Parameters
    ----------
    services : Services
        What it needs; owned, and closed after it, by who made it. Closing the feed ends every stream of events.
    """
    app = FastAPI(
        title="Tirta",
        version=services.version,
        openapi_url=None,  # served below, behind the gate
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=_operation_id,
    )
    app.state.services = services
    handle_problems(app)
    # The one added last stands outermost.
    app.add_middleware(BodyLimit)
    app.add_middleware(Gate, check_token=token_checker(services.database))
    app.add_middleware(Envelope)

    app.include_router(health.router)
    version_1 = APIRouter(prefix=PREFIX, dependencies=[Depends(refuse_repeated)])
    for noun in _NOUNS:
        version_1.include_router(noun.router)
    app.include_router(version_1)

    @app.get("/openapi.json", include_in_schema=False)
    def show_openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = describe(app, services.version)
        return app.openapi_schema

    return app


def _operation_id(route: APIRoute) -> str:
    return route.name
