# SPDX-License-Identifier: Apache-2.0
"""Take the API as it is for what partners build on, at a release: `python scripts/renew_api_baseline.py`.

Writes tests/contract/api/baseline.json from docs/openapi.json and empties tests/contract/api/breaks.txt. Not for a change
that breaks something: that is named in breaks.txt and in the changelog.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["main"]

ROOT = Path(__file__).parents[1]


def main() -> None:
    """Copy the description, and keep of the list only what explains it."""
    folder = ROOT / "tests/contract/api"
    (folder / "baseline.json").write_bytes((ROOT / "docs/openapi.json").read_bytes())
    accepted = folder / "breaks.txt"
    kept = [line for line in accepted.read_text("utf-8").splitlines(keepends=True) if line.startswith("#")]
    accepted.write_text("".join(kept), "utf-8")


if __name__ == "__main__":
    main()
