# SPDX-License-Identifier: Apache-2.0
"""Many worlds, one after the other or in two processes, and the check that a seed is always the same story."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final, TypeVar

__all__ = ["hash_elsewhere", "run_many"]

Told = TypeVar("Told")
Found = TypeVar("Found")

_PROCESSES: Final = 2
_AT_ONCE: Final = 4  # worlds handed to a process at a time


def run_many(live: Callable[[Told], Found], worlds: Iterable[Told], *, here: bool) -> list[Found]:
    """Live through all of them, in this process or shared among some; return what came of each, in order."""
    if here:
        return [live(one) for one in worlds]
    with ProcessPoolExecutor(_PROCESSES, mp_context=get_context("spawn")) as pool:
        return list(pool.map(live, worlds, chunksize=_AT_ONCE))


def hash_elsewhere(module: str, seed: int) -> str:
    """Live through one world in a process of its own, where text has other hashes, and return that of its story."""
    command = [sys.executable, "-c", f"from {module} import story_hash; print(story_hash({seed}))"]
    environment: dict[str, Any] = {**os.environ, "PYTHONHASHSEED": str(1 + seed % 4_000_000_000)}
    root = Path(__file__).parents[3]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, cwd=root, timeout=120)
    return done.stdout.strip()
