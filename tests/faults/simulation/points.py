# SPDX-License-Identifier: Apache-2.0
"""Points at which a simulated process can die, as the harness finds them by itself while the product's code runs.

    await    a coroutine of the server goes on after it was suspended: the point is the chain of awaits that it stands at
    commit   just before, and just after, a transaction of the control database is on the disk
    send     just before a message is handed to the link, when it is on its way, and when the broker has confirmed it
    device   before and after each write to a device's memory, each of its commits, each switch of a valve or motor

Invariant: a point is a place and the how-manieth time since counting began; which points there are is listed by a run in
which nobody dies.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable, Coroutine, Generator, Iterator
from pathlib import Path
from typing import Any, Final

__all__ = ["Deadly", "Point", "Points", "WatchedCoroutine", "awaits_in_code"]

Point = tuple[str, int]  # a place, and which time it is reached

_ROOT: Final = Path(__file__).parents[3]
_WATCHED: Final = ("control", "simulators")


class Deadly(BaseException):
    """The process ends here; like no other error, nothing may catch it."""


class Points:
    """Count places as they are reached, and end the process at one of them.

    Attributes
    ----------
    hits : Counter
        How often each place was reached since counting began.
    lines : set of str
        Every line with an await that a process was suspended at.
    """

    def __init__(self) -> None:
        self.hits: Counter[str] = Counter()
        self.lines: set[str] = set()
        self.died = False
        self._target: Point | None = None
        self._die: Callable[[], None] = lambda: None

    def begin(self, target: Point | None = None, die: Callable[[], None] = lambda: None) -> None:
        """Count from 0 on; at the target call `die` and end what runs."""
        self.hits.clear()
        self.died = False
        self._target, self._die = target, die

    def reached(self, place: str) -> None:
        """Note that a place is reached.

        Raises
        ------
        Deadly
            It is where the process ends.
        """
        self.hits[place] += 1
        if self._target is not None and self._target == (place, self.hits[place]):
            self._target, self.died = None, True
            self._die()
            raise Deadly

    def listed(self, most: int = 3) -> list[Point]:
        """Return the points reached, each place so many times at most."""
        return [(place, nth) for place, count in sorted(self.hits.items()) for nth in range(1, min(count, most) + 1)]


class WatchedCoroutine(Coroutine[Any, Any, Any]):
    """A coroutine of which each going on is a point."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], points: Points) -> None:
        self._coroutine = coroutine
        self._points = points
        self._where = f"await start of {getattr(coroutine, '__qualname__', 'a task')}"

    def send(self, value: Any) -> Any:
        """Go on."""
        self._points.reached(self._where)
        found = self._coroutine.send(value)
        self._note()
        return found

    def throw(self, *exc: Any) -> Any:
        """Go on with an error."""
        self._points.reached(self._where)
        found = self._coroutine.throw(*exc)
        self._note()
        return found

    def close(self) -> None:
        """End it."""
        self._coroutine.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._coroutine.__await__()

    def _note(self) -> None:
        lines = list(_lines(self._coroutine))
        self._points.lines.update(lines)
        self._where = "await " + (" < ".join(reversed(lines)) or "outside the product")


def _lines(coroutine: object) -> Iterator[str]:
    """Give the product's lines that a coroutine is suspended at, from the outermost to the innermost."""
    while (frame := getattr(coroutine, "cr_frame", None)) is not None:
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(_ROOT) and path.relative_to(_ROOT).parts[0] in _WATCHED:
            yield f"{path.relative_to(_ROOT)}:{frame.f_lineno}"
        coroutine = getattr(coroutine, "cr_await", None)


def awaits_in_code(module: str) -> set[str]:
    """Return every line of a module of the product with an await in it, as `control/sending.py:108`."""
    path = _ROOT / module
    kinds = (ast.Await, ast.AsyncWith, ast.AsyncFor)
    return {f"{module}:{node.lineno}" for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, kinds)}
