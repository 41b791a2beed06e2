# SPDX-License-Identifier: Apache-2.0
"""The API in a folder of its own, and a client with operator's rights."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx2
import pytest

from tests.servers.postgres import SORTS
from tests.unit.api.house import BED, POND, SITE, House, open_house

# Whose routes read and write the control database: they are asked on both sorts of it.
ON_BOTH = ("test_acts_routes", "test_habits", "test_registry_routes", "test_schedules_routes", "test_session")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "sort" in metafunc.fixturenames and metafunc.module.__name__.rpartition(".")[2] in ON_BOTH:
        metafunc.parametrize("sort", SORTS)


@pytest.fixture
def sort() -> str:
    """Return the sort of control database that most tests are run on."""
    return "sqlite"


@pytest.fixture
def house(sort: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[House]:
    url = None if sort == "sqlite" else request.getfixturevalue("postgres_server").cleaned_database()
    with open_house(tmp_path, url) as opened:
        yield opened


@pytest.fixture
async def api(house: House) -> AsyncIterator[httpx2.AsyncClient]:
    async with house.client() as client:
        yield client


@pytest.fixture
async def pilot(api: httpx2.AsyncClient) -> httpx2.AsyncClient:
    """The client of a house with a site, a bed and a pond."""
    for path, body in (("sites", SITE), ("devices", BED), ("devices", POND)):
        answer = await api.post(f"/api/v1/{path}", json=body)
        assert answer.status_code == 201, answer.text
    return api
