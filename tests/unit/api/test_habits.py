# SPDX-License-Identifier: Apache-2.0
"""What holds for the whole API: versions, sorting, limits, compression, the trail of every change."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx2
import pytest

from api.app import create_app
from api.limits import RateConfig, RateLimits
from control.decisions import Finding, store_decisions
from tests.unit.api.house import IRRIGATION, POND, SITE, House

BED = "taman-kota:bedeng-1:1"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", "/api/v1/cities/city", {"title": "Kota"}),
        ("PATCH", "/api/v1/agencies/city:agency", {"title": "Dinas"}),
        ("PATCH", "/api/v1/sites/taman-kota", {"title": "Taman", "tags": ["b", "a"], "pillars": ["living"]}),
        ("PATCH", "/api/v1/devices/taman-kota:bedeng-1", {"title": "Depan", "tags": ["x"]}),
        ("PATCH", f"/api/v1/zones/{BED}", {"litres_day": 300}),
        ("PUT", "schedule", {"definition": IRRIGATION, "enabled": False}),
        ("PATCH", "person", {"title": "Ani"}),
        ("PUT", "person/grants", {"grants": [{"role": "viewer", "on": "*"}]}),
    ],
)
async def test_two_people_at_one_thing_do_not_overwrite_each_other(
    pilot: httpx2.AsyncClient, method: str, path: str, body: dict[str, Any]
) -> None:
    if path == "schedule":
        path = (await pilot.post("/api/v1/schedules", json={"zone": BED, "definition": IRRIGATION})).headers["location"]
    elif path.startswith("person"):
        made = await pilot.post("/api/v1/people", json={"login": "ani", "title": "A", "home": "*"})
        path = path.replace("person", made.headers["location"])
    shown = await pilot.get(path.removesuffix("/grants"))
    tag = shown.headers["etag"]
    assert tag == f'"{shown.json()["version"]}"'
    first = await pilot.request(method, path, json=body, headers={"if-match": tag})
    second = await pilot.request(method, path, json=body, headers={"if-match": tag})

    assert first.status_code == 200, first.text
    assert first.headers["etag"] != tag
    assert second.status_code == 412
    assert second.headers["etag"] == first.headers["etag"]
    assert "a-operator changed this" in second.json()["detail"]
    assert (await pilot.request(method, path, json=body)).status_code == 200


@pytest.mark.parametrize("thing", ["cities", "agencies", "sites", "devices", "schedules"])
async def test_nobody_deletes_what_somebody_else_has_changed_meanwhile(pilot: httpx2.AsyncClient, thing: str) -> None:
    bodies: dict[str, dict[str, Any]] = {
        "cities": {"city": "ppu", "title": "PPU"},
        "agencies": {"city": "city", "agency": "dkp", "title": "DKP"},
        "sites": {**SITE, "site": "empty"},
        "devices": {**POND, "device": "kolam-9"},
        "schedules": {"zone": BED, "definition": IRRIGATION},
    }
    made = await pilot.post(f"/api/v1/{thing}", json=bodies[thing])
    path = made.headers["location"]
    tag = (await pilot.get(path)).headers["etag"]
    change: dict[str, Any] = {"definition": IRRIGATION, "enabled": False} if thing == "schedules" else {"title": "Other"}
    changed = await pilot.request("PUT" if thing == "schedules" else "PATCH", path, json=change)
    refused = await pilot.delete(path, headers={"if-match": tag})
    done = await pilot.delete(path, headers={"if-match": changed.headers["etag"]})

    assert (changed.status_code, refused.status_code, done.status_code) == (200, 412, 204)
    assert refused.headers["etag"] == changed.headers["etag"]
    assert "a-operator changed this" in refused.json()["detail"]
    assert (await pilot.get(path)).status_code == 404


async def walked(api: httpx2.AsyncClient, path: str, sort: str | None, name: str) -> list[Any]:
    """Return that field of every item of a list, taken two at a time."""
    found: list[Any] = []
    after = None
    while True:
        asked = {"limit": 2, "sort": sort, "after": after}
        page = (await api.get(path, params={key: value for key, value in asked.items() if value is not None})).json()
        found += [item[name] for item in page["items"]]
        after = page["next"]
        if after is None:
            return found


async def test_tokens_are_paged_and_sorted(api: httpx2.AsyncClient) -> None:
    for name in ("zebra", "apel", "mawar"):
        body = {"name": name, "grants": [{"role": "viewer", "on": "*"}], "expires": "2027-01-01T00:00:00Z"}
        assert (await api.post("/api/v1/tokens", json=body)).status_code == 201
    names = await walked(api, "/api/v1/tokens", None, "name")

    assert names == ["a-operator", "a-service", "a-viewer", "apel", "mawar", "zebra"]
    assert await walked(api, "/api/v1/tokens", "-name", "name") == names[::-1]
    assert await walked(api, "/api/v1/tokens", "-created", "id") == ["6", "5", "4", "3", "2", "1"]
    assert (await api.get("/api/v1/tokens", params={"sort": "used"})).status_code == 422


@pytest.mark.parametrize("path", ["audit", "decisions", "quarantine"])
async def test_lists_of_what_happened_go_either_way(pilot: httpx2.AsyncClient, house: House, path: str) -> None:
    if path == "quarantine":
        for value in (7, 8, 9):
            house.receive("bedeng-1", b'{"soil_moisture":%d}' % value)
    if path == "decisions":
        findings = [Finding(BED, 1000 + n, "irrigation", acted=True, reasons=0, latched=False, inputs=dict) for n in range(3)]
        with house.services.database.session() as session:
            store_decisions(session, findings)
    newest = await walked(pilot, f"/api/v1/{path}", None, "id")

    assert len(newest) >= 3
    assert newest == sorted(newest, key=int, reverse=True)
    assert await walked(pilot, f"/api/v1/{path}", "-id", "id") == newest
    assert await walked(pilot, f"/api/v1/{path}", "id", "id") == newest[::-1]
    if path == "decisions":
        assert await walked(pilot, "/api/v1/decisions", "at", "id") == newest[::-1]
    wrong = await pilot.get(f"/api/v1/{path}", params={"sort": "colour"})
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "sort")


async def test_change_site_keeps_what_is_not_given_and_takes_geojson(pilot: httpx2.AsyncClient) -> None:
    point = {"type": "Point", "coordinates": [116.83, -1.27]}
    await pilot.patch("/api/v1/sites/taman-kota", json={"position": point, "activity": "2.3 Taman pintar"})
    changed = (await pilot.patch("/api/v1/sites/taman-kota", json={"tags": ["taman"]})).json()
    gone = (await pilot.patch("/api/v1/sites/taman-kota", json={"position": None})).json()
    wrong = await pilot.patch("/api/v1/sites/taman-kota", json={"position": {"type": "Point", "coordinates": [0, 91]}})

    assert (changed["position"], changed["activity"], changed["tags"]) == (point, "2.3 Taman pintar", ["taman"])
    assert (changed["title"], changed["timezone"], changed["version"]) == (SITE["title"], SITE["timezone"], 3)
    assert gone["position"] is None
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "position")


async def test_lists_are_sorted_as_asked_and_paged_in_that_order(api: httpx2.AsyncClient) -> None:
    for name, title in (("a", "Zebra"), ("b", "apel"), ("c", "Mawar"), ("d", "Mawar"), ("e", "Bambu")):
        await api.post("/api/v1/sites", json={**SITE, "site": name, "title": title})
    found: dict[str, list[str]] = {}
    for sort in ("name", "-name", "title", "-title", "-created"):
        found[sort], after = [], None
        while True:
            page = (
                await api.get("/api/v1/sites", params={"sort": sort, "limit": 2} | ({"after": after} if after else {}))
            ).json()
            found[sort] += [item["id"] for item in page["items"]]
            after = page["next"]
            if after is None:
                break
    wrong = await api.get("/api/v1/sites", params={"sort": "colour"})
    bad = await api.get("/api/v1/sites", params={"sort": "title", "after": "zzz"})

    assert found["name"] == ["a", "b", "c", "d", "e"] == found["-name"][::-1]
    assert found["title"] == ["e", "c", "d", "a", "b"] == found["-title"][::-1]
    assert found["-created"] == ["e", "d", "c", "b", "a"]
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "sort")
    assert (bad.status_code, bad.json()["errors"][0]["field"]) == (422, "after")


async def test_lists_are_filtered_by_tag(pilot: httpx2.AsyncClient) -> None:
    await pilot.patch("/api/v1/devices/taman-kota:bedeng-1", json={"tags": ["cabai", "cabai-rawit"]})
    found = {
        tag: [item["id"] for item in (await pilot.get("/api/v1/devices", params={"tag": tag})).json()["items"]]
        for tag in ("cabai", "cabai-rawit", "caba", "cabai_rawit")
    }
    assert found == {"cabai": ["taman-kota:bedeng-1"], "cabai-rawit": ["taman-kota:bedeng-1"], "caba": [], "cabai_rawit": []}


async def test_answers_tell_how_many_requests_are_left(house: House) -> None:
    house.app = create_app(replace(house.services, rates=RateLimits(lambda: 20.0)))
    async with house.client() as api:
        answers = [await api.get("/api/v1/sites") for _ in range(2)]
        change = await api.post("/api/v1/sites", json=SITE)

    assert answers[0].headers["ratelimit-policy"] == '"read";q=12000;w=60'
    assert [answer.headers["ratelimit"] for answer in answers] == ['"read";r=11999;t=41', '"read";r=11998;t=41']
    assert change.headers["ratelimit"] == '"write";r=5999;t=41'


async def test_too_many_requests_are_refused_for_a_while_and_only_to_who_sent_them(house: House) -> None:
    rates = RateLimits(lambda: 20.0, RateConfig(read=3, write=1, refused=2))
    house.app = create_app(replace(house.services, rates=rates))
    async with house.client() as api, house.client("viewer") as other, house.client(None) as stranger:
        reads = [(await api.get("/api/v1/clock")).status_code for _ in range(3)]
        refused = await api.get("/api/v1/clock")
        writes = (await api.post("/api/v1/sites", json=SITE)).status_code
        others = (await other.get("/api/v1/clock")).status_code
        strangers = [(await stranger.get("/api/v1/clock")).status_code for _ in range(3)]

    assert (reads, writes, others, strangers) == ([200] * 3, 201, 200, [401, 401, 429])
    assert refused.status_code == 429
    assert refused.headers["retry-after"] == "41"
    assert refused.headers["ratelimit"].startswith('"read";r=0;')
    assert refused.json()["status"] == 429


async def test_long_answers_are_compressed_for_who_takes_it(pilot: httpx2.AsyncClient) -> None:
    plain = await pilot.get("/api/v1/catalogue", headers={"accept-encoding": "identity"})
    packed = await pilot.get("/api/v1/catalogue", headers={"accept-encoding": "gzip"})

    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.json() == plain.json()
    assert int(packed.headers["content-length"]) < len(plain.content) / 2


async def test_every_change_over_http_is_entered_into_the_trail(pilot: httpx2.AsyncClient) -> None:
    """Each request that succeeds leaves an entry that names its sender."""
    schedule = await pilot.post("/api/v1/schedules", json={"zone": BED, "definition": IRRIGATION})
    requests: list[tuple[str, str, Any]] = [
        ("PUT", schedule.headers["location"], {"definition": IRRIGATION, "enabled": False}),
        ("DELETE", schedule.headers["location"], None),
        ("PATCH", f"/api/v1/zones/{BED}", {"title": "B"}),
        ("PATCH", "/api/v1/devices/taman-kota:bedeng-1", {"title": "B"}),
        ("POST", "/api/v1/devices/taman-kota:bedeng-1/credential", None),
        ("POST", "/api/v1/acts", {"zone": BED, "action": "irrigate", "seconds": 5}),
        ("POST", f"/api/v1/zones/{BED}/stop", None),
        ("POST", "/api/v1/devices/taman-kota:bedeng-1/stop", None),
        ("DELETE", "/api/v1/devices/taman-kota:bedeng-1", None),
        ("PATCH", "/api/v1/sites/taman-kota", {"title": "T"}),
        ("POST", "/api/v1/sites", {**SITE, "site": "empty"}),
        ("DELETE", "/api/v1/sites/empty", None),
        ("POST", "/api/v1/cities", {"city": "ppu", "title": "PPU"}),
        ("PATCH", "/api/v1/cities/ppu", {"title": "P"}),
        ("POST", "/api/v1/agencies", {"city": "ppu", "agency": "dkp", "title": "DKP"}),
        ("PATCH", "/api/v1/agencies/ppu:dkp", {"title": "D"}),
        ("DELETE", "/api/v1/agencies/ppu:dkp", None),
        ("DELETE", "/api/v1/cities/ppu", None),
    ]
    seen = int((await pilot.get("/api/v1/audit", params={"limit": 1})).json()["items"][0]["id"])
    actions = []
    for method, path, body in requests:
        answer = await pilot.request(method, path, json=body)
        assert answer.status_code < 300, (method, path, answer.text)
        entry = (await pilot.get("/api/v1/audit", params={"limit": 1})).json()["items"][0]
        assert int(entry["id"]) > seen, (method, path)
        assert entry["actor"] == "a-operator"
        seen = int(entry["id"])
        actions.append(entry["action"])
    assert actions == [
        "schedule.change", "schedule.delete", "zone.change", "device.change", "device.credential", "act.request", "act.stop",
        "act.stop", "device.revoke", "site.change", "site.create", "site.delete", "city.create", "city.change",
        "agency.create", "agency.change", "agency.delete", "city.delete",
    ]  # fmt: skip
