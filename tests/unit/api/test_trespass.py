# SPDX-License-Identifier: Apache-2.0
"""One caller in the place of another: by name, by key, by what was made before, by what is still open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx2
import pytest

from api import create_app, events
from api.limits import STRANGER, RateConfig, RateLimits
from control import people, places, registry, tokens
from control.access import Grant, Principal, Scope
from control.audit import Trail, list_entries
from control.errors import NotFound
from ingest import feed as feed_module
from ingest.feed import LiveFeed, TooManySubscribers
from tests.unit.api.house import BED, START_MS, House
from tests.unit.api.test_session import ANI, OWN, enter

TRAIL = Trail("tester", "local", START_MS)
DLH, DKP = Scope("agency", "bpp:dlh"), Scope("agency", "bpp:dkp")
ZONE = "taman-kota:bedeng-1:1"
LATER = "2027-01-01T00:00:00Z"


@pytest.fixture
def city(house: House) -> House:
    """Two agencies with a site each, and an administrator's token of one of them."""
    with house.services.database.session() as session:
        places.create_city(session, "bpp", "Balikpapan", trail=TRAIL)
        for scope, site in ((DLH, "taman-kota"), (DKP, "kolam-kota")):
            places.create_agency(session, "bpp", scope.key.partition(":")[2], "A", trail=TRAIL)
            details = registry.SiteDetails(scope.key)
            registry.create_site(session, site, site, "Asia/Makassar", details, now_ms=START_MS, trail=TRAIL)
        give(house, session, "admin", (Grant("agency-admin", DLH),))
    return house


def give(house: House, session: Any, name: str, grants: tuple[Grant, ...], **more: Any) -> None:
    """Make a token and let the house's clients bear it."""
    house.tokens[name] = tokens.create(session, name, grants, now_ms=START_MS, trail=TRAIL, **more)[0]


@pytest.mark.parametrize("called", ["ani", "another"])
async def test_a_token_called_as_a_person_is_another_caller_for_idempotency_keys(
    city: House, api: httpx2.AsyncClient, called: str
) -> None:
    assert (await api.post("/api/v1/devices", json=BED)).status_code == 201
    operator = (Grant("operator", DLH),)
    browser, _ = await enter(city, api, {**ANI, "grants": [{"role": "operator", "on": "agency:bpp:dlh"}]})
    with city.services.database.session() as session:
        give(city, session, called, operator)
    act, other = ({"zone": ZONE, "action": "irrigate", "seconds": seconds} for seconds in (60, 30))
    first = await browser.post("/api/v1/acts", json=act, headers={**OWN, "idempotency-key": "k"})
    again = await browser.post("/api/v1/acts", json=act, headers={**OWN, "idempotency-key": "k"})
    await browser.post(f"/api/v1/zones/{ZONE}/stop", headers=OWN)
    async with city.client(called) as token:
        theirs = await token.post("/api/v1/acts", json=other, headers={"idempotency-key": "k"})

    assert (first.status_code, again.json()["id"]) == (201, first.json()["id"])
    assert theirs.status_code == 201, theirs.text
    assert theirs.json()["id"] != first.json()["id"]


async def test_a_token_called_as_a_person_does_not_use_up_what_the_person_may_ask(
    house: House, api: httpx2.AsyncClient
) -> None:
    browser, _ = await enter(house, api)
    with house.services.database.session() as session:
        give(house, session, "ani", (Grant("viewer"),))
    rates = RateLimits(lambda: 20.0, RateConfig(read=2))
    house.app = create_app(replace(house.services, rates=rates))
    async with house.client("ani") as token:
        assert [(await token.get("/api/v1/sites")).status_code for _ in range(3)] == [200, 200, 429]
    async with house.client(None) as person:
        answer = await person.get("/api/v1/sites", headers={"cookie": browser.headers["cookie"]})
    assert answer.status_code == 200


def test_strangers_without_number_do_not_share_the_count_of_who_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.limits.CALLERS_MAX", 3)
    rates = RateLimits(lambda: 20.0, RateConfig(read=2))
    for number in range(3):
        rates.ask(f"{STRANGER}10.0.0.{number}", "read")
    assert rates.ask("person:1", "read").left == 1
    assert rates.ask("person:2", "read").left == 1


