# SPDX-License-Identifier: Apache-2.0
"""Is it up, is it ready, and what does it count: `/healthz`, `/readyz` and `/metrics`.

Invariant: without a token the first two say ok or 503 and nothing else.
"""

from __future__ import annotations

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, Field

from api.access import OptionalCaller
from api.problems import problem_response
from api.services import HealthCheck, Needs
from control.access import Principal

__all__ = ["router"]

router = APIRouter(tags=["health"])


class Part(BaseModel):
    """How one part of the service is."""

    name: str = Field(description="The part.", examples=["journal"])
    ok: bool = Field(description="Whether it does its work.")
    detail: str = Field(description="What is wrong and what to do.")


class Health(BaseModel):
    """How the service is."""

    status: str = Field(description="`ok`; anything else is answered with 503.", examples=["ok"])
    parts: list[Part] | None = Field(default=None, description="With a token: how each part is.")


@router.get("/healthz", response_model=Health, response_model_exclude_none=True)
def is_alive(services: Needs, caller: OptionalCaller) -> Health | Response:
    """Tell whether the service works at all; if not, restart it or look at its disk."""
    return _answer(caller, [check for check in services.health() if check.vital])


@router.get("/readyz", response_model=Health, response_model_exclude_none=True)
def is_ready(services: Needs, caller: OptionalCaller) -> Health | Response:
    """Tell whether every part of the service works."""
    return _answer(caller, list(services.health()))


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"description": "Prometheus text.", "content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def show_metrics(services: Needs) -> Response:
    """Give every counter in Prometheus' text format."""
    return Response(generate_latest(services.metrics), media_type=CONTENT_TYPE_LATEST)


def _answer(caller: Principal | None, checks: list[HealthCheck]) -> Health | Response:
    failing = [check for check in checks if not check.ok]
    if failing:
        fields = tuple((check.name, check.detail) for check in failing) if caller else ()
        return problem_response(503, "Not every part works; with a token this answer says which.", fields=fields)
    parts = [Part(name=check.name, ok=check.ok, detail=check.detail) for check in checks]
    return Health(status="ok", parts=parts if caller else None)
