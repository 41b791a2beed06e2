# SPDX-License-Identifier: Apache-2.0
"""The table of who may do what, kept by hand in tests/permissions.txt, and the same as a page shows it."""

from __future__ import annotations

from pathlib import Path

from control.access import ROLES

__all__ = ["ALLOWED", "as_markdown"]

_TEXT = (Path(__file__).parents[2] / "permissions.txt").read_text("utf-8")


def _read() -> dict[str, dict[str, str]]:
    rows = [line.split() for line in _TEXT.splitlines() if not line.startswith("#")]
    return {f"{row[0]} {row[1]}": dict(zip(ROLES, row[2:], strict=True)) for row in rows}


ALLOWED = _read()


def as_markdown() -> str:
    """Return the table for docs/security.md."""
    lines = [f"| route | {' | '.join(ROLES)} |", "|---|" + "---|" * len(ROLES)]
    lines += [f"| `{route}` | {' | '.join(words.values())} |" for route, words in ALLOWED.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    print(as_markdown())
