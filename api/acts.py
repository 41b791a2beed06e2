# SPDX-License-Identifier: Apache-2.0
"""What was planned, sent and done: `/acts`, and stopping a zone or a whole device.

Invariant: a request with an `Idempotency-Key` that was seen before is answered with the act that it made then, as that
stands now.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from api.access import Caller, CallersTrail
from api.bodies import Body, IdempotencyKey
from api.grounds import GroundAnswer, ground_answer
from api.instants import When, format_instant, optional_instant
from api.names import DeviceId, RecordId, ZoneId, ZoneText, zone_in_body
from api.pages import Listing, Page, Sort
from api.permissions import require
from api.problems import refusals
from api.sentences import Sentence
from api.services import Needs, Services
from control import ledger
from control.access import Permission, Principal
from control.proof import VERDICTS
from control.records import Act, Transition
from control.requests import LONGEST_WHY, SHORTEST_WHY
from control.sentences import proof_sentences, sentences
from control.settling import Settlement
from control.states import STATES
from control.why import ActWhy, why_act

__all__ = ["ActDetail", "act_detail", "router"]

router = APIRouter(tags=["acts"])

_STATES: Final[list[JsonValue]] = list(STATES)
_VERDICTS: Final[list[JsonValue]] = list(VERDICTS)


class NewAct(Body):
    """An act asked for by hand; the zone's limits and the day's budget hold for it too."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"zone": "taman-kota:bedeng-1:1", "action": "irrigate", "seconds": 120},
                {"zone": "taman-kota:kolam-1:1", "action": "feed", "grams": 50},
            ]
        }
    )

    zone: ZoneText = Field(description="Id of the zone.", examples=["taman-kota:bedeng-1:1"])
    action: Literal["irrigate", "feed", "aerate"] = Field(description="What to do.", examples=["irrigate"])
    seconds: float | None = Field(default=None, gt=0, le=86400, description="How long. [s]", examples=[120.0])
    litres: float | None = Field(default=None, gt=0, le=1e6, description="How much water. [L]", examples=[None])
    grams: float | None = Field(default=None, gt=0, le=1e6, description="How much feed. [g]", examples=[None])
    override: str | None = Field(
        default=None,
        min_length=SHORTEST_WHY,
        max_length=LONGEST_WHY,
        description="Why it may go beyond what is left of the day or the month; takes the permission `override`. Left out, it "
        "may not. The longest run and the device's own limits of the day hold all the same.",
        examples=[None],
    )


class Seen(Body):
    """How an act of unknown end ended, as a person saw it."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"state": "done", "litres": 80, "reason": "Meteran air: 80 L, tanah basah"}]}
    )

    state: Literal["done", "failed", "indeterminate"] = Field(
        description="`done`; `failed` where nothing came of it; `indeterminate` where nobody can tell: it counts as given.",
        examples=["done"],
    )
    reason: str = Field(min_length=3, max_length=200, description="How it is known.", examples=["Tanah basah"])
    seconds: float | None = Field(default=None, ge=0, le=86400, description="How long it ran. [s]", examples=[None])
    litres: float | None = Field(
        default=None,
        ge=0,
        le=1e6,
        description="How much water came; of a done act, null is what was asked for. [L]",
        examples=[80],
    )
    grams: float | None = Field(default=None, ge=0, le=1e6, description="How much feed; null likewise. [g]", examples=[None])


class Amounts(BaseModel):
    """How much; null where nothing was said."""

    seconds: float | None = Field(description="Duration. [s]", examples=[120.0])
    litres: float | None = Field(description="Water. [L]", examples=[17.0])
    grams: float | None = Field(description="Feed. [g]", examples=[None])


class ActProof(BaseModel):
    """Whether an act had its effect, by what was measured."""

    verdict: str = Field(description="The verdict.", json_schema_extra={"enum": _VERDICTS}, examples=["proved"])
    finding: str | None = Field(
        description="What speaks against it, or why nothing can be said; see docs/proof.md.", examples=[None]
    )
    judged: When | None = Field(description="When it was judged.", examples=["2026-11-22T05:04:01Z"])
    numbers: dict[str, float] = Field(
        description="What it rests on, each named with its unit.", examples=[{"expected_l": 17.0, "measured_l": 16.8}]
    )
    sentence: Sentence = Field(description="The same in words.")


class ActAnswer(BaseModel):
    """One physical act, or a stop."""

    id: str = Field(description="Names this act for ever.", examples=["01KAQZ7J5RT0M3Q4W1D0V6B3NM"])
    device: str = Field(description="Id of the device.", examples=["taman-kota:bedeng-1"])
    zone: str | None = Field(description="Id of the zone; null is every zone.", examples=["taman-kota:bedeng-1:1"])
    action: str = Field(description="What to do.", examples=["irrigate"])
    origin: str = Field(
        description="`schedule:{id}`, `manual`, or `device` for what was done at the board.", examples=["manual"]
    )
    version: int = Field(description="Version of the schedule that it follows.", examples=[1])
    actor: str = Field(description="Who asked for it.", examples=["controller"])
    state: str = Field(description="How it stands.", json_schema_extra={"enum": _STATES}, examples=["done"])
    reason: str | None = Field(description="Why it ended so, or for what it is held.", examples=[None])
    amount: Amounts = Field(description="What was asked for.")
    max_seconds: int | None = Field(description="When the device ends it by itself. [s]", examples=[660])
    part: int = Field(description="Which of the acts in which its run goes, from 1 on.", examples=[1])
    parts: int = Field(description="In how many acts its run goes: 1, or its cycles.", examples=[1])
    result: Amounts = Field(description="What was truly done, as the device says.")
    n: int | None = Field(description="Its number at the device, once sent.", examples=[412])
    planned: When = Field(description="The planned moment.", examples=["2026-11-22T05:00:00Z"])
    issued: When = Field(description="When it was put into the ledger.", examples=["2026-11-22T05:00:00Z"])
    expires: When = Field(description="The last instant at which it may begin.", examples=["2026-11-22T05:05:00Z"])
    sent: When | None = Field(description="When it was last handed over.", examples=["2026-11-22T05:00:00Z"])
    begun: When | None = Field(description="When it began.", examples=["2026-11-22T05:00:01Z"])
    ended: When | None = Field(description="When it ended.", examples=["2026-11-22T05:02:01Z"])
    override: str | None = Field(description="Why it may go beyond a budget, in the words of `actor`.", examples=[None])
    beyond: list[Literal["day", "month", "device"]] = Field(
        description="Which budgets it goes beyond; `device`: its own of the day too, so it ends or refuses the act.",
        examples=[[]],
    )
    proof: ActProof | None = Field(
        description="Whether water or feed moved; null where nothing moves, or as long as it is not judged."
    )
    sentence: Sentence = Field(description="The same in words.")


class Step(BaseModel):
    """An act's step from one state to the next."""

    at: When = Field(description="When.", examples=["2026-11-22T05:00:01Z"])
    before: str | None = Field(description="State before; null at first.", examples=["sent"])
    state: str = Field(description="State after.", examples=["running"])
    cause: str = Field(description="Why.", examples=["ack"])
    actor: str = Field(description="By whom.", examples=["device"])


