# SPDX-License-Identifier: Apache-2.0
"""The API against its own description, asked by each role and by nobody: no server error, nothing undescribed, no open door."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
import schemathesis

from tests.fuzz import CALLERS, Ground, ask_everything, furnish
from tests.servers.postgres import SORTS
from tests.unit.api.house import START_MS, House, open_house

EXAMPLES = 12  # requests a route, by the eight callers in turn; `make fuzz` asks more


@pytest.fixture(scope="module", params=SORTS)
def house(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    url = None if request.param == "sqlite" else request.getfixturevalue("postgres_server").make_database()
    with open_house(tmp_path_factory.mktemp("house"), url) as opened:
        yield opened


@pytest.fixture(scope="module")
def ground(house: House) -> Ground:
    """The house with something of each sort in it, and a person of each role."""

    def ask(method: str, path: str, **options: Any) -> httpx2.Response:
        async def send() -> httpx2.Response:
            async with house.client(None) as client:
                return await client.request(method, path, **options)

        return asyncio.run(send())

    made = furnish(ask, house.tokens["operator"])
    house.measure("bedeng-1", [START_MS - 60_000, START_MS], soil_moisture=[0.21, 0.2], valve_open=[0.0, 1.0])
    return made


def test_every_route_answers_every_role_and_nobody_as_described(house: House, ground: Ground) -> None:
    schema = schemathesis.openapi.from_asgi("/openapi.json", house.app, headers=ground.headers("viewer"))
    report = ask_everything(schema, ground, examples=EXAMPLES)

    assert not report.failures, "\n\n".join(report.failures)
    assert report.routes > 50
    for caller in CALLERS:
        assert report.asked[caller, 2] > 1, caller
        assert report.asked[caller, 4] > 50, caller
