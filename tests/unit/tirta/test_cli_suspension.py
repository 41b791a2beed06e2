# SPDX-License-Identifier: Apache-2.0
"""Putting off on the command line."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from typer.testing import Result

from control import registry, schedules
from control.database import open_database
from control.errors import Invalid, NotFound
from control.records import ZoneParameters, ZoneSpec

Run = Callable[..., Result]
BED = "taman:bedeng:1"


@pytest.fixture
def run_there(run: Run, url: str) -> Run:
    """Run a command where there is a bed that is watered by the clock."""
    database = open_database(url)
    bed = ZoneSpec(1, "Bed", "bed", ZoneParameters(flow_l_min=6.0))
    definition = {"type": "timer", "starts": [{"time": "05:30", "litres": 6.0}], "litres_day": 60.0}
    with database.session() as session:
        registry.create_site(session, "taman", "Taman", "Asia/Makassar", now_ms=0)
        registry.create_device(session, "taman", "bedeng", "irrigation-controller", "B", [bed], "$7$", now_ms=0)
        schedules.create_schedule(session, BED, definition, now_ms=0)
    database.close()
    return run


def test_suspension_is_made_listed_and_resumed(run_there: Run) -> None:
    assert run_there("suspension", "list").output == "nothing is put off\n"
    made = run_there("suspension", "pause", f"zone:{BED}", "--hours", "2", "--note", "bocor", "--why", "tim lapangan")
    assert made.exit_code == 0, made.output
    assert f"pause  zone:{BED}  until 2" in made.output
    assert run_there("suspension", "rain-delay", "site:taman", "--until", "2999-01-01T00:00+08:00").exit_code != 0
    assert run_there("suspension", "rain-delay", "site:taman", "--hours", "24").exit_code == 0
    listed = run_there("suspension", "list").output.splitlines()
    assert len(listed) == 2
    assert "by command-line  bocor" in listed[1]
    assert run_there("suspension", "resume", listed[1].split()[0]).exit_code == 0
    assert run_there("suspension", "resume", "site:taman").exit_code == 0
    assert run_there("suspension", "list").output == "nothing is put off\n"
    assert run_there("suspension", "list", "--all").output.count("resumed") == 2


def test_skip_names_the_moment_that_is_left_out(run_there: Run) -> None:
    made = run_there("suspension", "skip", BED)
    assert made.exit_code == 0, made.output
    assert f"skip  zone:{BED}  at 2" in made.output
    assert "T21:30Z" in made.output


def test_suspension_with_something_wrong_says_so(run_there: Run) -> None:
    for wrong in (("pause", "taman"), ("pause", "site:taman", "--until", "soon"), ("rain-delay", "site:taman")):
        assert isinstance(run_there("suspension", *wrong).exception, Invalid)
    twice = run_there("suspension", "pause", "site:taman", "--until", "2999-01-01T00:00+08:00", "--hours", "1")
    assert isinstance(twice.exception, Invalid)
    assert isinstance(run_there("suspension", "resume", "site:taman").exception, NotFound)
