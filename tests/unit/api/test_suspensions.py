# SPDX-License-Identifier: Apache-2.0
"""Putting off over HTTP."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from api.instants import format_instant
from gateway.clock import SteppedClock
from tests.unit.api.house import IRRIGATION, START_MS, House

PATH = "/api/v1/suspensions"
BED, POND = "taman-kota:bedeng-1:1", "taman-kota:kolam-1:1"
HOUR = 3_600_000


async def test_pause_for_hours_is_shown_with_its_zones_until_it_is_resumed(pilot: httpx2.AsyncClient) -> None:
    made = await pilot.post(PATH, json={"kind": "pause", "on": f"zone:{BED}", "hours": 2, "note": "bocor"})

    assert made.status_code == 201
    body = made.json()
    assert (body["kind"], body["on"], body["note"], body["ended"]) == ("pause", f"zone:{BED}", "bocor", None)
    assert body["until"] == format_instant(START_MS + 2 * HOUR)
    assert (await pilot.get(made.headers["location"])).json() == body
    (held,) = (await pilot.get(f"/api/v1/zones/{BED}")).json()["held_by"]
    assert held == {name: body[name] for name in ("id", "kind", "on", "begun", "until", "note", "by")}
    assert (await pilot.get(f"/api/v1/zones/{POND}")).json()["held_by"] == []
    assert (await pilot.delete(made.headers["location"])).status_code == 204
    assert (await pilot.get(f"/api/v1/zones/{BED}")).json()["held_by"] == []
    assert (await pilot.delete(made.headers["location"])).status_code == 409
    assert (await pilot.get(made.headers["location"])).json()["ending"] == "resumed"


async def test_rain_delay_of_a_site_holds_its_beds_alone(pilot: httpx2.AsyncClient) -> None:
    await pilot.post(PATH, json={"kind": "rain-delay", "on": "site:taman-kota", "hours": 24})

    zones = {zone["id"]: zone["held_by"] for zone in (await pilot.get("/api/v1/zones")).json()["items"]}
    assert [one["kind"] for one in zones[BED]] == ["rain-delay"]
    assert zones[POND] == []


async def test_skip_asked_for_twice_is_one_and_the_same(pilot: httpx2.AsyncClient) -> None:
    feeding = {"type": "feeding", "meals": [{"time": "07:00", "grams": 5.0}], "grams_day": 10.0}
    await pilot.post("/api/v1/schedules", json={"zone": POND, "definition": feeding})
    body = {"kind": "skip", "on": f"zone:{POND}"}
    first, again = [await pilot.post(PATH, json=body) for _ in range(2)]

    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    assert first.json()["until"].endswith("T23:00:00Z")
    assert [one["kind"] for one in (await pilot.get(f"/api/v1/zones/{POND}")).json()["held_by"]] == ["skip"]


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"kind": "pause", "on": "zone:taman-kota:bedeng-9:1"}, 404, None),
        ({"kind": "pause", "on": "site:nowhere"}, 404, None),
        ({"kind": "pause", "on": "everything"}, 422, "on"),
        ({"kind": "nap", "on": "site:taman-kota"}, 422, "kind"),
        ({"kind": "pause", "on": "site:taman-kota", "until": "2020-01-01T00:00:00Z"}, 422, "until"),
        ({"kind": "pause", "on": "site:taman-kota", "until": "2027-01-01T00:00:00Z", "hours": 1}, 422, "body"),
        ({"kind": "pause", "on": "site:taman-kota", "hours": 0}, 422, "hours"),
        ({"kind": "rain-delay", "on": "site:taman-kota"}, 422, "until"),
        ({"kind": "skip", "on": "site:taman-kota"}, 422, "on"),
        ({"kind": "skip", "on": f"zone:{BED}", "hours": 1}, 422, "body"),
        ({"kind": "skip", "on": f"zone:{BED}"}, 409, None),
    ],
)
async def test_create_suspension_with_something_wrong_names_it_in_both_languages(
    pilot: httpx2.AsyncClient, body: dict[str, Any], status: int, field: str | None
) -> None:
    answers = [await pilot.post(PATH, json=body, headers={"accept-language": language}) for language in ("en", "id")]

    assert {answer.status_code for answer in answers} == {status}
    assert [error["field"] for error in answers[0].json().get("errors", [])] == ([field] if field else [])
    assert "rincian dalam bahasa Inggris" not in answers[1].json()["detail"]


async def test_list_suspensions_takes_filters_and_pages(house: House, pilot: httpx2.AsyncClient) -> None:
    clock = house.services.clock
    assert isinstance(clock, SteppedClock)
    made = []
    for kind, on in [("pause", "site:taman-kota"), ("rain-delay", "site:taman-kota"), ("pause", f"zone:{BED}")]:
        made.append((await pilot.post(PATH, json={"kind": kind, "on": on, "hours": 1})).json()["id"])
        await clock.advance(1)  # of one millisecond their order is nobody's
    await pilot.delete(f"{PATH}/{made[0]}")

    async def found(query: str) -> list[str]:
        return [one["id"] for one in (await pilot.get(f"{PATH}?{query}")).json()["items"]]

    assert await found("") == made[::-1]
    assert await found("sort=begun") == made
    assert await found("open=true") == [made[2], made[1]]
    assert await found("open=false") == [made[0]]
    assert await found("on=site:taman-kota&kind=pause") == [made[0]]
    first = (await pilot.get(f"{PATH}?limit=2")).json()
    assert [one["id"] for one in first["items"]] == made[:0:-1]
    assert await found(f"limit=2&after={first['next']}") == [made[0]]


async def test_suspension_is_told_to_listeners_with_the_acts_that_it_cancels(house: House, pilot: httpx2.AsyncClient) -> None:
    await pilot.post("/api/v1/schedules", json={"zone": BED, "definition": IRRIGATION})
    async with house.services.feed.subscribe() as subscription:
        made = (await pilot.post(PATH, json={"kind": "pause", "on": f"zone:{BED}"})).json()
        await pilot.delete(f"{PATH}/{made['id']}")
        events = [event for event in await subscription.take(1.0) if event.name == "suspension"]
    assert [(event.zone, event.data["ending"]) for event in events] == [(BED, None), (BED, "resumed")]
