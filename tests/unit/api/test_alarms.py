# SPDX-License-Identifier: Apache-2.0
"""Alarms over HTTP."""

from __future__ import annotations

from dataclasses import replace

import httpx2
import pytest

from control import alarms, places, registry, tokens
from control.access import Grant, Scope
from control.alarms import Alarm
from control.audit import Trail
from control.events import alarm_event
from control.ids import new_id
from tests.unit.api.house import START_MS, House
from tests.unit.api.test_events import following

PATH = "/api/v1/alarms"
TRAIL = Trail("tester", "local", START_MS)
FULL = Alarm(new_id(START_MS), "journal-stopped", "critical", "journal", None, None, {"said": "full"}, START_MS)
DEVICE = Alarm(
    new_id(START_MS + 1),
    "device-offline",
    "warning",
    "device:taman-kota:bedeng-1",
    "taman-kota",
    None,
    {"title": "Bedeng depan", "limit_min": 15.0},
    START_MS + 1000,
)
AGENCY = Alarm(
    new_id(START_MS + 2),
    "devices-offline",
    "critical",
    "agency:city:agency",
    None,
    "city:agency",
    {"count": 30.0, "of": 40.0},
    START_MS,
)


@pytest.fixture
def raised(house: House, pilot: httpx2.AsyncClient) -> httpx2.AsyncClient:
    """The client of a house with an alarm of the installation, of a device and of an agency."""
    with house.services.database.session() as session:
        alarms.keep(session, [FULL, DEVICE, AGENCY])
    return pilot


async def test_list_alarms_shows_what_is_wrong_since_when_and_in_words(raised: httpx2.AsyncClient) -> None:
    shown = (await raised.get(PATH)).json()
    assert [item["subject"] for item in shown["items"]] == ["device:taman-kota:bedeng-1", "agency:city:agency", "journal"]
    assert shown["items"][0] == {
        "id": DEVICE.id,
        "code": "device-offline",
        "severity": "warning",
        "subject": "device:taman-kota:bedeng-1",
        "site": "taman-kota",
        "agency": None,
        "since": "2026-11-22T05:00:01Z",
        "cleared": None,
        "seen": None,
        "seen_by": None,
        "text": {
            "id": "Bedeng depan: tidak ada kabar selama lebih dari 15 menit.",
            "en": "Bedeng depan: no word for more than 15 minutes.",
        },
        "details": {"title": "Bedeng depan", "limit_min": 15.0},
        "version": 1,
    }


async def test_list_alarms_takes_filters_sort_and_pages(house: House, raised: httpx2.AsyncClient) -> None:
    with house.services.database.session() as session:
        alarms.keep(session, [replace(FULL, cleared_ms=START_MS + 9)])

    async def subjects(query: str) -> list[str]:
        return [item["subject"] for item in (await raised.get(f"{PATH}?{query}")).json()["items"]]

    assert await subjects("open=false") == await subjects("code=journal-stopped") == ["journal"]
    assert await subjects("open=true&severity=critical") == ["agency:city:agency"]
    assert await subjects("subject=device:taman-kota:bedeng-1&seen=false") == ["device:taman-kota:bedeng-1"]
    assert await subjects("seen=true") == []
    assert await subjects("sort=subject") == ["agency:city:agency", "device:taman-kota:bedeng-1", "journal"]
    page = (await raised.get(PATH, params={"limit": 2, "sort": "code"})).json()
    rest = (await raised.get(PATH, params={"limit": 2, "sort": "code", "after": page["next"]})).json()
    assert (len(page["items"]), [item["subject"] for item in rest["items"]], rest["next"]) == (2, ["journal"], None)
    for query in ("sort=severity", "severity=grave", "open=perhaps", "colour=red", "after=x!"):
        assert (await raised.get(f"{PATH}?{query}")).status_code == 422


