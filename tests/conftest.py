# SPDX-License-Identifier: Apache-2.0
"""Of all tests: the one PostgreSQL of a session; an example of a property may take its time on a busy machine."""

from __future__ import annotations

from hypothesis import settings

from tests.servers.postgres import empty_database, postgres_server

__all__ = ["empty_database", "postgres_server"]

settings.register_profile("tirta", deadline=None)
settings.register_profile("long", deadline=None, max_examples=1000)
settings.load_profile("tirta")
