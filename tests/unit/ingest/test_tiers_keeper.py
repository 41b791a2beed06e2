# SPDX-License-Identifier: Apache-2.0
"""The keeper of a store's tiers: goes on while there is work, waits after trouble, and ends when told."""

from __future__ import annotations

import logging
from threading import Event

import pytest

from ingest.store.errors import StoreUnavailable
from ingest.tiers import TierKeeper, TierKeeperConfig


class TendedStore:
    """Has work for as many pieces as it is given words: True, False, or what it raises."""

    name = "tended"

    def __init__(self, *words: bool | Exception) -> None:
        self.words = list(words)
        self.idle = Event()

    def tend(self) -> bool:
        word = self.words.pop(0) if self.words else False
        if isinstance(word, Exception):
            raise word
        if not self.words:
            self.idle.set()
        return word


def test_step_waits_long_after_trouble_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    keeper = TierKeeper(TendedStore(True, StoreUnavailable("away"), StoreUnavailable("away"), False))  # type: ignore[arg-type]
    config = TierKeeperConfig()
    with caplog.at_level(logging.DEBUG):
        waits = [keeper.step(), keeper.step(), keeper.step()]
        assert keeper.trouble is not None
        waits.append(keeper.step())
    assert waits == [config.rest_s, config.trouble_s, config.trouble_s, config.idle_s]
    assert keeper.trouble is None
    assert [record.levelno for record in caplog.records] == [logging.WARNING, logging.DEBUG, logging.INFO]


def test_start_does_all_that_is_due_and_stop_ends_it() -> None:
    store = TendedStore(*[True] * 20, False)
    keeper = TierKeeper(store, TierKeeperConfig(idle_s=0.0, rest_s=0.0))  # type: ignore[arg-type]
    keeper.start()
    assert store.idle.wait(60)
    keeper.stop()
    assert store.words == []
    keeper.stop()


def test_stop_before_start_is_nothing() -> None:
    store = TendedStore(True)
    TierKeeper(store).stop()  # type: ignore[arg-type]
    assert store.words == [True]
