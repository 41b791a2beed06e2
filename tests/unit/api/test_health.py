# SPDX-License-Identifier: Apache-2.0
"""Health, metrics, clock and catalogue over HTTP."""

from __future__ import annotations

import httpx2

from api import HealthCheck
from tests.unit.api.house import House


async def test_is_ready_with_a_token_shows_each_part(api: httpx2.AsyncClient) -> None:
    answer = await api.get("/readyz")

    assert answer.status_code == 200
    assert [part["name"] for part in answer.json()["parts"]] == ["journal", "store"]


async def test_is_ready_with_a_failing_part_gives_the_reason_to_a_token_only(house: House, api: httpx2.AsyncClient) -> None:
    house.checks.append(HealthCheck("broker", ok=False, detail="not connected; see its log"))
    async with house.client(None) as stranger:
        bare = await stranger.get("/readyz")
    answer = await api.get("/readyz")

    assert bare.status_code == answer.status_code == 503
    assert "errors" not in bare.json()
    assert "broker" not in bare.text
    assert answer.json()["errors"] == [{"field": "broker", "detail": "not connected; see its log"}]


async def test_is_alive_fails_only_with_a_vital_part(house: House, api: httpx2.AsyncClient) -> None:
    house.checks.append(HealthCheck("broker", ok=False, detail="not connected"))
    assert (await api.get("/healthz")).status_code == 200

    house.checks.append(HealthCheck("journal", ok=False, detail="disk full", vital=True))
    assert (await api.get("/healthz")).status_code == 503


async def test_is_alive_with_a_token_that_nobody_can_look_up_is_alive(house: House, api: httpx2.AsyncClient) -> None:
    house.services.database.close()

    assert (await api.get("/readyz")).status_code == 503
    answer = await api.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_show_metrics_is_prometheus_text(api: httpx2.AsyncClient) -> None:
    answer = await api.get("/metrics")

    assert answer.headers["content-type"].startswith("text/plain")
    assert "tirta_trials_total 1.0" in answer.text


async def test_read_clock_tells_the_platforms_time(api: httpx2.AsyncClient) -> None:
    assert (await api.get("/api/v1/clock")).json() == {"now": "2026-11-22T05:00:00Z", "speed": 1.0}


async def test_show_catalogue_lists_quantities_and_kinds(api: httpx2.AsyncClient) -> None:
    catalogue = (await api.get("/api/v1/catalogue")).json()

    moisture = next(entry for entry in catalogue["quantities"] if entry["name"] == "soil_moisture")
    assert (moisture["unit"], moisture["low"], moisture["high"]) == ("m3/m3", 0.0, 1.0)
    assert {kind["name"] for kind in catalogue["kinds"]} >= {"irrigation-controller", "pond-feeder"}


async def test_show_openapi_has_an_example_for_every_body(api: httpx2.AsyncClient) -> None:
    schema = (await api.get("/openapi.json")).json()

    bodies = 0
    for methods in schema["paths"].values():
        for operation in methods.values():
            assert operation["summary"]
            assert operation["description"]
            content = operation.get("requestBody", {}).get("content", {})
            for media in content.values():
                bodies += 1
                forms = [media["schema"], *media["schema"].get("anyOf", ())]  # of a body that may be left out, one is null
                name = next(form["$ref"] for form in forms if "$ref" in form).rpartition("/")[2]
                assert schema["components"]["schemas"][name]["examples"], name
    assert bodies >= 4


async def test_show_openapi_documents_every_field(api: httpx2.AsyncClient) -> None:
    schema = (await api.get("/openapi.json")).json()

    bare = [
        f"{name}.{field}"
        for name, model in schema["components"]["schemas"].items()
        for field, definition in model.get("properties", {}).items()
        if "description" not in definition and field != "type"
    ]
    assert bare == []
