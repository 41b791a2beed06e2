# SPDX-License-Identifier: Apache-2.0
"""Budgets of water on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from typer.testing import Result

from control.errors import Invalid, NotFound
from tirta.errors import NotPossible

Run = Callable[..., Result]

AGENCY = "city:agency"


@pytest.fixture(autouse=True)
def agency(run: Run) -> None:
    made = run("device", "add", "taman-kota:bedeng-1", "--kind", "irrigation-controller")
    assert made.exit_code == 0, made.output


def test_budget_set_counts_for_every_month_or_some_and_is_in_the_trail(run: Run) -> None:
    assert run("budget", "set", AGENCY, "40000", "--why", "anggaran 2027").output == "city:agency: 40000 L\n"
    assert run("budget", "set", AGENCY, "60000", "--month", "8", "--month", "7").output == "city:agency: 60000 L, months 7, 8\n"
    assert run("budget", "set", AGENCY, "--no-limit", "--month", "1").exit_code == 0
    shown = run("budget", "show", AGENCY).output.splitlines()
    entry = json.loads(run("audit", "list", "--json", "--action", "agency.budget").output.splitlines()[-1])

    assert shown[0] == "month  1  no limit"
    assert [line.split()[2] for line in shown[1:12]] == ["40000"] * 5 + ["60000"] * 2 + ["40000"] * 4
    assert "0 L given of" in shown[12]
    assert (entry["actor"], entry["why"]) == ("command-line", "anggaran 2027")


@pytest.mark.parametrize("options", [(), ("5", "--no-limit")])
def test_budget_set_without_litres_or_with_both_says_what_is_wanted(run: Run, options: tuple[str, ...]) -> None:
    assert isinstance(run("budget", "set", AGENCY, *options).exception, NotPossible)


def test_budget_of_nobody_is_not_found_and_too_much_refused(run: Run) -> None:
    assert isinstance(run("budget", "show", "city:none").exception, NotFound)
    assert run("budget", "set", AGENCY, "2e9").exit_code == 2
    assert not isinstance(run("budget", "set", AGENCY, "0").exception, Invalid)
