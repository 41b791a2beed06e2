# SPDX-License-Identifier: Apache-2.0
"""The report of a day over HTTP."""

from __future__ import annotations

import httpx2

from control import places, registry, schedules, tokens
from control.access import Grant, Scope
from control.audit import Trail
from tests.unit.api.house import START_MS, House

PATH = "/api/v1/reports/day"
BED = "taman-kota:bedeng-1:1"
TIMER = {"type": "timer", "starts": [{"time": "12:50", "litres": 8.5}, {"time": "13:30", "seconds": 60}], "litres_day": 90.0}


async def test_report_day_tells_each_planned_moment(house: House, pilot: httpx2.AsyncClient) -> None:
    with house.services.database.session() as session:
        schedules.create_schedule(session, BED, TIMER, now_ms=START_MS - 3_600_000)
    answer = (await pilot.get(PATH, params={"site": "taman-kota", "date": "2026-11-22"})).json()
    assert (answer["start"], answer["end"]) == ("2026-11-21T16:00:00Z", "2026-11-22T16:00:00Z")
    assert [(row["at"], row["state"], row["sort"]) for row in answer["rows"]] == [
        ("2026-11-22T04:50:00Z", "waiting", "calendar"),
        ("2026-11-22T05:30:00Z", "ahead", "calendar"),
    ]
    assert answer["rows"][0]["amount"] == {"seconds": None, "litres": 8.5, "grams": None}
    assert answer["rows"][1]["sentence"] == {"id": "Penyiraman: belum waktunya.", "en": "Watering: still to come."}
    assert answer["totals"]["open"] == {"waiting": 1, "ahead": 1}
    assert (answer["totals"]["planned"], answer["totals"]["without_row"], answer["left_out"]) == (2, 0, 0)
    assert (await pilot.get(PATH, params={"site": "taman-kota"})).json()["date"] == "2026-11-22"


async def test_report_day_of_what_is_not_there_says_so(pilot: httpx2.AsyncClient) -> None:
    assert (await pilot.get(PATH, params={"site": "nowhere"})).status_code == 404
    for wrong in ("2026-02-30", "yesterday", "1999-12-31", "2027-12-01"):
        answer = await pilot.get(PATH, params={"site": "taman-kota", "date": wrong}, headers={"accept-language": "id"})
        assert answer.status_code == 422, wrong
        assert [each["field"] for each in answer.json()["errors"]] == ["date"]
        assert "bahasa Inggris" not in answer.text
    assert (await pilot.get(PATH)).status_code == 422


async def test_report_day_of_a_site_that_may_not_be_seen_is_not_found(house: House, pilot: httpx2.AsyncClient) -> None:
    trail = Trail("tester", "local", START_MS)
    with house.services.database.session() as session:
        places.create_city(session, "ppu", "PPU", trail=trail)
        places.create_agency(session, "ppu", "dinas", "Dinas", trail=trail)
        registry.create_site(
            session, "taman-lain", "Lain", "Asia/Makassar", registry.SiteDetails("ppu:dinas"), now_ms=START_MS, trail=trail
        )
        grants = (Grant("viewer", Scope("site", "taman-lain")),)
        house.tokens["other"] = tokens.create(session, "other", grants, now_ms=START_MS)[0]
    async with house.client("other") as client:
        assert (await client.get(PATH, params={"site": "taman-kota"})).status_code == 404
        assert (await client.get(PATH, params={"site": "taman-lain"})).json()["rows"] == []
