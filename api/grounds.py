# SPDX-License-Identifier: Apache-2.0
"""What a decision rested on, sorted by what its numbers are: seen, thresholds, calendar."""

from __future__ import annotations

from pydantic import BaseModel, Field

from api.instants import When, format_instant, optional_instant
from control.why import Ground

__all__ = ["GroundAnswer", "ground_answer"]


class SeenAnswer(BaseModel):
    """One thing that the rule saw."""

    name: str = Field(description="What.", examples=["soil_moisture"])
    value: float | bool | str | None = Field(description="What it was; null is not known.", examples=[0.31])
    unit: str | None = Field(description="Its unit, where it has one.", examples=["m3/m3"])
    age_s: float | None = Field(description="How old it was then, of what is measured. [s]", examples=[42.0])


class GroundAnswer(BaseModel):
    """What was decided by the rule, and the numbers it saw."""

    at: When = Field(description="When it was decided.", examples=["2026-11-22T05:00:00Z"])
    rule: str = Field(description="By which rule.", examples=["irrigation"])
    acted: bool = Field(description="Whether an act came of it.", examples=[False])
    reasons: list[str] = Field(description="Why.", examples=[["wet-enough"]])
    planned: When | None = Field(description="The planned moment that it was about.", examples=[None])
    inputs: list[SeenAnswer] = Field(description="What it saw: measured, of the ledger, and what held it.")
    thresholds: dict[str, float | bool | str | None] = Field(
        description="Its parameters: of the schedule, and the zone's own limits.", examples=[{"low": 0.24, "high": 0.3}]
    )
    calendar: dict[str, float | bool | str | None] = Field(description="What the calendar said.", examples=[{"allowed": True}])


def ground_answer(ground: Ground | None) -> GroundAnswer | None:
    """Write what a decision rested on."""
    if ground is None:
        return None
    decision = ground.decision
    return GroundAnswer(
        at=format_instant(decision.at_ms),
        rule=decision.kind,
        acted=decision.acted,
        reasons=list(decision.reasons),
        planned=optional_instant(ground.planned_ms),
        inputs=[SeenAnswer(name=one.name, value=one.value, unit=one.unit, age_s=one.age_s) for one in ground.inputs],
        thresholds=dict(ground.thresholds),
        calendar=dict(ground.calendar),
    )
