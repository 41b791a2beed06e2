# SPDX-License-Identifier: Apache-2.0
"""People over HTTP: invited, signing in, changing things by cookie, shut out."""

from __future__ import annotations

import re
from typing import Any

import httpx2
import pytest

from api.access import COOKIE
from gateway import SteppedClock
from tests.unit.api.house import SITE, House

PASSWORD = "kebun raya balikpapan"
OWN = {"sec-fetch-site": "same-origin"}
ANI = {"login": "ani", "title": "Ani", "home": "*", "grants": [{"role": "supervisor", "on": "*"}]}


async def invite(api: httpx2.AsyncClient, person: dict[str, Any] = ANI) -> tuple[str, str]:
    """Create a person; return the id and an invitation's code."""
    made = await api.post("/api/v1/people", json=person)
    assert made.status_code == 201, made.text
    answer = await api.post(f"{made.headers['location']}/invitation")
    assert answer.status_code == 201, answer.text
    return made.json()["id"], answer.json()["code"]


async def enter(house: House, api: httpx2.AsyncClient, person: dict[str, Any] = ANI) -> tuple[httpx2.AsyncClient, str]:
    """Invite a person and sign in; return a client that holds the cookie as a browser would, and the person's id."""
    person_id, code = await invite(api, person)
    client = house.client(None)
    chosen = await client.post("/api/v1/invitation", json={"code": code, "password": PASSWORD})
    assert chosen.status_code == 200, chosen.text
    answer = await client.post("/api/v1/session", json={"login": person["login"], "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    client.headers["cookie"] = answer.headers["set-cookie"].partition(";")[0]
    return client, person_id


async def test_sign_in_sets_a_cookie_that_only_this_host_over_tls_gets_and_no_script(
    house: House, api: httpx2.AsyncClient
) -> None:
    _, code = await invite(api)
    async with house.client(None) as client:
        await client.post("/api/v1/invitation", json={"code": code, "password": PASSWORD})
        answers = [await client.post("/api/v1/session", json={"login": "ani", "password": PASSWORD}) for _ in range(2)]
    cookies = [answer.headers["set-cookie"] for answer in answers]
    assert answers[0].json()["login"] == "ani"
    assert cookies[0] != cookies[1]
    for cookie in cookies:
        assert re.fullmatch(rf"{COOKIE}=[A-Za-z0-9_-]{{43}}; HttpOnly; Max-Age=[0-9]+; Path=/; SameSite=strict; Secure", cookie)


@pytest.mark.parametrize(("login", "password"), [("ani", "wrong password"), ("nobody", PASSWORD), ("", "")])
async def test_sign_in_with_anything_wrong_is_answered_alike(
    house: House, api: httpx2.AsyncClient, login: str, password: str
) -> None:
    await enter(house, api)
    async with house.client(None) as client:
        answer = await client.post("/api/v1/session", json={"login": login, "password": password})
        other = await client.post("/api/v1/session", json={"login": "somebody", "password": "else entirely"})
    assert answer.status_code == 401
    assert answer.content == other.content
    assert "set-cookie" not in answer.headers


async def test_sign_in_after_many_failures_says_when_to_try_again(house: House, api: httpx2.AsyncClient) -> None:
    await enter(house, api)
    async with house.client(None) as client:
        for _ in range(5):
            assert (await client.post("/api/v1/session", json={"login": "ani", "password": "x"})).status_code == 401
        answer = await client.post("/api/v1/session", json={"login": "ani", "password": PASSWORD})
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) >= 1


async def test_a_session_shows_who_one_is_and_changes_what_the_roles_allow(house: House, api: httpx2.AsyncClient) -> None:
    client, _ = await enter(house, api)
    shown = (await client.get("/api/v1/session")).json()
    assert (shown["name"], shown["kind"], shown["language"]) == ("ani", "person", "id")
    assert "people" in shown["permissions"]
    assert "actuate" not in shown["permissions"]
    assert (await client.post("/api/v1/sites", json=SITE, headers=OWN)).status_code == 201


@pytest.mark.parametrize(
    ("headers", "passes"),
    [
        ({"sec-fetch-site": "same-origin"}, True),
        ({"origin": "http://tirta"}, True),
        ({"origin": "https://tirta"}, True),
        ({}, False),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"sec-fetch-site": "same-site"}, False),
        ({"sec-fetch-site": "none"}, False),
        ({"origin": "null"}, False),
        ({"origin": "http://tirta.example"}, False),
        ({"origin": "http://tirta@evil"}, False),
        ({"sec-fetch-site": "cross-site", "origin": "http://tirta"}, False),
    ],
)
async def test_a_change_by_cookie_passes_only_from_our_own_pages(
    house: House, api: httpx2.AsyncClient, headers: dict[str, str], passes: bool
) -> None:
    client, _ = await enter(house, api)
    answer = await client.post("/api/v1/sites", json=SITE, headers=headers)

    assert answer.status_code == (201 if passes else 403)
    assert (await client.get("/api/v1/sites", headers=headers)).status_code == 200


