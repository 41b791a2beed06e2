# SPDX-License-Identifier: Apache-2.0
"""One running service for the tests that only ask it; each brings devices of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers.tirta import Tirta
from tirta.client import Client


@pytest.fixture(scope="session")
def tirta(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tirta]:
    """A service without any device."""
    with Tirta(tmp_path_factory.mktemp("tirta")) as running:
        yield running


@pytest.fixture
def client(tirta: Tirta) -> Iterator[Client]:
    """A client with an operator's rights."""
    with tirta.client() as opened:
        yield opened
