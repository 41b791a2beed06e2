# SPDX-License-Identifier: Apache-2.0
"""The configuration of devices over HTTP."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import msgspec
import pytest

from tests.unit.api.house import House

DEVICE = "/api/v1/devices/taman-kota:bedeng-1"
RUN = {"zone": 1, "time": "05:30", "seconds": 300}
SET = {
    "telemetry_s": 300,
    "calibration": {"flow": {"gain": 1.1, "offset": 0.0}},
    "fallback": {"after_h": 24, "runs": [RUN]},
}


async def test_config_is_set_from_a_version_told_and_shown_with_what_the_device_says(
    house: House, pilot: httpx2.AsyncClient
) -> None:
    tag = {"if-match": (await pilot.get(DEVICE)).headers["etag"]}
    changed = await pilot.put(f"{DEVICE}/config", json=SET, headers=tag)
    stale = await pilot.put(f"{DEVICE}/config", json=SET, headers=tag)
    await house.services.controller.send_due()
    told = next(json.loads(payload) for topic, payload in house.published if topic.endswith("/bedeng-1/config"))
    said = {**told, "calibration": {}, "refused": {"calibration": "nothing to correct"}}
    await house.services.controller.on_message("tirta/v1/taman-kota/bedeng-1/reported", msgspec.json.encode(said))
    shown = await pilot.get(DEVICE)

    assert (changed.status_code, stale.status_code) == (200, 412)
    assert (changed.json()["set"], changed.json()["state"]) == (SET, "waiting")
    assert told["telemetry_s"] == 300
    assert shown.headers["etag"] == changed.headers["etag"]
    config = shown.json()["config"]
    assert (config["state"], config["version"], config["reported_version"]) == ("refused", 1, 1)
    found = {one["key"]: (one["state"], one["reason"]) for one in config["settings"]}
    assert found["calibration"] == ("refused", "nothing to correct")
    assert found["zones.1.litres_day"] == ("in-force", None)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"telemetry_s": 0}, "telemetry_s"),
        ({"telemetry_s": "60"}, "telemetry_s"),
        ({"calibration": {"dissolved_oxygen": {}}}, "calibration"),
        ({"calibration": {"flow": {"gain": "1"}}}, "calibration"),
        ({"fallback": {"after_h": 24, "runs": [{**RUN, "zone": 2}]}}, "fallback"),
        ({"fallback": {"after_h": 24, "runs": [{**RUN, "time": "25:00"}]}}, "fallback"),
        ({"zones": {}}, "zones"),
    ],
)
async def test_config_with_something_wrong_names_it(pilot: httpx2.AsyncClient, body: dict[str, Any], field: str) -> None:
    answer = await pilot.put(f"{DEVICE}/config", json=body)

    assert (answer.status_code, answer.json()["errors"][0]["field"].split(".")[0]) == (422, field)


async def test_config_of_what_is_not_there_is_not_found(pilot: httpx2.AsyncClient) -> None:
    assert (await pilot.put("/api/v1/devices/taman-kota:none/config", json={})).status_code == 404
