# SPDX-License-Identifier: Apache-2.0
"""Schedules over HTTP."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from tests.unit.api.house import FEEDING, IRRIGATION

PATH = "/api/v1/schedules"
BED, POND = "taman-kota:bedeng-1:1", "taman-kota:kolam-1:1"


async def test_create_schedule_is_shown_with_its_defaults_and_version(pilot: httpx2.AsyncClient) -> None:
    created = await pilot.post(PATH, json={"zone": BED, "definition": IRRIGATION})

    assert created.status_code == 201
    body = created.json()
    assert (body["zone"], body["version"], body["enabled"], created.headers["etag"]) == (BED, 1, True, '"1"')
    assert body["definition"]["soak_s"] > 0
    assert body["definition"]["hours"] == [["05:00", "08:00"]]
    assert (await pilot.get(created.headers["location"])).json() == body


async def test_create_second_enabled_schedule_of_a_zone_is_a_conflict(pilot: httpx2.AsyncClient) -> None:
    await pilot.post(PATH, json={"zone": BED, "definition": IRRIGATION})
    again = await pilot.post(PATH, json={"zone": BED, "definition": IRRIGATION})
    aside = await pilot.post(PATH, json={"zone": BED, "definition": IRRIGATION, "enabled": False})

    assert (again.status_code, aside.status_code) == (409, 201)


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"zone": "taman-kota:bedeng-9:1", "definition": IRRIGATION}, 404, None),
        ({"zone": "bedeng", "definition": IRRIGATION}, 422, "zone"),
        ({"zone": POND, "definition": IRRIGATION}, 422, "definition.type"),
        ({"zone": BED}, 422, "definition"),
        ({"zone": BED, "definition": {"type": "dancing"}}, 422, "definition.type"),
        ({"zone": BED, "definition": {**IRRIGATION, "low": 0.4}}, 422, "definition"),
        ({"zone": BED, "definition": {**IRRIGATION, "low": 30}}, 422, "definition.low"),
        ({"zone": BED, "definition": {**IRRIGATION, "low": "0.2"}}, 422, "definition.low"),
        ({"zone": BED, "definition": {**IRRIGATION, "litres_day": True}}, 422, "definition.litres_day"),
        ({"zone": POND, "definition": {**FEEDING, "grams_day": "9"}}, 422, "definition.grams_day"),
        ({"zone": BED, "definition": {**IRRIGATION, "hours": [["05:00", "25:00"]]}}, 422, "definition.hours.0.1"),
        ({"zone": POND, "definition": {**FEEDING, "meals": [{"time": "7", "grams": 1}]}}, 422, "definition.meals.0.time"),
        ({"zone": BED, "definition": {**IRRIGATION, "litre_day": 3}}, 422, "definition.litre_day"),
    ],
)
async def test_create_schedule_with_something_wrong_names_it(
    pilot: httpx2.AsyncClient, body: dict[str, Any], status: int, field: str | None
) -> None:
    answer = await pilot.post(PATH, json=body)

    assert answer.status_code == status
    assert [error["field"] for error in answer.json().get("errors", [])] == ([field] if field else [])


async def test_change_schedule_makes_a_new_version(pilot: httpx2.AsyncClient) -> None:
    location = (await pilot.post(PATH, json={"zone": POND, "definition": FEEDING})).headers["location"]
    wanted = {**FEEDING, "meals": [{"time": "16:00", "grams": 100.0}]}
    changed = await pilot.put(location, json={"definition": wanted}, headers={"if-match": '"1"'})

    assert changed.status_code == 200
    assert (changed.json()["version"], changed.headers["etag"]) == (2, '"2"')
    assert [(meal["time"], meal["grams"]) for meal in changed.json()["definition"]["meals"]] == [("16:00", 100.0)]
    assert (await pilot.get(location)).json() == changed.json()


async def test_change_schedule_from_an_old_version_is_refused_with_who_and_when(pilot: httpx2.AsyncClient) -> None:
    location = (await pilot.post(PATH, json={"zone": BED, "definition": IRRIGATION})).headers["location"]
    await pilot.put(location, json={"definition": IRRIGATION, "enabled": False})
    late = await pilot.put(location, json={"definition": IRRIGATION}, headers={"if-match": '"1"'})
    malformed = await pilot.put(location, json={"definition": IRRIGATION}, headers={"if-match": "x"})

    assert (late.status_code, late.json()["title"], late.headers["etag"]) == (412, "Precondition Failed", '"2"')
    assert "a-operator changed this schedule at 2026-11-22T05:00:00Z: it has version 2" in late.json()["detail"]
    assert (malformed.status_code, malformed.json()["errors"][0]["field"]) == (422, "if-match")


async def test_delete_schedule_makes_it_unknown(pilot: httpx2.AsyncClient) -> None:
    location = (await pilot.post(PATH, json={"zone": BED, "definition": IRRIGATION})).headers["location"]

    assert (await pilot.delete(location)).status_code == 204
    assert (await pilot.get(location)).status_code == 404
    assert (await pilot.put(location, json={"definition": IRRIGATION})).status_code == 404
    assert (await pilot.get(PATH)).json()["items"] == []


async def test_list_schedules_of_a_zone_leaves_out_the_others(pilot: httpx2.AsyncClient) -> None:
    await pilot.post(PATH, json={"zone": BED, "definition": IRRIGATION})
    await pilot.post(PATH, json={"zone": POND, "definition": FEEDING})

    assert {item["zone"] for item in (await pilot.get(PATH)).json()["items"]} == {BED, POND}
    assert [item["zone"] for item in (await pilot.get(PATH, params={"zone": POND})).json()["items"]] == [POND]
    assert (await pilot.get(PATH, params={"zone": "x"})).status_code == 422


async def test_create_schedule_that_does_not_go_with_its_zone_is_saved_with_warnings(pilot: httpx2.AsyncClient) -> None:
    meals = [{"time": "07:00", "share": 0.5}, {"time": "16:00", "share": 0.5}]
    feeding = {"type": "feeding", "meals": meals, "ration_g": 90_000.0, "grams_day": 100_000.0}
    created = await pilot.post(PATH, json={"zone": POND, "definition": feeding})

    assert created.status_code == 201
    warnings = created.json()["warnings"]
    assert {each["code"] for each in warnings} == {"grams-day-exceeded", "zone-incomplete"}
    assert {each["severity"] for each in warnings} == {"warning"}
    assert all(each["sentence"]["id"] != each["sentence"]["en"] for each in warnings)
    assert (await pilot.get(created.headers["location"])).json()["warnings"] == warnings
    less = {**feeding, "ration_g": 200.0, "grams_day": 200.0}
    changed = await pilot.put(created.headers["location"], json={"definition": less})
    assert [each["code"] for each in changed.json()["warnings"]] == ["zone-incomplete"]


async def test_create_schedule_that_contradicts_itself_names_every_field(pilot: httpx2.AsyncClient) -> None:
    meals = [{"time": "07:00", "grams": 5.0}, {"time": "07:30", "grams": 5.0}, {"time": "22:00", "grams": 5.0}]
    feeding = {"type": "feeding", "meals": meals, "grams_day": 100.0, "hours": [["06:00", "18:00"]]}
    body = {"zone": POND, "definition": feeding}
    refused = {language: await pilot.post(PATH, json=body, headers={"accept-language": language}) for language in ("id", "en")}

    assert {answer.status_code for answer in refused.values()} == {422}
    errors = refused["id"].json()["errors"]
    assert [each["field"] for each in errors] == ["definition.meals.1.time", "definition.meals.2.time"]
    assert errors[1]["detail"] == "22:00 di luar jam yang diizinkan; akan terlewat"
    assert (await pilot.get(PATH)).json()["items"] == []