async def test_a_token_made_with_a_token_ends_no_later(city: House) -> None:
    with city.services.database.session() as session:
        give(city, session, "short", (Grant("partner", Scope("site", "taman-kota")),), expires_ms=START_MS + 3_600_000)
    body = {"name": "long", "grants": [{"role": "viewer", "on": "site:taman-kota"}], "expires": LATER}
    async with city.client("short") as client:
        refused = await client.post("/api/v1/tokens", json=body)
        made = await client.post("/api/v1/tokens", json={**body, "expires": "2026-11-22T05:30:00Z"})

    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "expires")
    assert made.status_code == 201


async def test_a_persons_token_shows_its_own_roles_and_not_the_persons(house: House, api: httpx2.AsyncClient) -> None:
    _, person = await enter(house, api)
    with house.services.database.session() as session:
        give(house, session, "meter", (Grant("viewer"),), owner_id=person)
    async with house.client("meter") as client:
        shown = (await client.get("/api/v1/session")).json()
    assert (shown["grants"], shown["permissions"]) == ([{"role": "viewer", "on": "*"}], ["see"])


async def test_a_person_whose_roles_have_grown_is_not_reached_by_a_code_made_before(
    city: House, api: httpx2.AsyncClient
) -> None:
    async with city.client("admin") as admin:
        body = {"login": "budi", "title": "B", "home": "agency:bpp:dlh"}
        budi = (await admin.post("/api/v1/people", json=body)).json()["id"]
        code = (await admin.post(f"/api/v1/people/{budi}/invitation")).json()["code"]
        grants = {"grants": [{"role": "viewer", "on": "agency:bpp:dkp"}]}
        assert (await api.put(f"/api/v1/people/{budi}/grants", json=grants)).status_code == 200
        taken = await admin.post("/api/v1/invitation", json={"code": code, "password": "kebun raya balikpapan"})
        anew = await admin.post(f"/api/v1/people/{budi}/invitation")

    assert (taken.status_code, anew.status_code) == (404, 404)


@pytest.mark.parametrize("method", ["DELETE", "POST"])
async def test_the_quarantine_of_another_agencys_site_is_not_touched_nor_its_audit_trail(city: House, method: str) -> None:
    async with city.client("admin") as admin:
        if method == "DELETE":
            answers = [await admin.delete(f"/api/v1/quarantine?site={site}") for site in ("kolam-kota", "nowhere")]
        else:
            bodies = ({"site": site} for site in ("kolam-kota", "nowhere"))
            answers = [await admin.post("/api/v1/quarantine/replay", json=body) for body in bodies]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert answers[0].text.replace("kolam-kota", "nowhere") == answers[1].text
    with city.services.database.reader() as session:
        assert not [entry for entry in list_entries(session)[0] if entry.action.startswith("quarantine")]


@pytest.mark.parametrize("noun", ["sites", "devices", "zones", "agencies", "people", "tokens"])
async def test_a_cursor_made_up_from_another_agencys_item_shows_only_ones_own(city: House, noun: str) -> None:
    with city.services.database.session() as session:
        for scope in (DLH, DKP):
            people.create_person(session, f"p-{scope.key[-3:]}", "P", home=scope, trail=TRAIL)
    async with city.client("admin") as admin:
        for after in ("a", "kolam-kota", "bpp:dkp", "kolam-kota:a", "kolam-kota:a:1", "p-dkp", "0"):
            answer = await admin.get(f"/api/v1/{noun}", params={"after": after})
            assert answer.status_code in (200, 422)
            assert "dkp" not in answer.text.replace(after, ""), after
            assert "kolam" not in answer.text.replace(after, ""), after


async def test_an_old_version_of_what_may_not_be_seen_is_not_told_from_none(city: House, api: httpx2.AsyncClient) -> None:
    made = (await api.post("/api/v1/people", json={"login": "cici", "title": "C", "home": "agency:bpp:dkp"})).json()
    paths = [f"/api/v1/people/{made['id']}", f"/api/v1/people/{made['id'][:-1]}Z", "/api/v1/sites/kolam-kota"]
    async with city.client("admin") as admin:
        answers = [await admin.patch(path, json={"title": "X"}, headers={"if-match": '"9"'}) for path in paths]
    assert [answer.status_code for answer in answers] == [404] * 3
    assert not any("etag" in answer.headers for answer in answers)


