# SPDX-License-Identifier: Apache-2.0
"""Whose word is taken for who asks: a stated proxy's, and nobody else's."""

from __future__ import annotations

import asyncio
from contextlib import closing

import httpx2
import pytest
from fastapi import FastAPI, Request

from tirta.web import Door, listen

FORWARDED = {"x-forwarded-for": "203.0.113.9", "x-forwarded-proto": "https"}


async def _seen(proxies: tuple[str, ...], headers: dict[str, str]) -> str:
    """Return what the application sees of who asks from loopback."""
    app = FastAPI()

    @app.get("/")
    def show(request: Request) -> str:
        assert request.client is not None
        return f"{request.url.scheme} {request.client.host}"

    with closing(listen("127.0.0.1", 0)) as listener:
        door = Door(app, listener, proxies=proxies)
        serving = asyncio.create_task(door.serve())
        await door.ready.wait()
        async with httpx2.AsyncClient(base_url=door.url, trust_env=False) as client:
            answer = await client.get("/", headers=headers)
        door.close()
        await serving
    return str(answer.json())


@pytest.mark.parametrize("proxies", [(), ("10.0.0.0/8",), ("127.0.0.2",), ("::1",)])
async def test_forwarded_address_of_anybody_is_passed_over(proxies: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")  # by which the server would believe everybody

    assert await _seen(proxies, FORWARDED) == "http 127.0.0.1"


@pytest.mark.parametrize("proxies", [("127.0.0.1",), ("127.0.0.0/8",)])
async def test_forwarded_address_of_a_stated_proxy_is_taken(proxies: tuple[str, ...]) -> None:
    assert await _seen(proxies, FORWARDED) == "https 203.0.113.9"


async def test_forwarded_address_is_the_last_that_no_proxy_of_ours_added() -> None:
    # Whoever asks may write anything before what the proxy adds.
    headers = {**FORWARDED, "x-forwarded-for": "198.51.100.1, 203.0.113.9, 127.0.0.5"}

    assert await _seen(("127.0.0.0/8",), headers) == "https 203.0.113.9"
