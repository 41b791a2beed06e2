# SPDX-License-Identifier: Apache-2.0
"""The API against its own description: generated requests, right and wrong, meet no server error and no answer undescribed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.core.failures import FailureGroup

# What fits the description may still be refused with 422: no schema says which time zones exist, or that low is below high.
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tests.unit.api.house import BED, FEEDING, IRRIGATION, POND, SITE, START_MS, House, open_house


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house with something of each sort in it, so that generated requests find something."""
    with open_house(tmp_path_factory.mktemp("house")) as opened:
        asyncio.run(_furnish(opened))
        yield opened


async def _furnish(house: House) -> None:
    async with house.client() as client:
        zones = ("taman-kota:bedeng-1:1", "taman-kota:kolam-1:1")
        for path, body in (
            ("sites", SITE),
            ("devices", BED),
            ("devices", POND),
            ("schedules", {"zone": zones[0], "definition": IRRIGATION}),
            ("schedules", {"zone": zones[1], "definition": FEEDING}),
            ("acts", {"zone": zones[0], "action": "irrigate", "seconds": 60}),
        ):
            assert (await client.post(f"/api/v1/{path}", json=body)).status_code == 201
    house.measure("bedeng-1", [START_MS - 60_000, START_MS], soil_moisture=[0.21, 0.2], valve_open=[0.0, 1.0])


def operations(house: House) -> Iterator[schemathesis.APIOperation]:
    """Return every operation of the description but the stream of events, which has no end to wait for."""
    authorization = {"Authorization": f"Bearer {house.tokens['operator']}"}
    schema = schemathesis.openapi.from_asgi("/openapi.json", house.app, headers=authorization)
    for result in schema.exclude(path="/api/v1/events").get_all_operations():
        yield result.ok()


def test_every_route_answers_generated_requests_as_described(house: House) -> None:
    headers = {"Authorization": f"Bearer {house.tokens['operator']}"}
    failures, seen = [], 0
    for operation in operations(house):
        seen += 1

        @given(case=operation.as_strategy())
        @settings(max_examples=20, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
        def answer(case: schemathesis.Case) -> None:
            case.call_and_validate(headers=headers, excluded_checks=[positive_data_acceptance])

        try:
            answer()
        except FailureGroup as exc:
            failures += [f"{operation.label}: {failure}" for failure in exc.exceptions]

    assert seen > 25
    assert not failures, "\n\n".join(failures)
