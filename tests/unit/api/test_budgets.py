# SPDX-License-Identifier: Apache-2.0
"""Budgets of water, acts beyond them and stops of all, over HTTP."""

from __future__ import annotations

import httpx2
import pytest

from control import tokens
from control.access import Grant
from tests.unit.api.house import START_MS, House

BUDGET = "/api/v1/agencies/city:agency/budget"
BED = "taman-kota:bedeng-1:1"
WATER = {"zone": BED, "action": "irrigate", "litres": 30}
WHY = "pohon baru ditanam"


async def test_budget_is_shown_changed_from_its_version_and_holds(pilot: httpx2.AsyncClient) -> None:
    shown = await pilot.get(BUDGET)
    assert shown.json() == {
        "months": [None] * 12,
        "now": {"month": "2026-11", "budget": None, "given": 0.0, "left": None, "warning": False},
    }
    tag = {"if-match": shown.headers["etag"]}
    changed = await pilot.put(BUDGET, json={"months": [20] * 12}, headers=tag)

    assert (changed.status_code, (await pilot.put(BUDGET, json={"months": [20] * 12}, headers=tag)).status_code) == (200, 412)
    assert changed.json()["now"] == {"month": "2026-11", "budget": 20.0, "given": 0.0, "left": 20.0, "warning": False}
    assert (await pilot.post("/api/v1/acts", json=WATER)).status_code == 409
    assert (await pilot.post("/api/v1/acts", json={**WATER, "litres": 16})).status_code == 201
    assert (await pilot.get(BUDGET)).json()["now"] == {
        "month": "2026-11",
        "budget": 20.0,
        "given": 16.0,
        "left": 4.0,
        "warning": True,
    }


@pytest.mark.parametrize("months", [[1.0] * 11, [1.0] * 13, [-1.0] * 12, ["1"] * 12, [2e9] * 12])
async def test_budget_that_cannot_be_is_refused(pilot: httpx2.AsyncClient, months: list[object]) -> None:
    answer = await pilot.put(BUDGET, json={"months": months})

    assert (answer.status_code, answer.json()["errors"][0]["field"].split(".")[0]) == (422, "months")


async def test_budget_of_an_agency_that_is_not_there_is_not_found(pilot: httpx2.AsyncClient) -> None:
    path = "/api/v1/agencies/city:none/budget"

    assert (await pilot.get(path)).status_code == 404
    assert (await pilot.put(path, json={"months": [None] * 12})).status_code == 404


async def test_request_act_with_a_reason_goes_beyond_the_budget_and_says_so(pilot: httpx2.AsyncClient) -> None:
    await pilot.put(BUDGET, json={"months": [20] * 12})
    act = await pilot.post("/api/v1/acts", json={**WATER, "override": WHY})
    short = await pilot.post("/api/v1/acts", json={**WATER, "override": "perlu"})

    assert (act.status_code, act.json()["override"], act.json()["beyond"]) == (201, WHY, ["month"])
    assert WHY in act.json()["sentence"]["id"]
    assert (short.status_code, short.json()["errors"][0]["field"]) == (422, "override")


async def test_request_act_beyond_the_budget_takes_who_answers_for_it(house: House, pilot: httpx2.AsyncClient) -> None:
    await pilot.put(BUDGET, json={"months": [20] * 12})
    with house.services.database.session() as session:
        house.tokens["keeper"] = tokens.create(session, "keeper", (Grant("operator"),), now_ms=START_MS)[0]
    async with house.client("keeper") as keeper:
        refused = await keeper.post("/api/v1/acts", json={**WATER, "override": WHY})

    assert refused.status_code == 403
    assert "override" in refused.json()["detail"]
    assert (await pilot.get("/api/v1/acts")).json()["items"] == []


@pytest.mark.parametrize("path", ["sites/taman-kota", "agencies/city:agency", "cities/city"])
async def test_stop_of_all_tells_each_device_once_a_key(pilot: httpx2.AsyncClient, path: str) -> None:
    waiting = (await pilot.post("/api/v1/acts", json=WATER)).json()
    key = {"idempotency-key": "once"}
    stopped = await pilot.post(f"/api/v1/{path}/stop", headers=key)
    again = await pilot.post(f"/api/v1/{path}/stop", headers=key)

    assert stopped.status_code == again.status_code == 201
    assert (stopped.json()["devices"], stopped.json()["cancelled"]) == (2, 1)
    assert stopped.json()["withdrawn"] == [waiting["id"]]
    assert again.json()["stops"] == stopped.json()["stops"]


async def test_stop_of_all_of_what_is_not_there_is_not_found(pilot: httpx2.AsyncClient) -> None:
    for path in ("sites/none", "agencies/city:none", "cities/none"):
        assert (await pilot.post(f"/api/v1/{path}/stop")).status_code == 404
