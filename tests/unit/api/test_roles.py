# SPDX-License-Identifier: Apache-2.0
"""Every route, asked as every role, against the table kept by hand: in the caller's own place, and in another agency's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import pytest

from api.openapi import describe
from api.permissions import PERMISSIONS
from control import alarms, forecasts, people, places, registry, resources, schedules, suspending, suspensions, tokens
from control.access import ROLES, Grant, Scope
from control.alarms import Alarm
from control.audit import Trail
from control.forecasts import ForecastEntry
from control.ids import new_id
from control.models import ValveTestRow
from control.resources import ResourceDetails
from tests.unit.api.house import BED, IRRIGATION, SITE, START_MS, House, open_house
from tests.unit.api.permissions import ALLOWED, as_markdown

TRAIL = Trail("tester", "local", START_MS)
AGENCY = Scope("agency", "bpp:dlh")
SCOPES = dict.fromkeys(ROLES, AGENCY) | {"supervisor": Scope("all"), "partner": Scope("site", "taman-kota")}
# What takes away comes last.
ROUTES = sorted(ALLOWED, key=lambda route: (route.startswith("DELETE"), "/devices" in route, route))
LISTS = (
    *(
        "agencies",
        "sites",
        "devices",
        "zones",
        "resources",
        "schedules",
        "acts",
        "decisions",
        "forecasts",
        "suspensions",
        "alarms",
        "quarantine",
    ),
    *("people", "tokens", "audit"),
)
EMPTY = ("decisions", "quarantine")
ABOVE = ("/cities", "v1/session", "POST /api/v1/agencies", "/quarantine/replay")  # not within an agency
NOT_OURS = {
    "GET /api/v1/session/oidc",
    "GET /api/v1/session/oidc/callback",
    "POST /api/v1/session",
    "POST /api/v1/invitation",
    "DELETE /api/v1/session",
    "GET /api/v1/events",
}


class Ground(NamedTuple):
    """A house with two agencies, and ids of what lies in one of them."""

    house: House
    own: dict[str, str]
    foreign: dict[str, str]


def furnish(house: House, agency: str, site: str, device: str) -> dict[str, str]:
    """Put one thing of each sort into an agency, and return their ids."""
    key = f"bpp:{agency}"
    zone = registry.ZoneSpec(1, "Bed", "bed", registry.ZoneParameters(area_m2=6.0, root_depth_m=0.3, flow_l_min=8.5))
    with house.services.database.session() as session:
        places.create_agency(session, "bpp", agency, agency.upper(), trail=TRAIL)
        registry.create_site(session, site, site, "Asia/Makassar", registry.SiteDetails(key), now_ms=START_MS, trail=TRAIL)
        registry.create_device(session, site, device, "irrigation-controller", device, [zone], "$7$", now_ms=START_MS)
        details = ResourceDetails(zones=(f"{site}:{device}:1",))
        resource = resources.create_resource(session, site, "pump", "Pump", details, trail=TRAIL)
        schedule = schedules.create_schedule(session, f"{site}:{device}:1", IRRIGATION, now_ms=START_MS)
        person = people.create_person(session, f"p-{agency}", "P", home=Scope("agency", key), trail=TRAIL)
        grants = (Grant("viewer", Scope("agency", key)),)
        alarm = Alarm(new_id(START_MS), "device-offline", "warning", f"device:{site}:{device}", site, None, {}, START_MS)
        alarms.keep(session, [alarm])
        test = {"id": new_id(START_MS), "site": site, "zones": [f"{site}:{device}:1"], "seconds": 10.0, "actor": "me"}
        session.add(ValveTestRow(**test, begun_ms=START_MS, ended_ms=START_MS))
        entry = ForecastEntry(START_MS, START_MS + 3_600_000, rain_mm=2.0)
        forecast, _ = forecasts.keep_forecast(session, site, "BMKG", START_MS, [entry], now_ms=START_MS, trail=TRAIL)
        on = suspensions.On("site", site)
        suspension, _ = suspending.suspend(session, "pause", on, now_ms=START_MS, trail=TRAIL)
        _, token = tokens.create(session, f"t-{agency}", grants, now_ms=START_MS, trail=TRAIL)
    return {
        "city": "bpp",
        "agency": key,
        "site": site,
        "device": f"{site}:{device}",
        "zone": f"{site}:{device}:1",
        "resource": resource.key,
        "schedules": schedule.id,
        "alarms": alarm.id,
        "forecasts": forecast.id,
        "suspensions": suspension.id,
        "people": person.id,
        "tokens": str(token.id),
        "valve-tests": str(test["id"]),
    }


@pytest.fixture(scope="module", params=ROLES)
def role(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def ground(role: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    with open_house(tmp_path_factory.mktemp(role)) as house:
        with house.services.database.session() as session:
            places.create_city(session, "bpp", "Balikpapan", trail=TRAIL)
        own, foreign = furnish(house, "dlh", "taman-kota", "bedeng-1"), furnish(house, "dkp", "kolam-kota", "bedeng-2")
        with house.services.database.session() as session:
            grants = (Grant(role, SCOPES[role]),)
            house.tokens[role] = tokens.create(session, "me", grants, now_ms=START_MS, trail=TRAIL)[0]
        yield Ground(house, own, foreign)


def body_for(route: str, ids: dict[str, str], role: str) -> Any:
    """Return a body that names things of one agency, so that only the rights are in question."""
    on = f"site:{ids['site']}"
    return {
        "POST /api/v1/cities": {"city": "ppu", "title": "PPU"},
        "PATCH /api/v1/cities/{city}": {"title": "Balikpapan"},
        "POST /api/v1/agencies": {"city": "bpp", "agency": f"new-{role}", "title": "New"},
        "PATCH /api/v1/agencies/{agency}": {"title": "DLH"},
        "PUT /api/v1/agencies/{agency}/holidays": {"holidays": [{"day": "2027-03-10", "title": "Idulfitri"}]},
        "PUT /api/v1/agencies/{agency}/budget": {"months": [1000.0] * 12},
        "POST /api/v1/sites": {**SITE, "site": f"new-{ids['site']}", "agency": ids["agency"]},
        "PATCH /api/v1/sites/{site}": {"title": "Taman"},
        "POST /api/v1/devices": {**BED, "site": ids["site"], "device": "new"},
        "PATCH /api/v1/devices/{device}": {"title": "Bedeng"},
        "PUT /api/v1/devices/{device}/config": {"telemetry_s": 300},
        "POST /api/v1/devices/{device}/certificate": {"request": "a signing request"},
        "PATCH /api/v1/zones/{zone}": {"title": "Bedeng"},
        "POST /api/v1/resources": {"site": ids["site"], "resource": f"new-{role}", "title": "Pompa", "zones": [ids["zone"]]},
        "PATCH /api/v1/resources/{resource}": {"title": "Pompa"},
        "POST /api/v1/schedules": {"zone": ids["zone"], "definition": IRRIGATION, "enabled": False},
        "POST /api/v1/schedules/preview": {"zone": ids["zone"], "definition": IRRIGATION, "days": 1},
        "PUT /api/v1/schedules/{record}": {"definition": IRRIGATION},
        "POST /api/v1/forecasts": {
            "site": ids["site"],
            "source": role,
            "issued": "2026-11-22T04:00:00Z",
            "entries": [{"day": "2026-11-23", "rain_mm": 3.0}],
        },
        "POST /api/v1/acts/{record}/settle": {"state": "done", "reason": "looked"},
        "POST /api/v1/suspensions": {"kind": "rain-delay", "on": on, "hours": 1},
        "POST /api/v1/acts": {"zone": ids["zone"], "action": "irrigate", "seconds": 60},
        "POST /api/v1/people": {"login": f"new-{ids['site']}", "title": "N", "home": f"agency:{ids['agency']}"},
        "PATCH /api/v1/people/{record}": {"title": "N"},
        "PUT /api/v1/people/{record}/grants": {"grants": [{"role": "viewer", "on": on}]},
        "POST /api/v1/tokens": {
            "name": f"new-{ids['site']}",
            "grants": [{"role": "viewer", "on": on}],
            "expires": "2027-01-01T00:00:00Z",
        },
        "POST /api/v1/quarantine/replay": {"site": ids["site"]},
        "PATCH /api/v1/session": {"language": "en"},
        "POST /api/v1/session/password": {"old": "x", "password": "x"},
    }.get(route)


async def act_of(house: House, ids: dict[str, str]) -> str:
    """Return the id of an act in the agency's zone: of the one under way, or of a new one."""
    controller = house.services.controller
    await controller.stop(ids["device"], actor="tester")
    act = await controller.request_act(ids["zone"], "irrigate", seconds=5, actor="tester")
    return act.id


