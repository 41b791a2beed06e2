# SPDX-License-Identifier: Apache-2.0
"""The newest values after a start: from a store that answers at once, later, or not while we live."""

from __future__ import annotations

import logging
from threading import Event

import pytest

from tirta.restoring import LatestRestorer, RestoreConfig

WAIT_S = 30.0


def test_start_with_a_store_that_answers_returns_when_all_is_restored() -> None:
    done: list[bool] = []
    LatestRestorer(lambda: done.append(True), RestoreConfig(start_s=WAIT_S)).start()
    assert done == [True]


def test_start_with_a_store_that_is_away_goes_on_and_tries_until_it_answers(caplog: pytest.LogCaptureFixture) -> None:
    answers = iter(["away", "still away", None])
    restored = Event()

    def restore() -> str | None:
        answer = next(answers)
        if answer is None:
            restored.set()
        return answer

    with caplog.at_level(logging.WARNING):
        LatestRestorer(restore, RestoreConfig(start_s=WAIT_S, retry_s=0.001)).start()
        assert restored.wait(WAIT_S)
    assert [record.getMessage() for record in caplog.records] == ["latest values are not restored yet: away"]


def test_start_with_a_store_that_is_silent_waits_no_longer_than_it_may() -> None:
    silence = Event()

    def restore() -> str | None:
        silence.wait(WAIT_S)
        return None

    LatestRestorer(restore, RestoreConfig(start_s=0.001)).start()
    assert not silence.is_set()
    silence.set()


def test_stop_ends_the_attempts() -> None:
    attempts: list[int] = []
    restorer = LatestRestorer(
        lambda: attempts.append(1) or "away", RestoreConfig(start_s=WAIT_S, retry_s=WAIT_S, stop_s=WAIT_S)
    )
    restorer.start()
    restorer.stop()
    assert attempts == [1]
