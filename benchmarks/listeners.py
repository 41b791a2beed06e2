# SPDX-License-Identifier: Apache-2.0
"""Listeners to server-sent events, each with a token and a connection of its own; a process beside what is measured.

Started by the benchmarks with its plan as JSON on standard input: {"port", "tokens": [...]}. Prints "ready" when every one
follows, counts anew from the next line of its input on, and at the one after prints a JSON line: how many have heard
something and are still there, and how many events each has heard.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

__all__ = ["Listeners", "listening", "main"]

_AT_ONCE: Final = 20  # that connect at the same time
_EVENT: Final = b"event: telemetry\n"


class Listeners:
    """The process, and what it says."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def begin(self) -> None:
        """Count from now on."""
        self._say()

    def end(self) -> dict[str, Any]:
        """Return what was heard since."""
        self._say()
        return dict(json.loads(self.hear()))

    def hear(self) -> str:
        """Return the next line of the process."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("the listeners ended")
        return line

    def _say(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()


@contextmanager
def listening(port: int, tokens: Sequence[str]) -> Iterator[Listeners]:
    """Run listeners, one a token; they are there when the context begins."""
    command = [sys.executable, "-m", "benchmarks.listeners"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as started:
        assert started.stdin is not None
        started.stdin.write(json.dumps({"port": port, "tokens": list(tokens)}) + "\n")
        started.stdin.flush()
        try:
            listeners = Listeners(started)
            listeners.hear()
            yield listeners
        finally:
            started.terminate()


class _Listener(asyncio.Protocol):
    """Counts events as they come; decodes none, so that its own work is little."""

    def __init__(self, token: str) -> None:
        self._request = f"GET /api/v1/events HTTP/1.1\r\nhost: tirta\r\nauthorization: Bearer {token}\r\n\r\n".encode()
        self._head = b""
        self.following = asyncio.get_running_loop().create_future()
        self.events = 0
        self.there = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self.events += data.count(_EVENT)
        if not self.following.done():
            self._head += data
            if b": following" in self._head:
                self.following.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.there = False
        if not self.following.done():
            self.following.set_exception(SystemExit(f"a listener was turned away: {self._head[:300]!r}"))


async def _listen(plan: dict[str, Any]) -> None:
    loop = asyncio.get_running_loop()
    listeners: list[_Listener] = []
    tokens = plan["tokens"]
    for first in range(0, len(tokens), _AT_ONCE):
        some = [_Listener(token) for token in tokens[first : first + _AT_ONCE]]
        await asyncio.gather(*(loop.create_connection(lambda one=one: one, "127.0.0.1", plan["port"]) for one in some))  # type: ignore[misc]
        await asyncio.gather(*(one.following for one in some))
        listeners += some
    print("ready", flush=True)
    await loop.run_in_executor(None, sys.stdin.readline)
    for one in listeners:
        one.events = 0
    await loop.run_in_executor(None, sys.stdin.readline)
    heard = [one.events for one in listeners]
    there = sum(one.there and one.events > 0 for one in listeners)
    print(json.dumps({"clients": there, "least": min(heard), "median": statistics.median(heard)}), flush=True)


def main() -> None:
    """Run one plan."""
    asyncio.run(_listen(json.loads(sys.stdin.readline())))


if __name__ == "__main__":
    main()