class ActDetail(ActAnswer):
    """The same with every step it took, and why."""

    transitions: list[Step] = Field(description="Its steps, in order.")
    why: Sentence = Field(description="What, where, when, how it stands and why, in one sentence.")
    ground: GroundAnswer | None = Field(
        description="What its rule decided, and on what; null for what people asked for, and where it is not kept any more."
    )


class ActFilter(Page):
    """Which acts are wanted."""

    zone: ZoneText | None = Field(default=None, description="Only of this zone.", examples=["taman-kota:bedeng-1:1"])
    device: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9_-]{1,64}:[a-z0-9_-]{1,64}$",
        description="Only of this device: `{site}:{device}`.",
        examples=["taman-kota:bedeng-1"],
    )
    state: str | None = Field(
        default=None,
        max_length=20,
        description="Only in this state.",
        json_schema_extra={"enum": [*_STATES, None]},
        examples=["done"],
    )
    verdict: str | None = Field(
        default=None,
        max_length=20,
        description="Only with this verdict on their effect.",
        json_schema_extra={"enum": [*_VERDICTS, None]},
        examples=["disproved"],
    )
    sort: str | None = Sort("planned")


@router.get("/acts")
def list_acts(services: Needs, caller: Caller, request: Annotated[ActFilter, Query()]) -> Listing[ActAnswer]:
    """List acts, the latest planned first unless told otherwise."""
    zone = None if request.zone is None else zone_in_body("zone", request.zone).key
    with services.database.reader() as session:
        acts, after = ledger.list_acts(
            session,
            zone_key=zone,
            device_key=request.device,
            state=request.state,
            verdict=request.verdict,
            seen_by=caller,
            sort=request.sort,
            limit=request.limit,
            after=request.after,
        )
    return Listing(items=[ActAnswer(**_plain(act)) for act in acts], next=after)


