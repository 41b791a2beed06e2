# SPDX-License-Identifier: Apache-2.0
"""The API in a folder of its own, and a client with operator's rights."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx2
import pytest

from tests.unit.api.house import BED, POND, SITE, House, open_house


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with open_house(tmp_path) as opened:
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