async def test_see_alarm_names_who_saw_it_first_tells_the_listeners_and_enters_the_trail(
    house: House, raised: httpx2.AsyncClient
) -> None:
    shown = await raised.get(f"{PATH}/{FULL.id}")
    assert (shown.headers["etag"], shown.json()["seen_by"]) == ('"1"', None)
    async with following(house, "event=alarm") as stream:
        seen = await raised.post(f"{PATH}/{FULL.id}/seen", headers={"if-match": '"1"', "x-reason": "on%20my%20way"})
        told = await stream.text()
    assert (seen.status_code, seen.headers["etag"]) == (200, '"2"')
    assert (seen.json()["seen"], seen.json()["seen_by"], seen.json()["cleared"]) == ("2026-11-22T05:00:00Z", "a-operator", None)
    assert '"change":"seen"' in told
    again = await raised.post(f"{PATH}/{FULL.id}/seen")
    assert again.json() == seen.json()
    late = await raised.post(f"{PATH}/{FULL.id}/seen", headers={"if-match": '"1"'})
    assert (late.status_code, "a-operator changed this alarm" in late.json()["detail"]) == (412, True)
    entries = (await raised.get("/api/v1/audit?action=alarm.see")).json()["items"]
    assert [(entry["target"], entry["why"]) for entry in entries] == [(f"alarm:{FULL.id}", "on my way")]


async def test_see_alarm_that_is_not_there_is_not_found_and_a_viewer_may_only_look(
    house: House, raised: httpx2.AsyncClient
) -> None:
    for name in ("1", "0" * 26, "x" * 200):
        assert (await raised.get(f"{PATH}/{name}")).status_code == 404
        assert (await raised.post(f"{PATH}/{name}/seen")).status_code == 404
    async with house.client("viewer") as viewer:
        assert (await viewer.get(f"{PATH}/{FULL.id}")).status_code == 200
        assert (await viewer.post(f"{PATH}/{FULL.id}/seen")).status_code == 403


async def test_alarms_that_the_database_has_not_taken_are_listed_and_shown_and_cannot_be_marked_yet(
    house: House, raised: httpx2.AsyncClient
) -> None:
    disk = replace(FULL, id=new_id(START_MS + 3), code="disk-full", subject="disk:data", since_ms=START_MS + 5000)
    house.held_alarms += [disk, replace(FULL, cleared_ms=START_MS + 9)]
    shown = (await raised.get(f"{PATH}?open=true")).json()["items"]
    assert [item["subject"] for item in shown] == ["disk:data", "device:taman-kota:bedeng-1", "agency:city:agency"]
    assert (await raised.get(f"{PATH}/{disk.id}")).json() == shown[0]
    assert (await raised.get(f"{PATH}/{FULL.id}")).json()["cleared"] is not None
    seen = await raised.post(f"{PATH}/{disk.id}/seen")
    assert (seen.status_code, seen.headers["retry-after"]) == (503, "5")
    assert "has not taken this alarm yet" in seen.json()["detail"]
    async with house.client("viewer") as viewer:
        assert (await viewer.get(f"{PATH}?code=disk-full")).json()["items"] == shown[:1]
        assert (await viewer.post(f"{PATH}/{disk.id}/seen")).status_code == 403


async def test_events_of_alarms_reach_those_whose_place_it_is(house: House, raised: httpx2.AsyncClient) -> None:
    with house.services.database.session() as session:
        places.create_city(session, "bpp", "Balikpapan", trail=TRAIL)
        places.create_agency(session, "bpp", "dlh", "DLH", trail=TRAIL)
        registry.change_site(session, "taman-kota", details={"agency": "bpp:dlh"}, trail=TRAIL)
        grants = (Grant("operator", Scope("agency", "bpp:dlh")),)
        house.tokens["viewer"] = tokens.create(session, "of-dlh", grants, now_ms=START_MS)[0]
    own = replace(AGENCY, id=new_id(START_MS), subject="agency:bpp:dlh", agency="bpp:dlh")
    async with following(house) as stream:
        for alarm in (FULL, AGENCY, DEVICE, own):
            house.services.feed.publish("alarm", alarm_event(alarm, "raised"))
        told = [await stream.text() for _ in range(2)]
    assert ["device:taman-kota:bedeng-1" in told[0], "agency:bpp:dlh" in told[1]] == [True, True]
