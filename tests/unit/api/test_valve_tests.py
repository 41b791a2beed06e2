# SPDX-License-Identifier: Apache-2.0
"""Tests of valves over HTTP."""

from __future__ import annotations

import httpx2
import msgspec
import pytest

from tests.unit.api.house import House

BED = "taman-kota:bedeng-1:1"


async def online(house: House) -> None:
    status = {"online": True, "boot": 1, "n": 0}
    await house.services.controller.on_message("tirta/v1/taman-kota/bedeng-1/status", msgspec.json.encode(status))


@pytest.mark.parametrize("path", ["sites/taman-kota", "devices/taman-kota:bedeng-1"])
async def test_valve_test_is_begun_once_a_key_shown_listed_and_stopped(
    house: House, pilot: httpx2.AsyncClient, path: str
) -> None:
    await online(house)
    key = {"idempotency-key": "once"}
    begun = await pilot.post(f"/api/v1/{path}/valve-test", headers=key)
    again = await pilot.post(f"/api/v1/{path}/valve-test", headers=key)
    shown = await pilot.get(begun.headers["location"])
    listed = (await pilot.get("/api/v1/valve-tests", params={"site": "taman-kota"})).json()["items"]

    assert (begun.status_code, begun.json()["state"], begun.json()["zones"]) == (201, "running", 1)
    assert begun.json()["id"] == again.json()["id"]
    [valve] = shown.json()["valves"]
    assert (valve["zone"], valve["state"], valve["reason"]) == (BED, "planned", None)
    assert valve["result"] == {"seconds": None, "litres": None, "grams": None}
    assert [one["id"] for one in listed] == [begun.json()["id"]]
    assert (await pilot.post(f"/api/v1/{path}/valve-test")).status_code == 409
    stopped = await pilot.post(f"{begun.headers['location']}/stop")
    assert (stopped.status_code, stopped.json()["state"], stopped.json()["stopped_by"]) == (200, "stopped", "a-operator")
    assert stopped.json()["valves"][0]["state"] == "cancelled"
    assert (await pilot.post(f"{begun.headers['location']}/stop")).status_code == 409


async def test_valve_test_of_what_is_not_there_is_not_found(pilot: httpx2.AsyncClient) -> None:
    for path in ("sites/none", "devices/taman-kota:none"):
        assert (await pilot.post(f"/api/v1/{path}/valve-test")).status_code == 404
    assert (await pilot.get("/api/v1/valve-tests/01KAQZ7J5RT0M3Q4W1D0V6B3NM")).status_code == 404
