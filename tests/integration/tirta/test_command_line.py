# SPDX-License-Identifier: Apache-2.0
"""The command line before anything runs: what cannot be is said in one line, and an early SIGTERM is a clean end."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

TIRTA = (sys.executable, "-m", "tirta")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*TIRTA, *arguments], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("up", "--data", "/proc/none", "--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0"), "/proc/none cannot be used"),
        (("up", "--ready-file", "/none/ready.json", "--data", "{tmp}", "--http", "127.0.0.1:0"), "--ready-file"),
        (("device", "list", "--data", "{tmp}/none"), "there is no Tirta in"),
        (("token", "create", "x", "--data", "{tmp}/none"), "there is no Tirta in"),
        (("simulate", "{tmp}/none.toml", "--broker", "mqtt://127.0.0.1:1", "--credentials", "{tmp}/none"), "none.toml"),
    ],
)
def test_command_that_cannot_be_done_says_why_in_one_line(arguments: tuple[str, ...], said: str, tmp_path: Path) -> None:
    done = run(*(argument.replace("{tmp}", str(tmp_path)) for argument in arguments))

    assert done.returncode == 1
    assert said in done.stderr
    assert done.stderr.startswith("tirta: ")
    assert len(done.stderr.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_up_that_is_told_to_stop_while_it_loads_ends_with_zero(tmp_path: Path) -> None:
    process = subprocess.Popen([*TIRTA, "up", "--data", str(tmp_path), "--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0"])
    # Its own first module is loaded when the command's handler stands in /proc: no fixed wait would fit every machine.
    status = Path(f"/proc/{process.pid}/status")
    while process.poll() is None:
        caught = next(line for line in status.read_text().splitlines() if line.startswith("SigCgt"))
        if int(caught.split()[1], 16) & 1 << (signal.SIGTERM - 1):
            break
        time.sleep(0.005)
    process.send_signal(signal.SIGTERM)

    assert process.wait(30) == 0
