# SPDX-License-Identifier: Apache-2.0
"""Where the command `tirta` begins: SIGTERM means a clean end from the first moment, also while modules are still loaded."""

from __future__ import annotations

import signal
import sys
from types import FrameType

__all__ = ["main"]


def _end(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)


def main() -> None:
    """Run the command line."""
    # Nothing is open yet; whoever opens something puts a handler of its own in this one's place.
    signal.signal(signal.SIGTERM, _end)
    from tirta.cli import main as run

    run()
