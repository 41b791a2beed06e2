# SPDX-License-Identifier: Apache-2.0
"""Results of fault tests count for the very files they were made with."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.faults.kept import KeptResults, name_of_tree

PASSED = {"test": 4, "pass": True}


def git(root: Path, *told: str) -> None:
    who = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    subprocess.run(["git", "-C", str(root), *who, *told], check=True, capture_output=True)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "tree"
    made.mkdir()
    (made / "code.py").write_text("1")
    git(made, "init", "-q")
    git(made, "add", ".")
    git(made, "commit", "-q", "-m", "first")
    return made


def kept(root: Path, length: str = "full") -> KeptResults:
    return KeptResults(length, root.parent / "faults.json", root)


def test_passed_of_the_same_files_gives_what_was_kept(root: Path) -> None:
    kept(root).keep(4, PASSED)
    assert kept(root).passed(4) == PASSED
    assert kept(root).passed(6) is None
    assert kept(root, "quick").passed(4) is None


def test_passed_of_a_test_that_failed_or_was_skipped_gives_nothing(root: Path) -> None:
    for number, verdict in ((4, False), (6, None)):
        kept(root).keep(number, {"pass": verdict})
        assert kept(root).passed(number) is None
    assert kept(root).has([4, 6])
    assert not kept(root).has([4, 5])


@pytest.mark.parametrize("change", ["commit", "edit", "new"])
def test_passed_after_any_change_of_the_files_gives_nothing(root: Path, change: str) -> None:
    kept(root).keep(4, PASSED)
    (root / ("new.py" if change == "new" else "code.py")).write_text("2")
    if change == "commit":
        git(root, "commit", "-q", "-a", "-m", "second")
    assert kept(root).passed(4) is None


def test_name_of_tree_tells_one_change_from_another_and_knows_the_same_again(root: Path) -> None:
    names = [name_of_tree(root)]
    for text in ("2", "3"):
        (root / "code.py").write_text(text)
        names.append(name_of_tree(root))
    (root / "code.py").write_text("1")
    assert len(set(names)) == 3
    assert name_of_tree(root) == names[0]


def test_keep_of_a_run_during_which_the_files_changed_keeps_nothing(root: Path) -> None:
    running = kept(root)
    (root / "code.py").write_text("2")
    running.keep(4, PASSED)
    (root / "code.py").write_text("1")
    assert kept(root).passed(4) is None


def test_forget_leaves_runs_of_another_length(root: Path) -> None:
    for length in ("full", "quick"):
        kept(root, length).keep(4, PASSED)
    kept(root).forget()
    assert kept(root).passed(4) is None
    assert kept(root, "quick").passed(4) == PASSED


@pytest.mark.parametrize("text", ["", "{", "[]", '{"full": {"4": {"pass": true}}}'])
def test_passed_from_a_file_of_another_form_gives_nothing(root: Path, text: str) -> None:
    (root.parent / "faults.json").write_text(text)
    assert kept(root).passed(4) is None
    kept(root).keep(4, PASSED)
    assert kept(root).passed(4) == PASSED


def test_passed_outside_of_git_gives_nothing(tmp_path: Path) -> None:
    elsewhere = tmp_path / "tree"
    elsewhere.mkdir()
    kept(elsewhere).keep(4, PASSED)
    assert kept(elsewhere).passed(4) is None