@router.post("/acts", status_code=201, responses=refusals(404, 409))
async def request_act(
    body: NewAct,
    services: Needs,
    caller: Caller,
    trail: CallersTrail,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> ActAnswer:
    """Ask for an act by hand; it is in the ledger when this answers, and follows its states from there."""
    zone = zone_in_body("zone", body.zone)
    await run_in_threadpool(require, services, caller, Permission.ACTUATE, zone.address.site, "zone", zone.key)
    if body.override is not None:
        await run_in_threadpool(require, services, caller, Permission.OVERRIDE, zone.address.site, "zone", zone.key)
    act = await services.controller.request_act(
        zone.key,
        body.action,
        seconds=body.seconds,
        litres=body.litres,
        grams=body.grams,
        actor=caller.name,
        idempotency_key=idempotency_key,
        override=body.override,
        trail=trail,
    )
    return _located(act, response)


@router.get("/acts/{record}", responses=refusals(404))
def show_act(record: RecordId, services: Needs, caller: Caller) -> ActDetail:
    """Show one act with every step it took, and why."""
    _allowed(record, services, caller, Permission.SEE)
    with services.database.reader() as session:
        return act_detail(why_act(session, record, services.clock.now_ms()))


@router.post("/acts/{record}/stop", responses=refusals(404, 409))
async def stop_act(record: RecordId, services: Needs, caller: Caller, trail: CallersTrail) -> ActAnswer:
    """Stop one act: withdraw it where it waits, release it where its end is unknown, else stop its zone."""
    await run_in_threadpool(_allowed, record, services, caller, Permission.STOP)
    return ActAnswer(**_plain(await services.controller.stop_act(record, actor=caller.name, trail=trail)))


@router.post("/acts/{record}/settle", responses=refusals(404, 409))
async def settle_act(record: RecordId, body: Seen, services: Needs, caller: Caller, trail: CallersTrail) -> ActAnswer:
    """Tell how an act of unknown end ended, as you saw it; the device's own word, should it still come, wins."""
    await run_in_threadpool(_allowed, record, services, caller, Permission.ACTUATE)
    seen = Settlement(body.state, body.reason, body.seconds, body.litres, body.grams)
    return ActAnswer(**_plain(await services.controller.settle_act(record, seen, actor=caller.name, trail=trail)))


@router.post("/zones/{zone}/stop", status_code=201, responses=refusals(404))
async def stop_zone(
    zone: ZoneId,
    services: Needs,
    caller: Caller,
    trail: CallersTrail,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> ActAnswer:
    """Stop a zone: what waits is withdrawn, what runs is told to end. The answer is the stop, an act of its own."""
    act = await services.controller.stop(zone.key, actor=caller.name, idempotency_key=idempotency_key, trail=trail)
    return _located(act, response)


@router.post("/devices/{device}/stop", status_code=201, responses=refusals(404))
async def stop_device(
    device: DeviceId,
    services: Needs,
    caller: Caller,
    trail: CallersTrail,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> ActAnswer:
    """Stop every zone of a device. The answer is the stop, an act of its own."""
    act = await services.controller.stop(device.key, actor=caller.name, idempotency_key=idempotency_key, trail=trail)
    return _located(act, response)


def _allowed(record: str, services: Services, caller: Principal, permission: Permission) -> Act:
    with services.database.reader() as session:
        act = ledger.get_act(session, record)
    require(services, caller, permission, act.device_key.partition(":")[0], "act", record)
    return act


def _located(act: Act, response: Response) -> ActAnswer:
    response.headers["location"] = f"/api/v1/acts/{act.id}"
    return ActAnswer(**_plain(act))


def act_detail(why: ActWhy) -> ActDetail:
    """Write an act with its steps and why."""
    return ActDetail(
        **_plain(why.act),
        transitions=[_step(step) for step in why.steps],
        why=Sentence(**why.sentence),
        ground=ground_answer(why.ground),
    )


def _step(step: Transition) -> Step:
    return Step(at=format_instant(step.at_ms), before=step.before, state=step.state, cause=step.cause, actor=step.actor)


def _plain(act: Act) -> dict[str, Any]:
    return {
        "id": act.id,
        "device": act.device_key,
        "zone": act.zone_key,
        "action": act.action,
        "origin": act.origin,
        "version": act.version,
        "actor": act.actor,
        "state": act.state,
        "reason": act.reason,
        "amount": Amounts(seconds=act.seconds, litres=act.litres, grams=act.grams),
        "part": act.part,
        "parts": act.parts,
        "max_seconds": act.max_seconds,
        "result": Amounts(seconds=act.result_seconds, litres=act.result_litres, grams=act.result_grams),
        "n": act.n,
        "planned": format_instant(act.planned_ms),
        "issued": format_instant(act.issued_ms),
        "expires": format_instant(act.expires_ms),
        "sent": optional_instant(act.sent_ms),
        "begun": optional_instant(act.begun_ms),
        "ended": optional_instant(act.ended_ms),
        "override": act.override,
        "beyond": (act.beyond or "").split(),
        "proof": _proof(act),
        "sentence": Sentence(**sentences(act)),
    }


def _proof(act: Act) -> ActProof | None:
    if act.verdict is None:
        return None
    numbers = dict(act.proof or {})
    finding, judged_ms = numbers.pop("finding", None), numbers.pop("judged_ms", None)
    return ActProof(
        verdict=act.verdict,
        finding=finding,
        judged=optional_instant(judged_ms),
        numbers=numbers,
        sentence=Sentence(**proof_sentences(act)),
    )
