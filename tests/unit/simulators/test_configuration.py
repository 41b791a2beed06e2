# SPDX-License-Identifier: Apache-2.0
"""A configuration is taken value by value: what fits is in force, the rest is refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import InvalidMessage
from gateway.messages import Reported, ZoneLimits
from simulators.configuration import FACTORY, apply_config

VECTORS = json.loads((Path(__file__).parents[2] / "contract" / "vectors" / "config.json").read_text("utf-8"))["decode"]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_apply_config_agrees_with_the_shared_vectors(vector: dict[str, Any]) -> None:
    payload = vector["payload"].encode()
    if "error" in vector:
        with pytest.raises(InvalidMessage) as caught:
            apply_config(payload, FACTORY, 1)
        assert caught.value.code == vector["error"]
    else:
        config = apply_config(payload, FACTORY, 1)
        assert config.version == vector["config"]["version"]
        assert sorted(config.refused) == sorted(vector["refused"])
        if vector["config"]["telemetry_s"] is not None:
            assert config.telemetry_s == vector["config"]["telemetry_s"]


def test_apply_config_refuses_each_bad_value_and_takes_the_rest() -> None:
    wanted = {
        "version": 2,
        "telemetry_s": 30,
        "utc_offset_min": 9000,
        "zones": {"1": {"max_seconds": 300, "litres_day": -1, "colour": 1}, "9": {}, "2": 5},
        "calibration": {"soil_moisture": 1.1},
        "fallback": {"after_h": 12},
        "colour": "green",
    }
    config = apply_config(json.dumps(wanted).encode(), FACTORY, 2)
    assert (config.version, config.telemetry_s, config.utc_offset_min) == (2, 30, 0)
    assert config.zones == {"1": ZoneLimits(max_seconds=300)}
    assert sorted(config.refused) == [
        "calibration", "colour", "fallback", "utc_offset_min",
        "zones.1.colour", "zones.1.litres_day", "zones.2", "zones.9",
    ]  # fmt: skip


def test_apply_config_with_a_bad_limit_keeps_the_one_before() -> None:
    current = Reported(version=1, zones={"1": ZoneLimits(litres_day=100.0)})
    config = apply_config(b'{"version":2,"zones":{"1":{"litres_day":"much"}}}', current, 1)
    assert config.zones == current.zones
    assert apply_config(b'{"version":3,"zones":"none"}', current, 1).zones == current.zones


def test_apply_config_tells_no_more_refused_keys_than_anybody_reads() -> None:
    wanted: dict[str, Any] = {"version": 1} | {f"key{place}": 1 for place in range(1000)}
    assert len(apply_config(json.dumps(wanted).encode(), FACTORY, 1).refused) == 32