@asynccontextmanager
async def following(house: House, name: str, last: int) -> AsyncIterator[asyncio.Queue[str]]:
    """Follow events as a token, from behind an event, and give what comes."""
    came: asyncio.Queue[str] = asyncio.Queue()
    gone = asyncio.Event()
    asked = False

    async def receive() -> dict[str, object]:
        nonlocal asked
        if not asked:
            asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        came.put_nowait(message.get("body", b"").decode())

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
        "path": "/api/v1/events", "raw_path": b"/api/v1/events", "query_string": b"", "root_path": "",
        "headers": [
            (b"authorization", f"Bearer {house.tokens[name]}".encode()),
            (b"last-event-id", str(last).encode()),
        ],
        "client": ("127.0.0.1", 1), "server": ("tirta", 80),
    }  # fmt: skip
    task = asyncio.create_task(house.app(scope, receive, send))
    try:
        yield came
    finally:
        gone.set()
        await asyncio.wait_for(task, 120)


async def text_until(came: asyncio.Queue[str], word: str) -> str:
    """Return what has come when `word` has."""
    text = ""
    while word not in text:
        text += await asyncio.wait_for(came.get(), 120)
    return text


async def test_events_of_another_agency_are_not_shown_neither_past_nor_present_nor_once_a_grant_is_gone(
    city: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "TOKEN_CHECK_S", 0.0)
    with city.services.database.session() as session:
        both = (Grant("viewer", DLH), Grant("viewer", DKP))
        owner = people.create_person(session, "budi", "B", home=Scope("all"), grants=both, trail=TRAIL)
        give(city, session, "watch", both, owner_id=owner.id)
    feed = city.services.feed

    def tell(site: str, n: int) -> None:
        feed.publish("act", {"zone": f"{site}:x:1", "number": n})

    async with feed.subscribe():  # somebody listens, so that the past is kept
        for site, n in (("kolam-kota", 1), ("taman-kota", 2), ("nowhere", 3)):
            tell(site, n)
        async with following(city, "admin", 0) as seen, following(city, "watch", 0) as came:
            assert "kolam-kota" in await text_until(came, '"number":2')
            with city.services.database.session() as session:
                people.grant_roles(session, owner.id, [Grant("viewer", DLH)], trail=TRAIL)
            tell("kolam-kota", 4)
            tell("taman-kota", 5)
            assert "kolam-kota" not in await text_until(came, '"number":5')
            text = await text_until(seen, '"number":5')
    assert "kolam-kota" not in text
    assert "nowhere" not in text
    assert '"number":2' in text


async def test_no_caller_alone_takes_every_stream_of_events(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "MAX_EACH", 2)
    feed, whose = LiveFeed(), Principal("ani", "person", person_id="1").key
    async with feed.subscribe(None, whose), feed.subscribe(None, whose):
        with pytest.raises(TooManySubscribers):
            async with feed.subscribe(None, whose):
                pass
        async with feed.subscribe(None, "person:2"):
            assert feed.listeners == 3
    async with feed.subscribe(None, whose):
        assert feed.listeners == 1


async def test_a_revoked_token_is_gone_for_who_made_it_too(city: House) -> None:
    with city.services.database.session() as session:
        give(city, session, "old", (Grant("viewer", DLH),))
        number = next(each.id for each in tokens.list_tokens(session)[0] if each.name == "old")
        tokens.revoke(session, "old", now_ms=START_MS)
        give(city, session, "old", (Grant("viewer", DKP),))  # another one of that name, of another agency
    async with city.client("admin") as admin:
        assert (await admin.delete(f"/api/v1/tokens/{number}")).status_code == 404
        assert (await admin.delete(f"/api/v1/tokens/{number + 1}")).status_code == 404
    with city.services.database.reader() as session:
        assert tokens.get_token(session, number + 1).name == "old"
        with pytest.raises(NotFound):
            tokens.get_token(session, number)
