# SPDX-License-Identifier: Apache-2.0
"""What a token of the single sign-on has to be: every way in which it can be wrong, signed with a real key."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from control.errors import SignOnUnavailable, WrongCredentials
from control.single_sign_on import BEGUN_S, Identity, SignOnConfig, SingleSignOn

ISSUER = "https://masuk.example"
NOW_S = 1_795_305_600
KEY = RSAKey.generate_key(2048, {"kid": "one", "use": "sig", "alg": "RS256"})
OTHER = RSAKey.generate_key(2048, {"kid": "one", "use": "sig", "alg": "RS256"})
CONFIG = SignOnConfig(ISSUER, "tirta", "secret", "https://tirta.example/api/v1/session/oidc/callback")


class Provider:
    """Answers what the test wants it to."""

    def __init__(self, claims: dict[str, Any] | None = None, key: Any = KEY, header: dict[str, str] | None = None) -> None:
        self.claims = claims or {}
        self.key = key
        self.header = header or {"alg": "RS256", "kid": "one"}
        self.about: dict[str, Any] = {
            "issuer": ISSUER,
            "authorization_endpoint": f"{ISSUER}/auth",
            "token_endpoint": f"{ISSUER}/token",
            "jwks_uri": f"{ISSUER}/keys",
        }
        self.nonce = ""
        self.forms: list[dict[str, list[str]]] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        if request.url.path.startswith("/.well-known"):
            return httpx2.Response(200, json=self.about)
        if request.url.path == "/keys":
            return httpx2.Response(200, json={"keys": [KEY.as_dict(private=False)]})
        self.forms.append(parse_qs(request.content.decode()))
        standard = {
            "iss": ISSUER, "aud": "tirta", "sub": "7", "exp": NOW_S + 300, "iat": NOW_S, "nonce": self.nonce,
            "email": "Ani@Balikpapan.example", "email_verified": True,
        }  # fmt: skip
        claims = {name: value for name, value in {**standard, **self.claims}.items() if value is not None}
        return httpx2.Response(
            200, json={"id_token": jwt.encode(self.header, claims, self.key, algorithms=[self.header["alg"]])}
        )


async def enter(provider: Provider, *, late_s: float = 0.0) -> Identity:
    now_s = [0.0]
    client = SingleSignOn(CONFIG, lambda: now_s[0], lambda: NOW_S * 1000, httpx2.MockTransport(provider))
    address, held = await client.begin()
    query = parse_qs(urlsplit(address).query)
    provider.nonce = query["nonce"][0]
    now_s[0] += late_s
    return await client.finish(held, query["state"][0], "code")


async def test_finish_with_a_sound_token_gives_the_identity_and_shows_the_verifier() -> None:
    provider = Provider()

    assert await enter(provider) == Identity(ISSUER, "7", "ani@balikpapan.example")
    assert len(provider.forms[0]["code_verifier"][0]) >= 43


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://other.example"},
        {"iss": None},
        {"aud": "another"},
        {"aud": ["tirta", "another"]},
        {"aud": None},
        {"exp": NOW_S - 3600},
        {"exp": None},
        {"iat": None},
        {"nonce": "another"},
        {"nonce": None},
        {"sub": None},
        {"email": None},
        {"email": ""},
        {"email": 7},
        {"email_verified": False},
        {"email_verified": None},
        {"email_verified": "true"},
        {"email": "ani@bali\u212apapan.example"},  # KELVIN SIGN, whose lower case is k
        {"email": "\uff41ni@balikpapan.example"},
        {"azp": "another"},
        {"aud": ["tirta"], "azp": "another"},
        {"sub": "7" * 256},
    ],
    ids=json.dumps,
)
async def test_finish_with_a_claim_that_is_wrong_is_refused(claims: dict[str, Any]) -> None:
    with pytest.raises(WrongCredentials):
        await enter(Provider(claims))


async def test_finish_with_a_token_of_another_key_or_algorithm_is_refused() -> None:
    shared = OctKey.import_key("secret" * 8)
    for provider in (Provider(key=OTHER), Provider(key=shared, header={"alg": "HS256"})):
        with pytest.raises(WrongCredentials):
            await enter(provider)


async def test_finish_too_late_is_refused() -> None:
    with pytest.raises(WrongCredentials):
        await enter(Provider(), late_s=BEGUN_S + 1)


@pytest.mark.parametrize(
    "about",
    [
        {"issuer": "https://other.example"},
        {"token_endpoint": "http://masuk.example/token"},
        {"jwks_uri": "http://169.254.169.254/keys"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"jwks_uri": None},
    ],
    ids=json.dumps,
)
async def test_begin_at_a_provider_that_says_something_unsafe_is_unavailable(about: dict[str, Any]) -> None:
    provider = Provider()
    provider.about |= about
    with pytest.raises(SignOnUnavailable):
        await enter(provider)


async def test_begin_more_often_than_can_be_remembered_forgets_the_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("control.single_sign_on.BEGUN_MAX", 2)
    provider = Provider()
    client = SingleSignOn(CONFIG, lambda: 0.0, lambda: NOW_S * 1000, httpx2.MockTransport(provider))
    first, *_ = [await client.begin() for _ in range(3)]
    state = parse_qs(urlsplit(first[0]).query)["state"][0]
    with pytest.raises(WrongCredentials):
        await client.finish(first[1], state, "code")


@pytest.mark.parametrize("state", ["", "é", "\x00", "\ud800", "x" * 200])
async def test_finish_with_another_state_is_refused(state: str) -> None:
    client = SingleSignOn(CONFIG, lambda: 0.0, lambda: NOW_S * 1000, httpx2.MockTransport(Provider()))
    _, held = await client.begin()
    with pytest.raises(WrongCredentials):
        await client.finish(held, state, "code")
