# SPDX-License-Identifier: Apache-2.0
"""Budgets of water by month, and what was given of them: `/agencies/{agency}/budget`."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from api.access import Caller, CallersTrail
from api.bodies import Body, IfMatch, tagged
from api.names import AgencyId
from api.problems import refusals
from api.services import Needs
from control import budgets, places
from control.budgets import MONTHS, WARNED

__all__ = ["router"]

router = APIRouter(prefix="/agencies/{agency}/budget", tags=["places"])

Litres = Annotated[float, Field(ge=0, le=1e9)]


class Budget(Body):
    """How much water an agency may give, month by month."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"months": [40000, 40000, 45000, 45000, 50000, 55000, 60000, 60000, 55000, 50000, 40000, None]}]
        }
    )

    months: list[Litres | None] = Field(
        min_length=MONTHS, max_length=MONTHS, description="Of January to December, each year; null is no limit. [L]"
    )


class MonthAnswer(BaseModel):
    """How an agency stands this month. What may have been given counts as given, by whomever, at the board too."""

    month: str = Field(description="The month, in the agency's time zone.", examples=["2026-11"])
    budget: float | None = Field(description="What may be given; null is no limit. [L]", examples=[40000.0])
    given: float = Field(description="What was given, or may have been. [L]", examples=[12500.0])
    left: float | None = Field(description="What is left; null is no limit. [L]", examples=[27500.0])
    warning: bool = Field(description="Whether 80 % are given; then there is an alarm.", examples=[False])


class BudgetAnswer(BaseModel):
    """An agency's budget of water."""

    months: list[float | None] = Field(description="Of January to December, each year; null is no limit. [L]")
    now: MonthAnswer = Field(description="How it stands this month.")


@router.get("", responses=refusals(404))
def show_budget(agency: AgencyId, services: Needs, caller: Caller, response: Response) -> BudgetAnswer:
    """Show an agency's budget of water, and what was given of this month's; `ETag` is the agency's version."""
    with services.database.reader() as session:
        tagged(places.get_agency(session, agency, seen_by=caller).version, response)
        months, standing = budgets.get_budget(session, agency), services.controller.standing(session, agency)
    return _answer(months, standing)


@router.put("", responses=refusals(404, 412))
def change_budget(
    agency: AgencyId, body: Budget, services: Needs, trail: CallersTrail, version: IfMatch, response: Response
) -> BudgetAnswer:
    """Replace an agency's budget of water; it holds from the next minute on."""
    with services.database.session() as session:
        months = budgets.set_budget(session, agency, body.months, version=version, trail=trail)
        tagged(places.get_agency(session, agency).version, response)
        standing = services.controller.standing(session, agency)
    return _answer(months, standing)


def _answer(months: budgets.Months, standing: budgets.Standing) -> BudgetAnswer:
    share = standing.share
    now = MonthAnswer(
        month=standing.month,
        budget=standing.budget_l,
        given=standing.given_l,
        left=standing.left_l,
        warning=share is not None and share >= WARNED,
    )
    return BudgetAnswer(months=list(months), now=now)