async def ask(client: httpx2.AsyncClient, house: House, route: str, ids: dict[str, str], role: str) -> httpx2.Response:
    method, path = route.split()
    noun = path.split("/")[3] if path.count("/") > 2 else ""
    record = "1"
    if "{record}" in path and noun == "acts":
        record = await act_of(house, ids)
    elif "{record}" in path:
        record = ids.get(noun, "1")
    path = re.sub(r"{(\w+)}", lambda found: record if found[1] == "record" else ids[found[1]], path)
    return await client.request(method, path, json=body_for(route, ids, role))


def test_the_table_has_every_route_and_no_other(house: House) -> None:
    paths = describe(house.app, "0")["paths"]
    routes = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}

    assert set(ALLOWED) == routes | {"GET /openapi.json"}


def test_every_operation_has_an_entry_and_every_entry_an_operation(house: House) -> None:
    paths = describe(house.app, "0")["paths"]
    names = {operation["operationId"] for methods in paths.values() for operation in methods.values()}

    assert set(PERMISSIONS) == names | {"show_openapi"}


def test_the_page_about_security_shows_the_table() -> None:
    page = (Path(__file__).parents[3] / "docs/security.md").read_text("utf-8")

    assert as_markdown() in page, "run: python -m tests.unit.api.permissions"


