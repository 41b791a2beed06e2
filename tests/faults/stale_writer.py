# SPDX-License-Identifier: Apache-2.0
"""A process that writes a journal, to be stopped in the middle and overtaken by another one.

It claims the journal, and for each line it reads appends one burst and says `at POSITION`, or `fenced` once another process has
claimed. `Writer` starts and ends such a process.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from types import TracebackType

__all__ = ["Writer"]


class Writer:
    """One such process; a context manager that starts it."""

    def __init__(self, journal: Path, name: str) -> None:
        command = [sys.executable, "-m", "tests.faults.stale_writer", str(journal), name]
        root = Path(__file__).parents[2]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root)

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        self._process.kill()
        self._process.communicate(timeout=60)

    def append(self, count: int) -> list[str]:
        """Have it append so many bursts; return what it said of each."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n" * count)
        self._process.stdin.flush()
        return [self._process.stdout.readline().strip() for _ in range(count)]

    def pause(self) -> None:
        """Stop it where it stands."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on, without knowing that it was stopped."""
        self._process.send_signal(signal.SIGCONT)


def _main() -> None:
    from ingest.bursts import StoredBurst
    from ingest.errors import Fenced
    from ingest.journal import JournalConfig, SqliteJournal

    path, name = sys.argv[1:]
    with closing(SqliteJournal(JournalConfig(Path(path)))) as journal:
        fence = journal.claim(0, name)
        for number, _ in enumerate(sys.stdin):
            try:
                at = journal.append(0, StoredBurst(number, [name], [b"{}"]), f"{name}-{number}", fence)
            except Fenced:
                print("fenced", flush=True)
            else:
                print(f"at {at}", flush=True)


if __name__ == "__main__":
    _main()
