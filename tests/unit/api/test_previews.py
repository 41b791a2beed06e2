# SPDX-License-Identifier: Apache-2.0
"""Previews of schedules over HTTP."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx2
import pytest

from tests.unit.api.house import IRRIGATION, House

PATH = "/api/v1/schedules/preview"
BED, POND = "taman-kota:bedeng-1:1", "taman-kota:kolam-1:1"
TIMER: dict[str, Any] = {"type": "timer", "starts": [{"time": "15:00", "litres": 17.0}], "litres_day": 100.0}


async def test_preview_of_an_unsaved_schedule_shows_its_acts_days_and_what_is_assumed(pilot: httpx2.AsyncClient) -> None:
    answer = await pilot.post(PATH, json={"zone": BED, "definition": TIMER, "days": 2})
    body = answer.json()

    assert answer.status_code == 200
    assert (body["schedule"], body["version"], body["in_force"], body["assumed"]) == (None, 1, False, "persistence")
    assert [(one["id"], one["start"], one["end"], one["litres"], one["runs"]) for one in body["acts"]] == [
        (None, "2026-11-22T07:00:00Z", "2026-11-22T07:02:00Z", 17.0, True),
        (None, "2026-11-23T07:00:00Z", "2026-11-23T07:02:00Z", 17.0, True),
    ]
    assert [one["kind"] for one in body["changes"]] == ["added", "added"]
    assert [(one["day"], one["litres_before"], one["litres"]) for one in body["by_day"]] == [
        ("2026-11-22", 0.0, 17.0), ("2026-11-23", 0.0, 17.0),
    ]  # fmt: skip
    assert body["acts"][0]["sentence"]["id"].startswith("Menyiram 17 L")
    assert [one["code"] for one in body["assumptions"]][:2] == ["persistence", "devices-obey"]
    assert (await pilot.get("/api/v1/schedules")).json()["items"] == []


async def test_preview_of_a_saved_schedule_has_its_ids_and_differs_in_nothing(pilot: httpx2.AsyncClient) -> None:
    saved = (await pilot.post("/api/v1/schedules", json={"zone": BED, "definition": TIMER})).json()["id"]
    body = (await pilot.post(PATH, json={"schedule": saved, "days": 1})).json()

    assert (body["schedule"], body["version"], body["in_force"], body["changes"]) == (saved, 1, True, [])
    assert all(one["id"] for one in body["acts"])
    wanted = {**TIMER, "starts": [{"time": "16:00", "litres": 17.0}]}
    changed = (await pilot.post(PATH, json={"schedule": saved, "definition": wanted, "days": 1})).json()
    assert (changed["version"], [one["kind"] for one in changed["changes"]]) == (2, ["moved"])


async def test_preview_of_what_would_not_be_saved_tells_the_conflicts(pilot: httpx2.AsyncClient) -> None:
    night = {**TIMER, "hours": [["01:00", "02:00"]]}
    answer = await pilot.post(PATH, json={"zone": BED, "definition": night})

    assert answer.status_code == 200
    assert [(one["code"], one["severity"]) for one in answer.json()["conflicts"]] == [("outside-hours", "error")]
    assert (answer.json()["acts"], answer.json()["version"]) == ([], None)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"zone": BED}, 422),
        ({"zone": BED, "schedule": "x", "definition": TIMER}, 422),
        ({"zone": BED, "definition": TIMER, "days": 15}, 422),
        ({"zone": POND, "definition": TIMER}, 422),
        ({"zone": BED, "definition": {**IRRIGATION, "low": 0.9}}, 422),
        ({"zone": "taman-kota:bedeng-9:1", "definition": TIMER}, 404),
        ({"schedule": "01KAQZ7J5RT0M3Q4W1D0V6B3NM"}, 404),
    ],
)
async def test_preview_with_something_wrong_says_so_in_both_languages(
    pilot: httpx2.AsyncClient, body: dict[str, Any], status: int
) -> None:
    for language in ("id", "en"):
        answer = await pilot.post(PATH, json=body, headers={"accept-language": language})
        assert answer.status_code == status
        assert "bahasa Inggris" not in answer.text


async def test_preview_while_as_many_as_may_be_are_made_asks_to_come_again(pilot: httpx2.AsyncClient, house: House) -> None:
    room = house.services.previews
    assert room.acquire(blocking=False)
    assert room.acquire(blocking=False)
    busy = await pilot.post(PATH, json={"zone": BED, "definition": TIMER, "days": 1})
    room.release()
    freed = await pilot.post(PATH, json={"zone": BED, "definition": TIMER, "days": 1})

    assert (busy.status_code, int(busy.headers["retry-after"]) > 0) == (503, True)
    assert freed.status_code == 200


async def test_preview_that_takes_too_long_says_what_to_do(pilot: httpx2.AsyncClient, house: House) -> None:
    ticks = iter(range(0, 10_000_000, 1_000))
    house.app.state.services = replace(house.services, monotonic=lambda: float(next(ticks)))
    answer = await pilot.post(PATH, json={"zone": BED, "definition": TIMER})

    assert (answer.status_code, "fewer days" in answer.json()["detail"]) == (503, True)
