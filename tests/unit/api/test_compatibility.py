# SPDX-License-Identifier: Apache-2.0
"""What callers rely on in the description that was committed last is still there, unless the changelog says otherwise."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from api.app import make_routes
from api.openapi import describe

ROOT = Path(__file__).parents[3]


def committed() -> dict[str, Any]:
    """Return the description of the last commit."""
    command = ["git", "-C", str(ROOT), "show", "HEAD:docs/openapi.json"]
    shown = subprocess.run(command, capture_output=True, check=False)
    if shown.returncode != 0:
        pytest.skip(f"no earlier description to compare with: {shown.stderr.decode().strip()}")
    found: dict[str, Any] = json.loads(shown.stdout)
    return found


def breaks(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Return what a caller of `old` would miss in `new`: routes, answers, fields of answers; or would have to send."""
    found = []
    for path, methods in old["paths"].items():
        for method, operation in methods.items():
            now = new["paths"].get(path, {}).get(method)
            if now is None:
                found.append(f"{method.upper()} {path} is gone")
                continue
            known = {each["name"] for each in operation.get("parameters", ())}
            names = {each["name"] for each in now.get("parameters", ())}
            found += [f"{method.upper()} {path}: {name} is no longer taken" for name in sorted(known - names)]
            needed = {each["name"] for each in now.get("parameters", ()) if each.get("required")}
            found += [f"{method.upper()} {path}: {name} is now required" for name in sorted(needed - known)]
    for name, schema in old["components"]["schemas"].items():
        now = new["components"]["schemas"].get(name)
        if now is None:
            continue  # whatever used it is compared by itself
        gone = sorted(set(schema.get("properties", {})) - set(now.get("properties", {})))
        found += [f"{name}.{field} is gone" for field in gone]
        added = sorted(set(now.get("required", ())) - set(schema.get("required", ())))
        takes = name.startswith("New") or name.endswith("Change")
        found += [f"{name}.{field} is now required" for field in added if takes and not name.endswith("Answer")]
    return found


def test_description_breaks_nothing_that_was_committed() -> None:
    told = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert [each for each in breaks(committed(), describe(make_routes(""), "")) if each not in told] == []


def test_breaks_finds_what_is_gone_and_what_is_newly_needed() -> None:
    new = describe(make_routes(""), "")
    old = json.loads(json.dumps(new))
    assert breaks(old, new) == []
    old["paths"]["/api/v1/gone"] = {"get": {}}
    old["paths"]["/api/v1/sites"]["get"]["parameters"].append({"name": "colour"})
    old["components"]["schemas"]["SiteAnswer"]["properties"]["colour"] = {}
    old["components"]["schemas"]["NewSite"]["required"].remove("title")
    assert sorted(breaks(old, new)) == [
        "GET /api/v1/gone is gone",
        "GET /api/v1/sites: colour is no longer taken",
        "NewSite.title is now required",
        "SiteAnswer.colour is gone",
    ]
