# SPDX-License-Identifier: Apache-2.0
"""Measurements over time, over HTTP."""

from __future__ import annotations

import httpx2
import pytest

from api.series import SeriesAnswer
from tests.unit.api.house import START_MS, House

PATH = "/api/v1/zones/taman-kota:bedeng-1:1/series"
MINUTE = 60_000


def fill(house: House, minutes: int) -> None:
    """Measure once a minute, up to a minute before the house's time."""
    times = [START_MS - (minutes - i) * MINUTE for i in range(minutes)]
    house.measure("bedeng-1", times, soil_moisture=[0.2 + i / 1000 for i in range(minutes)], flow=[float("nan")] * minutes)


async def test_read_series_gives_rows_as_sent(house: House, pilot: httpx2.AsyncClient) -> None:
    fill(house, 3)
    answer = await pilot.get(PATH, params={"quantities": "soil_moisture,flow"})

    assert answer.status_code == 200
    assert answer.json() == {
        "zone": "taman-kota:bedeng-1:1",
        "start": "2026-11-21T05:00:00Z",
        "end": "2026-11-22T05:00:00Z",
        "every_s": None,
        "aggregate": None,
        "tier": "raw",
        "kept_from": "2026-08-24T05:00:00Z",
        "units": {"soil_moisture": "m3/m3", "flow": "L/min"},
        "items": [
            {"at": "2026-11-22T04:57:00Z", "soil_moisture": 0.2, "flow": None},
            {"at": "2026-11-22T04:58:00Z", "soil_moisture": 0.201, "flow": None},
            {"at": "2026-11-22T04:59:00Z", "soil_moisture": 0.202, "flow": None},
        ],
        "next": None,
    }
    SeriesAnswer.model_validate(answer.json())


async def test_read_series_over_a_range_is_half_open(house: House, pilot: httpx2.AsyncClient) -> None:
    fill(house, 10)
    span = {"start": "2026-11-22T12:52:00+08:00", "end": "2026-11-22T04:54:00Z", "quantities": "soil_moisture"}
    items = (await pilot.get(PATH, params=span)).json()["items"]

    assert [item["at"] for item in items] == ["2026-11-22T04:52:00Z", "2026-11-22T04:53:00Z"]


async def test_read_series_in_windows_aggregates_each(house: House, pilot: httpx2.AsyncClient) -> None:
    fill(house, 10)
    wanted = {"quantities": "soil_moisture", "every": "5m", "aggregate": "max"}
    answer = (await pilot.get(PATH, params=wanted)).json()

    assert (answer["every_s"], answer["aggregate"]) == (300.0, "max")
    assert answer["items"] == [
        {"at": "2026-11-22T04:50:00Z", "soil_moisture": pytest.approx(0.204)},
        {"at": "2026-11-22T04:55:00Z", "soil_moisture": pytest.approx(0.209)},
    ]


@pytest.mark.parametrize(
    ("every", "tier", "kept_from"),
    [("2m", "raw", "2026-08-24T05:00:00Z"), ("5m", "5m", "2024-11-22T05:00:00Z"), ("1h", "1h", None), ("1d", "1h", None)],
)
async def test_read_series_says_which_tier_it_is_from(
    pilot: httpx2.AsyncClient, every: str, tier: str, kept_from: str | None
) -> None:
    answer = (await pilot.get(PATH, params={"every": every})).json()

    assert (answer["tier"], answer["kept_from"]) == (tier, kept_from)


async def test_read_series_of_differences_gives_how_far_totals_rose(house: House, pilot: httpx2.AsyncClient) -> None:
    times = [START_MS - 20 * MINUTE + i * MINUTE for i in range(20)]
    house.measure("bedeng-1", times, litres_total=[100.0 + 2 * i for i in range(20)], flow=[2.0] * 20)
    answer = (await pilot.get(PATH, params={"every": "5m", "aggregate": "difference"})).json()

    assert answer["units"] == {"litres_total": "L"}
    assert [item["litres_total"] for item in answer["items"]] == [8.0, 10.0, 10.0, 10.0]


@pytest.mark.parametrize("every", [None, "2m", "5m"])
async def test_read_series_page_by_page_gives_each_row_once(house: House, pilot: httpx2.AsyncClient, every: str | None) -> None:
    fill(house, 10)
    # A second record of one millisecond must not fall between two pages.
    house.measure("bedeng-1", [START_MS - 7 * MINUTE] * 2, soil_moisture=[0.5, 0.6])
    if every == "5m":
        house.measure("bedeng-1", [START_MS - i * 5 * MINUTE for i in range(3, 10)], soil_moisture=[0.3] * 7)
    wanted = {"quantities": "soil_moisture"} | ({"every": every} if every else {})
    whole = (await pilot.get(PATH, params=wanted)).json()["items"]
    seen, after, pages = [], None, 0
    while pages == 0 or after is not None:
        page = (await pilot.get(PATH, params=wanted | {"limit": 4} | ({"after": after} if after else {}))).json()
        seen += page["items"]
        after, pages = page["next"], pages + 1
        assert pages < 10

    assert len(whole) == {None: 12, "2m": 5, "5m": 9}[every]
    assert seen == whole


async def test_read_series_without_measurements_is_empty(pilot: httpx2.AsyncClient) -> None:
    answer = await pilot.get(PATH)

    assert (answer.status_code, answer.json()["items"]) == (200, [])
    assert "soil_moisture" in answer.json()["units"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("quantities=soil_moistur", "quantities"),
        ("quantities=dissolved_oxygen", "quantities"),
        ("quantities=", "quantities"),
        ("quantities=%00", "quantities"),
        ("start=2026-11-22", "start"),
        ("start=2026-11-22T05:00:00%2B08:00&end=2026-11-21T05:00:00Z", "start"),
        ("end=1763770800000", "end"),
        ("every=5", "every"),
        ("every=0m", "every"),
        ("aggregate=mean", "every"),
        ("every=1h&aggregate=median", "aggregate"),
        ("every=1h&aggregate=difference&quantities=flow", "quantities"),
        ("limit=10001", "limit"),
        ("evry=5m", "evry"),
    ],
)
async def test_read_series_with_a_wrong_parameter_names_it(pilot: httpx2.AsyncClient, query: str, field: str) -> None:
    answer = await pilot.get(f"{PATH}?{query}")

    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


async def test_read_series_of_a_misspelt_quantity_suggests_the_right_one(pilot: httpx2.AsyncClient) -> None:
    answer = await pilot.get(PATH, params={"quantities": "soil_moistur"})

    assert "soil_moisture" in answer.json()["errors"][0]["detail"]


@pytest.mark.parametrize("span", ["0001-01-01T00:00:00%2B23:59", "9999-12-31T23:59:59-23:59"])
async def test_read_series_at_the_ends_of_the_calendar_is_empty(pilot: httpx2.AsyncClient, span: str) -> None:
    for query in (f"start={span}&end={span}", f"start=0001-01-01T00:00:00Z&end={span}&every=1s"):
        answer = await pilot.get(f"{PATH}?{query}")
        assert answer.status_code in (200, 422)


async def test_read_series_while_the_store_is_away_is_unavailable(house: House, pilot: httpx2.AsyncClient) -> None:
    fill(house, 1)
    house.services.store.close()
    answer = await pilot.get(PATH)

    assert answer.status_code == 503
    assert answer.headers["retry-after"]
