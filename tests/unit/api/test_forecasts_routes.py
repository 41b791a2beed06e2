# SPDX-License-Identifier: Apache-2.0
"""Forecasts over HTTP."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from api.forecasts import Weather
from control.forecasts import BOUNDS

PATH = "/api/v1/forecasts"
DAY = {"day": "2026-11-23", "rain_mm": 12.0, "rain_probability": 0.8, "et0_mm": 4.2}
ISSUE: dict[str, Any] = {"site": "taman-kota", "source": "BMKG", "issued": "2026-11-22T04:00:00Z", "entries": [DAY]}


async def test_keep_forecast_shows_days_of_the_site_and_which_counts(pilot: httpx2.AsyncClient) -> None:
    kept = await pilot.post(PATH, json=ISSUE)
    body = kept.json()

    assert (kept.status_code, body["in_force"], body["believed"]) == (201, True, True)
    assert [(one["start"], one["end"]) for one in body["entries"]] == [("2026-11-22T16:00:00Z", "2026-11-23T16:00:00Z")]
    assert (await pilot.get(kept.headers["location"])).json() == body
    older = await pilot.post(PATH, json={**ISSUE, "issued": "2026-11-20T04:00:00Z"})
    listed = (await pilot.get(PATH, params={"site": "taman-kota"})).json()["items"]
    assert [(one["issued"], one["in_force"], one["believed"]) for one in listed] == [
        ("2026-11-22T04:00:00Z", True, True), ("2026-11-20T04:00:00Z", False, False),
    ]  # fmt: skip
    assert older.json()["in_force"] is False


async def test_keep_forecast_again_answers_200_with_what_is_there_now(pilot: httpx2.AsyncClient) -> None:
    first = await pilot.post(PATH, json=ISSUE)
    hours = [{"start": "2026-11-22T06:00:00+08:00", "hours": 3, "rain_mm": 1.5}]
    again = await pilot.post(PATH, json={**ISSUE, "entries": hours})

    assert (again.status_code, again.json()["id"]) == (200, first.json()["id"])
    assert [(one["start"], one["end"], one["rain_mm"]) for one in again.json()["entries"]] == [
        ("2026-11-21T22:00:00Z", "2026-11-22T01:00:00Z", 1.5)
    ]
    assert len((await pilot.get(PATH)).json()["items"]) == 1


async def test_delete_forecast_withdraws_it(pilot: httpx2.AsyncClient) -> None:
    location = (await pilot.post(PATH, json=ISSUE)).headers["location"]

    assert (await pilot.delete(location)).status_code == 204
    assert (await pilot.get(location)).status_code == 404


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"site": "Taman Kota"}, "site"),
        ({"issued": "2026-11-22T04:00:00"}, "issued"),
        ({"issued": "2026-11-29T04:00:00Z"}, "issued"),
        ({"entries": []}, "entries"),
        ({"entries": [{**DAY, "hours": 2}]}, "entries.0"),
        ({"entries": [{"rain_mm": 2.0}]}, "entries.0"),
        ({"entries": [{**DAY, "rain_mm": -1}]}, "entries.0.rain_mm"),
        ({"entries": [{**DAY, "rain": 1}]}, "entries.0.rain"),
        ({"entries": [DAY, DAY]}, "entries.1"),
        ({"entries": [{**DAY, "day": "9999-12-31"}]}, "entries.0"),
        ({"entries": [{"day": "2026-11-23"}]}, "entries.0"),
    ],
)
async def test_keep_forecast_with_something_wrong_names_it_in_both_languages(
    pilot: httpx2.AsyncClient, change: dict[str, Any], field: str
) -> None:
    answer = await pilot.post(PATH, json={**ISSUE, **change})
    told = await pilot.post(PATH, json={**ISSUE, **change}, headers={"accept-language": "id"})

    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert "bahasa Inggris" not in told.text


def test_bounds_of_the_api_are_those_of_what_is_kept() -> None:
    schema = Weather.model_json_schema()["properties"]
    number = {name: one["anyOf"][0] for name, one in schema.items()}

    assert {name: (one["minimum"], one["maximum"]) for name, one in number.items()} == BOUNDS
