# SPDX-License-Identifier: Apache-2.0
"""The API against its own description, asked by each role and by nobody: no server error, nothing undescribed, no open door."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import schemathesis

from tests.fuzz import CALLERS, Ground, ask_everything, furnished
from tests.servers.postgres import SORTS
from tests.unit.api.house import House, open_house

EXAMPLES = 8  # requests a route, by the eight callers in turn; `make fuzz` asks more


@pytest.fixture(scope="module", params=SORTS)
def house(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    url = None if request.param == "sqlite" else request.getfixturevalue("postgres_server").make_database()
    with open_house(tmp_path_factory.mktemp("house"), url) as opened:
        yield opened


@pytest.fixture(scope="module")
def ground(house: House) -> Ground:
    """The house with something of each sort in it, and a person of each role."""
    return furnished(house)


def test_every_route_answers_every_role_and_nobody_as_described(house: House, ground: Ground) -> None:
    schema = schemathesis.openapi.from_asgi("/openapi.json", house.app, headers=ground.headers("viewer"))
    report = ask_everything(schema, ground, examples=EXAMPLES)

    assert not report.failures, "\n\n".join(report.failures)
    assert report.routes > 50
    for caller in CALLERS:
        assert report.asked[caller, 2] > 1, caller
        assert report.asked[caller, 4] > 20, caller
