# SPDX-License-Identifier: Apache-2.0
"""What documents refer to is there: files, headings, make targets, commands, modules; and numbers have their command."""

from __future__ import annotations

import re
import tomllib
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import typer

from tirta.cli import app

ROOT = Path(__file__).parents[3]
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "benchmarks/*.md", "deploy/**/*.md", "firmware_stubs/**/*.md", "tests/**/*.md")
    for path in ROOT.glob(pattern)
)
MEASURED = re.compile(r"[0-9] ?(k )?(msg/s|messages/s|rows/s|messages a second|rows a second|CPU-s)|tick_ms\W+[0-9]")
IDS = [str(path.relative_to(ROOT)) for path in PAGES]


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, as they are made on the web."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^a-z0-9 _-]", "", heading.lower()).replace(" ", "-") for heading in headings}


def code(text: str) -> str:
    """Return what stands in backticks, in fences and in indented blocks."""
    fenced = re.findall(r"^```.*?^```", text, re.MULTILINE | re.DOTALL)
    return "\n".join([*fenced, *re.findall(r"`[^`\n]+`", text), *re.findall(r"^    .+$", text, re.MULTILINE)])


def commands(command: Any, name: str) -> set[str]:
    inner: dict[str, Any] = getattr(command, "commands", {})
    return {name}.union(*(commands(below, f"{name} {part}") for part, below in inner.items()))


@pytest.mark.parametrize("path", PAGES, ids=IDS)
def test_links_to_files_and_headings_lead_somewhere(path: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text("utf-8")):
        if target.startswith(("http://", "https://")):
            continue
        name, _, anchor = target.partition("#")
        found = (path.parent / name).resolve() if name else path
        if not found.exists() or (anchor and anchor not in anchors(found.read_text("utf-8"))):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("path", PAGES, ids=IDS)
def test_make_targets_that_are_named_exist(path: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))

    assert set(re.findall(r"(?<![\w-])make ([a-z][a-z-]*)", code(path.read_text("utf-8")))) - targets == set()


@pytest.mark.parametrize("path", PAGES, ids=IDS)
def test_commands_of_tirta_that_are_named_exist(path: Path) -> None:
    known = commands(typer.main.get_command(app), "tirta")
    named = re.findall(r"(?:^|[`/ ])(tirta(?: (?!tirta\b)[a-z]+){1,2})\b", code(path.read_text("utf-8")), re.MULTILINE)

    assert [name for name in named if name not in known and name.rpartition(" ")[0] not in known - {"tirta"}] == []


@pytest.mark.parametrize("path", PAGES, ids=IDS)
def test_modules_that_are_run_exist(path: Path) -> None:
    named = set(re.findall(r"python3? -m ([a-z_.]+)", code(path.read_text("utf-8"))))

    assert [name for name in named if find_spec(name) is None] == []


@pytest.mark.parametrize("path", PAGES, ids=IDS)
def test_measured_numbers_stand_in_a_section_with_the_command(path: Path) -> None:
    text = path.read_text("utf-8")
    starts = [0, *(match.start() for match in re.finditer(r"^#+ ", text, re.MULTILINE)), len(text)]
    sections = [text[start:end] for start, end in pairwise(starts)]

    assert [part.splitlines()[0] for part in sections if MEASURED.search(part) and "benchmarks" not in part] == []


def test_decisions_are_numbered_without_a_hole() -> None:
    files = sorted((ROOT / "docs/adr").glob("*.md"))

    assert [path.name[:4] for path in files] == [f"{number:04}" for number in range(1, len(files) + 1)]
    assert [path.name for path in files if not path.read_text("utf-8").startswith(f"# {int(path.name[:4])}. ")] == []
    assert [path.name for path in files if len(path.read_text("utf-8").splitlines()) > 60] == []


def test_contributing_is_under_fifty_lines() -> None:
    assert len((ROOT / "CONTRIBUTING.md").read_text("utf-8").splitlines()) < 50


def test_changelog_has_a_heading_for_the_version_that_is_built() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")

    assert "## [Unreleased]" in text or f"## [{version}]" in text
    assert "### Wire contract" in text
    assert "### Formats on disk" in text