async def test_every_route_in_ones_own_place_does_what_the_table_says(ground: Ground, role: str) -> None:
    wrong = []
    async with ground.house.client(role) as client:
        for route in ROUTES:
            if route in NOT_OURS:
                continue
            word, everywhere = ALLOWED[route][role], SCOPES[role].type == "all"
            answer = await ask(client, ground.house, route, ground.own, role)
            may = word in ("yes", "open") or (word in ("all", "city") and everywhere)
            if "v1/session" in route and route != "GET /api/v1/session":
                may = False  # a token has no session of its own: tests/unit/api/test_session.py signs people in
            passed = answer.status_code not in (401, 403, 404) or (may and "/quarantine/{record}" in route)
            if passed is not may or answer.status_code >= 500:
                wrong.append(f"{route}: {word}, but {answer.status_code} {answer.text[:200]}")
    assert wrong == []


async def test_every_route_at_another_agencys_things_finds_nothing(role: str, tmp_path: Path) -> None:
    if SCOPES[role].type == "all":
        pytest.skip("sees every agency")
    wrong, seen = [], 0
    with open_house(tmp_path) as house:
        with house.services.database.session() as session:
            places.create_city(session, "bpp", "Balikpapan", trail=TRAIL)
        own, foreign = furnish(house, "dlh", "taman-kota", "bedeng-1"), furnish(house, "dkp", "kolam-kota", "bedeng-2")
        with house.services.database.session() as session:
            house.tokens[role] = tokens.create(session, "me", (Grant(role, SCOPES[role]),), now_ms=START_MS)[0]
        async with house.client(role) as client:
            for route in ROUTES:
                named = re.search(r"{(agency|site|device|zone|resource|record)}", route) or body_for(route, foreign, role)
                if not named or route in NOT_OURS or any(part in route for part in ABOVE):
                    continue
                seen += 1
                answer = await ask(client, house, route, foreign, role)
                expected = 404 if ALLOWED[route][role] in ("yes", "own") else 403
                if answer.status_code != expected:
                    wrong.append(f"{route}: {expected}, but {answer.status_code} {answer.text[:200]}")
                if expected == 404 and "{record}" not in route:
                    unknown = {name: re.sub("kolam-kota|dkp", "nowhere", value) for name, value in foreign.items()}
                    twin = await ask(client, house, route, unknown, role)
                    if twin.text != re.sub("kolam-kota|dkp", "nowhere", answer.text):
                        wrong.append(f"{route}: tells what exists: {answer.text} {twin.text}")
    assert wrong == []
    assert seen > 20
    assert own != foreign


async def test_every_list_leaves_out_another_agencys_things(role: str, tmp_path: Path) -> None:
    with open_house(tmp_path) as house:
        with house.services.database.session() as session:
            places.create_city(session, "bpp", "Balikpapan", trail=TRAIL)
        own, foreign = furnish(house, "dlh", "taman-kota", "bedeng-1"), furnish(house, "dkp", "kolam-kota", "bedeng-2")
        for ids in (own, foreign):
            await act_of(house, ids)
        with house.services.database.session() as session:
            house.tokens[role] = tokens.create(session, "me", (Grant(role, SCOPES[role]),), now_ms=START_MS)[0]
        async with house.client(role) as client:
            for noun in LISTS:
                if ALLOWED[f"GET /api/v1/{noun}"][role] != "yes":
                    continue
                text = (await client.get(f"/api/v1/{noun}")).text
                others = "kolam-kota" in text or "dkp" in text
                assert others is (SCOPES[role].type == "all" and noun not in EMPTY), noun
                assert noun in (*EMPTY, "tokens", "audit") or "taman-kota" in text or "dlh" in text, noun
