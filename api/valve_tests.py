# SPDX-License-Identifier: Apache-2.0
"""Tests of valves: `/valve-tests`, begun at a site or a device."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, Field

from api.access import Caller, CallersTrail
from api.acts import Amounts
from api.bodies import IdempotencyKey
from api.instants import When, format_instant, optional_instant
from api.names import DeviceId, RecordId, SiteId
from api.pages import Listing, Page, Sort
from api.permissions import require
from api.problems import refusals
from api.services import Needs, Services
from control import valve_tests
from control.access import Permission, Principal
from control.records import Act
from control.valve_tests import ValveTest
from gateway.topics import NAME_PATTERN

__all__ = ["router"]

router = APIRouter(tags=["acts"])


class ValveTestAnswer(BaseModel):
    """A test of valves: each is opened for some seconds, one after the other."""

    id: str = Field(description="Id of the test.", examples=["01KAQZ7J5RT0M3Q4W1D0V6B3NM"])
    site: str = Field(description="Name of its site.", examples=["taman-kota"])
    seconds: float = Field(description="How long each valve is open. [s]", examples=[10.0])
    zones: int = Field(description="How many valves.", examples=[4])
    actor: str = Field(description="Who began it.", examples=["ani"])
    state: Literal["running", "done", "stopped"] = Field(description="How it stands.", examples=["done"])
    begun: When = Field(description="When it began.", examples=["2026-11-22T05:00:00Z"])
    ended: When | None = Field(description="When it ended.", examples=["2026-11-22T05:01:00Z"])
    stopped_by: str | None = Field(description="Who stopped it.", examples=[None])


class ValveAnswer(BaseModel):
    """One valve of a test."""

    zone: str = Field(description="Id of its zone.", examples=["taman-kota:bedeng-1:1"])
    act: str | None = Field(
        description="Id of its act; null while its turn has not come.", examples=["01KAQZ7J5RT0M3Q4W1D0V6B3NM"]
    )
    state: str | None = Field(description="How its act stands.", examples=["done"])
    reason: str | None = Field(description="Why it ended so.", examples=[None])
    result: Amounts | None = Field(description="What was truly done, as the device says.")


class ValveTestDetail(ValveTestAnswer):
    """The same with every valve, in the order of their turns."""

    valves: list[ValveAnswer] = Field(description="Its valves.")


class ValveTestFilter(Page):
    """Which tests are wanted."""

    site: str | None = Field(default=None, pattern=NAME_PATTERN, description="Only of this site.", examples=["taman-kota"])
    sort: str | None = Sort("begun")


@router.post("/sites/{site}/valve-test", status_code=201, responses=refusals(404, 409))
async def begin_site_test(
    site: SiteId,
    services: Needs,
    caller: Caller,
    trail: CallersTrail,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> ValveTestDetail:
    """Open each valve of a site for 10 s, one after the other; refused while something runs there."""
    test = await services.controller.valves.begin(site, actor=caller.name, idempotency_key=idempotency_key, trail=trail)
    return await _located(test, services, response)


@router.post("/devices/{device}/valve-test", status_code=201, responses=refusals(404, 409))
async def begin_device_test(
    device: DeviceId,
    services: Needs,
    caller: Caller,
    trail: CallersTrail,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> ValveTestDetail:
    """Open each valve of a device for 10 s, one after the other."""
    test = await services.controller.valves.begin(device.key, actor=caller.name, idempotency_key=idempotency_key, trail=trail)
    return await _located(test, services, response)


@router.get("/valve-tests")
def list_valve_tests(services: Needs, caller: Caller, request: Annotated[ValveTestFilter, Query()]) -> Listing[ValveTestAnswer]:
    """List tests of valves, the latest first unless told otherwise."""
    with services.database.reader() as session:
        found, after = valve_tests.list_tests(
            session, site=request.site, seen_by=caller, sort=request.sort, limit=request.limit, after=request.after
        )
    return Listing(items=[ValveTestAnswer(**_plain(test)) for test in found], next=after)


@router.get("/valve-tests/{record}", responses=refusals(404))
def show_valve_test(record: RecordId, services: Needs, caller: Caller) -> ValveTestDetail:
    """Show a test with what came of each valve."""
    return _detail(_allowed(record, services, caller, Permission.SEE), services)


@router.post("/valve-tests/{record}/stop", responses=refusals(404, 409))
async def stop_valve_test(record: RecordId, services: Needs, caller: Caller, trail: CallersTrail) -> ValveTestDetail:
    """Stop a test: the open valve is closed, and no further one opened."""
    await run_in_threadpool(_allowed, record, services, caller, Permission.STOP)
    test = await services.controller.valves.stop(record, actor=caller.name, trail=trail)
    return await run_in_threadpool(_detail, test, services)


def _allowed(record: str, services: Services, caller: Principal, permission: Permission) -> ValveTest:
    with services.database.reader() as session:
        test = valve_tests.get_test(session, record)
    require(services, caller, permission, test.site, "valve test", record)
    return test


async def _located(test: ValveTest, services: Services, response: Response) -> ValveTestDetail:
    response.headers["location"] = f"/api/v1/valve-tests/{test.id}"
    return await run_in_threadpool(_detail, test, services)


def _detail(test: ValveTest, services: Services) -> ValveTestDetail:
    with services.database.reader() as session:
        valves = [_valve(zone, act) for zone, act in valve_tests.acts_of_test(session, test)]
    return ValveTestDetail(**_plain(test), valves=valves)


def _valve(zone: str, act: Act | None) -> ValveAnswer:
    if act is None:
        return ValveAnswer(zone=zone, act=None, state=None, reason=None, result=None)
    result = Amounts(seconds=act.result_seconds, litres=act.result_litres, grams=act.result_grams)
    return ValveAnswer(zone=zone, act=act.id, state=act.state, reason=act.reason, result=result)


def _plain(test: ValveTest) -> dict[str, Any]:
    return {
        "id": test.id,
        "site": test.site,
        "seconds": test.seconds,
        "zones": len(test.zones),
        "actor": test.actor,
        "state": test.state,
        "begun": format_instant(test.begun_ms),
        "ended": optional_instant(test.ended_ms),
        "stopped_by": test.stopped_by,
    }
