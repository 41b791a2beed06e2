# SPDX-License-Identifier: Apache-2.0
"""What a schedule will do in the days to come: `/schedules/preview`."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Final

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.config import JsonDict

from api.access import Caller
from api.bodies import Body
from api.errors import Unavailable
from api.instants import When, format_instant, optional_instant
from api.names import ZoneText, zone_in_body
from api.permissions import require
from api.problems import refusals
from api.schedules import ConflictAnswer, conflict_answer
from api.sentences import Sentence
from api.services import Needs, Services
from control import schedules
from control.access import Permission
from control.controller import ControllerConfig
from control.definitions import Definition
from control.preview import Preview, Wanted, preview
from control.preview_difference import Difference, compare
from control.preview_run import Foreshown
from control.sentences import sentences
from control.sentences.previews import assumptions

__all__ = ["router"]

router = APIRouter(prefix="/schedules", tags=["schedules"])

DAYS_MAX: Final = 14
_TIMER: Final[JsonDict] = {"type": "timer", "starts": [{"time": "05:30", "litres": 60.0}], "litres_day": 200.0}


class PreviewRequest(Body):
    """A saved schedule, with another definition or as it is; or one that is not saved, of a zone."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"zone": "taman-kota:bedeng-1:1", "definition": _TIMER},
                {"schedule": "01KAQZ7J5RT0M3Q4W1D0V6B3NM", "days": 7},
            ]
        }
    )

    schedule: Annotated[str, Field(max_length=200)] | None = Field(
        default=None, description="Id of a saved schedule; or say `zone`.", examples=["01KAQZ7J5RT0M3Q4W1D0V6B3NM"]
    )
    zone: ZoneText | None = Field(
        default=None, description="Id of the zone; or say `schedule`.", examples=["taman-kota:bedeng-1:1"]
    )
    definition: Definition | None = Field(
        default=None, description="What is to be done; of a saved schedule, instead of what it says.", examples=[_TIMER]
    )
    days: int = Field(default=DAYS_MAX, ge=1, le=DAYS_MAX, description="How many from now on. [d]", examples=[14])

    @model_validator(mode="after")
    def _one_thing(self) -> PreviewRequest:
        if (self.schedule is None) == (self.zone is None):
            raise ValueError("say schedule or zone, one of them")
        if self.schedule is None and self.definition is None:
            raise ValueError("with zone goes a definition")
        return self


class PreviewAct(BaseModel):
    """An act as it is foreseen."""

    id: str | None = Field(
        description="The id that it will have; null where the schedule is not saved.", examples=["01KAQZ7J5RT0M3Q4W1D0V6B3NM"]
    )
    zone: str = Field(description="Id of the zone.", examples=["taman-kota:bedeng-1:1"])
    planned: When = Field(description="The planned moment.", examples=["2026-11-22T21:30:00Z"])
    runs: bool = Field(description="Whether it will be done; if not, `reasons` say why.", examples=[True])
    start: When | None = Field(description="When it begins; null where it does not.", examples=["2026-11-22T21:30:00Z"])
    end: When | None = Field(description="When it ends.", examples=["2026-11-22T21:35:00Z"])
    seconds: float | None = Field(description="How long. [s]", examples=[300.0])
    litres: float | None = Field(description="Water. [L]", examples=[60.0])
    grams: float | None = Field(description="Feed. [g]", examples=[None])
    reasons: list[str] = Field(description="Why, or why not.", examples=[["run-due"]])
    sentence: Sentence = Field(description="The same in words.")


class PreviewChange(BaseModel):
    """An act that differs from what is in force now."""

    kind: Difference = Field(
        description="`added` and `removed` stand alone, `moved` begins at another time, `amount` gives more or less.",
        examples=["moved"],
    )
    before: PreviewAct | None = Field(description="As it is in force; null where it is added.")
    after: PreviewAct | None = Field(description="As it would be; null where it is removed.")


class PreviewDay(BaseModel):
    """What the zone gets on a day of its site."""

    day: date = Field(description="The day.", examples=["2026-11-23"])
    litres_before: float = Field(description="Water, as it is in force. [L]", examples=[40.0])
    litres: float = Field(description="Water, as it would be. [L]", examples=[60.0])
    grams_before: float = Field(description="Feed, as it is in force. [g]", examples=[0.0])
    grams: float = Field(description="Feed, as it would be. [g]", examples=[0.0])


class Assumption(BaseModel):
    """What is taken for granted."""

    code: str = Field(description="What.", examples=["persistence"])
    sentence: Sentence = Field(description="The same in words.")


