# SPDX-License-Identifier: Apache-2.0
"""A control database, of each sort, with the pilot in it: one bed, one pond."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from control import registry
from control.database import Database, open_database
from control.records import ZoneParameters, ZoneSpec
from tests.servers.postgres import SORTS, Postgres
from tests.servers.sqlite import fresh_sqlite

START_MS = 1_795_305_600_000  # 2026-11-22T00:00:00Z, 08:00 in Makassar


@pytest.fixture(params=SORTS)
def sort(request: pytest.FixtureRequest) -> str:
    """Return which sort of database a test is run on: each is run on both."""
    found: str = request.param
    return found


@pytest.fixture
def url(sort: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the address of a control database of the newest form, with nothing in it."""
    if sort == "sqlite":
        return fresh_sqlite(tmp_path)
    server: Postgres = request.getfixturevalue("postgres_server")
    return server.cleaned_database()


@pytest.fixture
def new_url(sort: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the address of a control database that has yet to get its tables."""
    address: str = f"sqlite:///{tmp_path}/new.db" if sort == "sqlite" else request.getfixturevalue("empty_database")
    return address


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
