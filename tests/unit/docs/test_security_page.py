# SPDX-License-Identifier: Apache-2.0
"""The thirty lines on security: each names what holds it, and what it names is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/security.md").read_text("utf-8")
ROWS = {
    int(cells[0]): (cells[1].strip(), cells[2].strip())
    for line in PAGE.split("\n## Thirty lines\n")[1].splitlines()
    if re.match(r"\| \d", line) and len(cells := line.strip("| ").split(" | ")) == 3
}
NAMED = [(number, name) for number, (_, held) in ROWS.items() for name in re.findall(r"`([^`]+)`", held)]


def test_there_are_thirty_lines() -> None:
    assert list(ROWS) == list(range(1, 31))


@pytest.mark.parametrize("number", range(1, 31))
def test_a_line_names_a_test_or_says_what_is_not_there_yet(number: int) -> None:
    line, held = ROWS[number]

    assert "`" in held
    assert "tests/" in held or "Not yet" in line


@pytest.mark.parametrize(("number", "name"), NAMED, ids=[f"{number}-{name}" for number, name in NAMED])
def test_what_a_line_names_is_there(number: int, name: str) -> None:
    path, _, test = name.partition("::")
    assert (ROOT / path).exists(), f"line {number}"
    if test:
        tree = ast.parse((ROOT / path).read_text("utf-8"))
        assert test in {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}, (
            f"line {number}"
        )


def test_no_code_is_made_from_data() -> None:
    rooms = ("api", "control", "gateway", "ingest", "rules", "simulators", "tirta")
    found = []
    for path in (each for room in rooms for each in (ROOT / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("eval", "exec", "compile"):
                found.append(f"{path}:{node.lineno}")
            names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            found += [f"{path}:{node.lineno}" for name in names if name in ("pickle", "marshal", "shelve", "dill")]  # type: ignore[attr-defined]
    assert found == []