async def test_sign_in_from_another_sites_page_is_refused(house: House, api: httpx2.AsyncClient) -> None:
    async with house.client(None) as client:
        answer = await client.post(
            "/api/v1/session", json={"login": "ani", "password": PASSWORD}, headers={"sec-fetch-site": "cross-site"}
        )
    assert answer.status_code == 403


async def test_signing_out_ends_the_session_here_and_in_the_browser(house: House, api: httpx2.AsyncClient) -> None:
    client, _ = await enter(house, api)
    answer = await client.delete("/api/v1/session", headers=OWN)

    assert answer.status_code == 204
    assert answer.headers["set-cookie"].startswith(f'{COOKIE}="";')
    assert "Max-Age=0" in answer.headers["set-cookie"]
    assert (await client.get("/api/v1/sites")).status_code == 401


@pytest.mark.parametrize("how", ["disable", "end", "password", "idle", "longest"])
async def test_a_session_is_refused_at_once_when_it_has_ended(house: House, api: httpx2.AsyncClient, how: str) -> None:
    client, person = await enter(house, api)
    assert (await client.get("/api/v1/sites")).status_code == 200
    if how == "disable":
        assert (await api.patch(f"/api/v1/people/{person}", json={"disabled": True})).status_code == 200
    elif how == "end":
        assert (await api.delete(f"/api/v1/people/{person}/sessions")).json() == {"ended": 1}
    elif how == "password":
        body = {"old": PASSWORD, "password": "taman bekapai balikpapan"}
        assert (await client.post("/api/v1/session/password", json=body, headers=OWN)).status_code == 204
    else:
        config = house.services.sessions
        wall = house.services.wall
        assert isinstance(wall, SteppedClock)
        await wall.advance(config.idle_s if how == "idle" else config.longest_s)
    assert (await client.get("/api/v1/sites")).status_code == 401


async def test_a_role_holds_from_the_next_request_on(house: House, api: httpx2.AsyncClient) -> None:
    client, person = await enter(house, api)
    assert (await client.get("/api/v1/people")).status_code == 200
    await api.put(f"/api/v1/people/{person}/grants", json={"grants": [{"role": "viewer", "on": "*"}]})

    assert (await client.get("/api/v1/people")).status_code == 403
    assert (await client.get("/api/v1/sites")).status_code == 200


async def test_nobody_changes_their_own_roles_or_shuts_themselves_out(house: House, api: httpx2.AsyncClient) -> None:
    client, person = await enter(house, api)
    grants = await client.put(f"/api/v1/people/{person}/grants", json={"grants": []}, headers=OWN)
    disabled = await client.patch(f"/api/v1/people/{person}", json={"disabled": True}, headers=OWN)

    assert (grants.status_code, disabled.status_code) == (403, 403)


