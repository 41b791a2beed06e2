# SPDX-License-Identifier: Apache-2.0
"""What partners built on is still there: the API of the last release (`tests/contract/api/baseline.json`) against the code's.

The base is a file and no commit, so that a break does not vanish by being committed. What breaks on purpose stands in
`tests/contract/api/breaks.txt` and, word for word, in the changelog. At a release `python scripts/renew_api_baseline.py` takes
the API as it then is for the next base, and empties the list; from the first tag on, the base has to be what was tagged.
"""

from __future__ import annotations

import copy
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from api.app import make_routes
from api.openapi import describe
from tests.unit.api.compatibility import breaks

ROOT = Path(__file__).parents[3]
BASELINE = ROOT / "tests/contract/api/baseline.json"
ACCEPTED = ROOT / "tests/contract/api/breaks.txt"


def accepted() -> list[str]:
    return [line for line in ACCEPTED.read_text("utf-8").splitlines() if line and not line.startswith("#")]


@pytest.fixture(scope="module")
def now() -> dict[str, Any]:
    return describe(make_routes(""), "")


def test_api_breaks_exactly_what_is_accepted(now: dict[str, Any]) -> None:
    found = breaks(json.loads(BASELINE.read_text("utf-8")), now)

    assert [each for each in found if each not in accepted()] == [], "what callers rely on would break"
    assert [each for each in accepted() if each not in found] == [], "accepted, and not broken"


def test_every_accepted_break_is_named_in_the_changelog() -> None:
    told = (ROOT / "CHANGELOG.md").read_text("utf-8").partition("### API breaks")[2].partition("\n### ")[0]
    assert [each for each in accepted() if each not in told] == []


def test_baseline_is_what_was_released_last() -> None:
    def git(*arguments: str) -> str:
        ended = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False)
        return ended.stdout if ended.returncode == 0 else ""

    tag = git("describe", "--tags", "--abbrev=0", "--match", "v[0-9]*").strip()
    if not tag:
        pytest.skip("nothing was released yet, or this is no checkout")
    assert json.loads(git("show", f"{tag}:docs/openapi.json")) == json.loads(BASELINE.read_text("utf-8"))


def change(description: dict[str, Any], *, path: str, method: str = "get") -> Any:
    return description["paths"][f"/api/v1/{path}"][method]


def schemas(description: dict[str, Any]) -> Any:
    return description["components"]["schemas"]


def test_breaks_finds_nothing_in_what_is_only_added(now: dict[str, Any]) -> None:
    later = copy.deepcopy(now)
    later["paths"]["/api/v1/new"] = {"get": {}}
    change(later, path="sites")["parameters"].append({"name": "colour", "schema": {"type": "string"}})
    schemas(later)["SiteAnswer"]["properties"]["colour"] = {"type": "string"}
    schemas(later)["NewSite"]["properties"]["colour"] = {"type": "string"}
    assert breaks(now, now) == []
    assert breaks(now, later) == []


def test_breaks_finds_what_is_gone_newly_needed_or_of_another_form(now: dict[str, Any]) -> None:
    old = copy.deepcopy(now)
    old["paths"]["/api/v1/gone"] = {"get": {}}
    change(old, path="sites")["parameters"].append({"name": "colour"})
    schemas(old)["SiteAnswer"]["properties"]["colour"] = {"type": "string"}
    schemas(old)["NewSite"]["required"].remove("title")
    schemas(old)["TokenAnswer"]["properties"]["expires"] = {"type": "string"}
    schemas(old)["GrantBody"]["properties"]["role"]["enum"].append("king")
    schemas(old)["ClockReading"]["required"].append("zone")
    schemas(old)["ClockReading"]["properties"]["zone"] = {"type": "string"}
    schemas(old)["NewCity"]["properties"]["title"]["maxLength"] = 500
    found = breaks(old, now)

    assert {
        "GET /api/v1/gone is gone",
        "GET /api/v1/sites: colour is no longer taken",
        "GET /api/v1/sites: answer items [] colour is gone",
        "POST /api/v1/sites: body title is now required",
        "GET /api/v1/tokens: answer items [] expires may now be null",
        "POST /api/v1/tokens: body grants [] role may no longer be 'king'",
        "GET /api/v1/clock: answer zone is gone",
        "POST /api/v1/cities: body title has a tighter maxLength",
    } <= set(found)
    assert all("king" not in each or ": body" in each for each in found)
