# SPDX-License-Identifier: Apache-2.0
"""Acts by hand on the command line, where nothing runs and where what is asked makes no sense."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from typer.testing import Result

from control.errors import Invalid
from tirta.errors import NotPossible

Run = Callable[..., Result]

BED = "taman-kota:bedeng-1:1"


@pytest.mark.parametrize(
    "words",
    [
        ("run", BED, "irrigate", "--seconds", "60"),
        ("stop", BED),
        ("stop-all", "site:taman-kota"),
        ("test-valves", "taman-kota"),
    ],
    ids=lambda words: words[0],
)
def test_act_where_nothing_runs_say_so(run: Run, words: tuple[str, ...]) -> None:
    answer = run("act", *words)

    assert isinstance(answer.exception, NotPossible)
    assert "start it: tirta up" in str(answer.exception)


def test_act_run_of_something_unknown_names_what_there_is(run: Run) -> None:
    assert "irrigate, feed, aerate" in str(run("act", "run", BED, "dance").exception)


def test_act_stop_all_of_what_is_no_place_says_how_places_are_named(run: Run) -> None:
    answer = run("act", "stop-all", "taman-kota")

    assert isinstance(answer.exception, Invalid)
    assert "site:NAME" in str(answer.exception)
