# SPDX-License-Identifier: Apache-2.0
"""Signing in at a real OpenID provider: a browser's whole way there and back."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx2
import pytest

from api import create_app
from api.access import COOKIE
from control import people
from control.access import Grant, Scope
from control.audit import Trail, list_entries
from control.single_sign_on import SignOnConfig, SingleSignOn
from gateway.clock import WallClock
from tests.servers.oidc import Provider, running_provider
from tests.unit.api.house import START_MS, House, open_house

CALLBACK = "http://tirta/api/v1/session/oidc/callback"
ANI = "ani@balikpapan.example"
BEGIN = "/api/v1/session/oidc"


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    with running_provider(tmp_path_factory.mktemp("provider"), CALLBACK) as running:
        yield running


@pytest.fixture
def house(tmp_path: Path, provider: Provider) -> Iterator[House]:
    """A house with that provider, and a person called Ani."""
    with open_house(tmp_path) as opened:
        config = SignOnConfig(provider.issuer, "tirta", provider.secret, CALLBACK)
        sign_on = SingleSignOn(config, time.monotonic, WallClock().now_ms)
        opened.app = create_app(replace(opened.services, sign_on=sign_on))
        with opened.services.database.session() as session:
            trail = Trail("tester", "local", START_MS)
            people.create_person(session, ANI, "Ani", home=Scope("all"), grants=[Grant("viewer")], trail=trail)
        yield opened


def cookies(answer: httpx2.Response) -> dict[str, str]:
    """Return the cookies that an answer sets."""
    pairs = [each.partition(";")[0].partition("=") for each in answer.headers.get_list("set-cookie")]
    return {name: value.strip('"') for name, _, value in pairs}


async def visit(address: str, login: str) -> str:
    """Do at the provider what a person does, and return the address that the browser is sent back to."""
    held: dict[str, str] = {}
    async with httpx2.AsyncClient(trust_env=False) as browser:
        answer = await browser.get(address)
        for _ in range(20):
            held |= cookies(answer)
            browser.headers["cookie"] = "; ".join(f"{name}={value}" for name, value in held.items() if value)
            if answer.status_code in (302, 303):
                address = urljoin(str(answer.url), answer.headers["location"])
                if address.startswith("http://tirta/"):
                    return address
                answer = await browser.get(address)
                continue
            action = re.search(r'<form[^>]*action="([^"]+)"', answer.text)
            prompt = re.search(r'name="prompt" value="(\w+)"', answer.text)
            assert action is not None, answer.text[:500]
            assert prompt is not None, answer.text[:500]
            form = {"prompt": prompt[1]} | ({"login": login, "password": "anything"} if prompt[1] == "login" else {})
            answer = await browser.post(urljoin(str(answer.url), action[1]), data=form)
    raise AssertionError("the provider sends the browser round and round")


async def go(house: House, login: str) -> httpx2.Response:
    """Sign in from the beginning to the end, and return the last answer."""
    async with house.client(None) as client:
        begun = await client.get(BEGIN)
        assert begun.status_code == 303, begun.text
        back = await visit(begun.headers["location"], login)
        held = cookies(begun)
        return await client.get(back, headers={"cookie": f"__Host-tirta-oidc={held['__Host-tirta-oidc']}"})


async def test_sign_on_of_a_known_person_opens_a_session_and_ties_the_person(house: House) -> None:
    first, second = await go(house, ANI), await go(house, ANI)

    assert (first.status_code, first.json()["login"]) == (200, ANI)
    assert cookies(first)[COOKIE] != cookies(second)[COOKIE]
    async with house.client(None) as client:
        shown = await client.get("/api/v1/session", headers={"cookie": f"{COOKIE}={cookies(second)[COOKIE]}"})
    assert shown.json()["name"] == ANI
    with house.services.database.reader() as session:
        actions = [entry.action for entry in list_entries(session)[0]]
    assert actions[:3] == ["session.open", "session.open", "person.tie"]


@pytest.mark.parametrize("login", ["stranger@balikpapan.example", f"unverified.{ANI}"])
async def test_sign_on_of_a_stranger_or_an_unverified_address_is_refused(house: House, login: str) -> None:
    with house.services.database.session() as session:
        trail = Trail("tester", "local", START_MS)
        people.create_person(session, f"unverified.{ANI}", "U", home=Scope("all"), trail=trail)
    answer = await go(house, login)

    assert answer.status_code == 401
    assert COOKIE not in cookies(answer)


async def test_sign_on_of_somebody_disabled_is_refused(house: House) -> None:
    with house.services.database.session() as session:
        ani = people.find_person(session, ANI)
        assert ani is not None
        people.change_person(session, ani.id, disabled=True, trail=Trail("tester", "local", START_MS))
    assert (await go(house, ANI)).status_code == 401


async def test_a_code_counts_once_and_only_in_the_browser_that_began(house: House) -> None:
    async with house.client(None) as client:
        begun = await client.get(BEGIN)
        back = await visit(begun.headers["location"], ANI)
        held = {"cookie": f"__Host-tirta-oidc={cookies(begun)['__Host-tirta-oidc']}"}
        without = await client.get(back)
        other = await client.get(BEGIN)
        elsewhere = await client.get(back, headers={"cookie": f"__Host-tirta-oidc={cookies(other)['__Host-tirta-oidc']}"})
        altered = await client.get(back.replace("state=", "state=x"), headers=held)
        after = await client.get(back, headers=held)  # the altered one has used it up

    assert [each.status_code for each in (without, elsewhere, altered, after)] == [401] * 4


async def test_begin_sends_the_browser_with_a_challenge_and_a_cookie_that_comes_back_from_another_site(house: House) -> None:
    async with house.client(None) as client:
        begun = await client.get(BEGIN)
    query = parse_qs(urlsplit(begun.headers["location"]).query)

    assert query["code_challenge_method"] == ["S256"]
    assert query["redirect_uri"] == [CALLBACK]
    assert len(query["state"][0]) >= 32
    assert len(query["nonce"][0]) >= 32
    cookie = begun.headers["set-cookie"]
    assert all(part in cookie for part in ("__Host-tirta-oidc=", "HttpOnly", "Secure", "SameSite=lax", "Path=/"))


async def test_begin_without_an_answer_from_the_provider_is_unavailable(house: House) -> None:
    config = SignOnConfig("http://127.0.0.1:1", "tirta", "secret", CALLBACK)
    house.app = create_app(replace(house.services, sign_on=SingleSignOn(config, time.monotonic, WallClock().now_ms)))
    async with house.client(None) as client:
        answer = await client.get(BEGIN)

    assert answer.status_code == 503
    assert "password" in answer.json()["detail"]