class PreviewAnswer(BaseModel):
    """What a schedule will do in [start, end), where what is assumed comes true."""

    zone: str = Field(description="Id of the zone.", examples=["taman-kota:bedeng-1:1"])
    schedule: str | None = Field(
        description="Id of the schedule; null where it is not saved.", examples=["01KAQZ7J5RT0M3Q4W1D0V6B3NM"]
    )
    version: int | None = Field(description="The version that it would have; null where it would not be saved.", examples=[2])
    in_force: bool = Field(description="Whether it is in force as it is; then nothing differs.", examples=[False])
    start: When = Field(description="From when on.", examples=["2026-11-22T05:00:00Z"])
    end: When = Field(description="Up to when.", examples=["2026-12-06T05:00:00Z"])
    assumed: str = Field(
        description="`forecast`, or `persistence`: nothing changes but what is done.",
        json_schema_extra={"enum": ["forecast", "persistence"]},
        examples=["persistence"],
    )
    assumptions: list[Assumption] = Field(description="All that is taken for granted.")
    conflicts: list[ConflictAnswer] = Field(
        description="What conflicts in it; with an `error` it would not be saved, and nothing is foreseen."
    )
    acts: list[PreviewAct] = Field(description="What will be done in the zone, and what of the plan will not, in order.")
    changes: list[PreviewChange] = Field(
        description="What differs from what is in force now, also in zones that share pumps and mains with it."
    )
    by_day: list[PreviewDay] = Field(description="What the zone gets each day, before and after.")


@router.post("/preview", responses=refusals(404, 409, 503))
def preview_schedule(body: PreviewRequest, services: Needs, caller: Caller) -> PreviewAnswer:
    """Foresee up to 14 days of a schedule, saved or not, and what differs from what is in force; nothing is changed."""
    if body.schedule is not None:
        with services.database.reader() as session:
            key = schedules.get_schedule(session, body.schedule).zone_key
        require(services, caller, Permission.SCHEDULE, key.partition(":")[0], "schedule", body.schedule)
    else:
        zone = zone_in_body("zone", body.zone or "")
        require(services, caller, Permission.SCHEDULE, zone.address.site, "zone", zone.key)
        key = zone.key
    if not services.previews.acquire(blocking=False):
        raise Unavailable("As many previews as are made at once are being made; try again shortly.")
    try:
        found = _preview(services, Wanted(key, body.schedule, body.definition), body.days)
    finally:
        services.previews.release()
    return _answer(found)


def _preview(services: Services, wanted: Wanted, days: int) -> Preview:
    return preview(
        services.database,
        services.latest,
        wanted,
        days,
        now_ms=services.clock.now_ms(),
        stale_s=ControllerConfig().stale_s,
        monotonic=services.monotonic,
    )


def _answer(found: Preview) -> PreviewAnswer:
    changes, days = compare(found.before, found.acts, found.zone.key, found.timezone)
    told = assumptions(found)
    kept = {row["id"] for row in found.ground.rows["schedule"]}

    def act(one: Foreshown) -> PreviewAct:
        return _act(one, saved=one.act.origin.removeprefix("schedule:") in kept)

    schedule = found.schedule
    return PreviewAnswer(
        zone=found.zone.key,
        schedule=None if schedule is None or schedule.id not in kept else schedule.id,
        version=None if schedule is None else schedule.version,
        in_force=found.saved,
        start=format_instant(found.start_ms),
        end=format_instant(found.end_ms),
        assumed="forecast" if told[0][0] == "forecast" else "persistence",
        assumptions=[Assumption(code=code, sentence=Sentence(**words)) for code, words in told],
        conflicts=[conflict_answer(one) for one in found.conflicts],
        acts=[act(one) for one in found.acts if one.act.zone_key == found.zone.key],
        changes=[
            PreviewChange(
                kind=change.kind,
                before=None if change.before is None else act(change.before),
                after=None if change.after is None else act(change.after),
            )
            for change in changes
        ],
        by_day=[
            PreviewDay(
                day=one.day,
                litres_before=round(one.litres_before, 3),
                litres=round(one.litres, 3),
                grams_before=round(one.grams_before, 3),
                grams=round(one.grams, 3),
            )
            for one in days
        ],
    )


def _act(one: Foreshown, *, saved: bool) -> PreviewAct:
    act, runs = one.act, one.runs
    return PreviewAct(
        id=act.id if saved else None,
        zone=act.zone_key or "",
        planned=format_instant(act.planned_ms),
        runs=runs,
        start=optional_instant(act.begun_ms) if runs else None,
        end=optional_instant(act.ended_ms) if runs else None,
        seconds=act.seconds,
        litres=act.litres,
        grams=act.grams,
        reasons=[act.reason or "missed"] if one.why is None else list(one.why.reasons),
        sentence=Sentence(**sentences(act if one.why is None else one.why)),
    )
