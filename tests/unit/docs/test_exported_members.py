# SPDX-License-Identifier: Apache-2.0
"""Every module says what it gives away, in order, and has it."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
ROOMS = ("api", "control", "gateway", "ingest", "rules", "simulators", "tirta")
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for room in ROOMS
    for path in (ROOT / room).rglob("*.py")
    if "migrations" not in path.parts and path.name != "__main__.py"
)


@pytest.mark.parametrize("name", MODULES)
def test_exported_members_are_there_and_sorted(name: str) -> None:
    module = importlib.import_module(name)
    path = Path(str(module.__file__))
    if path.name == "__init__.py" and "import" not in path.read_text("utf-8").replace("from __future__ import", ""):
        return  # a package that re-exports nothing
    exported = module.__all__

    assert [member for member in exported if not hasattr(module, member)] == []
    assert list(exported) == sorted(exported, key=_order)
    assert len(set(exported)) == len(exported)


def _order(member: str) -> tuple[int, str]:
    """Constants, then classes, then the rest: the linter's order."""
    return (0 if member.isupper() else 1 if member[:1].isupper() else 2, member)


@pytest.mark.parametrize("name", MODULES)
def test_modules_have_a_docstring(name: str) -> None:
    assert (importlib.import_module(name).__doc__ or "").strip()
