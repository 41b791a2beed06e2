# SPDX-License-Identifier: Apache-2.0
"""A process of its own that outlives whoever started it, and is found again.

Its record is a file with process id, start time and name. The start time is the kernel's count of ticks since boot,
beside the boot's id (proc(5), /proc/pid/stat field 22): unlike a time of day it does not move when the clock is set, and
together they name one process for ever. Invariant: a signal goes only to a process that still answers to its record.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

__all__ = ["DetachedProcess", "ProcessRecord", "find_executable", "write_private"]

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_POLL_S = 0.02
_SYSTEM_PATHS = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"


@dataclass(frozen=True, slots=True)
class ProcessRecord:
    """Names one process: `started` in ticks since `boot`, `name` as the kernel shows it (15 signs)."""

    pid: int
    started: int
    boot: str
    name: str


def find_executable(name: str) -> str | None:
    """Find a program on the path or where the system's own programs are (an ordinary user's path often lacks sbin)."""
    return shutil.which(name) or shutil.which(name, path=_SYSTEM_PATHS)


def write_private(path: Path, text: str) -> None:
    """Write a file whole or not at all, readable by its owner only."""
    temporary = path.with_name(f"{path.name}.new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


class DetachedProcess:
    """One such process, known by its record file.

    Parameters
    ----------
    record : Path
        Where the record is kept; the folder must exist.
    """

    def __init__(self, record: Path) -> None:
        self._file = record
        self._child: subprocess.Popen[bytes] | None = None
        self.exit_code: int | None = None  # of the last one that we started ourselves, once it ended; minus a signal's number

    def find(self) -> ProcessRecord | None:
        """Give the record if its process is alive, else None. A record that can't be read counts as none."""
        self._reap()
        try:
            record = ProcessRecord(**json.loads(self._file.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None
        if _observe(record.pid) == record:
            return record
        self._reap()  # it may have ended since: whoever hears that it is gone may ask how
        return None

    def start(
        self,
        command: Sequence[str],
        *,
        log: Path,
        environment: Mapping[str, str] | None = None,
        max_files: int | None = None,
    ) -> ProcessRecord:
        """Start it in a session of its own, so that no signal to our terminal or group reaches it.

        Parameters
        ----------
        command : sequence of str
            Program and arguments, with whole paths: it runs in the root folder.
        log : Path
            Its output is added here.
        environment : mapping, optional
            Its whole environment; None hands ours on.
        max_files : int, optional
            Open files it may have, as far as the system lets us raise that.

        Raises
        ------
        RuntimeError
            One is alive already.
        OSError
            The program can't be started, or ended at once.
        """
        if self.find() is not None:
            raise RuntimeError(f"{self._file} names a process that is alive: stop it first")
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            child = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                env=environment,
                cwd="/",
                umask=0o077,
                start_new_session=True,
            )
        finally:
            os.close(descriptor)
        self._child, self.exit_code = child, None
        try:
            record = _observe(child.pid)
            if record is None:
                raise ProcessLookupError(f"{command[0]} ended at once; see {log}")
            if max_files is not None:
                _raise_file_limit(child.pid, max_files)
            write_private(self._file, json.dumps(asdict(record)))
        except BaseException:
            child.kill()  # what has no record would never be found again
            child.wait()
            self._child = None
            raise
        return record

    def signal(self, number: signal.Signals) -> bool:
        """Send a signal to the recorded process; False when it is not alive."""
        record = self.find()
        if record is None:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(record.pid, number)
            return True
        return False

    async def stop(self, timeout_s: float) -> bool:
        """End it by SIGTERM, after `timeout_s` by SIGKILL, and forget it; return whether it went without the second."""
        self.signal(signal.SIGTERM)
        in_order = await self._wait_gone(timeout_s)
        if not in_order:
            self.signal(signal.SIGKILL)
            await self._wait_gone(timeout_s)
        self._file.unlink(missing_ok=True)
        return in_order

    async def _wait_gone(self, timeout_s: float) -> bool:
        end_s = time.monotonic() + timeout_s
        while self.find() is not None:
            if time.monotonic() > end_s:
                return False
            await asyncio.sleep(_POLL_S)
        return True

    def _reap(self) -> None:
        """Take a dead child's exit, or it would stay as a zombie."""
        if self._child is not None and self._child.poll() is not None:
            self.exit_code = self._child.returncode
            self._child = None


def _raise_file_limit(pid: int, wanted: int) -> None:
    """Raise the soft limit up to the hard one; a process that has ended meanwhile needs none."""
    with contextlib.suppress(OSError):
        soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        ceiling = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        if soft != resource.RLIM_INFINITY and soft < ceiling:
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (ceiling, hard))


def _observe(pid: int) -> ProcessRecord | None:
    """Record a live process; None when there is none or it is a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
        boot = _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return None
    # The name stands in brackets and may hold brackets and spaces itself.
    name = stat[stat.index(b"(") + 1 : stat.rindex(b")")].decode(errors="replace")
    fields = stat[stat.rindex(b")") + 2 :].split()
    if fields[0] in (b"Z", b"X"):
        return None
    return ProcessRecord(pid=pid, started=int(fields[19]), boot=boot, name=name)