async def test_an_agencys_administrator_gives_roles_within_the_agency_and_nowhere_else(
    house: House, api: httpx2.AsyncClient
) -> None:
    await api.post("/api/v1/cities", json={"city": "bpp", "title": "Balikpapan"})
    for agency in ("dlh", "dkp"):
        await api.post("/api/v1/agencies", json={"city": "bpp", "agency": agency, "title": agency})
        await api.post("/api/v1/sites", json={**SITE, "site": f"site-{agency}", "agency": f"bpp:{agency}"})
    on = "agency:bpp:dlh"
    admin, _ = await enter(
        house, api, {"login": "adi", "title": "A", "home": on, "grants": [{"role": "agency-admin", "on": on}]}
    )
    found = []
    for number, (home, role, place) in enumerate(
        [
            (on, "operator", on),
            ("site:site-dlh", "partner", "site:site-dlh"),
            (on, "operator", "agency:bpp:dkp"),
            (on, "viewer", "*"),
            (on, "viewer", "site:site-dkp"),
            (on, "supervisor", "city:bpp"),
            ("*", "operator", on),
            (on, "partner", on),
        ]
    ):
        body = {"login": f"p{number}", "title": "P", "home": home, "grants": [{"role": role, "on": place}]}
        found.append((await admin.post("/api/v1/people", json=body, headers=OWN)).status_code)
    assert found == [201, 201, 404, 403, 404, 403, 403, 422]
    people = (await admin.get("/api/v1/people")).json()["items"]
    assert [person["login"] for person in people] == ["adi", "p0", "p1"]


async def test_a_token_made_by_a_person_does_no_more_than_that_person(house: House, api: httpx2.AsyncClient) -> None:
    client, _ = await enter(house, api)
    body = {"name": "hers", "grants": [{"role": "viewer", "on": "*"}], "expires": "2027-01-01T00:00:00Z"}
    made = await client.post("/api/v1/tokens", json=body, headers=OWN)
    more = {**body, "name": "more", "grants": [{"role": "operator", "on": "*"}]}
    refused = await client.post("/api/v1/tokens", json=more, headers=OWN)
    late = await client.post("/api/v1/tokens", json={**body, "name": "late", "expires": "2099-01-01T00:00:00Z"}, headers=OWN)

    assert (made.status_code, refused.status_code, late.status_code) == (201, 403, 422)
    bearer = {"authorization": f"Bearer {made.json()['token']}"}
    async with house.client(None) as program:
        assert (await program.get("/api/v1/sites", headers=bearer)).status_code == 200
        listed = (await client.get("/api/v1/tokens")).json()["items"]
        hers = next(token for token in listed if token["name"] == "hers")
        assert hers["used"] is not None
        assert "token" not in hers
        assert (await client.delete(f"/api/v1/tokens/{hers['id']}", headers=OWN)).status_code == 204
        assert (await program.get("/api/v1/sites", headers=bearer)).status_code == 401


async def test_an_invitation_is_taken_once_and_a_wrong_code_tells_nothing(house: House, api: httpx2.AsyncClient) -> None:
    _, code = await invite(api)
    async with house.client(None) as client:
        short = await client.post("/api/v1/invitation", json={"code": code, "password": "short"})
        first = await client.post("/api/v1/invitation", json={"code": code, "password": PASSWORD})
        again = await client.post("/api/v1/invitation", json={"code": code, "password": PASSWORD})
        never = await client.post("/api/v1/invitation", json={"code": "x", "password": PASSWORD})

    assert (short.status_code, first.status_code, again.status_code) == (422, 200, 404)
    assert again.content == never.content


async def test_every_change_and_sign_in_is_in_the_trail_with_its_reason(house: House, api: httpx2.AsyncClient) -> None:
    client, _ = await enter(house, api)
    await client.post("/api/v1/sites", json=SITE, headers={**OWN, "x-reason": "musim%20hujan"})
    entries = (await api.get("/api/v1/audit")).json()["items"]
    verdict = (await api.get("/api/v1/audit/verdict")).json()

    assert [entry["action"] for entry in entries[:2]] == ["site.create", "agency.create"]
    assert {"session.open", "person.accept", "person.invite", "person.create", "token.create"} <= {e["action"] for e in entries}
    assert (entries[0]["actor"], entries[0]["kind"], entries[0]["why"]) == ("ani", "person", "musim hujan")
    assert (entries[0]["site"], entries[0]["address"], entries[0]["after"]["title"]) == (
        "taman-kota",
        "127.0.0.1",
        "Taman Kota",
    )
    assert (verdict["sound"], verdict["entries"]) == (True, len(entries))
