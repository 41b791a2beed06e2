# SPDX-License-Identifier: Apache-2.0
"""Text that is safe to show at a terminal, whoever wrote it.

A payload, a topic or a reason that repeats what a device said may hold sequences that a terminal obeys: they rename its
window, move the cursor over what was said before, or turn the order of letters round. Invariant: nothing that the command
prints can do that, for all of it goes by here; what cannot be shown stands there as Python would write it, as \\x1b.
"""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import BinaryIO, Final, TextIO

__all__ = ["SafeOutput", "one_line", "safe", "safe_output"]

# Controls of C0 and C1 but tab and line feed, marks that turn the order of letters, further ends of line, and what is no
# character at all (a lone surrogate, which could not be written either).
_UNSAFE: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_LINES: Final = re.compile(r"[\t\n]")


def safe(text: str) -> str:
    """Write out what a terminal would obey; lines stay lines."""
    return _UNSAFE.sub(_written_out, text)


def one_line(text: str) -> str:
    """Write out also what would begin a line or a column of its own, in a list of one line each."""
    return _LINES.sub(_written_out, safe(text))


def _written_out(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")


class SafeOutput(io.TextIOBase):
    """Standard output or error to which everything is written safely."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._out.encoding

    @property
    def buffer(self) -> BinaryIO:
        """Where bytes are written that are a file and no text."""
        return self._out.buffer

    def write(self, text: str, /) -> int:
        self._out.write(safe(text))
        return len(text)

    def flush(self) -> None:
        self._out.flush()

    def fileno(self) -> int:
        return self._out.fileno()

    def isatty(self) -> bool:
        return self._out.isatty()

    def writable(self) -> bool:
        return True


@contextmanager
def safe_output() -> Iterator[None]:
    """Have everything that is printed meanwhile go by here."""
    with redirect_stdout(SafeOutput(sys.stdout)), redirect_stderr(SafeOutput(sys.stderr)):
        yield
