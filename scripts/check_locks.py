# SPDX-License-Identifier: Apache-2.0
"""Check that the lock files hold every dependency with hashes, fit pyproject.toml, and name no index."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)


def faults(root: Path) -> list[str]:
    """Return what is wrong with the lock files below `root`."""
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
    wanted = {"requirements.lock": project["project"]["dependencies"]}
    wanted["requirements-dev.lock"] = wanted["requirements.lock"] + project["dependency-groups"]["dev"]
    found = []
    for name, requirements in wanted.items():
        text = (root / name).read_text("utf-8")
        pins = {canonicalize_name(package): version for package, version in _PIN.findall(text)}
        if "://" in text:
            found.append(f"{name}: names an address; run: make lock")
        for block in re.split(r"\n(?=\S)", text):
            if _PIN.match(block) and "--hash=sha256:" not in block:
                found += [f"{name}: {block.split()[0]} has no hash; run: make lock"]
        for line in requirements:
            requirement = Requirement(line)
            version = pins.get(canonicalize_name(requirement.name))
            if version is None or not requirement.specifier.contains(version, prereleases=True):
                found.append(f"{name}: {line} is locked to {version}; run: make lock")
    return found


if __name__ == "__main__":
    complaints = faults(Path(__file__).parent.parent)
    print("\n".join(complaints) or "the locks fit pyproject.toml")
    sys.exit(bool(complaints))
