# SPDX-License-Identifier: Apache-2.0
"""Processes that are found again by their record."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from gateway.processes import DetachedProcess, find_executable, write_private

SLEEP = ["/usr/bin/sleep", "60"]


async def test_start_find_and_stop_of_a_process_of_its_own(tmp_path: Path) -> None:
    process = DetachedProcess(tmp_path / "record")
    record = process.start(SLEEP, log=tmp_path / "log", max_files=128)
    try:
        assert os.getsid(record.pid) == record.pid
        assert DetachedProcess(tmp_path / "record").find() == record
        with pytest.raises(RuntimeError, match="alive"):
            process.start(SLEEP, log=tmp_path / "log")
    finally:
        in_order = await process.stop(5)
    assert in_order
    assert process.exit_code == -signal.SIGTERM
    assert process.find() is None
    assert not (tmp_path / "record").exists()


async def test_stop_of_a_process_that_ignores_sigterm_kills_it(tmp_path: Path) -> None:
    process = DetachedProcess(tmp_path / "record")
    ignoring = "trap '' TERM; echo ready; while :; do /usr/bin/sleep 0.05; done"
    process.start(["/bin/sh", "-c", ignoring], log=tmp_path / "log")
    while "ready" not in (tmp_path / "log").read_text():  # the trap is set
        pass
    assert not await process.stop(0.2)
    assert process.exit_code == -signal.SIGKILL
    assert process.find() is None


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"pid": 1}', "\xff"])
def test_find_with_a_broken_record_finds_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "record").write_text(text)
    assert DetachedProcess(tmp_path / "record").find() is None


def test_signal_never_reaches_another_process_with_the_same_id(tmp_path: Path) -> None:
    process = DetachedProcess(tmp_path / "record")
    record = process.start(SLEEP, log=tmp_path / "log")
    true_record = (tmp_path / "record").read_text()
    try:
        for changed in ({"started": record.started - 1}, {"boot": "another"}, {"name": "mosquitto"}):
            (tmp_path / "record").write_text(json.dumps({**json.loads(true_record), **changed}))
            assert process.find() is None
            assert not process.signal(signal.SIGKILL)
        (tmp_path / "record").write_text(true_record)
        assert process.find() == record
    finally:
        assert process.signal(signal.SIGKILL)
        assert process._child is not None
        process._child.wait(60)


def test_start_of_a_missing_program_raises_and_leaves_no_record(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        DetachedProcess(tmp_path / "record").start(["/no/such/program"], log=tmp_path / "log")
    assert not (tmp_path / "record").exists()


def test_write_private_replaces_whole_and_is_for_the_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("old")
    path.chmod(0o644)
    write_private(path, "new")
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_find_executable_looks_beside_the_path_too() -> None:
    found = find_executable("sh")
    assert found is not None
    assert subprocess.run([found, "-c", "exit 7"], check=False).returncode == 7
    assert find_executable("no-such-program-here") is None


def test_start_that_cannot_keep_its_record_leaves_no_process_behind(tmp_path: Path) -> None:
    (tmp_path / "record").mkdir()
    (tmp_path / "record" / "in the way").touch()
    pid_file = tmp_path / "pid"
    with pytest.raises(OSError, match="record"):
        DetachedProcess(tmp_path / "record").start(
            ["/bin/sh", "-c", f"echo $$ > {pid_file}; exec /usr/bin/sleep 60"], log=tmp_path / "log"
        )
    if pid_file.exists() and pid_file.read_text():
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid_file.read_text()), 0)
    assert not (tmp_path / "record").is_file()
