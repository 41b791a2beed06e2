# SPDX-License-Identifier: Apache-2.0
"""The C core of firmware_stubs, built with sanitizers on this machine, agrees with the shared vectors."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CORE = ROOT / "firmware_stubs" / "core"
VECTORS = ROOT / "tests" / "contract" / "vectors"
SCRIPT = CORE / "test" / "run_vectors.py"
FILES = sorted(path.stem for path in VECTORS.glob("*.json"))
BUILD_MAX_S = 200
RUN_MAX_S = 120
MAX_LINES = 400


@pytest.fixture(scope="session")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the runner in a folder of its own."""
    missing = [tool for tool in ("cc", "make") if shutil.which(tool) is None]
    if missing:
        reason = f"the C core needs {' and '.join(missing)}; get them with: apt-get install gcc make"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    build = tmp_path_factory.mktemp("c_core")
    command = ["make", "-C", str(CORE), f"BUILD={build}", "runner"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=BUILD_MAX_S, check=False)
    assert done.returncode == 0, done.stderr
    return build / "runner"


def run_vectors(runner: Path, vectors: Path, file: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), str(runner), str(vectors), file]
    return subprocess.run(command, capture_output=True, text=True, timeout=RUN_MAX_S, check=False)


@pytest.mark.parametrize("file", FILES)
def test_c_core_over_the_shared_vectors_agrees_with_each(runner: Path, file: str) -> None:
    done = run_vectors(runner, VECTORS, file)
    assert done.returncode == 0, done.stdout + done.stderr
    counts = re.search(rf"^{file}: (\d+) of (\d+) right", done.stdout, re.MULTILINE)
    assert counts is not None, done.stdout
    assert counts[1] == counts[2] != "0"


@pytest.mark.parametrize(
    ("file", "right", "wrong"),
    [
        ("topics", '"device": "bed-01", "channel": "ack"', '"device": "bed-02", "channel": "ack"'),
        ("telemetry", '\\"flow\\":0.25', '\\"flow\\":0.26'),
        ("commands", '"reject": "unknown-action"', '"reject": "out-of-range"'),
        ("acks", '\\"litres\\":84.2', '\\"litres\\":84.3'),
        ("status", '\\"rssi\\":-67', '\\"rssi\\":-68'),
        ("stored", '"seq": 1841}}', '"seq": 1842}}'),
        ("error", '"code": "too-fast"', '"code": "too-slow"'),
        ("config", '"refused": ["telemetry_s"]', '"refused": []'),
    ],
)
def test_run_vectors_over_a_vector_that_is_wrong_reports_it(
    runner: Path, tmp_path: Path, file: str, right: str, wrong: str
) -> None:
    text = (VECTORS / f"{file}.json").read_text(encoding="utf-8")
    assert right in text
    (tmp_path / f"{file}.json").write_text(text.replace(right, wrong), encoding="utf-8")
    done = run_vectors(runner, tmp_path, file)
    assert done.returncode == 1
    assert ": got " in done.stdout


def test_c_core_files_stay_under_their_line_limit() -> None:
    files = [*CORE.glob("**/*.c"), *CORE.glob("**/*.h")]
    long = {path.name: count for path in files if (count := len(path.read_text().splitlines())) > MAX_LINES}
    assert files
    assert not long


def test_c_core_sources_allocate_nothing_and_print_nothing() -> None:
    allowed = {"float.h", "stdbool.h", "stddef.h", "stdint.h", "string.h"}
    files = [*CORE.glob("src/*"), *CORE.glob("include/*")]
    included = {name for path in files for name in re.findall(r"#include <(.+)>", path.read_text())}
    assert included
    assert included <= allowed
