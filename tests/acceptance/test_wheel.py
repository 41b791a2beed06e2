# SPDX-License-Identifier: Apache-2.0
"""The wheel that `make wheel` builds: installed into an empty environment, it runs the demo from anywhere."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.servers.tirta import Tirta, eventually, plain_environment, run_tirta, series

CHECKOUT = Path(__file__).parents[2]
ROOMS = {"api", "control", "gateway", "ingest", "rules", "simulators", "tirta"}
OWN = {"PYTHONPATH": ""}  # nothing but what is installed
INSTALL_S = 240.0  # some 40 packages, from pip's cache or the index [s]


@pytest.fixture(scope="module")
def wheel() -> Path:
    """The wheel, built now."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed: apt-get install make")
    built = subprocess.run(["make", "wheel"], cwd=CHECKOUT, capture_output=True, text=True, timeout=INSTALL_S, check=False)
    assert built.returncode == 0, built.stdout[-2000:] + built.stderr[-2000:]
    return max((CHECKOUT / "dist").glob("tirta-*.whl"), key=lambda path: path.stat().st_mtime)


def test_the_wheel_holds_every_module_and_data_file_of_its_rooms_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    sources = {
        str(path.relative_to(CHECKOUT))
        for room in ROOMS
        for path in (CHECKOUT / room).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert held == sources
    assert {name.partition("/")[0] for name in held} == ROOMS


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_wheel_in_an_empty_environment_runs_the_demo_from_another_folder(wheel: Path, tmp_path: Path) -> None:
    python = tmp_path / "venv" / "bin" / "python"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    for command in (
        [sys.executable, "-m", "venv", str(tmp_path / "venv")],
        [*pip, "--require-hashes", "-r", str(CHECKOUT / "requirements.lock")],
        [*pip, "--no-deps", "--no-index", str(wheel)],
        [str(python), "-m", "pip", "check"],
    ):
        ended = subprocess.run(
            command, cwd=elsewhere, env=plain_environment(**OWN), capture_output=True, text=True, timeout=INSTALL_S, check=False
        )
        assert ended.returncode == 0, ended.stdout[-2000:] + ended.stderr[-2000:]
    command = (str(python.with_name("tirta")),)
    assert run_tirta("version", environment=OWN, command=command, cwd=elsewhere).stdout.startswith("tirta ")
    with Tirta(tmp_path, "--demo", "--speed", "600", environment=OWN, command=command, cwd=elsewhere) as tirta:
        with tirta.client() as client:
            eventually(
                lambda: list(client.acts.list(zone="pilot:garden:1", state="done")),
                "the bed is watered",
                30,
            )
            assert len(series(client, "pilot:pond:1", "dissolved_oxygen")) > 3
        assert tirta.stop() == 0
        assert tirta.err == ""
    assert list(elsewhere.iterdir()) == []
