# SPDX-License-Identifier: Apache-2.0
"""A control database with the pilot in it: one bed, one pond."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from control import registry
from control.database import Database, open_database
from control.records import ZoneParameters, ZoneSpec

START_MS = 1_795_305_600_000  # 2026-11-22T00:00:00Z, 08:00 in Makassar


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/control.db"


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    opened = open_database(url)
    yield opened
    opened.close()


@pytest.fixture
def pilot(database: Database) -> Database:
    bed = ZoneParameters(area_m2=4.0, root_depth_m=0.3, flow_l_min=12.0, max_seconds=900, litres_day=400.0, grams_day=1.0)
    pond = ZoneParameters(grams_per_s=5.0, max_seconds=300, litres_day=1.0, grams_day=1000.0)
    with database.session() as session:
        registry.create_site(session, "pilot", "Pilot", "Asia/Makassar", now_ms=START_MS)
        registry.create_device(
            session,
            "pilot",
            "garden",
            "irrigation-controller",
            "Garden",
            [ZoneSpec(1, "Bed", "bed", bed)],
            "$7$hash",
            now_ms=START_MS,
        )
        registry.create_device(
            session, "pilot", "pond", "pond-feeder", "Pond", [ZoneSpec(1, "Pond", "pond", pond)], "$7$", now_ms=START_MS
        )
    return database
