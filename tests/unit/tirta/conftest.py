# SPDX-License-Identifier: Apache-2.0
"""The command line on data in the test's folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from control.database import open_database
from tirta.cli import app


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Address of the control database that `run` works on."""
    return f"sqlite:///{tmp_path}/data/control.db"


@pytest.fixture
def run(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run a command on data in the test's folder, with an empty control database."""
    monkeypatch.setattr("os.umask", lambda mask: mask)  # the process's own is not the command's to change here
    (tmp_path / "data").mkdir()
    open_database(url).close()

    def call(*arguments: str) -> Result:
        return CliRunner().invoke(app, [*arguments, "--data", str(tmp_path / "data")])

    return call
