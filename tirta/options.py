# SPDX-License-Identifier: Apache-2.0
"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["CONFIG", "DATA", "WHY"]

DATA = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="Folder of all data. [default: ~/.local/share/tirta]"),
]
CONFIG = Annotated[Path | None, typer.Option("--config", metavar="FILE", help="Settings in TOML.")]
WHY = Annotated[str, typer.Option("--why", metavar="TEXT", help="Why, for the audit trail.")]
