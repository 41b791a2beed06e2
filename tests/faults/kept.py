# SPDX-License-Identifier: Apache-2.0
"""Results of fault tests that have ended, so that a run that was cut off can go on.

Invariant: a result counts for the very files it was made with: the commit, and what is changed beside it.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any, Final

__all__ = ["KeptResults", "name_of_tree"]

_FILE: Final = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "tirta" / "faults.json"
_ROOT: Final = Path(__file__).parents[2]


def name_of_tree(root: Path = _ROOT) -> str | None:
    """Name the files under test: the commit, with a digest of what differs from it; None where git does not know."""
    commit = _git(root, "rev-parse", "HEAD")
    changed = _git(root, "diff", "HEAD", "--binary")
    others = _git(root, "ls-files", "--others", "--exclude-standard", "-z")
    if commit is None or changed is None or others is None:
        return None
    digest = hashlib.sha256(changed)
    paths = sorted(path for path in others.decode(errors="surrogateescape").split("\0") if path)
    for path in paths:
        digest.update(path.encode(errors="surrogateescape") + b"\0")
        try:
            digest.update((root / path).read_bytes())
        except OSError:  # gone meanwhile, or a link to a folder
            continue
    name = commit.decode().strip()
    return f"{name}+{digest.hexdigest()[:16]}" if changed or paths else name


def _git(root: Path, *told: str) -> bytes | None:
    try:
        return subprocess.run(["git", "-C", str(root), *told], capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None


class KeptResults:
    """What has ended of a run of one length, on this tree.

    Parameters
    ----------
    length : str
        `full`, `quick` or `long`; each is kept apart.
    file : Path
        Where all of them are kept.
    root : Path
        The tree.
    """

    def __init__(self, length: str, file: Path = _FILE, root: Path = _ROOT) -> None:
        self._length = length
        self._path = file
        self._root = root
        self.tree = name_of_tree(root)
        kept = self._read().get(length, {})
        same = self.tree is not None and kept.get("tree") == self.tree
        self._done: dict[str, dict[str, Any]] = kept["done"] if same else {}

    def passed(self, number: int) -> dict[str, Any] | None:
        """Return the result of a test that has passed, or None."""
        found = self._done.get(str(number))
        return found if found is not None and found["pass"] is True else None

    def keep(self, number: int, result: dict[str, Any]) -> None:
        """Keep a result, unless the files have changed since the run began: it is then nobody's."""
        if self.tree is None or name_of_tree(self._root) != self.tree:
            return
        self._done[str(number)] = result
        self._write(self._read() | {self._length: {"tree": self.tree, "done": self._done}})

    def forget(self) -> None:
        """Begin anew."""
        self._done = {}
        self._write({length: kept for length, kept in self._read().items() if length != self._length})

    def has(self, numbers: list[int]) -> bool:
        """Tell whether all of these have ended."""
        return all(str(number) in self._done for number in numbers)

    def _read(self) -> dict[str, Any]:
        try:
            kept: dict[str, Any] = json.loads(self._path.read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return kept if isinstance(kept, dict) else {}

    def _write(self, kept: dict[str, Any]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._path.with_suffix(".new")
        fresh.write_text(json.dumps(kept), "utf-8")
        fresh.replace(self._path)
